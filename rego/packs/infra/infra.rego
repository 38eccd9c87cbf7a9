# METADATA
# title: Infrastructure change
# description: |
#   infra.apply and infra.destroy. What can be rebuilt is cheap to change; what
#   holds data or keys is never destroyed through an agent in production.
#   Arguments: plan {create, update, destroy}, the counts of a plan.
package countersign.rules.infra

import data.countersign.lib
import data.countersign.stages

_keeps_state := {"bucket", "database", "disk", "kms_key", "volume"}

deny contains {
	"code": "infra.protected",
	"message": "what holds data or keys is not destroyed through an agent; retire it by hand",
} if {
	input.context.action == "infra.destroy"
	lib.production
	input.context.resource.type in _keeps_state
}

deny contains {
	"code": "infra.no_plan",
	"message": "a change has to come with its plan; set arguments.plan",
} if {
	input.context.action == "infra.apply"
	not input.context.arguments.plan
}

needs contains {
	"code": "infra.apply",
	"message": "change of production infrastructure",
	"stages": [stages.platform],
	"must_show": {"/resource", "/arguments/plan"},
} if {
	input.context.action == "infra.apply"
	lib.production
}

needs contains {
	"code": "infra.apply_destroys",
	"message": "the plan destroys something, or does not say that it does not",
	"stages": [_platform],
	"must_show": {"/resource"},
	"require_reason": true,
} if {
	input.context.action == "infra.apply"
	not lib.dev
	not _destroys_nothing
}

needs contains {
	"code": "infra.destroy",
	"message": "destruction of infrastructure",
	"stages": [_platform],
	"must_show": {"/resource"},
	"require_reason": true,
} if {
	input.context.action == "infra.destroy"
	not lib.dev
}

allow contains {
	"code": "infra.dev",
	"message": "change of development infrastructure",
} if {
	input.context.action in {"infra.apply", "infra.destroy"}
	lib.dev
}

allow contains {
	"code": "infra.staging",
	"message": "change of staging infrastructure that destroys nothing",
} if {
	input.context.action == "infra.apply"
	lib.staging
	_destroys_nothing
}

# A plan that says more than its three numbers, or arguments beside it, may destroy after all.
_destroys_nothing if {
	input.context.arguments.plan.destroy == 0
	object.keys(input.context.arguments.plan) - {"create", "update", "destroy"} == set()
	every number in input.context.arguments.plan {
		is_number(number)
	}
	object.keys(input.context.arguments) - {"plan", "workspace", "module"} == set()
}

_platform := stages.two(stages.platform) if lib.production

_platform := stages.platform if not lib.production
