# METADATA
# title: Deployment and roll-back
# description: |
#   deploy.release and deploy.rollback. Going back is quick and easy to approve;
#   going forward waits for working hours and for the end of a freeze.
#   Arguments: version, service, from_version, ticket, notes.
package countersign.rules.deploy

import data.countersign.lib
import data.countersign.settings
import data.countersign.stages

# METADATA
# title: Settings
# description: Names of versions that may be another one tomorrow, and so cannot be approved.
defaults := {"moving_versions": ["latest", "main", "master", "head", "trunk", "stable", "edge", "nightly", "dev"]}

_settings := settings.of("deploy", defaults)

deny contains settings.refusal if {
	input.context.action in {"deploy.release", "deploy.rollback"}
	not _settled
}

_settled if {
	_settings
	settings.sound({"freezes", "working_hours", "holidays", "stages", "break_glass"})
}

# Also at Claim: what was approved before the freeze does not go out within it.
# Going back is never frozen.
deny contains {
	"code": "deploy.freeze",
	"message": "changes are frozen; release after the freeze",
} if {
	input.context.action == "deploy.release"
	not lib.unfrozen
}

deny contains {
	"code": "deploy.no_version",
	"message": "a deployment has to name what it deploys; set arguments.version",
} if {
	input.context.action in {"deploy.release", "deploy.rollback"}
	not lib.says("version")
}

# What is approved has to be what is deployed.
deny contains {
	"code": "deploy.moving_version",
	"message": "that version may be another one tomorrow; name a fixed one",
} if {
	input.context.action in {"deploy.release", "deploy.rollback"}
	not lib.dev
	not _fixed_version
}

needs contains {
	"code": "deploy.release",
	"message": "release to production",
	"stages": [stages.release],
	"must_show": {"/resource", "/arguments/version"},
	"approve_within_s": 14400,
	"use_within_s": 1800,
	"batch": true,
} if {
	input.context.action == "deploy.release"
	lib.production
}

# Silent on batch: what goes out at night is approved one by one.
needs contains {
	"code": "deploy.off_hours",
	"message": "release outside working hours",
	"stages": [stages.release, stages.platform],
	"require_reason": true,
} if {
	input.context.action == "deploy.release"
	lib.production
	not lib.working_hours
}

needs contains lib.with_break_glass({
	"code": "deploy.rollback",
	"message": "roll-back of production",
	"stages": [stages.rollback],
	"must_show": {"/resource", "/arguments/version"},
	"approve_within_s": 900,
	"use_within_s": 600,
}) if {
	input.context.action == "deploy.rollback"
	lib.production
}

# Migrations, flags, another image: whatever it is, somebody looks at it.
needs contains {
	"code": "deploy.unread",
	"message": "deployment with arguments that no rule knows",
	"stages": [stages.release],
	"must_show": {"/resource", "/arguments/version"},
} if {
	input.context.action in {"deploy.release", "deploy.rollback"}
	not lib.dev
	not _spelt_out
}

allow contains {
	"code": "deploy.below_production",
	"message": "deployment outside production",
} if {
	input.context.action in {"deploy.release", "deploy.rollback"}
	not lib.production
}

_spelt_out if {
	lib.only_arguments({"version", "service", "from_version", "ticket", "notes"})
	lib.plain({"service", "from_version", "ticket"})
	is_string(object.get(input.context.arguments, "notes", ""))
}

_fixed_version if {
	version := input.context.arguments.version
	regex.match(`^[A-Za-z0-9][A-Za-z0-9._+@:/-]{0,199}$`, version)
	last := regex.replace(version, `^.*[:/@]`, "")
	not lower(last) in {lower(name) | some name in _settings.moving_versions}
}
