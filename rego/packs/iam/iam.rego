# METADATA
# title: Identities and access
# description: |
#   iam.escalate (a role for a limited time), iam.grant, iam.revoke and
#   iam.policy_update. Nobody grants to themselves; administrators' rights need
#   security everywhere, and two of them in production.
#   Arguments: role, duration_s (escalate); principal and role, roles or
#   roles_added (grant); principal and roles_removed (revoke); ticket.
package countersign.rules.iam

import data.countersign.lib
import data.countersign.settings
import data.countersign.stages

# METADATA
# title: Settings
# description: How long an escalation may last, and how many grants a day are ordinary.
defaults := {"max_escalation_s": 14400, "let_through_per_day": 30}

_settings := settings.of("iam", defaults)

deny contains settings.refusal if {
	input.context.action in {"iam.escalate", "iam.grant", "iam.revoke", "iam.policy_update"}
	not _settled
}

_settled if {
	_settings
	settings.sound({"stages"})
}

deny contains {
	"code": "iam.no_principal",
	"message": "a grant has to name whom; set arguments.principal to one id in plain letters",
} if {
	input.context.action == "iam.grant"
	not _names_principal
}

deny contains {
	"code": "iam.self_grant",
	"message": "nobody grants rights to who asks for them; ask for a limited escalation instead",
} if {
	input.context.action == "iam.grant"
	_names_principal
	not lib.outside_chain("principal")
}

deny contains {
	"code": "iam.escalation_unbounded",
	"message": "an escalation has to end soon; set arguments.duration_s to a number within the limit",
} if {
	input.context.action == "iam.escalate"
	not _escalation_bounded
}

deny contains {
	"code": "iam.no_role",
	"message": "an escalation has to name its role; set arguments.role",
} if {
	input.context.action == "iam.escalate"
	not lib.says("role")
}

needs contains {
	"code": "iam.escalation",
	"message": "escalation of rights",
	"stages": [stages.platform],
	"must_show": {"/resource", "/arguments/role", "/arguments/duration_s"},
	"approve_within_s": 1800,
} if {
	input.context.action == "iam.escalate"
	not lib.dev
}

needs contains {
	"code": "iam.escalation_privileged",
	"message": "escalation to an administrator's rights",
	"stages": [stages.security],
	"must_show": {"/resource", "/arguments/role", "/arguments/duration_s"},
	"require_reason": true,
} if {
	input.context.action == "iam.escalate"
	not _role_ordinary
}

needs contains {
	"code": "iam.grant",
	"message": "grant of access",
	"stages": [stages.platform],
	"must_show": ({"/resource"} | lib.shown({"grants.added"})),
} if {
	input.context.action == "iam.grant"
	not lib.dev
}

needs contains {
	"code": "iam.grant_privileged",
	"message": "grant of an administrator's rights, or of what could not be read",
	"stages": [stages.security],
	"must_show": ({"/resource"} | lib.shown({"grants.added"})),
	"require_reason": true,
} if {
	input.context.action == "iam.grant"
	not _grants_plainly
}

# Rights given one by one are many rights.
needs contains {
	"code": "iam.many",
	"message": "many changes of access were let through within the day",
	"stages": [stages.security],
	"must_show": {"/resource"},
	"require_reason": true,
} if {
	input.context.action in {"iam.grant", "iam.escalate", "iam.revoke"}
	not lib.at_claim
	not lib.let_through_below("day", _settings.let_through_per_day)
}

# Taking rights away is the safe direction, except that it can lock people out.
needs contains {
	"code": "iam.revoke",
	"message": "revocation of access in production",
	"stages": [stages.platform],
	"must_show": ({"/resource"} | lib.shown({"grants.removed"})),
} if {
	input.context.action == "iam.revoke"
	lib.production
}

needs contains {
	"code": "iam.revoke_privileged",
	"message": "revocation of an administrator's rights, or of rights that could not be read",
	"stages": [stages.security],
	"must_show": ({"/resource"} | lib.shown({"grants.removed"})),
} if {
	input.context.action == "iam.revoke"
	not lib.dev
	not lib.revocations_ordinary
}

needs contains {
	"code": "iam.policy_update",
	"message": "change of an access policy",
	"stages": [stages.security],
	"must_show": ({"/resource"} | lib.shown({"grants.added", "grants.removed"})),
	"require_reason": true,
} if {
	input.context.action == "iam.policy_update"
	not lib.dev
}

needs contains {
	"code": "iam.policy_update_privileged",
	"message": "an access policy gains wildcards or an administrator's rights, or could not be read",
	"stages": [stages.security],
} if {
	input.context.action == "iam.policy_update"
	not _updates_plainly
}

needs contains {
	"code": "iam.privileged_production",
	"message": "an administrator's rights in production",
	"stages": [stages.two(stages.security)],
	"min_assurance": "person",
	"use_within_s": 120,
} if {
	lib.production
	_gains_privilege
}

allow contains {
	"code": "iam.dev",
	"message": "ordinary change of access in development",
} if {
	input.context.action in {"iam.escalate", "iam.grant", "iam.revoke", "iam.policy_update"}
	lib.dev
}

allow contains {
	"code": "iam.revoke_staging",
	"message": "ordinary revocation in staging",
} if {
	input.context.action == "iam.revoke"
	lib.staging
	_revokes_plainly
}

needs contains {
	"code": "iam.revoke_unclear",
	"message": "revocation with arguments that no rule knows",
	"stages": [stages.security],
	"must_show": {"/resource"},
} if {
	input.context.action == "iam.revoke"
	not lib.dev
	not _revokes_plainly
}

_revokes_plainly if {
	lib.only_arguments({"principal", "roles_removed", "ticket"})
	lib.plain({"principal", "ticket"})
}

# Another right named beside the role is gained as well.
_role_ordinary if {
	lib.ordinary(input.context.arguments.role)
	lib.only_arguments({"role", "principal", "duration_s", "ticket"})
	lib.plain({"role", "principal", "ticket"})
}

_escalation_bounded if {
	is_number(input.context.arguments.duration_s)
	input.context.arguments.duration_s > 0
	input.context.arguments.duration_s <= _settings.max_escalation_s
}

_gains_privilege if {
	input.context.action == "iam.escalate"
	not _role_ordinary
}

_gains_privilege if {
	input.context.action == "iam.grant"
	not _grants_plainly
}

_gains_privilege if {
	input.context.action == "iam.policy_update"
	not _updates_plainly
}

# A name that only looks like another's is nobody's.
_names_principal if {
	lib.says("principal")
	lib.plain({"principal"})
}

# A document beside the roles may say anything.
_updates_plainly if {
	lib.grants_ordinary
	lib.only_arguments({"principal", "role", "roles", "roles_added", "roles_removed", "ticket"})
	lib.plain({"principal", "ticket"})
}

# A condition, a second principal or a policy beside the roles may grant more.
_grants_plainly if {
	lib.grants_ordinary
	lib.only_arguments({"principal", "role", "roles", "roles_added", "ticket"})
	lib.plain({"principal", "ticket"})
}
