# METADATA
# title: Combination
# description: |
#   The strictest merge of several needs for approval: whatever satisfies the
#   merged requirement satisfies each need it was merged from. What cannot be
#   merged so is a conflict, and a conflict denies.
#   Used by data.countersign.decision only; rules never import it.
package countersign.combine

# What a need may say beside its code and message, and of what JSON type.
_kinds := {
	"must_show": {"array", "set"},
	"exclude": {"array", "set"},
	"claim_by": {"array", "set"},
	"approve_within_s": {"number"},
	"use_within_s": {"number"},
	"report_within_s": {"number"},
	"channel": {"string"},
	"profiles": {"object"},
	"require_reason": {"boolean"},
}

# Weakest first.
_levels := {
	"min_assurance": ["channel", "person"],
	"durability": ["durable", "locked"],
}

# --- is a contribution what it should be -------------------------------------

# METADATA
# title: Readable
# description: Whether what a rule package contributes under this name can be combined.
readable("deny", contribution) if _reasons(contribution)

readable("allow", contribution) if _reasons(contribution)

readable("needs", contribution) if {
	is_set(contribution)
	every need in contribution {
		well_formed(need)
	}
}

readable("mask", contribution) if {
	is_set(contribution)
	every pointer in contribution {
		startswith(pointer, "/")
	}
}

_reasons(contribution) if {
	is_set(contribution)
	every reason in contribution {
		well_worded(reason)
	}
}

# METADATA
# title: Well worded
# description: A reason is a code and a message, and nothing else.
well_worded(item) if {
	object.keys(item) == {"code", "message"}
	regex.match(`^[a-z][a-z0-9_.]{0,63}$`, item.code)
	regex.match(`^.{1,500}$`, item.message)
}

# METADATA
# title: Well formed
# description: A need is a reason and any known part of a requirement.
well_formed(need) if {
	well_worded(reason(need))
	every key, value in object.remove(need, {"code", "message"}) {
		_fits(key, value)
	}
}

_fits("stages", stages) if {
	is_array(stages)
	every stage in stages {
		_stage_fits(stage)
	}
}

_fits(key, level) if level in _levels[key]

_fits(key, value) if type_name(value) in _kinds[key]

_stage_fits(stage) if {
	count(object.keys(stage) - {"name", "groups", "people", "quorum"}) == 0
	stage.name != ""
	is_string(stage.name)
	every key in {"groups", "people"} {
		type_name(object.get(stage, key, [])) in {"array", "set"}
	}
	_quorum(stage) >= 1
	is_number(_quorum(stage))

	# A stage that names nobody could never be met.
	count(object.get(stage, "groups", [])) + count(object.get(stage, "people", [])) > 0
}

# METADATA
# title: Reason
# description: The reason of a need, without its demands.
reason(need) := object.filter(need, {"code", "message"})

# --- what cannot be merged ---------------------------------------------------

# METADATA
# title: Conflicts
# description: Why these needs have no common requirement, as reasons to deny.
conflicts(needs) := {found |
	some found in {
		{
			"code": "policy.no_stage",
			"message": "approval is needed but no rule says whose; name a stage in one of the rules that apply",
		},
		{
			"code": "policy.claim_conflict",
			"message": "the rules that apply name different claimants; let them share at least one",
		},
		{
			"code": "policy.profile_conflict",
			"message": "the rules that apply show one group different profiles; let them agree",
		},
	}
	_conflict(found.code, needs)
}

_conflict("policy.no_stage", needs) if count(_stages(needs)) == 0

_conflict("policy.claim_conflict", needs) if {
	count(_claimant_sets(needs)) > 0
	count(_claimants(needs)) == 0
}

_conflict("policy.profile_conflict", needs) if {
	some one in needs
	some other in needs
	some group, profile in one.profiles
	other.profiles[group] != profile
}

# --- the merge ---------------------------------------------------------------

# METADATA
# title: Requirement
# description: |
#   A need that is silent about a term has no opinion on it; the default stands
#   only where every need is silent.
requirement(needs) := {
	"stages": _stages(needs),
	"must_show": _union(needs, "must_show"),
	"exclude": _union(needs, "exclude"),
	"claim_by": sort(_claimants(needs)),
	"approve_within_s": _least(needs, "approve_within_s", 3600),
	"use_within_s": _least(needs, "use_within_s", 300),
	"report_within_s": _least(needs, "report_within_s", 900),
	"channel": _least(needs, "channel", ""),
	"profiles": object.union_n(array.concat([{"*": "reviewer"}], [p | some need in needs; p := need.profiles])),
	"require_reason": _any(needs, "require_reason"),
	"min_assurance": _strongest(needs, "min_assurance"),
	"durability": _strongest(needs, "durability"),
	# Named by the contract, offered by no server yet.
	"batch": false,
	"break_glass": null,
}

_union(needs, key) := sort({value | some need in needs; some value in need[key]})

_said(needs, key) := {value | some need in needs; value := need[key]}

_least(needs, key, _) := min(_said(needs, key))

_least(needs, key, otherwise) := otherwise if count(_said(needs, key)) == 0

_strongest(needs, key) := level if {
	said := _said(needs, key)
	level := _levels[key][max({0} | {rank | some rank, name in _levels[key]; name in said})]
}

_any(needs, key) := true in _said(needs, key)

_claimant_sets(needs) := {claimants |
	some need in needs
	claimants := {claimant | some claimant in need.claim_by}

	# Empty is the requesting caller alone, which is also what silence means.
	count(claimants) > 0
}

_claimants(needs) := intersection(_claimant_sets(needs))

# Stages are one stage when they have the same name and the same approvers; the
# higher quorum counts. With other approvers it stays a stage of its own, since
# either merge of the two groups would weaken one of the rules.
_stages(needs) := [stage |
	some [_, name, approvers] in sort({[_rank(needs, asked.name), asked.name, _approvers(asked)] |
		some need in needs
		some asked in need.stages
	})
	stage := {
		"name": _title(needs, name, approvers),
		"approvers": approvers,
		"quorum": max({_quorum(asked) |
			some need in needs
			some asked in need.stages
			asked.name == name
			_approvers(asked) == approvers
		}),
		"escalate": [],
	}
]

# The latest place any rule gives it: "owner, then security" holds its order
# beside a rule that asks for security alone.
_rank(needs, name) := max({place | some need in needs; some place, asked in need.stages; asked.name == name})

_approvers(stage) := {key: sort({who | some who in stage[key]}) | some key in {"groups", "people"}}

_quorum(stage) := object.get(stage, "quorum", 1)

_title(needs, name, approvers) := titles[count(variants) > 1] if {
	variants := {_approvers(asked) | some need in needs; some asked in need.stages; asked.name == name}
	who := concat(", ", array.concat(approvers.groups, approvers.people))
	titles := {false: name, true: sprintf("%s (%s)", [name, who])}
}
