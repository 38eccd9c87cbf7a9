# METADATA
# title: Settings
# description: |
#   What an organisation says of itself in data.settings (settings/data.yaml):
#   environments, working hours, freezes, pools of reviewers, numbers of packs.
#   A section that is absent has its default. One that is malformed never reads
#   as though it were absent: `invalid` names it, `sound` is not true of it, and
#   what is read from it stays on the safe side.
#   Cheap by laziness: a decision looks at the sections it rests on, the test
#   that travels with the library at all of them.
package countersign.settings

import data.countersign.shapes

# Read in parts: OPA fetches what a reference names and no more of it.

# METADATA
# title: Environments
# description: Name of an environment to its tier; one that is not named is production.
default environments := {"dev": "dev", "development": "dev", "staging": "staging"}

environments := data.settings.environments

# METADATA
# title: Further classes of personal data
# description: Classes of an operator's own sanitizer rules, beside those the library knows.
default personal_classes := []

personal_classes := data.settings.personal_classes

# METADATA
# title: Working hours
# description: "`{zone, from, until, days}`; there are none before somebody sets them."
working_hours := object.union(
	{"days": ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"]},
	data.settings.working_hours,
)

# METADATA
# title: Holidays
# description: Dates as 2026-12-25, closed in whatever zone is asked about.
default holidays := []

holidays := data.settings.holidays

# METADATA
# title: Freezes
default freezes := []

freezes := data.settings.freezes

# METADATA
# title: Maintenance windows
default maintenance_windows := []

maintenance_windows := data.settings.maintenance_windows

# METADATA
# title: Pools
# description: Who reviews what.
default pools := []

pools := data.settings.pools

# METADATA
# title: Changes approved beforehand
# description: Those listed for an action; undefined where none are.
preapproved(action) := data.settings.preapproved[action]

# METADATA
# title: Break-glass
# description: Who may approve alone in an emergency; undefined where nobody may.
break_glass := data.settings.break_glass

# METADATA
# title: Risk
risk := object.union(_risk, data.settings.risk) if data.settings.risk

risk := _risk if not data.settings.risk

_risk := {
	"weights": {
		"adds_up": 20, "large_amount": 30, "leaves": 40, "many_rows": 20, "off_hours": 10, "personal_data": 30,
		"privileged": 40, "production": 20, "secret": 60, "unproven": 20, "destroys": 40,
	},
	"levels": {"medium": 30, "high": 60, "critical": 90},
	"quorums": {"low": 1, "medium": 1, "high": 2, "critical": 3},
}

# METADATA
# title: Stage
# description: A stage of approval by its key, with what the organisation says of it laid over.
stage(key, standard) := object.union(standard, data.settings.stages[key])

stage(key, standard) := standard if not data.settings.stages[key]

# METADATA
# title: Of a pack
# description: |
#   The settings of a rule package: its `defaults`, with data.settings.packs.<name>
#   laid over them. Undefined where those are malformed, which a pack denies.
of(name, defaults) := object.union(defaults, given) if {
	given := data.settings.packs[name]
	object.keys(given) - object.keys(defaults) == set()
	unlike := {key | some key, value in given; not shapes.like(defaults[key], value)}
	unlike == set()
}

of(name, defaults) := defaults if not data.settings.packs[name]

# --- what is wrong with it ---------------------------------------------------

# METADATA
# title: Refusal
# description: For `deny`, where a decision would rest on a setting that cannot be read.
refusal := {
	"code": "policy.settings_invalid",
	"message": "a setting that this decision rests on is malformed; countersign policy check names it",
}

# METADATA
# title: Sound
# description: |
#   Whether each of these sections ("freezes", "pools") can be relied on. One
#   that is absent can.
sound(sections) if {
	broken := {section |
		some section in sections
		type_name(data.settings[section])
		count(_wrong(section)) > 0
	}
	broken == set()
}

# METADATA
# title: Unknown sections
# description: |
#   What nothing reads: a misspelt section, or a pack that is not there or has no
#   settings. Looked at in every decision.
default unknown := set()

unknown := {"settings"} if not type_name(data.settings) in {"null", "object"}

unknown := ((object.keys(data.settings) - shapes.sections) | {"packs" |
	type_name(data.settings.packs) != "object"
}) | {sprintf("packs.%s", [name]) |
	some name, _ in data.settings.packs
	not data.countersign.rules[name].defaults
} if {
	is_object(data.settings)
}

# METADATA
# title: Unfit
# description: Whether what is said of this request's own environment or action is malformed.
unfit if {
	said := data.settings.environments[input.context.environment]
	not said in {"dev", "staging", "production"}
}

unfit if {
	changes := data.settings.preapproved[input.context.action]
	count(_wrong_changes(input.context.action, changes)) > 0
}

# METADATA
# title: Invalid
# description: Every setting that is malformed, by where it stands (`freezes.0.until`).
invalid contains section if some section in unknown

invalid contains place if {
	some section in (shapes.sections & object.keys(data.settings))
	some place in _wrong(section)
}

invalid contains sprintf("packs.%s", [name]) if {
	some name, given in data.settings.packs
	not is_object(given)
}

# A pack's defaults are the shape of its settings.
invalid contains sprintf("packs.%s.%s", [name, key]) if {
	some name, given in data.settings.packs
	data.countersign.rules[name].defaults
	some key, value in given
	not _like_default(name, key, value)
}

_like_default(name, key, value) if shapes.like(data.countersign.rules[name].defaults[key], value)

_wrong(section) := {section} if type_name(data.settings[section]) != shapes.kinds[section]

_wrong(section) := _inside(section) if type_name(data.settings[section]) == shapes.kinds[section]

_inside(section) := {sprintf("%s.%v", [section, place]) |
	some place, value in data.settings[section]
	not shapes.is_a(shapes.plain[section], value)
} if {
	shapes.plain[section]
}

_inside(section) := {place |
	some i, entry in data.settings[section]
	some place in shapes.misshapen(sprintf("%s.%v", [section, i]), entry, shapes.entries[section])
} | _never(section) if {
	shapes.entries[section]
}

_inside("working_hours") := shapes.misshapen("working_hours", data.settings.working_hours, shapes.hours)

_inside("break_glass") := {place |
	some name, who in {
		"break_glass": object.remove(data.settings.break_glass, {"review_by"}),
		"break_glass.review_by": object.get(data.settings.break_glass, "review_by", null),
	}
	some place in shapes.misshapen(name, who, shapes.approvers)
}

_inside("preapproved") := {place |
	some action, changes in data.settings.preapproved
	some place in _wrong_changes(action, changes)
}

_inside("risk") := {place |
	some part, numbers in data.settings.risk
	some place in _misnumbered(part, numbers)
}

# Each pack's own are looked at with its name.
_inside("packs") := set()

# A freeze that ends before it begins would freeze nothing.
_never(section) := {sprintf("%s.%d.until", [section, i]) |
	section == "freezes"
	some i, freeze in data.settings.freezes
	freeze.until <= freeze.from
}

_wrong_changes(action, changes) := {sprintf("preapproved.%s", [action])} if not is_array(changes)

_wrong_changes(action, changes) := {place |
	some i, change in changes
	some place in shapes.misshapen(sprintf("preapproved.%s.%d", [action, i]), change, shapes.change)
} if {
	is_array(changes)
}

_levels := {"low", "medium", "high", "critical"}

_named := {"weights": set(), "levels": _levels, "quorums": _levels}

_misnumbered(part, numbers) := {sprintf("risk.%s", [part])} if not _are_numbers(part, numbers)

_misnumbered(part, numbers) := {sprintf("risk.%s.%s", [part, name]) |
	some name, number in numbers
	not _is_number_of(part, name, number)
} if {
	_are_numbers(part, numbers)
}

_are_numbers(part, numbers) if {
	is_object(numbers)
	_named[part]
}

_is_number_of(part, name, number) if {
	shapes.like(0, number)
	name in _named[part]
}

_is_number_of("weights", _, number) if shapes.like(0, number)
