package countersign.lib

import data.countersign.settings

# METADATA
# title: Business hours
# description: |
#   Monday to Friday from one full hour until another, in a named time zone and
#   on no holiday: `lib.business_hours("Europe/Berlin", 9, 17)`. Judged by
#   input.time, so a replayed decision is the same decision; a zone that does
#   not exist is never open.
business_hours(zone, from_hour, until_hour) if {
	moment := [time.parse_rfc3339_ns(input.time), zone]
	day := time.weekday(moment)
	not day in {"Saturday", "Sunday"}
	[hour, _, _] := time.clock(moment)
	hour >= from_hour
	hour < until_hour
	_no_holiday(_local(zone, 0))
}

# METADATA
# title: Working hours
# description: |
#   The hours of data.settings.working_hours, on its days and no holiday. Never
#   where none are set.
working_hours if {
	hours := settings.working_hours
	settings.sound({"working_hours", "holidays"})
	local := _local(hours.zone, 0)
	local.day in hours.days
	local.clock >= hours.from
	local.clock < hours.until
	_no_holiday(local)
}

_no_holiday(local) if {
	is_array(settings.holidays)
	not local.date in settings.holidays
}

# METADATA
# title: Within
# description: From one RFC 3339 instant until just before another, as for a change freeze.
within(from, until) if {
	now := time.parse_rfc3339_ns(input.time)
	now >= time.parse_rfc3339_ns(from)
	now < time.parse_rfc3339_ns(until)
}

# METADATA
# title: Not frozen
# description: |
#   Whether it is known that no freeze of data.settings.freezes stands in the
#   way of this action on this resource now. A freeze is from one minute on a
#   clock on the wall until another, in its own time zone, for the tiers
#   (production alone, unless it says more) and actions it names, less what it
#   excepts.
unfrozen if {
	settings.sound({"freezes"})
	every freeze in settings.freezes {
		_let_through(freeze)
	}
}

_let_through(freeze) if _wall(freeze.zone) < freeze.from

_let_through(freeze) if _wall(freeze.zone) >= freeze.until

_let_through(freeze) if not tier in object.get(freeze, "tiers", ["production"])

_let_through(freeze) if {
	is_string(input.context.action)
	not _action_is(object.get(freeze, "actions", ["*"]))
}

_let_through(freeze) if _action_is(object.get(freeze, "except_actions", []))

_let_through(freeze) if resource_is(object.get(freeze, "except_resources", []))

_action_is(patterns) if {
	some pattern in patterns
	_covers(pattern, input.context.action)
}

_wall(zone) := sprintf("%sT%s", [local.date, local.clock]) if local := _local(zone, 0)

# METADATA
# title: In a maintenance window
# description: |
#   Whether it is known that now is inside a window of
#   data.settings.maintenance_windows whose patterns match this resource. A
#   window that ends before it begins lasts until the next day.
in_maintenance_window if {
	settings.sound({"maintenance_windows"})
	some window in settings.maintenance_windows
	_open(window)
	resource_is(window.resources)
}

_open(window) if {
	local := _local(window.zone, 0)
	window.from < window.until
	local.day in window.days
	local.clock >= window.from
	local.clock < window.until
}

_open(window) if {
	local := _local(window.zone, 0)
	window.from >= window.until
	local.day in window.days
	local.clock >= window.from
}

_open(window) if {
	local := _local(window.zone, 0)
	window.from >= window.until
	local.clock < window.until
	_local(window.zone, -1).day in window.days
}

# What calendar and clock on the wall say, so many days from now.
_local(zone, days) := {
	"day": time.weekday(moment),
	"date": time.format(array.concat(moment, ["2006-01-02"])),
	"clock": time.format(array.concat(moment, ["15:04"])),
} if {
	moment := [time.add_date(time.parse_rfc3339_ns(input.time), 0, 0, days), zone]
}
