# The strictest merge: each case is two needs and what has to come of them.
package countersign.tests.merge

import data.countersign.testing

_need(part) := object.union(
	{
		"code": "test.ask",
		"message": "ask",
		"stages": [{"name": "owner", "groups": ["owners"]}],
	},
	part,
)

_decide(needs) := decision if {
	decision := testing.decide({}) with data.countersign.rules as {"a": {"needs": needs}}
}

_merge(one, other) := _decide({_need(one), _need(other)}).requirement

test_a_silent_need_gets_the_defaults if {
	_merge({}, {}) == {
		"stages": [{"name": "owner", "approvers": {"groups": ["owners"], "people": []}, "quorum": 1, "escalate": []}],
		"must_show": [],
		"approve_within_s": 3600,
		"use_within_s": 300,
		"report_within_s": 900,
		"claim_by": [],
		"channel": "",
		"profiles": {"*": "reviewer"},
		"exclude": [],
		"require_reason": false,
		"min_assurance": "channel",
		"durability": "durable",
		"batch": false,
		"break_glass": null,
	}
}

test_terms_merge_to_the_stricter if {
	cases := [
		{"key": "approve_within_s", "one": 60, "other": 7200, "merged": 60},
		{"key": "use_within_s", "one": 600, "other": 30, "merged": 30},
		{"key": "report_within_s", "one": 60, "other": 90, "merged": 60},
		{"key": "require_reason", "one": true, "other": false, "merged": true},
		{"key": "min_assurance", "one": "person", "other": "channel", "merged": "person"},
		{"key": "durability", "one": "durable", "other": "locked", "merged": "locked"},
		{"key": "must_show", "one": ["/b"], "other": {"/a", "/b"}, "merged": ["/a", "/b"]},
		{"key": "exclude", "one": ["p1"], "other": ["p2"], "merged": ["p1", "p2"]},
		{"key": "claim_by", "one": ["gate", "agent"], "other": ["gate"], "merged": ["gate"]},
		{"key": "claim_by", "one": ["gate"], "other": [], "merged": ["gate"]},
		{"key": "channel", "one": "teams:b", "other": "teams:a", "merged": "teams:a"},
		{
			"key": "profiles",
			"one": {"security": "full"},
			"other": {"*": "brief"},
			"merged": {"*": "brief", "security": "full"},
		},
	]
	every case in cases {
		_merge({case.key: case.one}, {case.key: case.other})[case.key] == case.merged
	}
}

test_a_silent_need_has_no_opinion_on_a_window if {
	_merge({"approve_within_s": 7200}, {}).approve_within_s == 7200
}

test_one_stage_asked_for_twice_is_asked_once_with_the_higher_quorum if {
	merged := _merge({}, {"stages": [{"name": "owner", "groups": ["owners"], "quorum": 2}]})
	[[stage.name, stage.quorum] | some stage in merged.stages] == [["owner", 2]]
}

# Merging the two groups either way would let somebody approve whom one of the
# rules did not name.
test_one_name_for_two_groups_stays_two_stages if {
	merged := _merge({}, {"stages": [{"name": "owner", "groups": ["crm-owners"]}]})
	{stage.name: stage.approvers.groups | some stage in merged.stages} == {
		"owner (crm-owners)": ["crm-owners"],
		"owner (owners)": ["owners"],
	}
}

test_stages_keep_the_order_a_rule_gave_them if {
	owner := {"name": "z owner", "groups": ["owners"]}
	security := {"name": "security", "people": ["p1"]}
	merged := _merge({"stages": [owner, security]}, {"stages": [security]})
	[stage.name | some stage in merged.stages] == ["z owner", "security"]
}

test_every_stage_of_every_need_is_in_the_merge if {
	parts := [
		[{"name": "a", "groups": ["g1"], "quorum": 2}, {"name": "b", "groups": ["g2"]}],
		[{"name": "b", "groups": ["g2"], "quorum": 3}, {"name": "a", "groups": ["g3"]}],
		[{"name": "c", "people": ["p1"]}, {"name": "a", "groups": ["g1"]}],
	]
	merged := _decide({_need({"stages": stages}) | some stages in parts}).requirement
	every asked in parts[_] {
		some stage in merged.stages
		stage.approvers.groups == object.get(asked, "groups", [])
		stage.approvers.people == object.get(asked, "people", [])
		stage.quorum >= object.get(asked, "quorum", 1)
	}
}

test_lists_may_be_sets if {
	stage := {"name": "owner", "groups": {"owners"}, "people": {"p1"}}
	need := {"stages": [stage], "must_show": {"/a"}, "exclude": {"p2"}, "claim_by": {"gate"}}
	merged := _decide({_need(need)}).requirement
	merged.stages[0].approvers == {"groups": ["owners"], "people": ["p1"]}
	[merged.must_show, merged.exclude, merged.claim_by] == [["/a"], ["p2"], ["gate"]]
}

# --- what has no common requirement ------------------------------------------

_conflict(one, other, code) if {
	decision := _decide({_need(one), _need(other)})
	decision.effect == "deny"
	testing.codes(decision) == {code}
}

test_needs_that_agree_do_not_conflict if {
	_merge({}, {"claim_by": ["gate"], "profiles": {"security": "full"}})
}

test_needs_without_any_stage_conflict if {
	_conflict({"stages": []}, {"stages": []}, "policy.no_stage")
}

test_a_need_may_leave_the_stage_to_another if {
	count(_merge({"stages": []}, {}).stages) == 1
}

test_claimants_without_overlap_conflict if {
	_conflict({"claim_by": ["a"]}, {"claim_by": ["b"]}, "policy.claim_conflict")
}

test_two_profiles_for_one_group_conflict if {
	_conflict({"profiles": {"*": "full"}}, {"profiles": {"*": "brief"}}, "policy.profile_conflict")
}
