# Infrastructure, as a table and as attacks. Plans are told as the sanitizer tells them.
package countersign.tests.infra

import data.countersign.testing

_nothing := {"plans": 1, "unread": 0, "create": 0, "update": 0, "replace": 0, "delete": 0, "other": 0, "types": [], "destroyed": []}

_plan(facts) := {
	"context": {"arguments": {"plan": {"resource_changes": []}}},
	"findings": {"facts": {"terraform": object.union(_nothing, facts)}},
}

_creates := _plan({"create": 2, "types": ["aws_instance"]})

_deletes(type) := _plan({"delete": 1, "types": [type], "destroyed": [type]})

_with(arguments) := {"context": {"arguments": arguments}}

_of(type, arguments) := {"context": {"arguments": arguments, "resource": {"type": type}}}

_cases := {
	"infra.apply": [
		["dev", _with({"plan": {"destroy": 9}}), "allow", {}],
		["dev", _deletes("aws_s3_bucket"), "allow", {}],
		["staging", _creates, "allow", {}],
		["staging", _deletes("aws_instance"), "needs_approval", {"platform": 1}],
		["staging", _plan({"create": 1, "types": ["aws_iam_role"]}), "needs_approval", {"security": 1}],
		["staging", _plan({"update": 50, "types": ["aws_instance"]}), "needs_approval", {"platform": 1}],
		["staging", {}, "deny", {}],
		["staging", _with({"plan": {"create": 2, "destroy": 0}}), "needs_approval", {"platform": 1, "security": 1}],
		["staging", _with({"plan": {}}), "needs_approval", {"platform": 1, "security": 1}],
		["staging", _with({"plan": "Plan: 0 to destroy."}), "needs_approval", {"platform": 1, "security": 1}],
		["production", _creates, "needs_approval", {"platform": 1}],
		["production", _deletes("aws_instance"), "needs_approval", {"platform": 2}],
		["production", _deletes("aws_db_instance"), "deny", {}],
		["production", _deletes("aws_s3_bucket"), "deny", {}],
		["production", _deletes("[OTHER]"), "deny", {}],
		["production", _plan({"replace": 1, "types": ["aws_kms_key"], "destroyed": ["aws_kms_key"]}), "deny", {}],
		["production", _plan({"create": 1, "types": ["google_project_iam_member"]}), "needs_approval", {"platform": 1, "security": 1}],
		["production", _plan({"update": 60, "types": ["aws_instance"]}), "needs_approval", {"platform": 2}],
		["production", _with({"plan": {"create": 2, "destroy": 0}}), "needs_approval", {"platform": 2, "security": 1}],
		["production", _with({"plan": {"destroy": null}}), "needs_approval", {"platform": 2, "security": 1}],
	],
	"infra.destroy": [
		["dev", _of("database", {}), "allow", {}],
		["staging", _of("database", {}), "needs_approval", {"platform": 1}],
		["production", _of("instance", {}), "needs_approval", {"platform": 2}],
		["production", _of("database", {}), "deny", {}],
	],
}

test_every_case_comes_out_as_listed if {
	every action, cases in _cases {
		testing.wrong(action, cases) == set()
	}
}

test_counts_of_the_agents_own_are_enough_where_the_settings_say_so if {
	said := {"environments": {"staging": "staging"}, "packs": {"infra": {"counts_suffice": true}}}
	cases := [
		["staging", _with({"plan": {"create": 2, "destroy": 0}}), "allow", {}],
		["staging", _with({"plan": {"create": 2, "destroy": 1}}), "needs_approval", {"platform": 1}],
		["staging", _with({"plan": {"destroy": 0, "delete": 40}}), "needs_approval", {"platform": 1, "security": 1}],
		["staging", _with({"plan": {"destroy": 0}, "destroy": true}), "needs_approval", {"platform": 1, "security": 1}],
		["staging", _with({"plan": {"destroy": 0, "create": "all"}}), "needs_approval", {"platform": 1, "security": 1}],
	]
	wrong := testing.wrong("infra.apply", cases) with data.settings as said
	wrong == set()
}

test_the_fact_is_shown_where_there_is_one_and_else_the_counts if {
	"facts:terraform" in testing.decide_case("infra.apply", ["production", _creates]).requirement.must_show
	counted := testing.decide_case("infra.apply", ["production", _with({"plan": {"create": 1}})])
	"/arguments/plan" in counted.requirement.must_show
}

_window := {"maintenance_windows": [{
	"name": "wednesday noon", "resources": ["thing:*"], "days": ["Wednesday"], "from": "12:00", "until": "14:00",
	"zone": "UTC",
}]}

test_outside_a_maintenance_window_two_are_asked if {
	inside := testing.decide_case("infra.apply", ["production", _creates]) with data.settings as _window
	testing.quorums(inside) == {"platform": 1}
	late := object.union(_creates, {"time": "2026-11-25T14:00:00.000000Z"})
	outside := testing.decide_case("infra.apply", ["production", late]) with data.settings as _window
	testing.codes(outside) == {"infra.apply", "infra.outside_window"}
	testing.quorums(outside) == {"platform": 2}
}

test_a_freeze_that_names_everything_holds_here_as_well if {
	said := {"freezes": [{"name": "x", "from": "2026-11-25T00:00", "until": "2026-11-26T00:00", "zone": "UTC"}]}
	every action in ["infra.apply", "infra.destroy"] {
		decision := testing.decide_case(action, ["production", _creates]) with data.settings as said
		testing.codes(decision) == {"infra.freeze"}
	}
}

# --- attacks -----------------------------------------------------------------

test_a_plan_not_read_to_the_end_may_do_anything if {
	every facts in [{"unread": 1}, {"plans": 2}, {"unread": null}, {"plans": null}, {"delete": null}, {"other": 1, "destroyed": ["aws_instance"]}] {
		staging := testing.decide_case("infra.apply", ["staging", object.union(_creates, {"findings": {"facts": {"terraform": facts}}})])
		"infra.apply_destroys" in testing.codes(staging)
	}
	production := testing.decide_case("infra.apply", ["production", object.union(_creates, {"findings": {"facts": {"terraform": {"unread": 1}}}})])
	testing.codes(production) == {"infra.protected"}
}

test_options_beside_the_plan_are_not_overlooked if {
	every extra in ["target", "destroy", "vars", "force", "auto_approve", "plan_file"] {
		decision := testing.decide_case("infra.apply", ["staging", object.union(_creates, _with({extra: true}))])
		testing.codes(decision) == {"infra.apply_destroys", "infra.rights"}
	}
}

test_a_plan_counted_elsewhere_is_not_the_plan if {
	every arguments in [
		{"plan": "binary", "module": {"resource_changes": []}}, {"plan": {"resource_changes": "x"}}, {"plan": ["x"]},
		{"plan": "{}"}, {"plan": {"resource_changes": []}, "workspace": ["a", "b"]},
	] {
		changes := {"context": {"arguments": arguments}, "findings": _creates.findings}
		decision := testing.decide_case("infra.apply", ["staging", changes])
		testing.codes(decision) == {"infra.apply_destroys", "infra.rights"}
	}
	written := {"context": {"arguments": {"plan": `{"resource_changes": []}`}}, "findings": _creates.findings}
	testing.decide_case("infra.apply", ["staging", written]).effect == "allow"
}

test_more_types_than_are_listed_may_be_any if {
	cut := {"findings": {"facts": {"terraform": {"types_more": 4}}}}
	testing.codes(testing.decide_case("infra.apply", ["staging", object.union(_creates, cut)])) == {"infra.rights"}
	gone := {"findings": {"facts": {"terraform": {"destroyed_more": 4}}}}
	testing.codes(testing.decide_case("infra.apply", ["production", object.union(_deletes("aws_instance"), gone)])) == {"infra.protected"}
}

test_a_kind_of_resource_that_is_made_up_does_not_help if {
	# The plan is what counts, not what the agent calls the resource.
	renamed := {"context": {"resource": {"type": "instance", "attributes": {"stateful": false}}}}
	decision := testing.decide_case("infra.apply", ["production", object.union(_deletes("aws_db_instance"), renamed)])
	testing.codes(decision) == {"infra.protected"}
}

test_no_message_repeats_the_input if {
	decision := testing.decide_case("infra.apply", ["production", _with({"plan": {"MARK": 1}})])
	not contains(json.marshal(decision.reasons), "MARK")
}

test_a_malformed_setting_is_seen if {
	every said in [{"packs": {"infra": {"stateful": "*"}}}, {"maintenance_windows": [{}]}] {
		decision := testing.decide_case("infra.apply", ["staging", _creates]) with data.settings as said
		"policy.settings_invalid" in testing.codes(decision)
	}
}
