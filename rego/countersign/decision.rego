# METADATA
# title: Countersign
# description: |
#   Combines what the rule packages below data.countersign.rules contribute into
#   one decision. Deny wins over everything, a need for approval wins over allow,
#   and nothing is allowed that no rule allowed. A rule that the combination
#   cannot read denies, so that a mistake is seen and never skipped.
#   The service asks for data.countersign.decision; nothing else is read.
package countersign

import data.countersign.combine

# METADATA
# title: Decision
# description: The one answer the service reads.
# entrypoint: true
decision := {
	"effect": "deny",
	"reasons": sort(denials),
	"mask": masks,
} if {
	count(denials) > 0
} else := {
	"effect": "needs_approval",
	"reasons": sort({combine.reason(need) | some need in needs}),
	"requirement": combine.requirement(needs),
	"mask": masks,
} if {
	count(needs) > 0
} else := {
	"effect": "allow",
	"reasons": sort(allowances),
	"mask": masks,
} if {
	# Repeated, so that a need whose merge failed can never become an allow.
	count(needs) == 0
	count(allowances) > 0
} else := {
	"effect": "deny",
	"reasons": [{
		"code": "policy.no_rule",
		"message": "no rule allows this action here; add a rule for it or ask the policy's authors",
	}],
	"mask": masks,
}

# METADATA
# title: Reasons to refuse
# description: Those of the rules, and those found in combining the rules.
denials contains reason if {
	some name
	some reason in data.countersign.rules[name].deny
	combine.well_worded(reason)
}

denials contains {
	"code": "findings.incomplete",
	"message": "the sanitizer could not read all of this context; send a smaller or simpler one",
} if {
	# Compared, since everything but false and undefined is true in Rego.
	not input.findings.complete == true
}

denials contains {
	"code": "policy.rule_invalid",
	"message": sprintf("rule package %s contributes something malformed; see how to write a policy", [name]),
} if {
	some name in malformed
}

denials contains reason if {
	count(needs) > 0
	some reason in combine.conflicts(needs)
}

# METADATA
# title: Needs for approval
# description: Each names its reason and the part of the requirement it stands for.
needs contains need if {
	some name
	some need in data.countersign.rules[name].needs
	combine.well_formed(need)
}

# METADATA
# title: Reasons to allow
allowances contains reason if {
	some name
	some reason in data.countersign.rules[name].allow
	combine.well_worded(reason)
}

# METADATA
# title: Masks
# description: Pointers that are masked whatever the effect, since records are masked too.
masks := sort({pointer | some name; some pointer in data.countersign.rules[name].mask})

# METADATA
# title: Malformed rule packages
# description: |
#   A contribution that is no set (`deny if …` instead of `deny contains … if …`)
#   or whose items are of another shape would otherwise be skipped in silence.
malformed contains name if {
	some kind in {"deny", "needs", "allow", "mask"}
	some name
	contribution := data.countersign.rules[name][kind]
	not combine.readable(kind, contribution)
}
