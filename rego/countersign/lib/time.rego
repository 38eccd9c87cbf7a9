package countersign.lib

# METADATA
# title: Business hours
# description: |
#   Monday to Friday from one full hour until another, in a named time zone:
#   `lib.business_hours("Europe/Berlin", 9, 17)`. Judged by input.time, so a
#   replayed decision is the same decision; a zone that does not exist is never open.
business_hours(zone, from_hour, until_hour) if {
	moment := [time.parse_rfc3339_ns(input.time), zone]
	day := time.weekday(moment)
	not day in {"Saturday", "Sunday"}
	[hour, _, _] := time.clock(moment)
	hour >= from_hour
	hour < until_hour
}

# METADATA
# title: Within
# description: From one RFC 3339 instant until just before another, as for a change freeze.
within(from, until) if {
	now := time.parse_rfc3339_ns(input.time)
	now >= time.parse_rfc3339_ns(from)
	now < time.parse_rfc3339_ns(until)
}
