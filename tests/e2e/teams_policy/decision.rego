# METADATA
# title: What the stories in Teams need of a policy
# description: The action says who decides, and where.
package countersign

decision := {
	"effect": "needs_approval",
	"reasons": [{"code": "teams.rule", "message": "a rule of the stories in Teams"}],
	"requirement": demand,
} if {
	special[input.context.action]
}

demand := object.union(
	{"stages": [stage("data-owners", 1)], "must_show": ["/resource"]},
	special[input.context.action],
)

special := {
	"chat.one": {},
	"chat.quick": {"approve_within_s": 2},
	"chat.reason": {"require_reason": true},
	"chat.person": {"min_assurance": "person"},
	"chat.hidden": {"must_show": ["/arguments/note"]},
	"chat.security": {"stages": [stage("data-owners", 1), stage("security", 1)]},
	"channel.two": {
		"stages": [stage("data-owners", 2)],
		"channel": "teams:data-approvals",
		"profiles": {"data-owners": "reviewer", "*": "restricted"},
	},
}

stage(group, quorum) := {"name": group, "approvers": {"groups": [group]}, "quorum": quorum}
