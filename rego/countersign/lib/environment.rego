# METADATA
# title: Rule library
# description: |
#   Small questions about the input. Every helper is true only when its answer
#   is known; an absent fact makes it false. So the helper names the safe side
#   (`lib.below("rows", 1000)`, `lib.destination_internal`) and a rule that
#   raises the bar writes `not` before it: what is unknown raises the bar.
#   Helpers take constants, never input: `not f(input.x)` is undefined, and so
#   not true, where input.x is absent. Give such a question a rule of its own.
# scope: package
package countersign.lib

import data.countersign.settings

# METADATA
# title: Tier
# description: |
#   dev, staging or production, as data.settings.environments says; an
#   environment it does not name is production.
default tier := "production"

tier := said if {
	said := settings.environments[input.context.environment]
	said in {"dev", "staging"}
}

# METADATA
# title: Development
dev if tier == "dev"

# METADATA
# title: Staging
staging if tier == "staging"

# METADATA
# title: Production
production if tier == "production"

# METADATA
# title: At claim
# description: |
#   The action has its votes and is about to be performed. False at Check.
at_claim if is_object(input.approval)

# METADATA
# title: Says
# description: The named argument is there and is a text that is not empty.
says(argument) if {
	is_string(input.context.arguments[argument])
	input.context.arguments[argument] != ""
}

# METADATA
# title: Only these arguments
# description: |
#   The arguments are an object that says nothing beyond these names. What no
#   rule knows may be what counts, so only what is spelt out is let through.
only_arguments(names) if object.keys(input.context.arguments) - names == set()

# METADATA
# title: Single values
# description: |
#   Whichever of these arguments are there are plain names, numbers or booleans:
#   no list that stands for several, no object that says more, no blanks or
#   letters that look like others.
plain(names) if {
	is_object(input.context.arguments)
	every name in names {
		_is_plain(object.get(input.context.arguments, name, true))
	}
}

_is_plain(value) if is_boolean(value)

_is_plain(value) if is_number(value)

_is_plain(value) if {
	is_string(value)
	regex.match(`^[A-Za-z0-9][A-Za-z0-9._@:/+#-]{0,199}$`, value)
}

# METADATA
# title: Resource is
# description: |
#   The resource, written `type:id`, matches one of these patterns; `*` stands
#   for any text. The resource is the caller's word within what is registered
#   for it, so let a match raise the bar, or lower it where the executor claims.
resource_is(patterns) if {
	some pattern in patterns
	_covers(pattern, _resource)
}

_resource := sprintf("%s:%s", [input.context.resource.type, input.context.resource.id])

# A text between wildcards is meant to the letter.
_covers(pattern, name) if {
	parts := [regex.replace(part, `[^A-Za-z0-9]`, `\$0`) | some part in split(pattern, "*")]
	regex.match(sprintf("(?s)^%s$", [concat(".*", parts)]), name)
}
