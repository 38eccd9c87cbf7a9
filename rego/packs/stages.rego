# METADATA
# title: Stages of approval
# description: |
#   Who approves what, written once; data.settings.stages lays groups, people and
#   quorums over it. Two rules that ask for the same stage ask for it once; the
#   higher quorum counts.
package countersign.stages

import data.countersign.lib
import data.countersign.settings

data_owner := settings.stage("data_owner", {"name": "data owner", "groups": ["data-owners"]})

dba := settings.stage("dba", {"name": "dba", "groups": ["dba"]})

# An escalation belongs here, beside the stage: if one of two rules that ask for a
# stage lets nobody join it, nobody joins.
finance := settings.stage("finance", {
	"name": "finance",
	"groups": ["finance"],
	"escalate": [{"after_s": 1800, "groups": ["finance-leads"]}],
})

platform := settings.stage("platform", {"name": "platform", "groups": ["platform"]})

release := settings.stage("release", {"name": "release manager", "groups": ["release-managers"]})

# Whoever is awake: undoing a release must not wait for one team.
rollback := settings.stage("rollback", {
	"name": "roll-back",
	"groups": ["platform", "release-managers"],
	"escalate": [{"after_s": 300, "groups": ["engineering-managers"]}],
})

security := settings.stage("security", {"name": "security", "groups": ["security"]})

# METADATA
# title: Two people
# description: The same stage with a quorum of two.
two(stage) := lib.at_least(stage, 2)

# METADATA
# title: Owners
# description: |
#   Who owns this data: the pools of data.settings.pools, where there are any,
#   else the one stage of data owners.
owners := lib.pool_stages if count(settings.pools) > 0

owners := [data_owner] if count(settings.pools) == 0
