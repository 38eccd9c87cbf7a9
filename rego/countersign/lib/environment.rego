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

_tiers := {
	"dev": "dev",
	"development": "dev",
	"staging": "staging",
}

# METADATA
# title: Tier
# description: dev, staging or production; an environment not listed is production.
default tier := "production"

tier := _tiers[input.context.environment]

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
