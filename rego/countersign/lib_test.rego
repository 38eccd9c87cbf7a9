# Helpers are true when the answer is known and false when a fact is absent.
package countersign.tests.lib

import data.countersign.lib
import data.countersign.testing

test_unknown_environments_are_production if {
	tiers := {name: tier |
		some name in ["dev", "development", "staging", "production", "prod", "Dev", "", "stagign"]
		tier := lib.tier with input as testing.given({"context": {"environment": name}}) with data.settings as {}
	}
	tiers == {
		"dev": "dev", "development": "dev", "staging": "staging", "production": "production",
		"prod": "production", "Dev": "production", "": "production", "stagign": "production",
	}
}

test_the_settings_name_other_environments if {
	said := {"environments": {"lab": "dev", "live": "production", "odd": "Dev", "none": null}}
	tiers := {name: tier |
		some name in ["lab", "live", "odd", "none", "dev"]
		tier := lib.tier with input as testing.given({"context": {"environment": name}}) with data.settings as said
	}
	tiers == {"lab": "dev", "live": "production", "odd": "production", "none": "production", "dev": "production"}
}

test_a_missing_environment_is_production if {
	lib.production with input as {}
	not lib.dev with input as {}
	not lib.staging with input as {}
}

test_tiers_have_their_helpers if {
	lib.dev with input as testing.given({"context": {"environment": "dev"}})
	lib.staging with input as testing.given({"context": {"environment": "staging"}})
}

test_an_argument_is_said_when_it_is_a_text if {
	lib.says("version") with input.context.arguments as {"version": "1.2.3"}
	every arguments in [{}, {"version": ""}, {"version": null}, {"version": 1}] {
		not lib.says("version") with input.context.arguments as arguments
	}
}

test_claim_is_told_from_check if {
	lib.at_claim with input as testing.given({"approval": testing.approved})
	not lib.at_claim with input as testing.given({})
	not lib.at_claim with input as {}
}

test_classes_of_personal_data if {
	every class in {"contact", "financial", "government_id", "health", "personal"} {
		lib.personal_data with input.findings as {"classes": [class]}
	}
	every class in {"network", "secret"} {
		not lib.personal_data with input.findings as {"classes": [class]}
	}
	lib.secrets with input.findings as {"classes": ["secret"]}
	not lib.secrets with input.findings as {"classes": ["personal"]}
}

# --- measured facts ----------------------------------------------------------

_below(fact, threshold) if {
	lib.below("rows", threshold) with input as testing.given({"findings": {"facts": {"rows": fact}}})
}

test_below_at_the_edges_of_decades if {
	_below({"at_least": 100, "bucket": "100-999"}, 1000)
	not _below({"at_least": 1000, "bucket": "1k-10k"}, 1000)
	_below({"at_least": 0, "bucket": "0"}, 10)
}

test_a_threshold_inside_a_decade_is_judged_by_its_upper_end if {
	not _below({"at_least": 1000, "bucket": "1k-10k"}, 5000)
}

test_an_open_or_unreadable_measure_is_never_below if {
	not _below({"at_least": 1000000, "bucket": "1M+"}, 1000000000)
	not _below({"at_least": null, "bucket": "?"}, 1000)
	not lib.below("rows", 1000) with input as testing.given({})
}

test_columns_are_known_when_each_was_read if {
	columns := {
		"context": {"arguments": {"columns": ["plan", "region"]}},
		"findings": {"facts": {"columns": {"total": 2}, "columns_unread": 0}},
	}
	lib.columns_known with input as testing.given(columns)
	starred := {"context": {"arguments": {"columns": ["plan", "region", "*"]}}}
	not lib.columns_known with input as testing.given(object.union(columns, starred))
	not lib.columns_known with input as testing.given({"context": {"arguments": {"columns": []}}})
	not lib.columns_known with input as testing.given({})
	every unread in [1, null] {
		doubtful := object.union(columns, {"findings": {"facts": {"columns_unread": unread}}})
		not lib.columns_known with input as testing.given(doubtful)
	}
}

test_a_measure_with_something_unread_is_never_below if {
	not _below({"at_least": 1, "bucket": "1-9", "unread": 1}, 1000)
}

test_internal_only_when_known if {
	internal := {"findings": {"facts": {"destination": {"domain": "example.com", "internal": true, "unread": 0}}}}
	unread := object.union(internal, {"findings": {"facts": {"destination": {"unread": 1}}}})
	not lib.destination_internal with input as testing.given(unread)
	lib.destination_internal with input as testing.given(internal)
	external := {"findings": {"facts": {"destination": {"domain": "example.com", "internal": false}}}}
	not lib.destination_internal with input as testing.given(external)
	not lib.destination_internal with input as testing.given({})
}

test_only_facts_that_exist_are_shown if {
	facts := {"rows": {"at_least": 10, "bucket": "10-100"}, "sql": {"verb": "select"}}
	shown := lib.shown({"rows", "bytes", "sql.verb", "sql.limit"}) with input.findings.facts as facts
	shown == {"facts:rows", "facts:sql.verb"}
}

test_recent_counts if {
	lib.recently_below("hour", "allow", 20) with input as testing.given({"recent": {"hour": {"allow": 19}}})
	not lib.recently_below("hour", "allow", 20) with input as testing.given({"recent": {"hour": {"allow": 20}}})
	not lib.recently_below("hour", "allow", 20) with input as testing.given({"recent": {"hour": {"allow": null}}})
	not lib.recently_below("week", "allow", 20) with input as testing.given({})
}

test_what_was_let_through_was_allowed_or_claimed if {
	lib.let_through_below("day", 100) with input as testing.given({"recent": {"day": {"allow": 60, "claimed": 39}}})
	not lib.let_through_below("day", 100) with input as testing.given({"recent": {"day": {"allow": 60, "claimed": 40}}})
	not lib.let_through_below("day", 100) with input as testing.given({"recent": {"day": {"claimed": null}}})
	not lib.let_through_below("day", 100) with input as testing.given({"recent": {"day": {"allow": null}}})
	not lib.let_through_below("week", 100) with input as testing.given({})
}

test_quantities_add_up_with_this_one if {
	row := {"findings": {"facts": {"rows": {"at_least": 10, "bucket": "10-99"}}, "quantity": {"rows": 50}}}
	stated := object.union(row, {"recent": {"day": {"rows": 900}}})
	lib.adds_up_below("day", "rows", 951) with input as testing.given(stated)
	not lib.adds_up_below("day", "rows", 950) with input as testing.given(stated)
	lib.adds_up_below("hour", "rows", 51) with input as testing.given(stated)
	not lib.adds_up_below("week", "rows", 951) with input as testing.given(stated)
	unknown := object.union(row, {"recent": {"day": {"rows": null}}})
	not lib.adds_up_below("day", "rows", 951) with input as testing.given(unknown)
}

test_what_is_not_stated_adds_up_to_nothing_known if {
	every findings in [
		{"facts": {}, "quantity": {"rows": 0}},
		{"facts": {"rows": {"at_least": 0, "bucket": "0"}}, "quantity": {"rows": 0}},
		{"facts": {"rows": {"at_least": 1000000, "bucket": "1M+", "unread": 1}}, "quantity": {"rows": 1000000}},
		{"facts": {}},
		{},
	] {
		not lib.stated("rows") with input as {"findings": findings, "recent": {"day": {"rows": 0}}}
		not lib.adds_up_below("day", "rows", 100000000) with input as {"findings": findings, "recent": {"day": {"rows": 0}}}
	}
}

test_a_proven_person_is_one_the_service_knows if {
	lib.person_proven with input as testing.given({"verified": {"person": "person-ada"}})
	every person in [null, "", false, 7] {
		not lib.person_proven with input as testing.given({"verified": {"person": person}})
	}
	asserted := {"context": {"on_behalf_of": [{"type": "person", "id": "person-ada"}]}}
	not lib.person_proven with input as testing.given(asserted)
	not lib.person_proven with input as {}
}

# --- statements --------------------------------------------------------------

test_sql_by_verb if {
	verbs := {
		"select": set(), "insert": {"writes"}, "update": {"writes"}, "delete": {"writes"}, "merge": {"writes"}, "upsert": {"writes"},
		"create": {"ddl"}, "alter": {"ddl"}, "grant": {"ddl"}, "drop": {"ddl", "drops"},
		"truncate": {"ddl", "drops"}, "vacuum": set(),
	}
	every verb, kinds in verbs {
		_kinds({"sql": {"verb": verb}}) == kinds
	}
	_kinds({}) == set()
	lib.sql_verb == "unknown" with input.findings.facts as {}
}

_kinds(facts) := {"writes" | lib.sql_writes with input.findings.facts as facts} | ({"ddl" | lib.sql_ddl with input.findings.facts as facts} | {"drops" | lib.sql_drops with input.findings.facts as facts})

test_sql_by_predicate if {
	every predicate in {"by_key", "range"} {
		lib.sql_bounded with input.findings.facts.sql as {"predicate": predicate}
	}
	every predicate in {"none", "always_true", "other", null} {
		not lib.sql_bounded with input.findings.facts.sql as {"predicate": predicate}
	}
	not lib.sql_bounded with input.findings.facts as {}
	lib.sql_by_key with input.findings.facts.sql as {"predicate": "by_key"}
	not lib.sql_by_key with input.findings.facts.sql as {"predicate": "range"}
}

test_sql_that_may_do_more_than_read_is_no_select if {
	plain := {"verb": "select", "calls": false, "statements": 1}
	lib.sql_verb == "select" with input.findings.facts.sql as plain
	every change in [{"calls": true}, {"calls": null}, {"statements": 2}, {"statements": null}] {
		lib.sql_verb == "other" with input.findings.facts.sql as object.union(plain, change)
	}
	lib.sql_verb == "other" with input.findings.facts.sql as {"verb": "select"}
	lib.sql_verb == "delete" with input.findings.facts.sql as {"verb": "delete", "calls": true}
}

test_sql_limit_has_to_be_a_number if {
	lib.sql_limited(100) with input.findings.facts.sql as {"limit": 100}
	not lib.sql_limited(100) with input.findings.facts.sql as {"limit": 101}
	not lib.sql_limited(100) with input.findings.facts.sql as {"limit": null}
	not lib.sql_limited(100) with input.findings.facts.sql as {}
}

_shell(command, programs, flags) := testing.given({
	"context": {"arguments": {"command": command}},
	"findings": {"facts": {"shell": {"program": programs[0], "programs": programs, "flags": flags, "reads": false}}},
})

_reading(shell) := object.union(shell, {"findings": {"facts": {"shell": {"reads": true}}}})

test_reading_is_what_the_facts_say_and_never_guessed if {
	shell := _shell("grep -r needle /srv | wc -l", ["grep", "wc"], ["-l", "-r"])
	lib.shell_reads_only with input as _reading(shell)
	not lib.shell_reads_only with input as shell
	not lib.shell_reads_only with input.findings.facts.shell as {"programs": ["ls"], "flags": []}
	not lib.shell_reads_only with input as testing.given({})
}

test_a_list_of_programs_that_may_be_cut_is_not_known if {
	many := [sprintf("p%d", [i]) | some i in numbers.range(1, 20)]
	not lib.shell_programs with input as _shell("x", many, [])
	lib.shell_programs with input as _shell("x", array.slice(many, 0, 19), [])
}

test_destroying_programs_and_flags if {
	cases := [
		[["rm"], []], [["sudo", "dd"], []], [["git"], ["--force"]], [["make"], ["-rf"]],
		[["ls", "kubectl"], ["--force"]], [["rsync"], ["--delete"]], [["git"], ["--hard"]],
	]
	every case in cases {
		lib.shell_destroys with input as _shell("x", case[0], case[1])
	}
	not lib.shell_destroys with input as _reading(_shell("x", ["grep"], ["-r"]))
	not lib.shell_destroys with input as _shell("x", ["make"], ["-n"])
	not lib.shell_destroys with input as testing.given({})
}

test_privileged_rights if {
	every right in ["admin", "Owner", "roles/owner", "s3:*", "*", "org_admin", "superuser", "[OTHER]", "AdministratorAccess", "IAMFullAccess", "sysadmin"] {
		not lib.ordinary(right)
	}
	every right in ["reader", "s3:GetObject", "roles/viewer", "billing-editor"] {
		lib.ordinary(right)
	}
}

test_changes_of_rights if {
	ordinary := {"added": ["reader"], "removed": ["writer"]}
	lib.grants_ordinary with input.findings.facts.grants as ordinary
	lib.revocations_ordinary with input.findings.facts.grants as ordinary
	privileged := {"added": ["reader", "admin"], "removed": ["owner"]}
	not lib.grants_ordinary with input.findings.facts.grants as privileged
	not lib.revocations_ordinary with input.findings.facts.grants as privileged
	not lib.grants_ordinary with input as testing.given({})
	cut := [sprintf("reader-%d", [i]) | some i in numbers.range(1, 20)]
	not lib.grants_ordinary with input.findings.facts.grants as {"added": cut}
	not lib.revocations_ordinary with input.findings.facts.grants as {"removed": cut}
	not lib.revocations_ordinary with input as testing.given({})
	more := {"added": ["reader"], "added_more": 1, "removed": ["writer"], "removed_more": 1}
	not lib.grants_ordinary with input.findings.facts.grants as more
	not lib.revocations_ordinary with input.findings.facts.grants as more
	unread := {"added": ["[OTHER]", "reader"], "removed": ["[OTHER]"]}
	not lib.grants_ordinary with input.findings.facts.grants as unread
	not lib.revocations_ordinary with input.findings.facts.grants as unread
}

# --- time --------------------------------------------------------------------

_open(time) if lib.business_hours("Europe/Berlin", 9, 17) with input.time as time

test_business_hours_in_their_zone if {
	# Berlin is one hour ahead in November and two in July.
	_open("2026-11-25T08:00:00.000000Z")
	not _open("2026-11-25T07:59:59.999999Z")
	not _open("2026-11-25T16:00:00.000000Z")
	_open("2026-07-22T07:00:00.000000Z")
	not _open("2026-11-28T12:00:00.000000Z")
	not _open("2026-11-29T12:00:00.000000Z")
	not _open("tomorrow")
}

test_a_zone_that_does_not_exist_is_never_open if {
	not lib.business_hours("Mars/Olympus", 0, 24) with input.time as "2026-11-25T12:00:00.000000Z"
}

_frozen(time) if lib.within("2026-12-19T00:00:00Z", "2027-01-04T00:00:00Z") with input.time as time

test_within_includes_its_start_and_not_its_end if {
	_frozen("2026-12-19T00:00:00.000000Z")
	_frozen("2027-01-03T23:59:59.999999Z")
	not _frozen("2027-01-04T00:00:00.000000Z")
	not _frozen("2026-12-18T23:59:59.999999Z")
}

# --- what was looked at ------------------------------------------------------

test_a_class_is_absent_only_where_all_was_looked_at if {
	looked := {"findings": {"classes": ["network"]}}
	lib.free_of("secret") with input as testing.given(looked)
	not lib.free_of("network") with input as testing.given(looked)
	lib.impersonal with input as testing.given(looked)
	not lib.impersonal with input as testing.given({"findings": {"classes": ["health"]}})
	every findings in [{"complete": false}, {"complete": null}, {"classes": null}] {
		not lib.free_of("secret") with input as testing.given({"findings": findings})
		not lib.impersonal with input as testing.given({"findings": findings})
	}
	not lib.free_of("secret") with input as {}
	not lib.impersonal with input as {}
}

test_an_organisation_has_classes_of_its_own if {
	found := testing.given({"findings": {"classes": ["employee"]}})
	lib.impersonal with input as found with data.settings as {}
	lib.personal_data with input as found with data.settings as {"personal_classes": ["employee"]}
	not lib.impersonal with input as found with data.settings as {"personal_classes": ["employee"]}
	not lib.impersonal with input as testing.given({}) with data.settings as {"personal_classes": "employee"}
}

test_finds_are_counted_by_type if {
	found := testing.given({"findings": {"entities": {"EMAIL": 9}}})
	lib.fewer_than("EMAIL", 10) with input as found
	not lib.fewer_than("EMAIL", 9) with input as found
	lib.fewer_than("IBAN", 1) with input as found
	not lib.fewer_than("IBAN", 1) with input as object.union(found, {"findings": {"complete": false}})
	not lib.fewer_than("IBAN", 1) with input as {}
}

test_tables_are_spared_when_all_are_known if {
	_spares(["crm.customers"], ["hr.*"])
	_spares(["customers"], ["hr.people"])
	every tables in [["hr.people"], ["people"], ["crm.people"], ["a", "[OTHER]"], null] {
		not _spares(tables, ["hr.people", "people"])
	}
	not lib.sql_spares([]) with input.findings.facts.sql as {"tables": ["a"], "tables_more": 1}
	not lib.sql_spares([]) with input as {}
}

_spares(tables, patterns) if {
	lib.sql_spares(patterns) with input.findings.facts.sql as {"tables": tables}
}

test_rights_are_ordinary_whichever_way_they_change if {
	every grants in [{"added": ["reader"]}, {"removed": ["reader"]}, {"added": ["reader"], "removed": ["writer"]}] {
		lib.rights_ordinary with input.findings.facts.grants as grants
	}
	every grants in [{}, {"added": ["admin"]}, {"added": ["reader"], "removed": ["admin"]}, {"added": ["reader"], "removed_more": 1, "removed": ["x"]}] {
		not lib.rights_ordinary with input.findings.facts.grants as grants
	}
}
