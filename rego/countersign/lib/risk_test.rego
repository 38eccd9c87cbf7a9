# Risk: what is not known counts.
package countersign.tests.risk

import data.countersign.lib
import data.countersign.testing

_every := {
	"adds_up", "destroys", "large_amount", "leaves", "many_rows", "off_hours", "personal_data", "privileged",
	"production", "secret", "unproven",
}

_harmless := testing.given({
	"context": {"environment": "staging", "arguments": {"columns": ["plan"]}},
	"findings": {"facts": {
		"amount": {"at_least": 10, "bucket": "10-99"},
		"rows": {"at_least": 10, "bucket": "10-99"},
		"columns": {"total": 1},
		"columns_unread": 0,
		"destination": {"internal": true, "unread": 0},
		"grants": {"added": ["reader"]},
		"sql": {"verb": "select", "calls": false, "statements": 1},
	}},
	"verified": {"person": "person-ada"},
})

_hours := {"working_hours": {"zone": "UTC", "from": "08:00", "until": "18:00"}}

test_what_is_known_to_be_harmless_is_no_risk if {
	found := lib.risk(_every, set()) with input as _harmless with data.settings as _hours
	found == {"score": 0, "level": "low", "quorum": 1, "factors": set(), "reasons": set()}
}

test_everything_unknown_counts if {
	found := lib.risk(_every, set()) with input as {} with data.settings as _hours
	found.factors == _every
	found.level == "critical"
	found.quorum == 3
}

test_each_factor_has_its_own_reason if {
	changes := {
		"adds_up": {"recent": {"day": {"allow": 20}}},
		"destroys": {"findings": {"facts": {"shell": {"reads": false}}}},
		"large_amount": {"findings": {"facts": {"amount": {"at_least": 10000, "bucket": "10k-100k"}}}},
		"leaves": {"findings": {"facts": {"destination": {"internal": false}}}},
		"many_rows": {"findings": {"facts": {"rows": {"unread": 1}}}},
		"off_hours": {"time": "2026-11-28T12:00:00Z"},
		"personal_data": {"findings": {"classes": ["health"]}},
		"privileged": {"findings": {"facts": {"grants": {"removed": ["admin"]}}}},
		"production": {"context": {"environment": "live"}},
		"secret": {"findings": {"classes": ["secret"]}},
		"unproven": {"verified": {"person": null}},
	}
	every factor, change in changes {
		found := lib.risk(_every, set()) with input as object.union(_harmless, change) with data.settings as _hours
		found.factors == {factor}
		{reason.code | some reason in found.reasons} == {sprintf("risk.%s", [factor])}
	}
	object.keys(changes) == _every
}

test_only_what_is_considered_counts if {
	found := lib.risk({"production", "leaves"}, set()) with input as testing.given({}) with data.settings as {}
	found.score == 60
	found.level == "high"
	found.quorum == 2
	cleared := lib.risk({"production", "leaves"}, {"leaves"}) with input as testing.given({}) with data.settings as {}
	cleared.score == 20
	cleared.level == "low"
}

test_a_factor_nobody_weighed_weighs_much if {
	found := lib.risk({"own"}, set()) with input as _harmless with data.settings as {}
	found.score == 100
	found.level == "critical"
	weighed := lib.risk({"own"}, set()) with input as _harmless with data.settings as {"risk": {"weights": {"own": 5}}}
	weighed.score == 5
}

test_weights_levels_and_quorums_are_settings if {
	said := {"risk": {"weights": {"leaves": 10}, "levels": {"medium": 5, "high": 31}, "quorums": {"medium": 4}}}
	found := lib.risk({"production", "leaves"}, set()) with input as testing.given({}) with data.settings as said
	[found.score, found.level, found.quorum] == [30, "medium", 4]
}

test_settings_that_cannot_be_read_are_the_worst if {
	every said in [{"risk": 5}, {"risk": {"weights": {"leaves": "much"}}}, {"risk": {"levels": {"urgent": 1}}}] {
		found := lib.risk({"leaves"}, set()) with input as testing.given({}) with data.settings as said
		[found.score, found.level, found.quorum] == [100, "critical", 3]
	}
}

test_levels_have_an_order if {
	lib.risk_below({"level": "low"}, "medium")
	lib.risk_below({"level": "high"}, "critical")
	not lib.risk_below({"level": "high"}, "high")
	not lib.risk_below({"level": "odd"}, "critical")
	not lib.risk_below({}, "critical")
}
