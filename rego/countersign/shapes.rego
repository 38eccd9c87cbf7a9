# METADATA
# title: Shapes of settings
# description: |
#   What each section of data.settings may say, and where one says something
#   else. Used by data.countersign.settings only.
package countersign.shapes

# METADATA
# title: Kinds
# description: Every section there is, and the JSON type it has.
kinds := {
	"break_glass": "object",
	"environments": "object",
	"freezes": "array",
	"holidays": "array",
	"maintenance_windows": "array",
	"packs": "object",
	"personal_classes": "array",
	"pools": "array",
	"preapproved": "object",
	"risk": "object",
	"stages": "object",
	"working_hours": "object",
}

# METADATA
# title: Sections
sections := {
	"break_glass", "environments", "freezes", "holidays", "maintenance_windows", "packs",
	"personal_classes", "pools", "preapproved", "risk", "stages", "working_hours",
}

# METADATA
# title: Plain values
# description: The sections that hold one plain value after another.
plain := {"environments": "tier", "holidays": "date", "personal_classes": "class"}

# METADATA
# title: Entries
# description: |
#   The sections that hold entries: the terms of one, those it must have, and
#   those of which it must have at least one.
entries := {
	"freezes": {
		"terms": {
			"name": "name", "from": "minute", "until": "minute", "zone": "zone", "tiers": "tiers",
			"actions": "patterns", "except_actions": "patterns", "except_resources": "patterns",
		},
		"required": {"name", "from", "until", "zone"},
		"one_of": {"name"},
	},
	"maintenance_windows": {
		"terms": {
			"name": "name", "resources": "patterns", "days": "days", "from": "clock", "until": "clock",
			"zone": "zone",
		},
		"required": {"name", "resources", "days", "from", "until", "zone"},
		"one_of": {"name"},
	},
	"pools": {
		"terms": {
			"name": "name", "groups": "names", "people": "names", "quorum": "positive", "resources": "patterns",
			"owners": "names", "tiers": "tiers", "fallback": "boolean",
		},
		"required": {"name"},
		"one_of": {"groups", "people"},
	},
	"stages": {
		"terms": {"name": "name", "groups": "names", "people": "names", "quorum": "positive"},
		"required": set(),
		"one_of": {"name", "groups", "people", "quorum"},
	},
}

# METADATA
# title: Working hours
hours := {
	"terms": {"zone": "zone", "from": "clock", "until": "clock", "days": "days"},
	"required": {"zone", "from", "until"},
	"one_of": {"zone"},
}

# METADATA
# title: Approvers
approvers := {
	"terms": {"groups": "names", "people": "names"},
	"required": set(),
	"one_of": {"groups", "people"},
}

# METADATA
# title: A change approved beforehand
change := {
	"terms": {
		"name": "name", "environment": "name", "resource": "resource", "arguments": "object", "digest": "digest",
		"executors": "names", "from": "instant", "expires": "instant", "max_per_day": "positive",
	},
	"required": {"name", "environment", "resource", "executors", "expires"},
	"one_of": {"arguments", "digest"},
}

# METADATA
# title: Misshapen
# description: |
#   Where an entry lacks a term, has one that nothing reads, or one of another
#   kind: places such as `freezes.0.until`.
misshapen(place, entry, _) := {place} if not is_object(entry)

misshapen(place, entry, shape) := ({sprintf("%s.%s", [place, term]) |
	some term in (shape.required - object.keys(entry))
} | {sprintf("%s.%s", [place, term]) |
	some term, value in entry
	not is_a(object.get(shape.terms, term, "unknown"), value)
}) | {place | count(object.keys(entry) & shape.one_of) == 0} if {
	is_object(entry)
}

# METADATA
# title: Like
# description: Whether a value has the shape of a standard one. Numbers are whole and not below zero.
like(standard, value) if {
	is_boolean(standard)
	is_boolean(value)
}

like(standard, value) if {
	is_number(standard)
	_is_count(value)
}

like(standard, value) if {
	is_string(standard)
	_is_name(value)
}

like(standard, value) if {
	is_array(standard)
	is_array(value)
	every item in value {
		_is_name(item)
	}
}

# METADATA
# title: Is a
# description: Whether a value is of a kind that the terms name.
is_a("name", value) if _is_name(value)

is_a("names", value) if {
	is_array(value)
	count(value) > 0
	every name in value {
		_is_name(name)
	}
}

is_a("boolean", value) if is_boolean(value)

is_a("object", value) if is_object(value)

is_a("positive", value) if {
	_is_count(value)
	value >= 1
}

is_a("patterns", value) if {
	is_array(value)
	count(value) > 0
	every pattern in value {
		_matches(`^[A-Za-z0-9_.:/@*-]+$`, pattern)
	}
}

is_a("tier", value) if value in {"dev", "staging", "production"}

is_a("tiers", value) if {
	is_array(value)
	count(value) > 0
	every tier in value {
		tier in {"dev", "staging", "production"}
	}
}

is_a("days", value) if {
	is_array(value)
	every day in value {
		day in {"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}
	}
}

is_a("zone", value) if {
	_matches(`^[A-Za-z]`, value)
	time.clock([0, value])
}

is_a("clock", value) if _matches(`^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$`, value)

is_a("minute", value) if {
	_matches(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}$`, value)
	time.parse_ns("2006-01-02T15:04", value)
}

is_a("date", value) if {
	_matches(`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`, value)
	time.parse_ns("2006-01-02", value)
}

is_a("instant", value) if {
	is_string(value)
	time.parse_rfc3339_ns(value)
}

is_a("class", value) if _matches(`^[a-z][a-z0-9_]*$`, value)

is_a("digest", value) if _matches(`^sha256:[0-9a-f]{64}$`, value)

is_a("resource", value) if {
	object.keys(value) == {"type", "id"}
	_is_name(value.type)
	_is_name(value.id)
}

_is_count(value) if {
	is_number(value)
	value >= 0
	floor(value) == value
}

_is_name(value) if {
	is_string(value)
	value != ""
}

_matches(pattern, value) if {
	is_string(value)
	regex.match(pattern, value)
}
