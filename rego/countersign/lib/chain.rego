package countersign.lib

# METADATA
# title: Requesters
# description: |
#   Everyone who asks, in lower case: the caller with its owners, users and
#   parent, a proven person, the actor, and all it says it acts for. The service
#   keeps these from deciding by itself; rules need them to tell who gains.
requesters := {lower(id) |
	some id in array.concat(_known_requesters, _said_requesters)
	is_string(id)
	id != ""
}

_known_requesters := array.concat(
	[input.verified[name] | some name in ["caller", "parent", "person", "claimant"]],
	[id | some name in ["owners", "users"]; some id in input.verified[name]],
)

_said_requesters := array.concat(
	[id | id := input.context.actor.id],
	[principal.id | some principal in input.context.on_behalf_of],
)

# METADATA
# title: Outside the chain
# description: |
#   Whether the named argument is a text that is none of the requesters: whoever
#   gains by it does not ask for it.
outside_chain(argument) if {
	count(requesters) > 0
	is_string(input.context.arguments[argument])
	name := lower(trim_space(input.context.arguments[argument]))
	name != ""
	not name in requesters
}

# METADATA
# title: Chain shorter than
# description: The actor says it acts for fewer principals than this.
chain_below(length) if {
	is_array(input.context.on_behalf_of)
	count(input.context.on_behalf_of) < length
}

# METADATA
# title: Nobody from outside
# description: Every principal named is a person or a workload, and none is external.
chain_internal if {
	is_array(input.context.on_behalf_of)
	every principal in input.context.on_behalf_of {
		principal.type in {"person", "workload"}
	}
}

# METADATA
# title: Person named
# description: |
#   The nearest principal is said to be a person. The agent's own word: good for
#   refusing who names nobody, never for allowing.
person_named if input.context.on_behalf_of[0].type == "person"

# METADATA
# title: Driven by no other
# description: The caller is known to have no parent that drives it.
no_parent if input.verified.parent == null

# METADATA
# title: Caller is
# description: The authenticated caller is one of these. Known, and not what the context says.
caller_is(names) if input.verified.caller in names
