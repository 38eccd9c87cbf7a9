# Identities and access, as a table and as attacks.
package countersign.tests.iam

import data.countersign.testing

_grants(added, removed) := {
	"context": {"arguments": {"principal": "kim", "roles_added": added}},
	"findings": {"facts": {"grants": object.filter({"added": added, "removed": removed}, _named(added, removed))}},
}

_named(added, removed) := {"added" | count(added) > 0} | {"removed" | count(removed) > 0}

_revokes(removed, arguments) := {
	"context": {"arguments": arguments},
	"findings": {"facts": {"grants": {"removed": removed}}},
}

_with(arguments) := {"context": {"arguments": arguments}}

_cases := {
	"iam.escalate": [
		["dev", _with({"role": "reader", "duration_s": 3600}), "allow", {}],
		["dev", _with({"role": "admin", "duration_s": 3600}), "needs_approval", {"security": 1}],
		["dev", _with({"role": "reader"}), "deny", {}],
		["staging", _with({"role": "reader", "duration_s": 3600}), "needs_approval", {"platform": 1}],
		["production", _with({"role": "reader", "duration_s": 3600}), "needs_approval", {"platform": 1}],
		["production", _with({"role": "admin", "duration_s": 3600}), "needs_approval", {"platform": 1, "security": 2}],
		["production", _with({"role": "reader", "roles": ["owner"], "duration_s": 60}), "needs_approval", {"platform": 1, "security": 2}],
		["production", _with({"duration_s": 3600}), "deny", {}],
		["production", _with({"role": "reader", "duration_s": 14401}), "deny", {}],
		["production", _with({"role": "reader", "duration_s": 0}), "deny", {}],
		["production", _with({"role": "reader", "duration_s": "3600"}), "deny", {}],
		["production", _with({"role": "reader", "duration_s": null}), "deny", {}],
	],
	"iam.grant": [
		["dev", _grants(["reader"], []), "allow", {}],
		["dev", _grants(["admin"], []), "needs_approval", {"security": 1}],
		["dev", _with({"principal": "kim"}), "needs_approval", {"security": 1}],
		["dev", {}, "deny", {}],
		["staging", _grants(["reader"], []), "needs_approval", {"platform": 1}],
		["production", _grants(["reader"], []), "needs_approval", {"platform": 1}],
		["production", _grants(["s3:*"], []), "needs_approval", {"platform": 1, "security": 2}],
		["production", _with({"principal": "kim"}), "needs_approval", {"platform": 1, "security": 2}],
		["dev", _with({"principal": "agent"}), "deny", {}],
		["dev", {"context": {"arguments": {"principal": "ada"}, "on_behalf_of": [{"type": "person", "id": "ada"}]}}, "deny", {}],
	],
	"iam.revoke": [
		["dev", _revokes(["admin"], {}), "allow", {}],
		["staging", _revokes(["reader"], {}), "allow", {}],
		["staging", _revokes(["admin"], {}), "needs_approval", {"security": 1}],
		["production", _revokes(["reader"], {}), "needs_approval", {"platform": 1}],
		["production", {}, "needs_approval", {"platform": 1, "security": 1}],
		["staging", _revokes(["reader"], {"roles_removed": ["reader"], "role": "owner"}), "needs_approval", {"security": 1}],
		["staging", _revokes(["reader"], {"roles_removed": ["reader"], "remove_all": true}), "needs_approval", {"security": 1}],
	],
	"iam.policy_update": [
		["dev", _grants(["reader"], []), "allow", {}],
		["dev", _grants(["*"], []), "needs_approval", {"security": 1}],
		["staging", _grants(["reader"], []), "needs_approval", {"security": 1}],
		["production", _grants(["reader"], []), "needs_approval", {"security": 1}],
		["production", _grants(["*"], []), "needs_approval", {"security": 2}],
	],
}

test_every_case_comes_out_as_listed if {
	every action, cases in _cases {
		testing.wrong(action, cases) == set()
	}
}

test_administrators_rights_in_production_need_proven_people if {
	decision := testing.decide_case("iam.grant", ["production", _grants(["admin"], [])])
	decision.requirement.min_assurance == "person"
	decision.requirement.use_within_s == 120
	decision.requirement.require_reason
}

# --- attacks -----------------------------------------------------------------

test_nobody_grants_to_who_asks_however_it_is_written if {
	every principal in ["agent", "Agent", "AGENT", "person-owner", "root-agent", "ada", "Ada"] {
		decision := testing.decide({
			"context": {
				"action": "iam.grant", "environment": "dev",
				"arguments": {"principal": principal, "role": "reader"},
				"on_behalf_of": [{"type": "external", "id": "ada"}],
			},
			"verified": {"parent": "root-agent"},
			"findings": {"facts": {"grants": {"added": ["reader"]}}},
		})
		testing.codes(decision) == {"iam.self_grant"}
	}
}

test_a_principal_that_is_no_text_is_refused if {
	every principal in [null, "", 5, ["kim"], {"id": "kim"}, true, " agent", "agent\u200b", "\u0430gent", "kim,lee"] {
		decision := testing.decide_case("iam.grant", ["dev", object.union(_grants(["reader"], []), _with({"principal": principal}))])
		testing.codes(decision) == {"iam.no_principal"}
	}
}

test_what_stands_beside_the_roles_is_not_overlooked if {
	every extra in ["principals", "members", "policy", "condition", "roles_removed", "and"] {
		decision := testing.decide_case("iam.grant", ["dev", object.union(_grants(["reader"], []), _with({extra: ["agent"]}))])
		testing.quorums(decision) == {"security": 1}
	}
}

test_a_document_beside_the_roles_may_say_anything if {
	every extra in ["policy", "statement", "document", "and"] {
		changes := object.union(_grants(["reader"], []), _with({extra: {"Action": "*"}}))
		decision := testing.decide_case("iam.policy_update", ["dev", changes])
		testing.codes(decision) == {"iam.policy_update_privileged"}
	}
	nested := object.union(_grants(["reader"], []), _with({"principal": {"id": "kim", "policy": "*"}}))
	testing.codes(testing.decide_case("iam.policy_update", ["dev", nested])) == {"iam.policy_update_privileged"}
}

test_rights_under_another_name_are_not_ordinary if {
	# Nothing of it is in a fact.
	decision := testing.decide_case("iam.grant", ["production", _with({"principal": "kim", "rights": ["admin"]})])
	testing.quorums(decision) == {"platform": 1, "security": 2}
	forged := {"context": {"resource": {"attributes": {"ordinary": true}}}, "findings": {"facts": {"grants": {"added": null}}}}
	testing.quorums(testing.decide_case("iam.policy_update", ["production", forged])) == {"security": 2}
}

test_a_cut_list_of_rights_is_not_ordinary if {
	cut := {"findings": {"facts": {"grants": {"added_more": 1}}}}
	decision := testing.decide_case("iam.grant", ["dev", object.union(_grants(["reader"], []), cut)])
	testing.quorums(decision) == {"security": 1}
}

test_rights_given_one_by_one_are_many if {
	every action, change in {
		"iam.grant": _grants(["reader"], []),
		"iam.escalate": _with({"role": "reader", "duration_s": 60}),
		"iam.revoke": _revokes(["reader"], {}),
	} {
		every day in [{"allow": 20, "claimed": 10}, {"allow": null}] {
			decision := testing.decide_case(action, ["dev", object.union(change, {"recent": {"day": day}})])
			testing.codes(decision) == {"iam.many"}
		}
		testing.decide_case(action, ["dev", object.union(change, {"recent": {"day": {"allow": 29}}})]).effect == "allow"
	}
}

test_an_environment_nobody_knows_is_production if {
	every environment in ["", "DEV", "dev ", "prod", "test"] {
		decision := testing.decide_case("iam.grant", [environment, _grants(["admin"], [])])
		testing.quorums(decision) == {"platform": 1, "security": 2}
	}
}

test_no_message_repeats_the_input if {
	every action, _ in _cases {
		decision := testing.decide_case(action, ["production", _with({"role": "MARK", "principal": "MARK"})])
		not contains(json.marshal(decision.reasons), "MARK")
	}
}

test_a_malformed_setting_is_seen if {
	every action, _ in _cases {
		decision := testing.decide_case(action, ["dev", _grants(["reader"], [])]) with data.settings as {"packs": {"iam": {"let_through_per_day": "many"}}}
		"policy.settings_invalid" in testing.codes(decision)
	}
}
