# METADATA
# title: Merge
# description: |
#   The strictest merge of all needs for approval: whatever satisfies the merged
#   requirement satisfies each need it was merged from. What cannot be merged so
#   is a conflict, and a conflict denies. A need that is silent about a term has
#   no opinion on it; the default stands only where every need is silent. But
#   batch, break_glass and escalate are permissions: each need has to give them,
#   and silence gives nothing.
#   Used by data.countersign.decision only; rules never import it.
#   Rules and not functions, since OPA then works out each part once.
package countersign.merge

import data.countersign.needs

# METADATA
# title: Requirement
requirement := {
	"stages": _stages,
	"must_show": _union("must_show"),
	"exclude": _union("exclude"),
	"claim_by": sort(intersection(_claimant_sets)),
	"approve_within_s": min(object.get(_said, "approve_within_s", {3600})),
	"use_within_s": min(object.get(_said, "use_within_s", {300})),
	"report_within_s": min(object.get(_said, "report_within_s", {900})),
	# One card goes to one channel; of several the first by name.
	"channel": min(object.get(_said, "channel", {""})),
	"profiles": object.union_n(array.concat([{"*": "reviewer"}], [p | some p in _said.profiles])),
	"require_reason": true in object.get(_said, "require_reason", set()),
	"min_assurance": _strongest("min_assurance", "person", "channel"),
	"durability": _strongest("durability", "locked", "durable"),
	"batch": _batch,
	"break_glass": _break_glass,
}

# METADATA
# title: Conflicts
# description: Why the needs have no common requirement, as reasons to deny.
conflicts contains {
	"code": "policy.no_stage",
	"message": "approval is needed but no rule says whose; name a stage in one of the rules that apply",
} if {
	requirement.stages == []
}

conflicts contains {
	"code": "policy.claim_conflict",
	"message": "the rules that apply name different claimants; let them share at least one",
} if {
	# Empty would mean the requesting caller, whom no rule named.
	requirement.claim_by == []
	count(_claimant_sets) > 0
}

conflicts contains {
	"code": "policy.profile_conflict",
	"message": "the rules that apply show one group different profiles; let them agree",
} if {
	some profiles in _said.profiles
	some group, profile in profiles
	requirement.profiles[group] != profile
}

# Everything the needs say, as term to values.
_said[term] contains value if {
	some need in needs
	some term, value in need
}

_union(term) := sort({value | some values in _said[term]; some value in values})

_strongest(term, strong, weak) := {true: strong, false: weak}[strong in object.get(_said, term, set())]

# An empty list is the requesting caller alone, which is also what silence means.
_claimant_sets := {claimants |
	some said in _said.claim_by
	claimants := {claimant | some claimant in said}
	claimants != set()
}

default _batch := false

_batch if {
	every need in needs {
		need.batch
	}
}

# Whom every need lets break the glass, and whom every need lets look at it
# afterwards. Who is in which group is not known here, so they have to be named
# alike; if nobody is, there is no emergency way.
default _break_glass := null

_break_glass := {"approvers": breakers, "review_by": reviewers} if {
	every need in needs {
		need.break_glass
	}
	breakers := _named_by_all({need.break_glass | some need in needs})
	reviewers := _named_by_all(_after_reviewers)
	_somebody(breakers)
	_somebody(reviewers)
}

# Who looks afterwards where a need does not say: the people of its own stages.
_after_reviewers contains need.break_glass.review_by if some need in needs

_after_reviewers contains reviewers if {
	some need in needs
	not need.break_glass.review_by
	count(need.stages) > 0
	reviewers := {
		"groups": {group | group := need.stages[_].groups[_]},
		"people": {person | person := need.stages[_].people[_]},
	}
}

_named_by_all(lists) := {
	"groups": sort(intersection({groups | some list in lists; groups := {group | group := list.groups[_]}})),
	"people": sort(intersection({people | some list in lists; people := {person | person := list.people[_]}})),
}

_somebody(approvers) if count(approvers.groups) + count(approvers.people) > 0

# Stages are one stage when they have the same name and the same approvers; the
# higher quorum counts. With other approvers it stays a stage of its own, since
# either merge of the two groups would weaken one of the rules.
_stages := [stage |
	some [_, name, approvers] in sort({[_rank[asked[0]], asked[0], asked[1]] | some asked in _asked})
	stage := {
		"name": _title(name, approvers),
		"approvers": approvers,
		"quorum": max({quorum | _asked[[name, approvers, quorum, _, _]]}),
		"escalate": _escalate({joining | _asked[[name, approvers, _, _, joining]]}),
	}
]

# The stages of all needs: name, approvers, quorum, place in the rule's own list,
# and who joins the approvers after how many seconds.
_asked contains [asked.name, approvers, object.get(asked, "quorum", 1), place, _joining(asked)] if {
	some stages in _said.stages
	some place, asked in stages
	approvers := {
		"groups": sort({group | some group in asked.groups}),
		"people": sort({person | some person in asked.people}),
	}
}

_joining(asked) := {[kind, name]: min(times) |
	some kind in ["groups", "people"]
	name := asked.escalate[_][kind][_]
	times := {step.after_s | some step in asked.escalate; name in step[kind]}
}

# Of one stage asked for by several rules, somebody joins when the last of the
# rules lets them join; not at all if one of the rules never does.
_escalate(asked) := [step |
	names := intersection({object.keys(joining) | some joining in asked})
	joins := {name: max({joining[name] | some joining in asked}) | some name in names}
	some after_s in sort({after_s | some after_s in joins})
	step := {"after_s": after_s, "approvers": {
		"groups": [name | some [kind, name], at in joins; kind == "groups"; at == after_s],
		"people": [name | some [kind, name], at in joins; kind == "people"; at == after_s],
	}}
]

# The latest place any rule gives it: "owner, then security" holds its order
# beside a rule that asks for security alone.
_rank[name] := max({place | _asked[[name, _, _, place, _]]}) if some [name, _, _, _, _] in _asked

_title(name, _) := name if count({other | _asked[[name, other, _, _, _]]}) == 1

_title(name, approvers) := sprintf("%s (%s)", [name, who]) if {
	count({other | _asked[[name, other, _, _, _]]}) > 1
	who := concat(", ", array.concat(approvers.groups, approvers.people))
}
