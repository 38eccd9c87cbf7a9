# METADATA
# title: Deployment and roll-back
# description: |
#   deploy.release and deploy.rollback. Going back is quick and easy to approve;
#   going forward waits for working hours and for the end of a freeze.
#   Arguments: version.
package countersign.rules.deploy

import data.countersign.lib
import data.countersign.stages

_freezes := [{"from": "2026-12-19T00:00:00Z", "until": "2027-01-04T00:00:00Z"}]

# Also at Claim: what was approved before the freeze does not go out within it.
deny contains {
	"code": "deploy.freeze",
	"message": "production is frozen; release after the freeze",
} if {
	input.context.action == "deploy.release"
	lib.production
	some freeze in _freezes
	lib.within(freeze.from, freeze.until)
}

deny contains {
	"code": "deploy.no_version",
	"message": "a deployment has to name what it deploys; set arguments.version",
} if {
	input.context.action in {"deploy.release", "deploy.rollback"}
	not lib.says("version")
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
	not lib.business_hours("Europe/Berlin", 8, 16)
}

needs contains {
	"code": "deploy.rollback",
	"message": "roll-back of production",
	"stages": [stages.rollback],
	"must_show": {"/resource", "/arguments/version"},
	"approve_within_s": 900,
	"use_within_s": 600,
	"break_glass": {"groups": ["on-call"], "review_by": {"groups": ["platform"]}},
} if {
	input.context.action == "deploy.rollback"
	lib.production
}

allow contains {
	"code": "deploy.below_production",
	"message": "deployment outside production",
} if {
	input.context.action in {"deploy.release", "deploy.rollback"}
	not lib.production
}
