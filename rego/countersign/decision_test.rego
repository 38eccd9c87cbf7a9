# Stories of combination, on rule packages made up here.
package countersign.tests.decision

import data.countersign.testing

_no := {"code": "test.no", "message": "no"}

_yes := {"code": "test.yes", "message": "yes"}

_ask := {"code": "test.ask", "message": "ask", "stages": [{"name": "owner", "groups": ["owners"]}]}

_decide(rules) := decision if {
	decision := testing.decide({}) with data.countersign.rules as rules with data.settings as {}
}

_denied(rules, code) if {
	decision := _decide(rules)
	decision.effect == "deny"
	code in testing.codes(decision)
	not "requirement" in object.keys(decision)
}

test_no_rules_at_all_deny if _denied({}, "policy.no_rule")

test_rules_that_say_nothing_deny if {
	_denied({"a": {"deny": set(), "needs": set(), "allow": set(), "mask": set()}}, "policy.no_rule")
}

test_allow_needs_a_rule_that_allows if {
	_decide({"a": {"allow": {_yes}}}) == {"effect": "allow", "reasons": [_yes], "mask": []}
}

test_deny_wins_over_allow_and_need_of_other_packages if {
	decision := _decide({"a": {"allow": {_yes}}, "b": {"deny": {_no}}, "c": {"needs": {_ask}}})
	decision == {"effect": "deny", "reasons": [_no], "mask": []}
}

test_need_wins_over_allow if {
	decision := _decide({"a": {"allow": {_yes}}, "b": {"needs": {_ask}}})
	decision.effect == "needs_approval"
	decision.reasons == [{"code": "test.ask", "message": "ask"}]
}

test_masks_apply_whatever_the_effect if {
	every effect in [{"allow": {_yes}}, {"deny": {_no}}, {"needs": {_ask}}, {}] {
		_decide({"a": effect, "b": {"mask": {"/arguments/b", "/arguments/a"}}}).mask == ["/arguments/a", "/arguments/b"]
	}
}

test_reasons_are_told_once_and_in_order if {
	first := {"code": "test.first", "message": "first"}
	_decide({"a": {"deny": {_no}}, "b": {"deny": {_no, first}}}).reasons == [first, _no]
}

test_incomplete_findings_deny_what_a_rule_allows if {
	every findings in [{"complete": false}, {"complete": null}] {
		decision := testing.decide({"findings": findings}) with data.countersign.rules as {"a": {"allow": {_yes}, "needs": {_ask}}} with data.settings as {}
		decision.effect == "deny"
		testing.codes(decision) == {"findings.incomplete"}
	}
}

test_findings_that_are_missing_deny if {
	bare := object.remove(testing.given({}), {"findings"})
	decision := data.countersign.decision with input as bare with data.countersign.rules as {"a": {"allow": {_yes}}} with data.settings as {}
	testing.codes(decision) == {"findings.incomplete"}
}

# --- contributions that cannot be read ---------------------------------------

test_malformed_contributions_deny_and_name_their_package if {
	cases := [
		{"deny": true},
		{"deny": false},
		{"deny": {"no"}},
		{"deny": [_no]},
		{"deny": {{"code": "Test.No", "message": "no"}}},
		{"deny": {{"code": "test.no", "message": 1}}},
		{"deny": {{"code": "test.no", "message": ""}}},
		{"deny": {{"code": "test.no", "message": "no", "stages": []}}},
		{"allow": true},
		{"allow": {"yes"}},
		{"mask": {"arguments"}},
		{"mask": {1}},
		{"mask": ["/arguments"]},
		{"needs": _ask},
		{"needs": [_ask]},
		{"needs": {"ask"}},
		{"needs": {{"code": "test.ask"}}},
		{"needs": {object.union(_ask, {"quorum": 2})}},
		{"needs": {object.union(_ask, {"batch": "yes"})}},
		{"needs": {object.union(_ask, {"escalate": []})}},
		{"needs": {object.union(_ask, {"break_glass": true})}},
		{"needs": {object.union(_ask, {"break_glass": null})}},
		{"needs": {object.union(_ask, {"break_glass": {}})}},
		{"needs": {object.union(_ask, {"break_glass": {"groups": []}})}},
		{"needs": {object.union(_ask, {"break_glass": {"groups": "on-call"}})}},
		{"needs": {object.union(_ask, {"break_glass": {"approvers": {"groups": ["on-call"]}}})}},
		{"needs": {object.union(_ask, {"break_glass": {"groups": ["on-call"], "review_by": {}}})}},
		{"needs": {object.union(_ask, {"break_glass": {"groups": ["on-call"], "review_by": ["security"]}})}},
		{"needs": {object.union(_ask, {"must_show": "/resource"})}},
		{"needs": {object.union(_ask, {"approve_within_s": "60"})}},
		{"needs": {object.union(_ask, {"require_reason": "yes"})}},
		{"needs": {object.union(_ask, {"min_assurance": "strong"})}},
		{"needs": {object.union(_ask, {"durability": "channel"})}},
		{"needs": {object.union(_ask, {"stages": {"name": "owner"}})}},
	]
	every contribution in cases {
		decision := _decide({"good": {"allow": {_yes}}, "bad": contribution})
		decision.effect == "deny"
		some reason in decision.reasons
		reason.code == "policy.rule_invalid"
		contains(reason.message, "rule package bad ")
	}
}

test_a_malformed_package_answers_like_any_denial if {
	_decide({"bad": {"deny": true}}) == {
		"effect": "deny",
		"reasons": [{
			"code": "policy.rule_invalid",
			"message": "rule package bad contributes something malformed; see how to write a policy",
		}],
		"mask": [],
	}
}

test_malformed_stages_deny if {
	stages := [
		"owner",
		{"name": "owner"},
		{"name": "", "groups": ["owners"]},
		{"name": 1, "groups": ["owners"]},
		{"groups": ["owners"]},
		{"name": "owner", "groups": "owners"},
		{"name": "owner", "people": "owners"},
		{"name": "owner", "groups": ["owners"], "quorum": "2"},
		{"name": "owner", "groups": ["owners"], "qourum": 2},
		{"name": "owner", "groups": ["owners"], "escalate": {"after_s": 60, "groups": ["managers"]}},
		{"name": "owner", "groups": ["owners"], "escalate": ["managers"]},
		{"name": "owner", "groups": ["owners"], "escalate": [{"groups": ["managers"]}]},
		{"name": "owner", "groups": ["owners"], "escalate": [{"after_s": 60}]},
		{"name": "owner", "groups": ["owners"], "escalate": [{"after_s": 60, "groups": []}]},
		{"name": "owner", "groups": ["owners"], "escalate": [{"after_s": "60", "groups": ["managers"]}]},
		{"name": "owner", "groups": ["owners"], "escalate": [{"after_s": 60, "approvers": {"groups": ["managers"]}}]},
	]
	every stage in stages {
		_denied({"a": {"needs": {object.union(_ask, {"stages": [stage]})}}}, "policy.rule_invalid")
	}
}

test_a_malformed_need_is_not_outvoted_by_a_good_one if {
	_denied({"a": {"needs": {_ask}}, "b": {"needs": {{"code": "test.ask"}}}}, "policy.rule_invalid")
}

# Whatever may ever make the merge undefined: never an allow.
test_a_need_whose_merge_fails_is_never_allowed if {
	rules := {"a": {"allow": {_yes}, "needs": {_ask}}}
	decision := testing.decide({}) with data.countersign.rules as rules with data.settings as {} with data.countersign.merge as {}
	decision.effect == "deny"
}
