# Every other action as a table: the environment, what differs, what comes out.
# `asks` is stage name to quorum; a case without it must not ask anybody.
package countersign.tests.actions

import data.countersign.testing

_saturday := "2026-11-28T12:00:00.000000Z"

_sql(verb, predicate) := {"findings": {"facts": {"sql": {
	"verb": verb,
	"tables": ["customers"],
	"predicate": predicate,
	"calls": false,
	"statements": 1,
}}}}

_calling(verb, predicate) := object.union(_sql(verb, predicate), {"findings": {"facts": {"sql": {"calls": true}}}})

_reads(program, flags) := _command(program, flags, true)

_shell(program, flags) := _command(program, flags, false)

_command(program, flags, reads) := {
	"context": {"arguments": {"command": concat(" ", array.concat([program], flags))}},
	"findings": {"facts": {"shell": {"program": program, "programs": [program], "flags": flags, "reads": reads}}},
}

_grants(added, removed) := {"findings": {"facts": {"grants": {"added": added, "removed": removed}}}}

_amount(amount) := {
	"context": {"arguments": {"amount": amount}},
	"findings": {"facts": {"amount": {"at_least": 1, "bucket": "1-9"}}, "quantity": {"amount": amount}},
}

_with(arguments) := {"context": {"arguments": arguments}}

_of(type, arguments) := {"context": {"arguments": arguments, "resource": {"type": type}}}

_at(time, arguments) := {"context": {"arguments": arguments}, "time": time}

# environment, change, effect, asks
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
		["dev", {}, "needs_approval", {"security": 1}],
		["staging", _grants(["reader"], []), "needs_approval", {"platform": 1}],
		["production", _grants(["reader"], []), "needs_approval", {"platform": 1}],
		["production", _grants(["s3:*"], []), "needs_approval", {"platform": 1, "security": 2}],
		["production", {}, "needs_approval", {"platform": 1, "security": 2}],
		["dev", _with({"principal": "agent"}), "deny", {}],
		["dev", {"context": {"arguments": {"principal": "ada"}, "on_behalf_of": [{"type": "person", "id": "ada"}]}}, "deny", {}],
	],
	"iam.revoke": [
		["dev", _grants([], ["admin"]), "allow", {}],
		["staging", _grants([], ["reader"]), "allow", {}],
		["staging", _grants([], ["admin"]), "needs_approval", {"security": 1}],
		["production", _grants([], ["reader"]), "needs_approval", {"platform": 1}],
		["production", {}, "needs_approval", {"platform": 1, "security": 1}],
		["staging", _with({"roles_removed": ["reader"], "role": "owner"}), "needs_approval", {"security": 1}],
		["staging", _with({"roles_removed": ["reader"], "remove_all": true}), "needs_approval", {"security": 1}],
	],
	"iam.policy_update": [
		["dev", _grants(["reader"], []), "allow", {}],
		["dev", _grants(["*"], []), "needs_approval", {"security": 1}],
		["staging", _grants(["reader"], []), "needs_approval", {"security": 1}],
		["production", _grants(["reader"], []), "needs_approval", {"security": 1}],
		["production", _grants(["*"], []), "needs_approval", {"security": 2}],
	],
	"key.rotate": [
		["dev", {}, "allow", {}],
		["staging", _with({"mode": "scheduled"}), "allow", {}],
		["staging", _with({"mode": "emergency"}), "needs_approval", {"security": 1}],
		["production", _with({"mode": "scheduled"}), "needs_approval", {"platform": 1}],
		["production", _with({"mode": "emergency"}), "needs_approval", {"security": 1}],
		["production", {}, "needs_approval", {"security": 1}],
		["production", _at(_saturday, {"mode": "scheduled"}), "needs_approval", {"security": 1}],
		["production", {"findings": {"classes": ["secret"]}}, "deny", {}],
	],
	"infra.apply": [
		["dev", _with({"plan": {"destroy": 9}}), "allow", {}],
		["staging", _with({"plan": {"create": 2, "destroy": 0}}), "allow", {}],
		["staging", _with({"plan": {"create": 2, "destroy": 1}}), "needs_approval", {"platform": 1}],
		["staging", {}, "deny", {}],
		["staging", _with({"plan": {"destroy": 0, "delete": 40}}), "needs_approval", {"platform": 1}],
		["staging", _with({"plan": {"destroy": 0}, "destroy": true}), "needs_approval", {"platform": 1}],
		["staging", _with({"plan": {}}), "needs_approval", {"platform": 1}],
		["production", _with({"plan": {"create": 2, "destroy": 0}}), "needs_approval", {"platform": 1}],
		["production", _with({"plan": {"create": 2, "destroy": 1}}), "needs_approval", {"platform": 2}],
		["production", _with({"plan": {"destroy": null}}), "needs_approval", {"platform": 2}],
	],
	"infra.destroy": [
		["dev", _of("database", {}), "allow", {}],
		["staging", _of("database", {}), "needs_approval", {"platform": 1}],
		["production", _of("instance", {}), "needs_approval", {"platform": 2}],
		["production", _of("database", {}), "deny", {}],
	],
	"deploy.release": [
		["dev", _with({"version": "1.2.3"}), "allow", {}],
		["staging", _with({"version": "1.2.3"}), "allow", {}],
		["staging", {}, "deny", {}],
		["production", _with({"version": "1.2.3"}), "needs_approval", {"release manager": 1}],
		[
			"production", _at(_saturday, {"version": "1.2.3"}),
			"needs_approval", {"release manager": 1, "platform": 1},
		],
		["production", _at("2026-12-23T12:00:00.000000Z", {"version": "1.2.3"}), "deny", {}],
		["staging", _at("2026-12-23T12:00:00.000000Z", {"version": "1.2.3"}), "allow", {}],
	],
	"deploy.rollback": [
		["staging", _with({"version": "1.2.2"}), "allow", {}],
		["production", _with({"version": "1.2.2"}), "needs_approval", {"roll-back": 1}],
		["production", _at("2026-12-23T12:00:00.000000Z", {"version": "1.2.2"}), "needs_approval", {"roll-back": 1}],
		["production", {}, "deny", {}],
	],
	"sql.execute": [
		["dev", _sql("delete", "none"), "allow", {}],
		["dev", {}, "needs_approval", {"dba": 1}],
		["staging", _sql("select", "none"), "allow", {}],
		["staging", _sql("delete", "by_key"), "allow", {}],
		["staging", _sql("delete", "always_true"), "needs_approval", {"dba": 1}],
		["staging", _sql("alter", "none"), "needs_approval", {"dba": 1}],
		["staging", _sql("vacuum", "none"), "needs_approval", {"dba": 1}],
		["production", _sql("select", "by_key"), "allow", {}],
		["production", _sql("select", "other"), "needs_approval", {"dba": 1}],
		["production", _sql("other", "by_key"), "needs_approval", {"dba": 1}],
		["production", _calling("select", "by_key"), "needs_approval", {"dba": 1}],
		["staging", _calling("select", "by_key"), "needs_approval", {"dba": 1}],
		["staging", _calling("insert", "none"), "needs_approval", {"dba": 1}],
		["staging", _sql("other", "none"), "needs_approval", {"dba": 1}],
		["production", object.union(_sql("select", "by_key"), _with({"after": "x"})), "needs_approval", {"dba": 1}],
		["staging", object.union(_sql("select", "by_key"), _with({"after": "x"})), "needs_approval", {"dba": 1}],
		["production", {"findings": {"facts": {"sql": {"verb": "select", "predicate": "by_key"}}}}, "needs_approval", {"dba": 1}],
		["production", _sql("select", "range"), "needs_approval", {"dba": 1}],
		["production", _sql("select", "none"), "needs_approval", {"dba": 1}],
		["production", _sql("insert", "other"), "needs_approval", {"dba": 1}],
		["production", _sql("update", "by_key"), "needs_approval", {"dba": 1}],
		["production", _sql("delete", "range"), "needs_approval", {"dba": 1}],
		["production", _sql("delete", "none"), "deny", {}],
		["production", _sql("update", "always_true"), "deny", {}],
		["production", _sql("update", "other"), "deny", {}],
		["production", _sql("create", "none"), "needs_approval", {"dba": 1}],
		["production", _sql("drop", "none"), "needs_approval", {"dba": 2}],
		["production", _sql("call", "none"), "needs_approval", {"dba": 1}],
		["staging", _sql("multiple", "other"), "needs_approval", {"dba": 1}],
		["production", _sql("multiple", "other"), "deny", {}],
		["production", {}, "deny", {}],
	],
	"shell.run": [
		["dev", _reads("ls", ["-la"]), "allow", {}],
		["dev", _shell("ls", ["> file"]), "needs_approval", {"platform": 1}],
		["dev", _shell("make", ["test"]), "needs_approval", {"platform": 1}],
		["dev", _shell("rm", ["-r"]), "needs_approval", {"platform": 1}],
		["dev", {}, "needs_approval", {"platform": 1}],
		["staging", _reads("cat", []), "allow", {}],
		["dev", object.union(_reads("ls", []), _with({"env": {"LD_PRELOAD": "/tmp/e.so"}})), "needs_approval", {"platform": 1}],
		["staging", _shell("[OTHER]", []), "needs_approval", {"platform": 1}],
		["staging", _shell("cat", []), "needs_approval", {"platform": 1}],
		["dev", {"findings": {"facts": {"shell": {"programs": ["ls"], "flags": []}}}}, "needs_approval", {"platform": 1}],
		["staging", _shell("rm", ["-rf"]), "needs_approval", {"platform": 2}],
		["production", _reads("cat", []), "needs_approval", {"platform": 1}],
		["production", _shell("rm", ["-r"]), "deny", {}],
		["production", _shell("git", ["--force"]), "deny", {}],
		["dev", {"findings": {"classes": ["secret"], "facts": {"shell": {"programs": ["ls"]}}}}, "deny", {}],
	],
	"payment.transfer": [
		["dev", _amount(5), "allow", {}],
		["dev", {}, "deny", {}],
		["production", _amount(5), "needs_approval", {"finance": 1}],
		["production", {}, "deny", {}],
	],
	"unheard.of": [
		["dev", {}, "deny", {}],
		["production", {}, "deny", {}],
	],
}

_decide(action, case) := testing.decide(object.union(
	case[1],
	{"context": object.union(
		object.get(case[1], "context", {}),
		{"action": action, "environment": case[0]},
	)},
))

# A set of what went wrong, so that a failing case can be read with `opa eval`.
wrong contains {"action": action, "case": i, "decision": decision} if {
	some action, cases in _cases
	some i, case in cases
	decision := _decide(action, case)
	not _as_expected(decision, case)
}

_as_expected(decision, case) if {
	decision.effect == case[2]
	testing.quorums(decision) == case[3]
}

test_every_case_comes_out_as_listed if {
	wrong == set()
}

test_nothing_is_asked_for_that_the_policy_masks if {
	every action, cases in _cases {
		every case in cases {
			testing.unshowable(_decide(action, case)) == set()
		}
	}
}

test_a_narrow_range_with_a_limit_is_read_without_asking if {
	narrow := object.union(_sql("select", "range"), {"findings": {"facts": {"sql": {"limit": 100}}}})
	_decide("sql.execute", ["production", narrow]).effect == "allow"
}

test_administrators_rights_in_production_need_proven_people if {
	decision := _decide("iam.grant", ["production", _grants(["admin"], [])])
	decision.requirement.min_assurance == "person"
	decision.requirement.use_within_s == 120
	decision.requirement.require_reason
}

test_an_emergency_is_quick_and_gives_its_reason if {
	decision := _decide("key.rotate", ["production", _with({"mode": "emergency"})])
	decision.requirement.approve_within_s == 900
	decision.requirement.require_reason
}

test_an_emergency_may_be_decided_by_one_who_is_on_call if {
	key := _decide("key.rotate", ["production", _with({"mode": "emergency"})])
	key.requirement.break_glass == {
		"approvers": {"groups": ["security-on-call"], "people": []},
		"review_by": {"groups": ["security"], "people": []},
	}
	rollback := _decide("deploy.rollback", ["production", _with({"version": "1.2.2"})])
	rollback.requirement.break_glass.approvers.groups == ["on-call"]
	rollback.requirement.stages[0].escalate[0].after_s == 300
}

test_routine_has_no_emergency_way_and_may_be_approved_in_one_act if {
	key := _decide("key.rotate", ["production", _with({"mode": "scheduled"})])
	key.requirement.break_glass == null
	key.requirement.batch
	release := _with({"version": "1.2.3"})
	_decide("deploy.release", ["production", release]).requirement.batch
	not _decide("deploy.release", ["production", _at(_saturday, {"version": "1.2.3"})]).requirement.batch
}

test_no_message_repeats_the_input if {
	marked := {"context": {"arguments": {"version": "MARK", "command": "MARK", "role": "MARK"}}}
	every action, _ in _cases {
		decision := _decide(action, ["production", marked])
		not contains(json.marshal(decision.reasons), "MARK")
	}
}
