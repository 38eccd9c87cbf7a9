# Deployment and roll-back, as a table and as attacks.
package countersign.tests.deploy

import data.countersign.testing

_saturday := "2026-11-28T12:00:00.000000Z"

_frozen := "2026-12-23T12:00:00.000000Z"

_with(arguments) := {"context": {"arguments": arguments}}

_at(time, arguments) := {"context": {"arguments": arguments}, "time": time}

_cases := {
	"deploy.release": [
		["dev", _with({"version": "1.2.3"}), "allow", {}],
		["staging", _with({"version": "1.2.3"}), "allow", {}],
		["staging", {}, "deny", {}],
		["production", _with({"version": "1.2.3"}), "needs_approval", {"release manager": 1}],
		["production", _at(_saturday, {"version": "1.2.3"}), "needs_approval", {"release manager": 1, "platform": 1}],
		["production", _at(_frozen, {"version": "1.2.3"}), "deny", {}],
		["staging", _at(_frozen, {"version": "1.2.3"}), "allow", {}],
	],
	"deploy.rollback": [
		["staging", _with({"version": "1.2.2"}), "allow", {}],
		["production", _with({"version": "1.2.2"}), "needs_approval", {"roll-back": 1}],
		["production", _at(_frozen, {"version": "1.2.2"}), "needs_approval", {"roll-back": 1}],
		["production", {}, "deny", {}],
	],
}

test_every_case_comes_out_as_listed if {
	every action, cases in _cases {
		testing.wrong(action, cases) == set()
	}
}

test_a_release_may_be_approved_with_others_by_day_and_not_by_night if {
	testing.decide_case("deploy.release", ["production", _with({"version": "1.2.3"})]).requirement.batch
	not testing.decide_case("deploy.release", ["production", _at(_saturday, {"version": "1.2.3"})]).requirement.batch
}

test_going_back_may_be_decided_by_one_who_is_on_call if {
	decision := testing.decide_case("deploy.rollback", ["production", _with({"version": "1.2.2"})])
	decision.requirement.break_glass.approvers.groups == ["on-call"]
	decision.requirement.break_glass.review_by.groups == ["platform"]
	decision.requirement.stages[0].escalate[0].after_s == 300
	nobody := testing.decide_case("deploy.rollback", ["production", _with({"version": "1.2.2"})]) with data.settings as {}
	nobody.requirement.break_glass == null
}

# --- attacks -----------------------------------------------------------------

test_a_version_that_moves_is_refused if {
	every version in ["latest", "Latest", "registry/web:latest", "web@main", "HEAD", "refs/heads/main", " 1.2.3", "1.2.3\nlatest", "$(x)"] {
		decision := testing.decide_case("deploy.release", ["staging", _with({"version": version})])
		testing.codes(decision) == {"deploy.moving_version"}
	}
	every version in ["1.2.3", "v1.2.3+build.5", "registry.example/web:1.2.3", "web@sha256:0123abcd"] {
		testing.decide_case("deploy.release", ["staging", _with({"version": version})]).effect == "allow"
	}
}

test_what_stands_beside_the_version_is_looked_at if {
	every extra in ["image", "run_migrations", "flags", "env", "versions"] {
		decision := testing.decide_case("deploy.release", ["staging", _with({"version": "1.2.3", extra: "x"})])
		testing.codes(decision) == {"deploy.unread"}
	}
	every arguments in [{"service": ["web", "db"]}, {"service": {"image": "x"}}, {"notes": {"image": "x"}}, {"ticket": "a b"}] {
		decision := testing.decide_case("deploy.release", ["staging", _with(object.union({"version": "1.2.3"}, arguments))])
		testing.codes(decision) == {"deploy.unread"}
	}
}

test_a_release_called_a_roll_back_still_asks_and_shows_its_version if {
	decision := testing.decide_case("deploy.rollback", ["production", _at(_frozen, {"version": "2.0.0"})])
	decision.effect == "needs_approval"
	"/arguments/version" in decision.requirement.must_show
}

test_a_freeze_also_voids_what_was_approved_before_it if {
	decision := testing.decide_case("deploy.release", ["production", object.union(_at(_frozen, {"version": "1.2.3"}), {"approval": testing.approved})])
	testing.codes(decision) == {"deploy.freeze"}
}

test_a_freeze_that_cannot_be_read_freezes if {
	decision := testing.decide_case("deploy.release", ["production", _with({"version": "1.2.3"})]) with data.settings as {"freezes": [{"name": "x", "from": "soon"}]}
	testing.codes(decision) == {"deploy.freeze", "policy.settings_invalid"}
}

test_no_message_repeats_the_input if {
	every action, _ in _cases {
		decision := testing.decide_case(action, ["production", _with({"version": "MARK"})])
		not contains(json.marshal(decision.reasons), "MARK")
	}
}
