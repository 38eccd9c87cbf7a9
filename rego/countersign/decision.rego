# METADATA
# scope: subpackages
# schemas:
# - input: schema.input

# METADATA
# title: Countersign
# description: |
#   Combines what the rule packages below data.countersign.rules contribute into
#   one decision. Deny wins over everything, a need for approval wins over allow,
#   and nothing is allowed that no rule allowed. A rule that the combination
#   cannot read denies, so that a mistake is seen and never skipped.
#   The service asks for data.countersign.decision; nothing else is read.
package countersign

import data.countersign.contributions
import data.countersign.lib
import data.countersign.merge
import data.countersign.settings

# METADATA
# title: Decision
# description: The one answer the service reads.
# entrypoint: true
decision := {
	"effect": "deny",
	"reasons": [_rule_invalid(name) | some name in contributions.malformed],
	"mask": [],
} if {
	# First, since nothing below can rely on what it could not read.
	count(contributions.malformed) > 0
} else := {
	"effect": "deny",
	"reasons": sort(denials),
	"mask": masks,
} if {
	count(denials) > 0
} else := {
	"effect": "needs_approval",
	"reasons": sort({object.filter(need, {"code", "message"}) | some need in needs}),
	"requirement": merge.requirement,
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
denials contains reason if some reason in contributions.denials[_]

denials contains reason if {
	count(needs) > 0
	some reason in merge.conflicts
}

denials contains {
	"code": "findings.incomplete",
	"message": "the sanitizer could not read all of this context; send a smaller or simpler one",
} if {
	# Compared, since everything but false and undefined is true in Rego.
	not input.findings.complete == true
}

# What no rule would ever read, such as a misspelt section.
denials contains settings.refusal if count(settings.unknown) > 0

denials contains settings.refusal if settings.unfit

# METADATA
# title: Needs for approval
# description: |
#   Each names its reason and the part of the requirement it stands for. A change
#   approved beforehand has its approval: the review of the setting that lists it.
needs contains need if {
	not lib.preapproved
	some need in contributions.needs[_]
}

# METADATA
# title: Reasons to allow
allowances contains reason if some reason in contributions.allowances[_]

allowances contains {
	"code": "preapproved",
	"message": "listed beforehand as approved, for this executor and for a limited time",
} if {
	lib.preapproved
}

# METADATA
# title: Masks
# description: Pointers that are masked whatever the effect, since records are masked too.
masks := sort({pointer | some pointer in contributions.masks[_]})

_rule_invalid(name) := {
	"code": "policy.rule_invalid",
	"message": sprintf("rule package %s contributes something malformed; see how to write a policy", [name]),
}
