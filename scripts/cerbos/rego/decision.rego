# METADATA
# title: What make bench asks both servers
# description: |
#   Releases and roll-backs. `policies/deployment.yaml` says the same to Cerbos; the
#   bench asserts that both decide alike before it measures either.
package countersign

_deploys := {"deploy.release", "deploy.rollback"}

_people := {
	"deploy.release": {"name": "release", "approvers": {"groups": ["release-managers"]}},
	"deploy.rollback": {"name": "roll-back", "approvers": {"groups": ["release-managers"]}},
}

_version if {
	input.context.arguments.version != ""
}

decision := {"effect": "deny", "reasons": [{"code": "deploy.no_version", "message": "name what is deployed"}]} if {
	input.context.action in _deploys
	not _version
}

decision := {"effect": "allow", "reasons": [{"code": "deploy.below_production", "message": "outside production"}]} if {
	input.context.action in _deploys
	_version
	input.context.environment != "production"
}

decision := {
	"effect": "needs_approval",
	"reasons": [{"code": input.context.action, "message": "production"}],
	"requirement": {
		"stages": [_people[input.context.action]],
		"must_show": ["/resource", "/arguments/version"],
	},
} if {
	input.context.action in _deploys
	_version
	input.context.environment == "production"
}
