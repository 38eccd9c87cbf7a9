# Stories of payments: amounts, sums, and who is proven to be behind them.
package countersign.tests.payment

import data.countersign.testing

_buckets := [[1000000, "1M+"], [100000, "100k-1M"], [10000, "10k-100k"], [1000, "1k-10k"], [100, "100-999"], [10, "10-99"]]

# What the sanitizer says of an amount.
_of(amount) := {
	"context": {"arguments": {"amount": amount, "currency": "EUR", "to": "acme", "reference": "r-1"}},
	"findings": {
		"facts": {"amount": {"at_least": at_least, "bucket": bucket}},
		"quantity": {"amount": amount},
	},
} if {
	[at_least, bucket] := [pair | some pair in _buckets; pair[0] <= amount][0]
}

_pay(amount, changes) := testing.decide(object.union(
	object.union(_of(amount), {
		"context": {"action": "payment.transfer", "resource": {"type": "account", "id": "main"}},
		"verified": {"person": "person-ada"},
	}),
	changes,
))

test_a_small_payment_of_a_proven_person_runs if {
	decision := _pay(90, {})
	decision.effect == "allow"
	testing.codes(decision) == {"payment.small"}
}

test_amounts_decide_who_is_asked if {
	cases := [
		[999, set(), {}],
		[1000, {"payment.medium"}, {"finance": 1}],
		[9999, {"payment.medium", "payment.adds_up"}, {"finance": 1}],
		[10000, {"payment.medium", "payment.large", "payment.adds_up"}, {"finance": 2}],
	]
	every case in cases {
		decision := _pay(case[0], {})
		testing.codes(decision) - {"payment.small"} == case[1]
		testing.quorums(decision) == case[2]
	}
}

test_small_payments_of_a_day_add_up if {
	_pay(90, {"recent": {"day": {"amount": 1909}}}).effect == "allow"
	decision := _pay(90, {"recent": {"day": {"amount": 1910}}})
	testing.codes(decision) == {"payment.adds_up"}
	testing.quorums(decision) == {"finance": 1}
}

test_votes_keep_their_worth_while_others_are_paid if {
	later := {"approval": testing.approved, "recent": {"day": {"amount": 1000000}}}
	testing.codes(_pay(1000, later)) == {"payment.medium"}
}

test_nobody_proven_is_asked_about_whoever_is_named if {
	named := {"context": {"on_behalf_of": [{"type": "person", "id": "person-ada"}]}, "verified": {"person": null}}
	decision := _pay(90, named)
	testing.codes(decision) == {"payment.unproven"}
	decision.requirement.require_reason
}

test_a_payment_has_to_say_how_much if {
	every findings in [
		{"facts": {"amount": {"at_least": 1000000, "bucket": "1M+", "unread": 1}}, "quantity": {"amount": 1000000}},
		{"quantity": {"amount": 0}},
		{"quantity": {"amount": null}},
	] {
		testing.codes(_pay(90, {"findings": findings})) == {"payment.no_amount"}
	}
}

test_arguments_that_no_rule_knows_ask if {
	testing.codes(_pay(90, {"context": {"arguments": {"transfers": {"a": 1}}}})) == {"payment.unread"}
}

test_outside_production_no_money_moves if {
	_pay(90000, {"context": {"environment": "staging"}, "verified": {"person": null}}).effect == "allow"
}

test_several_are_approved_at_once_only_where_the_amount_alone_asks if {
	_pay(1000, {}).requirement.batch
	not _pay(1000, {"recent": {"day": {"amount": 5000}}}).requirement.batch
	not _pay(10000, {}).requirement.batch
	not _pay(1000, {"verified": {"person": null}}).requirement.batch
}

test_who_waits_for_finance_reaches_its_leads if {
	every amount in [1000, 10000] {
		_pay(amount, {}).requirement.stages[0].escalate == [{
			"after_s": 1800,
			"approvers": {"groups": ["finance-leads"], "people": []},
		}]
	}
}

test_the_amount_is_shown_and_no_payment_has_an_emergency_way if {
	every amount in [1000, 10000] {
		decision := _pay(amount, {})
		decision.requirement.must_show == ["/resource", "facts:amount"]
		decision.requirement.break_glass == null
		testing.unshowable(decision) == set()
	}
}

# --- attacks -----------------------------------------------------------------

test_many_payees_in_one_payment_are_looked_at if {
	every arguments in [{"to": ["acme", "initech"]}, {"to": {"acme": 1}}, {"to": null}, {"currency": ["EUR", "USD"]}, {"reference": 5}] {
		testing.codes(_pay(90, {"context": {"arguments": arguments}})) == {"payment.unread"}
	}
}

test_very_many_very_small_payments_are_looked_at if {
	every day in [{"allow": 60, "claimed": 40}, {"allow": null}] {
		testing.codes(_pay(10, {"recent": {"day": day}})) == {"payment.many"}
	}
}

test_a_person_who_is_only_named_is_not_proven if {
	forged := {
		"context": {"on_behalf_of": [{"type": "person", "id": "person-ada"}], "resource": {"owner": "person-ada"}},
		"verified": {"person": null},
	}
	testing.codes(_pay(90, forged)) == {"payment.unproven"}
}

test_an_environment_nobody_knows_has_real_money if {
	every environment in ["", "Staging", "test", "prod"] {
		testing.codes(_pay(10000, {"context": {"environment": environment}})) & {"payment.large"} == {"payment.large"}
	}
}

test_huge_and_odd_amounts_are_never_small if {
	every fact in [{"at_least": 1000000, "bucket": "1M+"}, {"at_least": 0, "bucket": "0", "unread": 1}, {"at_least": "1", "bucket": "1-9"}] {
		decision := _pay(90, {"findings": {"facts": {"amount": fact}}})
		decision.effect != "allow"
	}
}

test_a_malformed_setting_is_seen if {
	decision := _pay(90, {}) with data.settings as {"packs": {"payment": {"medium": "thousand"}}}
	"policy.settings_invalid" in testing.codes(decision)
}
