package countersign.lib

import data.countersign.settings

# METADATA
# title: At least
# description: The same stage with a quorum of no less than this.
at_least(stage, quorum) := object.union(stage, {"quorum": max([quorum, object.get(stage, "quorum", 1)])})

# METADATA
# title: Stages of the pools
# description: |
#   A stage of each pool of data.settings.pools that this resource falls to. A
#   pool names patterns of resources, tiers, owners; all it names have to fit.
#   The owner is the caller's word, so a pool that goes by owner comes on top:
#   unless one that does not go by it fits as well, those marked as fallback are
#   asked too. Where nothing fits there is no stage, and a need that has none
#   denies.
pool_stages := [stage |
	settings.sound({"pools"})
	some pool in settings.pools
	_asked(pool)
	stage := object.filter(pool, {"name", "groups", "people", "quorum"})
]

_asked(pool) if {
	not pool.fallback == true
	_falls_to(pool)
}

_asked(pool) if {
	pool.fallback == true
	not _somebody_known
}

_somebody_known if {
	some pool in settings.pools
	not pool.fallback == true
	not pool.owners
	_falls_to(pool)
}

_falls_to(pool) if {
	_fits_resource(pool)
	_fits_tier(pool)
	_fits_owner(pool)
}

_fits_resource(pool) if not pool.resources

_fits_resource(pool) if resource_is(pool.resources)

_fits_tier(pool) if not pool.tiers

_fits_tier(pool) if tier in pool.tiers

_fits_owner(pool) if not pool.owners

_fits_owner(pool) if input.context.resource.owner in pool.owners

# METADATA
# title: With break-glass
# description: |
#   A need that those of data.settings.break_glass may meet alone in an
#   emergency; the need as it is where nobody is named there.
with_break_glass(need) := object.union(need, {"break_glass": settings.break_glass}) if {
	settings.sound({"break_glass"})
} else := need

# METADATA
# title: Proven person
# description: |
#   Whether a verified token proves which person is behind this call. The
#   principals a context names are only what the caller says.
person_proven if {
	is_string(input.verified.person)
	input.verified.person != ""
}

# METADATA
# title: Approved beforehand
# description: |
#   Whether this context is, to the letter, a change that data.settings.preapproved
#   lists for this action and that has not expired. What is about to happen is
#   the asker's word, so it counts only from a caller that the list names as its
#   executor: one that performs exactly what it asks for. Answered at Check
#   only; by default once a day for all such changes of that caller and action.
preapproved if {
	some change in settings.preapproved(input.context.action)
	not settings.unfit
	not at_claim
	input.verified.caller in change.executors
	change.environment == input.context.environment
	change.resource == object.filter(input.context.resource, {"type", "id"})
	_in_time(change)
	_to_the_letter(change)
	let_through_below("day", object.get(change, "max_per_day", 1))
}

_in_time(change) if within(object.get(change, "from", "2000-01-01T00:00:00Z"), change.expires)

# One of the two is listed, or both have to fit.
_to_the_letter(change) if {
	_fits_arguments(change)
	_fits_digest(change)
}

_fits_arguments(change) if not change.arguments

_fits_arguments(change) if {
	change.arguments == input.context.arguments
	input.context.resource.attributes == {}
}

_fits_digest(change) if not change.digest

_fits_digest(change) if change.digest == change_digest

# METADATA
# title: Change digest
# description: |
#   What data.settings.preapproved names a change by, where its arguments do not
#   belong into git: over action, environment, resource and arguments, and not
#   over who asks or why.
change_digest := sprintf("sha256:%s", [crypto.sha256(json.marshal({
	"action": input.context.action,
	"environment": input.context.environment,
	"resource": object.filter(input.context.resource, {"type", "id", "attributes"}),
	"arguments": input.context.arguments,
}))])
