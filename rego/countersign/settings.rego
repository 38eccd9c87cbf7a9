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

default _given := {}

_given := data.settings if not data.settings == null

_kinds := object.keys(shapes.kinds)

# --- what is set -------------------------------------------------------------

# METADATA
# title: Environments
# description: Name of an environment to its tier; one that is not named is production.
environments := object.get(_given, "environments", {"dev": "dev", "development": "dev", "staging": "staging"})

# METADATA
# title: Further classes of personal data
# description: Classes of an operator's own sanitizer rules, beside those the library knows.
personal_classes := object.get(_given, "personal_classes", [])

# METADATA
# title: Working hours
# description: "`{zone, from, until, days}`; there are none before somebody sets them."
working_hours := object.union(
	{"days": ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"]},
	_given.working_hours,
)

# METADATA
# title: Holidays
# description: Dates as 2026-12-25, closed in whatever zone is asked about.
holidays := object.get(_given, "holidays", [])

# METADATA
# title: Freezes
freezes := object.get(_given, "freezes", [])

# METADATA
# title: Maintenance windows
maintenance_windows := object.get(_given, "maintenance_windows", [])

# METADATA
# title: Pools
# description: Who reviews what.
pools := object.get(_given, "pools", [])

# METADATA
# title: Changes approved beforehand
# description: Those listed for an action.
preapproved(action) := object.get(_given, ["preapproved", action], [])

# METADATA
# title: Break-glass
# description: Who may approve alone in an emergency; undefined where nobody may.
break_glass := _given.break_glass

# METADATA
# title: Risk
risk := object.union(
	{
		"weights": {
			"adds_up": 20, "large_amount": 30, "leaves": 40, "many_rows": 20, "off_hours": 10, "personal_data": 30,
			"privileged": 40, "production": 20, "secret": 60, "unproven": 20, "destroys": 40,
		},
		"levels": {"medium": 30, "high": 60, "critical": 90},
		"quorums": {"low": 1, "medium": 1, "high": 2, "critical": 3},
	},
	object.get(_given, "risk", {}),
)

# METADATA
# title: Stage
# description: A stage of approval by its key, with what the organisation says of it laid over.
stage(key, standard) := object.union(standard, object.get(_given, ["stages", key], {}))

# METADATA
# title: Of a pack
# description: |
#   The settings of a rule package: its `defaults`, with data.settings.packs.<name>
#   laid over them.
of(name, defaults) := object.union(defaults, object.get(_given, ["packs", name], {}))

# --- what is wrong with it ---------------------------------------------------

# METADATA
# title: Refusal
# description: For `deny`, where a decision would rest on a setting that cannot be read.
refusal := {
	"code": "policy.settings_invalid",
	"message": "a setting that this decision rests on is malformed; data.countersign.settings.invalid names it",
}

# METADATA
# title: Sound
# description: Whether each of these sections ("freezes", "packs.export") can be relied on.
sound(sections) if {
	every section in sections {
		_sound(section)
	}
}

_sound(section) if {
	section in _kinds
	count(_wrong(section)) == 0
}

_sound(section) if {
	startswith(section, "packs.")
	count(_wrong_of_pack(substring(section, 6, -1))) == 0
}

# METADATA
# title: Unknown sections
# description: |
#   What nothing reads: a misspelt section, or a pack that is not there or has no
#   settings. Looked at in every decision.
unknown contains "settings" if not is_object(_given)

unknown contains section if some section in (object.keys(_given) - _kinds)

unknown contains sprintf("packs.%s", [name]) if {
	some name, _ in _given.packs
	not data.countersign.rules[name].defaults
}

# METADATA
# title: Invalid
# description: Every setting that is malformed, by where it stands (`freezes.0.until`).
invalid contains section if some section in unknown

invalid contains place if {
	some section in _kinds
	some place in _wrong(section)
}

invalid contains place if {
	some name, _ in _given.packs
	data.countersign.rules[name].defaults
	some place in _wrong_of_pack(name)
}

# METADATA
# title: Changes that are sound
# description: Whether all that is listed as approved beforehand for one action can be read.
sound_changes(action) if count(_wrong_changes(action, preapproved(action))) == 0

# Nothing that is absent is wrong.
_wrong(section) := set() if not section in object.keys(_given)

_wrong(section) := {section} if {
	section in object.keys(_given)
	type_name(_given[section]) != shapes.kinds[section]
}

_wrong(section) := _inside(section) if type_name(_given[section]) == shapes.kinds[section]

_inside(section) := {sprintf("%s.%v", [section, place]) |
	some place, value in _given[section]
	not shapes.is_a(shapes.plain[section], value)
} if {
	shapes.plain[section]
}

_inside(section) := {place |
	some i, entry in _given[section]
	some place in shapes.misshapen(sprintf("%s.%v", [section, i]), entry, shapes.entries[section])
} | _never(section) if {
	shapes.entries[section]
}

_inside("working_hours") := shapes.misshapen("working_hours", _given.working_hours, shapes.hours)

_inside("break_glass") := {place |
	some name, who in {
		"break_glass": object.remove(_given.break_glass, {"review_by"}),
		"break_glass.review_by": object.get(_given.break_glass, "review_by", null),
	}
	some place in shapes.misshapen(name, who, shapes.approvers)
}

_inside("preapproved") := {place |
	some action, changes in _given.preapproved
	some place in _wrong_changes(action, changes)
}

_inside("risk") := {place |
	some part, numbers in _given.risk
	some place in _misnumbered(part, numbers)
}

# Each pack's own are looked at with its name.
_inside("packs") := set()

# A freeze that ends before it begins would freeze nothing.
_never(section) := {sprintf("%s.%d.until", [section, i]) |
	section == "freezes"
	some i, freeze in _given.freezes
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

# A pack's defaults are the shape of its settings.
_wrong_of_pack(name) := set() if not name in object.keys(object.get(_given, "packs", {}))

_wrong_of_pack(name) := {sprintf("packs.%s", [name])} if {
	name in object.keys(_given.packs)
	not is_object(_given.packs[name])
}

_wrong_of_pack(name) := {sprintf("packs.%s.%s", [name, key]) |
	some key, value in _given.packs[name]
	not _like_default(name, key, value)
} if {
	is_object(_given.packs[name])
}

_like_default(name, key, value) if shapes.like(data.countersign.rules[name].defaults[key], value)
