# METADATA
# title: Fixture for policy tests
# description: |
#   Builds whole inputs from the few fields a story is about, and asks for the
#   decision. `decide({"context": {"action": "db.export"}})` is a first Check of
#   a workload in production of which the sanitizer found nothing.
#   Objects are merged at every depth; arrays are replaced.
#   Imported by tests only.
package countersign.testing

_plain := {
	"context": {
		"action": "example.act",
		"actor": {"type": "workload", "id": "agent"},
		"arguments": {},
		"environment": "production",
		"on_behalf_of": [],
		"reason": "",
		"resource": {"type": "thing", "id": "thing-1", "owner": "", "attributes": {}},
		"session": "",
	},
	"findings": {"entities": {}, "classes": [], "facts": {}, "complete": true, "quantity": {"rows": 0, "amount": 0}},
	"verified": {
		"tenant": "acme",
		"caller": "agent",
		"owners": ["person-owner"],
		"users": [],
		"parent": null,
		"person": null,
		"claimant": null,
	},
	"approval": null,
	"recent": {"hour": _quiet, "day": _quiet},
	# A Wednesday.
	"time": "2026-11-25T12:00:00.000000Z",
}

_quiet := {"checks": 0, "allow": 0, "deny": 0, "needs_approval": 0, "claimed": 0, "rows": 0, "amount": 0}

# METADATA
# title: Given
# description: A whole input with these fields changed.
given(changes) := object.union(_plain, changes)

# METADATA
# title: Decide
# description: The decision on a whole input with these fields changed.
decide(changes) := decision if {
	decision := data.countersign.decision with input as given(changes)
}

# METADATA
# title: Approved
# description: The approval of a Claim, for the `approval` field.
approved := {
	"review": "rev_1",
	"revision": 1,
	"approved_at": "2026-11-25T11:59:00.000000Z",
	"votes": [{
		"person": "person-reviewer",
		"choice": "approve",
		"assurance": "channel",
		"groups": [],
		"at": "2026-11-25T11:59:00.000000Z",
	}],
}

# METADATA
# title: Codes
# description: The reason codes of a decision.
codes(decision) := {reason.code | some reason in decision.reasons}

# METADATA
# title: Quorums
# description: What a decision asks for, as stage name to quorum; empty when it asks nobody.
quorums(decision) := {stage.name: stage.quorum | some stage in decision.requirement.stages}

# METADATA
# title: Unshowable
# description: |
#   must_show pointers that the decision's own mask covers or lies in. Such a
#   review can never be approved: a policy test should find none.
unshowable(decision) := {shown |
	some shown in decision.requirement.must_show
	some masked in decision.mask
	_overlap(shown, masked)
}

_overlap(shown, masked) if {
	shown_steps := split(shown, "/")
	masked_steps := split(masked, "/")
	every i in numbers.range(0, min([count(shown_steps), count(masked_steps)]) - 1) {
		masked_steps[i] in {shown_steps[i], "*"}
	}
}

# METADATA
# title: Wrong
# description: |
#   Those of a table of cases that come out otherwise than it says, to be read
#   with `opa eval`; none in a good policy. A case is `[environment, changes,
#   effect, asks]`; asks is stage name to quorum, and empty where nobody is asked.
#   What is asked for and masked all the same is wrong as well.
wrong(action, cases) := {{"case": i, "codes": codes(decision), "effect": decision.effect, "asks": quorums(decision)} |
	some i, case in cases
	decision := decide_case(action, case)
	not _as_expected(decision, case)
}

# METADATA
# title: Decide case
# description: The decision on one case of such a table.
decide_case(action, case) := decide(object.union(
	case[1],
	{"context": object.union(
		object.get(case[1], "context", {}),
		{"action": action, "environment": case[0]},
	)},
))

_as_expected(decision, case) if {
	decision.effect == case[2]
	quorums(decision) == case[3]
	unshowable(decision) == set()
}
