# Key rotation, as a table and as attacks.
package countersign.tests.key

import data.countersign.testing

_saturday := "2026-11-28T12:00:00.000000Z"

_with(arguments) := {"context": {"arguments": arguments}}

_cases := [
	["dev", {}, "allow", {}],
	["staging", _with({"mode": "scheduled"}), "allow", {}],
	["staging", _with({"mode": "emergency"}), "needs_approval", {"security": 1}],
	["production", _with({"mode": "scheduled"}), "needs_approval", {"platform": 1}],
	["production", _with({"mode": "emergency"}), "needs_approval", {"security": 1}],
	["production", {}, "needs_approval", {"security": 1}],
	["production", object.union(_with({"mode": "scheduled"}), {"time": _saturday}), "needs_approval", {"security": 1}],
	["production", {"findings": {"classes": ["secret"]}}, "deny", {}],
]

test_every_case_comes_out_as_listed if {
	testing.wrong("key.rotate", _cases) == set()
}

test_an_emergency_is_quick_and_gives_its_reason if {
	decision := testing.decide_case("key.rotate", ["production", _with({"mode": "emergency"})])
	decision.requirement.approve_within_s == 900
	decision.requirement.require_reason
	decision.requirement.break_glass == {
		"approvers": {"groups": ["security-on-call"], "people": []},
		"review_by": {"groups": ["security"], "people": []},
	}
}

test_routine_has_no_emergency_way_and_may_be_approved_in_one_act if {
	decision := testing.decide_case("key.rotate", ["production", _with({"mode": "scheduled"})])
	decision.requirement.break_glass == null
	decision.requirement.batch
}

# --- attacks -----------------------------------------------------------------

test_a_rotation_that_says_more_is_no_routine if {
	every extra in ["delete_old", "export_to", "mode_override", "force"] {
		decision := testing.decide_case("key.rotate", ["staging", _with({"mode": "scheduled", extra: true})])
		testing.codes(decision) == {"key.emergency"}
	}
}

test_a_rotation_of_several_keys_is_no_routine if {
	every key in [["a", "b"], {"all": true}, "a b", "*", null] {
		decision := testing.decide_case("key.rotate", ["staging", _with({"mode": "scheduled", "key": key})])
		testing.codes(decision) == {"key.emergency"}
	}
}

test_a_mode_that_only_looks_scheduled_is_no_routine if {
	every mode in ["Scheduled", "scheduled ", ["scheduled"], null, true] {
		testing.codes(testing.decide_case("key.rotate", ["staging", _with({"mode": mode})])) == {"key.emergency"}
	}
}

test_every_key_of_a_day_is_no_routine if {
	many := {"recent": {"day": {"allow": 30, "claimed": 20}}}
	decision := testing.decide_case("key.rotate", ["staging", object.union(_with({"mode": "scheduled"}), many)])
	testing.codes(decision) == {"key.many"}
	unknown := {"recent": {"day": {"claimed": null}}}
	testing.codes(testing.decide_case("key.rotate", ["staging", object.union(_with({"mode": "scheduled"}), unknown)])) == {"key.many"}
}

test_where_no_working_hours_are_set_nothing_is_routine if {
	decision := testing.decide_case("key.rotate", ["staging", _with({"mode": "scheduled"})]) with data.settings as {}
	testing.codes(decision) == {"key.emergency"}
}

test_a_holiday_is_no_working_day if {
	friday := {"time": "2026-12-25T10:00:00.000000Z"}
	decision := testing.decide_case("key.rotate", ["staging", object.union(_with({"mode": "scheduled"}), friday)])
	testing.codes(decision) == {"key.emergency"}
}

test_no_message_repeats_the_input if {
	decision := testing.decide_case("key.rotate", ["production", _with({"mode": "MARK"})])
	not contains(json.marshal(decision.reasons), "MARK")
}

test_a_malformed_setting_is_seen if {
	decision := testing.decide_case("key.rotate", ["dev", {}]) with data.settings as {"working_hours": {"zone": "Mars"}}
	testing.codes(decision) == {"policy.settings_invalid"}
}
