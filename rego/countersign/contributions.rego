# METADATA
# title: Contributions
# description: |
#   What a rule package may contribute. What has another shape would be skipped
#   in silence by the merge (`deny if …` instead of `deny contains … if …`, a
#   misspelt term, a text where a list belongs), so it is found here and denied.
#   Used by data.countersign.decision only; rules never import it.
package countersign.contributions

# METADATA
# title: Denials
# description: |
#   By rule package, like the three below. Most packages have nothing to say of
#   most requests; gathering who has once spares asking all of them again.
denials[name] := contribution if {
	contribution := data.countersign.rules[name].deny
	contribution != set()
}

# METADATA
# title: Needs
needs[name] := contribution if {
	contribution := data.countersign.rules[name].needs
	contribution != set()
}

# METADATA
# title: Allowances
allowances[name] := contribution if {
	contribution := data.countersign.rules[name].allow
	contribution != set()
}

# METADATA
# title: Masks
masks[name] := contribution if {
	contribution := data.countersign.rules[name].mask
	contribution != set()
}

# METADATA
# title: Malformed
# description: The names of rule packages with a contribution that cannot be read.
malformed contains name if {
	some name, contribution in denials
	not _are_reasons(contribution)
}

malformed contains name if {
	some name, contribution in allowances
	not _are_reasons(contribution)
}

malformed contains name if {
	some name, contribution in needs
	not _are_needs(contribution)
}

malformed contains name if {
	some name, contribution in masks
	not _are_pointers(contribution)
}

_are_reasons(contribution) if {
	is_set(contribution)
	every reason in contribution {
		_worded(reason)
		count(reason) == 2
	}
}

_are_needs(contribution) if {
	is_set(contribution)
	every need in contribution {
		_worded(need)
		{[term, type_name(value)] | some term, value in need} - _terms == set()
		object.get(need, "min_assurance", "channel") in {"channel", "person"}
		object.get(need, "durability", "durable") in {"durable", "locked"}
		stages := object.get(need, "stages", [])
		count([stage | some stage in stages; stage.name != ""; stage.groups]) + count([stage | some stage in stages; stage.name != ""; not stage.groups; stage.people]) == count(stages)
		{[term, type_name(value)] | some stage in stages; some term, value in stage} - _stage_terms == set()
		_are_escalations([step | step := stages[_].escalate[_]])
		_is_break_glass(object.get(need, "break_glass", {"people": ["nobody"]}))
	}
}

_are_escalations(steps) if {
	every step in steps {
		_names_somebody(object.remove(step, {"after_s"}))
		is_number(step.after_s)
	}
}

_is_break_glass(said) if {
	_names_somebody(object.remove(said, {"review_by"}))
	_names_somebody(object.get(said, "review_by", {"people": ["nobody"]}))
}

# Groups, people or both, and nothing else.
_names_somebody(said) if {
	{[term, type_name(value)] | some term, value in said} - _approver_terms == set()
	count([name | name := said[_][_]]) > 0
}

_are_pointers(contribution) if {
	is_set(contribution)
	every pointer in contribution {
		startswith(pointer, "/")
	}
}

_worded(item) if {
	regex.match(`^[a-z][a-z0-9_.]*$`, item.code)
	is_string(item.message)
	item.message != ""
}

# Every term of a need with the JSON types it may have. Bounds of the values are
# the service's to judge.
_terms := {
	["code", "string"],
	["message", "string"],
	["stages", "array"],
	["must_show", "array"],
	["must_show", "set"],
	["exclude", "array"],
	["exclude", "set"],
	["claim_by", "array"],
	["claim_by", "set"],
	["approve_within_s", "number"],
	["use_within_s", "number"],
	["report_within_s", "number"],
	["channel", "string"],
	["profiles", "object"],
	["require_reason", "boolean"],
	["min_assurance", "string"],
	["durability", "string"],
	["batch", "boolean"],
	["break_glass", "object"],
}

_approver_terms := {
	["groups", "array"],
	["groups", "set"],
	["people", "array"],
	["people", "set"],
}

_stage_terms := _approver_terms | {
	["name", "string"],
	["quorum", "number"],
	["escalate", "array"],
}
