# METADATA
# title: Key rotation
# description: |
#   key.rotate. A scheduled rotation is routine in working hours; anything else
#   is treated as an emergency: quick to approve, by security, with a reason.
#   Arguments: mode ("scheduled" or "emergency"), key, version, ticket.
package countersign.rules.key

import data.countersign.lib
import data.countersign.settings
import data.countersign.stages

# METADATA
# title: Settings
# description: How many rotations of a day are routine.
defaults := {"let_through_per_day": 50}

_settings := settings.of("key", defaults)

# What a routine rotation may say; anything else may keep, export or delete a key.
_plain_arguments := {"mode", "key", "version", "ticket"}

deny contains settings.refusal if {
	input.context.action == "key.rotate"
	not _settled
}

_settled if {
	_settings
	settings.sound({"working_hours", "holidays", "stages"})
}

deny contains {
	"code": "key.material",
	"message": "a rotation names its key and never carries it; remove the key material",
} if {
	input.context.action == "key.rotate"
	lib.secrets
}

needs contains {
	"code": "key.rotation",
	"message": "scheduled rotation of a production key",
	"stages": [stages.platform],
	"must_show": {"/resource"},
	"approve_within_s": 14400,
	"use_within_s": 1800,
	"batch": true,
} if {
	input.context.action == "key.rotate"
	lib.production
	_routine
}

needs contains {
	"code": "key.emergency",
	"message": "rotation of a key outside the schedule",
	"stages": [stages.security],
	"must_show": {"/resource"},
	"require_reason": true,
	"approve_within_s": 900,
	"use_within_s": 600,
	"report_within_s": 600,
	"break_glass": {"groups": ["security-on-call"], "review_by": {"groups": ["security"]}},
} if {
	input.context.action == "key.rotate"
	not lib.dev
	not _routine
}

# A routine that visits every key of a day is none.
needs contains {
	"code": "key.many",
	"message": "many keys were rotated within the day",
	"stages": [stages.security],
	"must_show": {"/resource"},
	"require_reason": true,
} if {
	input.context.action == "key.rotate"
	not lib.dev
	not lib.at_claim
	not lib.let_through_below("day", _settings.let_through_per_day)
}

allow contains {
	"code": "key.dev",
	"message": "rotation of a development key",
} if {
	input.context.action == "key.rotate"
	lib.dev
}

allow contains {
	"code": "key.scheduled",
	"message": "scheduled rotation of a staging key",
} if {
	input.context.action == "key.rotate"
	lib.staging
	_routine
}

_routine if {
	input.context.arguments.mode == "scheduled"
	lib.only_arguments(_plain_arguments)
	lib.plain(_plain_arguments)
	lib.working_hours
}
