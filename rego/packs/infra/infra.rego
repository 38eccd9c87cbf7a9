# METADATA
# title: Infrastructure change
# description: |
#   infra.apply and infra.destroy. What can be rebuilt is cheap to change; what
#   holds data or keys is never destroyed through an agent in production, and
#   rights in a plan are rights. Judged by what a Terraform plan does, as the
#   sanitizer counted it.
#   Arguments: plan (the JSON output of a Terraform plan, or counts {create,
#   update, destroy}), workspace, module.
package countersign.rules.infra

import data.countersign.lib
import data.countersign.settings
import data.countersign.stages

# METADATA
# title: Settings
# description: |
#   Types of resource that hold data or keys, and those that are rights (`*` at
#   any place); how many changes make a plan large; whether counts that the
#   agent writes itself are enough where nothing is destroyed.
defaults := {
	"stateful": [
		"*_bucket", "*_database*", "*_db_*", "*_disk", "*_dynamodb_table", "*_kms_*", "*_key_vault*",
		"*_secret*", "*_sql_*", "*_storage_account", "*_volume", "aws_efs_*", "aws_rds_*",
	],
	"rights": ["aws_iam_*", "azuread_*", "azurerm_role_*", "google_*_iam_*", "*_policy*", "*_role*"],
	"large_changes": 50,
	"counts_suffice": false,
}

_settings := settings.of("infra", defaults)

_keeps_state := {"bucket", "database", "disk", "kms_key", "volume"}

deny contains settings.refusal if {
	input.context.action in {"infra.apply", "infra.destroy"}
	not _settled
}

_settled if {
	_settings
	settings.sound({"freezes", "maintenance_windows", "stages"})
}

deny contains {
	"code": "infra.protected",
	"message": "what holds data or keys is not destroyed through an agent; retire it by hand",
} if {
	input.context.action == "infra.destroy"
	lib.production
	input.context.resource.type in _keeps_state
}

deny contains {
	"code": "infra.protected",
	"message": "the plan destroys what holds data or keys, or what cannot be told; retire it by hand",
} if {
	input.context.action in {"infra.apply", "infra.destroy"}
	lib.production
	input.findings.facts.terraform
	not lib.terraform_destroys_nothing
	not lib.terraform_keeps(_settings.stateful)
}

deny contains {
	"code": "infra.no_plan",
	"message": "a change has to come with its plan; set arguments.plan",
} if {
	input.context.action == "infra.apply"
	not input.context.arguments.plan
}

deny contains {
	"code": "infra.freeze",
	"message": "changes are frozen; apply after the freeze",
} if {
	input.context.action in {"infra.apply", "infra.destroy"}
	not lib.unfrozen
}

needs contains {
	"code": "infra.apply",
	"message": "change of production infrastructure",
	"stages": [stages.platform],
	"must_show": _shown,
} if {
	input.context.action == "infra.apply"
	lib.production
}

needs contains {
	"code": "infra.apply_destroys",
	"message": "the plan destroys something, or it is not known that it does not",
	"stages": [_platform],
	"must_show": _shown,
	"require_reason": true,
} if {
	input.context.action == "infra.apply"
	not lib.dev
	not _destroys_nothing
}

needs contains {
	"code": "infra.rights",
	"message": "the plan changes rights, or it is not known that it does not",
	"stages": [stages.security],
	"must_show": _shown,
	"require_reason": true,
} if {
	input.context.action == "infra.apply"
	not lib.dev
	not _spares_rights
}

needs contains {
	"code": "infra.large",
	"message": "the plan changes very much at once",
	"stages": [_platform],
	"must_show": _shown,
} if {
	input.context.action == "infra.apply"
	not lib.dev
	input.findings.facts.terraform
	not lib.terraform_below(_settings.large_changes)
}

# Only where somebody has said when this resource is maintained.
needs contains {
	"code": "infra.outside_window",
	"message": "change outside the maintenance windows",
	"stages": [stages.two(stages.platform)],
	"must_show": {"/resource"},
	"require_reason": true,
} if {
	input.context.action in {"infra.apply", "infra.destroy"}
	lib.production
	count(settings.maintenance_windows) > 0
	not lib.in_maintenance_window
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

_destroys_nothing if {
	lib.terraform_destroys_nothing
	_spelt_out
}

_destroys_nothing if {
	_counted
	input.context.arguments.plan.destroy == 0
}

_spares_rights if {
	lib.terraform_spares(_settings.rights)
	_spelt_out
}

_spares_rights if _counted

# Options beside the plan, such as targets, variables or force, may destroy after
# all; and the plan that was counted has to be the one that is called so.
_spelt_out if {
	lib.only_arguments({"plan", "workspace", "module"})
	lib.plain({"workspace", "module"})
	is_array(_plan.resource_changes)
}

_plan := input.context.arguments.plan if is_object(input.context.arguments.plan)

_plan := json.unmarshal(input.context.arguments.plan) if is_string(input.context.arguments.plan)

# The agent's own counts: its word, and nothing else in the context to contradict it.
_counted if {
	_settings.counts_suffice
	not input.findings.facts.terraform
	object.keys(input.context.arguments.plan) - {"create", "update", "destroy"} == set()
	every number in input.context.arguments.plan {
		is_number(number)
	}
	lib.only_arguments({"plan", "workspace", "module"})
	lib.plain({"workspace", "module"})
}

# The plan itself may hold what is masked; its fact never does.
_shown := {"/resource"} | (lib.shown({"terraform"}) | _written_counts)

_written_counts := {"/arguments/plan"} if {
	not input.findings.facts.terraform
	input.context.arguments.plan
} else := set()

_platform := stages.two(stages.platform) if lib.production

_platform := stages.platform if not lib.production
