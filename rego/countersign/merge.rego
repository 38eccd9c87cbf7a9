# METADATA
# title: Merge
# description: |
#   The strictest merge of all needs for approval: whatever satisfies the merged
#   requirement satisfies each need it was merged from. What cannot be merged so
#   is a conflict, and a conflict denies. A need that is silent about a term has
#   no opinion on it; the default stands only where every need is silent.
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
	# Named by the contract, offered by no server yet.
	"batch": false,
	"break_glass": null,
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

# Stages are one stage when they have the same name and the same approvers; the
# higher quorum counts. With other approvers it stays a stage of its own, since
# either merge of the two groups would weaken one of the rules.
_stages := [stage |
	some [_, name, approvers] in sort({[_rank[asked[0]], asked[0], asked[1]] | some asked in _asked})
	stage := {
		"name": _title(name, approvers),
		"approvers": approvers,
		"quorum": max({quorum | _asked[[name, approvers, quorum, _]]}),
		"escalate": [],
	}
]

# The stages of all needs: name, approvers, quorum, place in the rule's own list.
_asked contains [asked.name, approvers, object.get(asked, "quorum", 1), place] if {
	some stages in _said.stages
	some place, asked in stages
	approvers := {
		"groups": sort({group | some group in asked.groups}),
		"people": sort({person | some person in asked.people}),
	}
}

# The latest place any rule gives it: "owner, then security" holds its order
# beside a rule that asks for security alone.
_rank[name] := max({place | _asked[[name, _, _, place]]}) if some [name, _, _, _] in _asked

_title(name, _) := name if count({other | _asked[[name, other, _, _]]}) == 1

_title(name, approvers) := sprintf("%s (%s)", [name, who]) if {
	count({other | _asked[[name, other, _, _]]}) > 1
	who := concat(", ", array.concat(approvers.groups, approvers.people))
}
