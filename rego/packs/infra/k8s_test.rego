# Kubernetes, as a table and as attacks. Requests are told as the sanitizer tells them.
package countersign.tests.k8s

import data.countersign.testing

_request(verb, kinds, namespaces) := {
	"context": {"arguments": {"verb": verb}},
	"findings": {"facts": {"kubernetes": {
		"verb": verb,
		"kinds": kinds,
		"objects": count(kinds),
		"namespaces": namespaces,
		"unread": 0,
	}}},
}

_cases := [
	["dev", _request("apply", ["Deployment"], ["named"]), "allow", {}],
	["dev", _request("delete", ["Deployment"], ["named"]), "allow", {}],
	["dev", _request("apply", ["ClusterRoleBinding"], ["unstated"]), "needs_approval", {"security": 1}],
	["dev", _request("exec", ["Pod"], ["named"]), "needs_approval", {"security": 1}],
	["dev", _request("get", ["Secret"], ["named"]), "needs_approval", {"security": 1}],
	["dev", _request("get", ["Pod"], ["unstated"]), "allow", {}],
	["dev", {}, "deny", {}],
	["staging", _request("apply", ["Deployment", "Service"], ["named"]), "allow", {}],
	["staging", _request("delete", ["Deployment"], ["named"]), "needs_approval", {"platform": 1}],
	["staging", _request("apply", ["Deployment"], ["default"]), "needs_approval", {"security": 1}],
	["production", _request("get", ["Pod"], ["named"]), "allow", {}],
	["production", _request("get", ["Secret"], ["named"]), "needs_approval", {"platform": 1, "security": 1}],
	["production", _request("apply", ["Deployment"], ["named"]), "needs_approval", {"platform": 1}],
	["production", _request("apply", ["Deployment"], ["system"]), "needs_approval", {"platform": 1, "security": 2}],
	["production", _request("delete", ["Deployment"], ["named"]), "needs_approval", {"platform": 2}],
	["production", _request("delete", ["PersistentVolumeClaim"], ["named"]), "deny", {}],
	["production", _request("deletecollection", ["Pod"], ["named"]), "deny", {}],
	["production", _request("exec", ["Pod"], ["named"]), "needs_approval", {"platform": 1, "security": 2}],
	["production", {}, "deny", {}],
]

test_every_case_comes_out_as_listed if {
	testing.wrong("k8s.request", _cases) == set()
}

test_what_reaches_into_a_cluster_needs_proven_people if {
	decision := testing.decide_case("k8s.request", ["production", _request("exec", ["Pod"], ["named"])])
	decision.requirement.min_assurance == "person"
	"facts:kubernetes" in decision.requirement.must_show
}

# --- attacks -----------------------------------------------------------------

_changed(facts) := object.union(_request("apply", ["Deployment"], ["named"]), {"findings": {"facts": {"kubernetes": facts}}})

test_what_was_not_read_to_the_end_is_refused if {
	every facts in [
		{"unread": 1}, {"unread": null}, {"kinds": []}, {"kinds": null}, {"kinds_more": 2}, {"verb": "multiple"},
		{"verb": "other"}, {"verb": null},
	] {
		decision := testing.decide_case("k8s.request", ["dev", _changed(facts)])
		"k8s.unread" in testing.codes(decision)
	}
	unstated := object.remove(_changed({}).findings.facts.kubernetes, {"verb"})
	decision := testing.decide_case("k8s.request", ["dev", {"findings": {"facts": {"kubernetes": unstated}}}])
	testing.codes(decision) == {"k8s.unread"}
}

test_one_kind_among_many_that_is_not_ordinary_counts if {
	every kinds in [["Deployment", "Role"], ["[OTHER]", "Deployment"], ["deployment"], ["Secret"]] {
		decision := testing.decide_case("k8s.request", ["dev", _changed({"kinds": kinds})])
		testing.codes(decision) == {"k8s.rights"}
	}
}

test_a_namespace_among_several_that_is_not_ordinary_counts if {
	every namespaces in [["named", "system"], ["named", "unstated"], ["unreadable"], [], null] {
		decision := testing.decide_case("k8s.request", ["dev", _changed({"namespaces": namespaces})])
		testing.codes(decision) == {"k8s.rights"}
	}
}

test_a_deletion_of_what_cannot_be_told_is_refused if {
	every facts in [{"kinds": ["[OTHER]"]}, {"kinds": ["Deployment", "Namespace"]}] {
		decision := testing.decide_case("k8s.request", ["production", object.union(_request("delete", ["Pod"], ["named"]), {"findings": {"facts": {"kubernetes": facts}}})])
		testing.codes(decision) == {"k8s.protected"}
	}
}

test_arguments_beside_the_request_are_looked_at if {
	every extra in ["yaml", "flags", "as", "context", "patch", "selector"] {
		decision := testing.decide_case("k8s.request", ["dev", object.union(_changed({}), {"context": {"arguments": {extra: "x"}}})])
		testing.codes(decision) == {"k8s.unspelt"}
	}
	every arguments in [{"name": "web --all"}, {"namespace": ["shop"]}, {"name": {"a": 1}}, {"dry_run": "no, really"}] {
		decision := testing.decide_case("k8s.request", ["dev", object.union(_changed({}), {"context": {"arguments": arguments}})])
		testing.codes(decision) == {"k8s.unspelt"}
	}
}

test_reading_is_not_frozen_and_changing_is if {
	said := {"freezes": [{"name": "x", "from": "2026-11-25T00:00", "until": "2026-11-26T00:00", "zone": "UTC"}]}
	read := testing.decide_case("k8s.request", ["production", _request("get", ["Pod"], ["named"])]) with data.settings as said
	read.effect == "allow"
	change := testing.decide_case("k8s.request", ["production", _changed({})]) with data.settings as said
	testing.codes(change) == {"k8s.freeze"}
}

test_no_message_repeats_the_input if {
	marked := object.union(_changed({}), {"context": {"arguments": {"name": "MARK", "x": "MARK"}}})
	decision := testing.decide_case("k8s.request", ["production", marked])
	not contains(json.marshal(decision.reasons), "MARK")
}

test_a_malformed_setting_is_seen if {
	decision := testing.decide_case("k8s.request", ["dev", _changed({})]) with data.settings as {"packs": {"k8s": {"ordinary_kinds": [1]}}}
	"policy.settings_invalid" in testing.codes(decision)
}
