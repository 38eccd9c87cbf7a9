package countersign.lib

import data.countersign.settings

# METADATA
# title: Risk
# description: |
#   What the factors a rule considers come to:
#   `lib.risk({"production", "personal_data", "leaves"}, set())`. A factor counts
#   unless it is known not to apply; a rule that knows so of a factor of its own
#   names it in the second set. Weights, levels and quorums are those of
#   data.settings.risk; a factor without a weight weighs 100.
#   Gives `{score, level, quorum, factors, reasons}`; level is low, medium, high
#   or critical, and reasons are for `needs`, one for each factor.
risk(considered, cleared) := {
	"score": score,
	"level": level,
	"quorum": _quorum_at(level),
	"factors": factors,
	"reasons": {reason |
		some name in factors
		reason := {"code": sprintf("risk.%s", [name]), "message": object.get(_factors, name, "a factor of this rule adds to the risk")}
	},
} if {
	factors := (considered - _no_factor) - cleared
	score := sum([weight | some name in factors; weight := _weight(name)])
	level := _level_at(score)
}

# METADATA
# title: Risk below
# description: Whether the risk is known to be less than this level.
risk_below(risk_found, level) if _rank_of_level[risk_found.level] < _rank_of_level[level]

_rank_of_level := {"low": 0, "medium": 1, "high": 2, "critical": 3}

_weight(name) := settings.risk.weights[name] if {
	settings.sound({"risk"})
	settings.risk.weights[name] >= 0
} else := 100

_level_at(score) := "low" if {
	settings.sound({"risk"})
	score < settings.risk.levels.medium
	score < settings.risk.levels.high
	score < settings.risk.levels.critical
} else := "medium" if {
	settings.sound({"risk"})
	score < settings.risk.levels.high
	score < settings.risk.levels.critical
} else := "high" if {
	settings.sound({"risk"})
	score < settings.risk.levels.critical
} else := "critical"

_quorum_at(level) := settings.risk.quorums[level] if {
	settings.sound({"risk"})
	settings.risk.quorums[level] >= 1
} else := 3

_factors := {
	"adds_up": "much was let through within the day",
	"destroys": "something is destroyed, or may be",
	"large_amount": "the amount is large, or nobody knows",
	"leaves": "the destination is outside the organisation, or nobody knows",
	"many_rows": "there are many rows, or nobody knows",
	"off_hours": "it is outside working hours",
	"personal_data": "there is personal data, or nobody knows",
	"privileged": "an administrator's rights change, or rights that could not be read",
	"production": "it is production",
	"secret": "there is a credential, or nobody knows",
	"unproven": "nobody is proven to be behind this call",
}

# Factors that are known not to apply.
_no_factor contains "adds_up" if let_through_below("day", 20)

_no_factor contains "destroys" if destroys_nothing

_no_factor contains "large_amount" if below("amount", 10000)

_no_factor contains "leaves" if destination_internal

_no_factor contains "many_rows" if below("rows", 10000)

_no_factor contains "off_hours" if working_hours

_no_factor contains "personal_data" if {
	columns_known
	impersonal
}

_no_factor contains "privileged" if rights_ordinary

_no_factor contains "production" if not production

_no_factor contains "secret" if free_of("secret")

_no_factor contains "unproven" if person_proven
