# Hours, holidays, freezes and windows, by clocks on the wall.
package countersign.tests.time

import data.countersign.lib
import data.countersign.testing

_at(time) := testing.given({"context": {"action": "deploy.release", "resource": {"type": "service", "id": "web"}}, "time": time})

_hours := {
	"working_hours": {"zone": "Asia/Tokyo", "from": "09:30", "until": "18:00"},
	"holidays": ["2026-11-23"],
}

test_working_hours_are_those_of_the_settings if {
	# Tokyo is nine hours ahead.
	lib.working_hours with input as _at("2026-11-25T00:30:00Z") with data.settings as _hours
	lib.working_hours with input as _at("2026-11-25T08:59:59Z") with data.settings as _hours
	not lib.working_hours with input as _at("2026-11-25T00:29:59Z") with data.settings as _hours
	not lib.working_hours with input as _at("2026-11-25T09:00:00Z") with data.settings as _hours

	# Saturday in Tokyo, Friday in UTC.
	not lib.working_hours with input as _at("2026-11-27T15:30:00Z") with data.settings as _hours

	# A holiday in Tokyo, the day before in UTC.
	not lib.working_hours with input as _at("2026-11-23T01:00:00Z") with data.settings as _hours
	sundays := object.union(_hours, {"working_hours": {"days": ["Sunday"]}})
	lib.working_hours with input as _at("2026-11-29T03:00:00Z") with data.settings as sundays
}

test_nobody_works_where_nothing_is_set_or_readable if {
	every said in [
		{}, {"working_hours": {"zone": "Mars", "from": "00:00", "until": "24:00"}},
		object.union(_hours, {"holidays": "none"}), object.union(_hours, {"working_hours": {"hours": 8}}),
	] {
		not lib.working_hours with input as _at("2026-11-25T03:00:00Z") with data.settings as said
	}
	not lib.working_hours with input as {} with data.settings as _hours
	not lib.working_hours with input as _at("noon") with data.settings as _hours
}

test_business_hours_keep_holidays if {
	lib.business_hours("Europe/Berlin", 8, 18) with input as _at("2026-11-23T12:00:00Z") with data.settings as {}
	not lib.business_hours("Europe/Berlin", 8, 18) with input as _at("2026-11-23T12:00:00Z") with data.settings as _hours
	not lib.business_hours("Europe/Berlin", 8, 18) with input as _at("2026-11-24T12:00:00Z") with data.settings as {"holidays": "none"}
	not lib.business_hours("Europe/Nowhere", 8, 18) with input as _at("2026-11-24T12:00:00Z") with data.settings as {}
}

_freeze(more) := {"freezes": [
	{"name": "past", "from": "2020-01-01T00:00", "until": "2020-01-02T00:00", "zone": "UTC"},
	object.union({"name": "x", "from": "2026-12-19T18:00", "until": "2026-12-20T06:00", "zone": "Europe/Berlin"}, more),
]}

test_a_freeze_goes_by_its_own_clock if {
	cases := {
		"2026-12-19T16:59:59Z": true,
		"2026-12-19T17:00:00Z": false,
		"2026-12-20T04:59:59Z": false,
		"2026-12-20T05:00:00Z": true,
	}
	every time, free in cases {
		_unfrozen(time) == free
	}
}

test_a_freeze_is_for_what_it_names_less_what_it_excepts if {
	frozen := _at("2026-12-19T20:00:00Z")
	free := [
		{"tiers": ["staging"]}, {"actions": ["infra.*", "k8s.request"]}, {"except_actions": ["deploy.*"]},
		{"except_resources": ["service:w*"]},
	]
	every more in free {
		lib.unfrozen with input as frozen with data.settings as _freeze(more)
	}
	held := [
		{"tiers": ["staging", "production"]}, {"actions": ["deploy.*"]}, {"actions": ["*"], "except_actions": ["deploy.rollback"]},
		{"except_resources": ["service:webs*", "table:*"]},
	]
	every more in held {
		not lib.unfrozen with input as frozen with data.settings as _freeze(more)
	}
	lib.unfrozen with input as object.union(frozen, {"context": {"environment": "staging"}}) with data.settings as _freeze({})
}

test_where_nothing_is_frozen_nothing_is if {
	lib.unfrozen with input as _at("2026-12-19T20:00:00Z") with data.settings as {}
}

test_what_cannot_be_read_freezes if {
	every said in [{"freezes": "always"}, _freeze({"zone": "Mars"}), _freeze({"from": "soon"}), _freeze({"teirs": []})] {
		not lib.unfrozen with input as _at("2026-11-25T12:00:00Z") with data.settings as said
	}
	not lib.unfrozen with input as _at("noon") with data.settings as _freeze({})
	not lib.unfrozen with input as {} with data.settings as _freeze({})
}

_windows(more) := {"maintenance_windows": [object.union(
	{"name": "sunday night", "resources": ["service:*"], "days": ["Sunday"], "from": "22:00", "until": "04:00", "zone": "Europe/Berlin"},
	more,
)]}

test_a_window_may_last_until_the_next_day if {
	cases := {
		"2026-11-29T20:59:00Z": false,
		"2026-11-29T21:00:00Z": true,
		"2026-11-30T02:59:00Z": true,
		"2026-11-30T03:00:00Z": false,
		# The night before.
		"2026-11-29T01:00:00Z": false,
		"2026-11-28T22:00:00Z": false,
	}
	every time, open in cases {
		_open(time) == open
	}
}

test_a_window_within_a_day_and_its_resources if {
	noon := _windows({"from": "12:00", "until": "14:00", "days": ["Wednesday"]})
	lib.in_maintenance_window with input as _at("2026-11-25T11:30:00Z") with data.settings as noon
	every time in ["2026-11-25T13:00:00Z", "2026-11-25T10:59:00Z", "2026-11-26T11:30:00Z", "2026-11-25T23:30:00Z"] {
		not lib.in_maintenance_window with input as _at(time) with data.settings as noon
	}
	other := _windows({"from": "12:00", "until": "14:00", "days": ["Wednesday"], "resources": ["database:*"]})
	not lib.in_maintenance_window with input as _at("2026-11-25T11:30:00Z") with data.settings as other
	not lib.in_maintenance_window with input as _at("2026-11-25T11:30:00Z") with data.settings as {}
	not lib.in_maintenance_window with input as _at("2026-11-25T11:30:00Z") with data.settings as _windows({"from": "12", "days": ["Wednesday"]})
}

_unfrozen(time) if {
	lib.unfrozen with input as _at(time) with data.settings as _freeze({})
} else := false

_open(time) if {
	lib.in_maintenance_window with input as _at(time) with data.settings as _windows({})
} else := false
