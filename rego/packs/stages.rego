# METADATA
# title: Stages of approval
# description: |
#   Who approves what, written once. Two rules that ask for the same stage ask
#   for it once; the higher quorum counts.
package countersign.stages

data_owner := {"name": "data owner", "groups": ["data-owners"]}

dba := {"name": "dba", "groups": ["dba"]}

# An escalation belongs here, beside the stage: if one of two rules that ask for a
# stage lets nobody join it, nobody joins.
finance := {
	"name": "finance",
	"groups": ["finance"],
	"escalate": [{"after_s": 1800, "groups": ["finance-leads"]}],
}

platform := {"name": "platform", "groups": ["platform"]}

release := {"name": "release manager", "groups": ["release-managers"]}

# Whoever is awake: undoing a release must not wait for one team.
rollback := {
	"name": "roll-back",
	"groups": ["platform", "release-managers"],
	"escalate": [{"after_s": 300, "groups": ["engineering-managers"]}],
}

security := {"name": "security", "groups": ["security"]}

# METADATA
# title: Two people
# description: The same stage with a quorum of two.
two(stage) := object.union(stage, {"quorum": 2})
