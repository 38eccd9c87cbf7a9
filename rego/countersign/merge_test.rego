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
	decision := testing.decide({}) with data.countersign.rules as {"a": {"needs": needs}} with data.settings as {}
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

# --- permissions: each rule has to give them ----------------------------------

_only(part) := _decide({_need(part)}).requirement

test_a_batch_needs_the_leave_of_every_rule if {
	_only({"batch": true}).batch
	_merge({"batch": true}, {"batch": true, "require_reason": true}).batch
	not _merge({"batch": true}, {"batch": false}).batch
	not _merge({"batch": true}, {}).batch
	not _only({}).batch
}

_glass(groups, people) := {"break_glass": {"groups": groups, "people": people, "review_by": {"groups": ["security"]}}}

test_the_glass_is_broken_by_whom_every_rule_names if {
	_only(_glass(["on-call", "leads"], ["p1"])).break_glass == {
		"approvers": {"groups": ["leads", "on-call"], "people": ["p1"]},
		"review_by": {"groups": ["security"], "people": []},
	}
	_merge(_glass(["on-call", "leads"], ["p1"]), _glass({"leads"}, ["p1", "p2"])).break_glass.approvers == {
		"groups": ["leads"],
		"people": ["p1"],
	}
}

test_there_is_no_emergency_way_that_one_rule_does_not_give if {
	_merge(_glass(["on-call"], []), {}).break_glass == null
	_merge(_glass(["on-call"], []), _glass(["leads"], [])).break_glass == null

	# p1 may be in on-call, or not: nobody here knows.
	_merge(_glass(["on-call"], []), _glass([], ["p1"])).break_glass == null
}

test_afterwards_looks_whom_every_rule_trusts_with_it if {
	security := {"break_glass": {"groups": ["on-call"], "review_by": {"groups": ["security", "ciso"], "people": ["p1"]}}}
	ciso := {"break_glass": {"groups": ["on-call"], "review_by": {"groups": ["ciso"]}}}
	_merge(security, ciso).break_glass.review_by == {"groups": ["ciso"], "people": []}
	_merge(ciso, {"break_glass": {"groups": ["on-call"], "review_by": {"people": ["p1"]}}}).break_glass == null
}

test_who_is_silent_leaves_looking_afterwards_to_their_own_stages if {
	silent := {"break_glass": {"groups": ["on-call"]}}
	stages := [{"name": "owner", "groups": ["owners"]}, {"name": "security", "groups": ["security"], "people": ["p1"]}]
	both := object.union(silent, {"stages": stages})
	_only(silent).break_glass.review_by == {"groups": ["owners"], "people": []}
	_only(both).break_glass.review_by == {"groups": ["owners", "security"], "people": ["p1"]}
	_merge(silent, both).break_glass.review_by == {"groups": ["owners"], "people": []}
	_merge(silent, object.union(silent, {"stages": [stages[1]]})).break_glass == null
	_merge(silent, object.union(silent, {"stages": []})).break_glass.review_by.groups == ["owners"]
}

_escalating(steps) := {"stages": [{"name": "owner", "groups": ["owners"], "escalate": steps}]}

_steps(one, other) := _merge(_escalating(one), _escalating(other)).stages[0].escalate

_managers := {"after_s": 600, "groups": ["managers"]}

test_an_escalation_is_told_as_the_contract_has_it if {
	steps := [_managers, {"after_s": 1200, "groups": {"directors", "board"}, "people": ["p1"]}]
	_only(_escalating(steps)).stages[0].escalate == [
		{"after_s": 600, "approvers": {"groups": ["managers"], "people": []}},
		{"after_s": 1200, "approvers": {"groups": ["board", "directors"], "people": ["p1"]}},
	]
}

test_somebody_joins_a_stage_when_the_last_rule_lets_them if {
	_steps([_managers], [{"after_s": 60, "groups": ["managers", "board"]}]) == [{
		"after_s": 600,
		"approvers": {"groups": ["managers"], "people": []},
	}]
	_steps([_managers], [{"after_s": 60, "people": ["managers"]}]) == []
}

test_a_rule_that_escalates_nothing_lets_nobody_join if {
	_steps([_managers], []) == []
	_merge(_escalating([_managers]), {}).stages[0].escalate == []
}

test_a_stage_of_other_approvers_keeps_its_own_escalation if {
	merged := _merge(_escalating([_managers]), {"stages": [{"name": "security", "groups": ["security"]}]})
	{stage.name: count(stage.escalate) | some stage in merged.stages} == {"owner": 1, "security": 0}
}

# --- nothing merged is milder than a rule it was merged from ------------------

_steps_to_choose := [
	[],
	[_managers],
	[{"after_s": 60, "groups": ["managers"]}, {"after_s": 900, "people": ["p1"]}],
	[{"after_s": 300, "groups": ["managers", "board"], "people": ["p1"]}, {"after_s": 1200, "groups": ["owners"]}],
]

_glass_to_choose := [
	{},
	{"break_glass": {"groups": ["on-call", "leads"], "people": ["p1"]}},
	{"break_glass": {"groups": ["leads"], "review_by": {"groups": ["owners", "security"]}}},
	{"break_glass": {"groups": ["on-call"], "people": ["p1"], "review_by": {"groups": ["security"]}}},
]

_rules_to_choose := [object.union_n([_need({}), part, {"batch": (i % 2) == 0}]) |
	some i, part in array.concat([_escalating(steps) | some steps in _steps_to_choose], _glass_to_choose)
]

# Of the merge alone, which is quicker than a whole decision.
_of_all(needs) := requirement if {
	requirement := data.countersign.merge.requirement with data.countersign.needs as needs
}

_names(approvers) := {[kind, name] | some kind, names in approvers; some name in names}

_asked_by(stage, moment) := _names(stage.approvers) | {name |
	some step in stage.escalate
	step.after_s <= moment
	some name in _names(step.approvers)
}

_milder(merged, one) if {
	merged.batch
	not one.batch
}

_milder(merged, one) if {
	merged.break_glass != null
	one.break_glass == null
}

_milder(merged, one) if {
	some role in ["approvers", "review_by"]
	count(_names(merged.break_glass[role]) - _names(one.break_glass[role])) > 0
}

_milder(merged, one) if {
	some moment in [0, 60, 300, 600, 900, 1200]
	count(_asked_by(merged.stages[0], moment) - _asked_by(one.stages[0], moment)) > 0
}

test_nothing_merged_is_milder_than_a_rule_it_was_merged_from if {
	alone := [_of_all({rule}) | some rule in _rules_to_choose]
	milder := {[i, j] |
		some i, one in _rules_to_choose
		some j, other in _rules_to_choose
		i < j
		merged := _of_all({one, other})
		some single in [alone[i], alone[j]]
		_milder(merged, single)
	}
	milder == set()
}

test_what_is_milder_would_be_noticed if {
	strict := _only({})
	every part in [{"batch": true}, _glass(["on-call"], []), _escalating([_managers])] {
		_milder(_only(part), strict)
	}
	_milder(_only(_glass(["on-call"], ["p1"])), _only(_glass(["on-call"], [])))
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
