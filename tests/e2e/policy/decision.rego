# METADATA
# title: What the end-to-end stories need of a policy
# description: The action says what the answer is.
package countersign

decision := {"effect": "allow", "reasons": [reason]} if input.context.action == "demo.allow"

decision := {"effect": "deny", "reasons": [reason]} if input.context.action == "demo.deny"

# Approved, and then refused when it is to be used.
decision := {"effect": "deny", "reasons": [reason]} if {
	input.context.action == "demo.regret"
	input.approval != null
}

decision := {"effect": "needs_approval", "reasons": [reason], "requirement": demand} if {
	input.context.action == "demo.regret"
	input.approval == null
}

decision := {"effect": "needs_approval", "reasons": [reason], "requirement": demand} if {
	special[input.context.action]
}

reason := {"code": "demo.rule", "message": "a rule of the stories"}

demand := object.union(
	{"stages": [stage(1)], "must_show": ["/resource"]},
	object.get(special, input.context.action, {}),
)

special := {
	"demo.approve": {},
	"demo.two": {"stages": [stage(2)]},
	"demo.quick": {"approve_within_s": 1},
	"demo.brief": {"use_within_s": 1},
	"demo.gateway": {"claim_by": ["gateway"]},
	"demo.urgent": {"batch": true, "break_glass": {"approvers": {"groups": ["approvers"]}}},
	"demo.personal": {"min_assurance": "person"},
	"demo.nonsense": {"stages": [stage(0)], "channel": input.context.reason},
}

stage(quorum) := {"name": "approvers", "approvers": {"groups": ["approvers"]}, "quorum": quorum}
