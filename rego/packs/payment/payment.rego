# METADATA
# title: Payment
# description: |
#   payment.transfer. A small payment behind which the service knows a person
#   runs on its own until the day's payments add up; a larger one asks finance,
#   a large one two of them. One payment or a list of them: the amount that
#   counts is what all of it comes to.
#   Arguments: amount, currency, to, reference.
package countersign.rules.payment

import data.countersign.lib
import data.countersign.settings
import data.countersign.stages

# METADATA
# title: Settings
# description: |
#   In whole units of whatever currency: from where a payment is medium and
#   large (powers of ten are exact), and what a day may come to.
defaults := {"medium": 1000, "large": 10000, "per_day": 2000, "payments_per_day": 100}

_settings := settings.of("payment", defaults)

deny contains settings.refusal if {
	input.context.action == "payment.transfer"
	not _settled
}

_settled if {
	_settings
	settings.sound({"stages"})
}

# What a payment that runs on its own may say; anything else may be paid as well.
_plain_arguments := {"amount", "currency", "to", "reference"}

deny contains {
	"code": "payment.no_amount",
	"message": "a payment has to say how much; set arguments.amount to a number above zero",
} if {
	input.context.action == "payment.transfer"
	not lib.stated("amount")
}

# The one rule that gives leave to approve several at once: beside any other, such
# as the day's sum, each payment wants an approval of its own.
needs contains {
	"code": "payment.medium",
	"message": "payment of a medium amount or more",
	"stages": [stages.finance],
	"must_show": _always_shown,
	"approve_within_s": 14400,
	"batch": true,
} if {
	input.context.action == "payment.transfer"
	lib.production
	not lib.below("amount", _settings.medium)
}

needs contains {
	"code": "payment.large",
	"message": "payment of a large amount",
	"stages": [stages.two(stages.finance)],
	"must_show": _always_shown,
	"require_reason": true,
	"min_assurance": "person",
} if {
	input.context.action == "payment.transfer"
	lib.production
	not lib.below("amount", _settings.large)
}

# Many small payments are one large payment. At Check only, like every sum: votes
# must not lose their worth because others were paid meanwhile.
needs contains {
	"code": "payment.adds_up",
	"message": "the payments of a day come to much with this one",
	"stages": [stages.finance],
	"must_show": _always_shown,
} if {
	input.context.action == "payment.transfer"
	lib.production
	not lib.at_claim
	not lib.adds_up_below("day", "amount", _settings.per_day)
}

# Where each is next to nothing, the number of them tells.
needs contains {
	"code": "payment.many",
	"message": "many payments were let through within the day",
	"stages": [stages.finance],
	"must_show": _always_shown,
} if {
	input.context.action == "payment.transfer"
	lib.production
	not lib.at_claim
	not lib.let_through_below("day", _settings.payments_per_day)
}

# On whose behalf an agent says it acts is its own word; a token proves it.
needs contains {
	"code": "payment.unproven",
	"message": "nobody is proven to be behind this payment",
	"stages": [stages.finance],
	"must_show": _always_shown,
	"require_reason": true,
} if {
	input.context.action == "payment.transfer"
	lib.production
	not lib.person_proven
}

needs contains {
	"code": "payment.unread",
	"message": "payment with arguments that no rule knows",
	"stages": [stages.finance],
	"must_show": _always_shown,
} if {
	input.context.action == "payment.transfer"
	lib.production
	not _spelt_out
}

allow contains {
	"code": "payment.small",
	"message": "small payment of a proven person",
} if {
	input.context.action == "payment.transfer"
	lib.production
	lib.person_proven
	lib.below("amount", _settings.medium)
}

allow contains {
	"code": "payment.below_production",
	"message": "payment outside production, where no money is",
} if {
	input.context.action == "payment.transfer"
	not lib.production
}

# The payee's account is masked; the amount is a fact whatever the arguments' shape.
_always_shown := {"/resource"} | lib.shown({"amount"})

# A list of payees may be paid the amount each.
_spelt_out if {
	lib.only_arguments(_plain_arguments)
	every name in {"currency", "to", "reference"} {
		is_string(object.get(input.context.arguments, name, ""))
	}
}
