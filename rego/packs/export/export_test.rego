# Stories of data export.
package countersign.tests.export

import data.countersign.testing

_arguments := {
	"table": "crm.customers",
	"columns": ["plan", "created_at"],
	"format": "csv",
	"destination": "s3://analytics-exports/customers.csv",
	"row_count": 5210,
}

_export(changes) := testing.decide(object.union(
	{
		"context": {
			"action": "db.export",
			"actor": {"type": "workload", "id": "export-agent"},
			"resource": {"type": "table", "id": "crm.customers"},
			"arguments": _arguments,
		},
		"findings": {
			"facts": {
				"rows": {"at_least": 1000, "bucket": "1k-10k"},
				"columns": {"total": 2},
				"columns_unread": 0,
				"destination": {
					"domain": "analytics-exports",
					"domains": ["analytics-exports"],
					"internal": false,
					"scheme": "s3",
					"count": 1,
					"unread": 0,
				},
			},
			"quantity": {"rows": 5210},
		},
	},
	changes,
))

_personal := {
	"context": {"arguments": {
		"columns": ["name", "email", "phone"],
		"sample": [{"name": "Ada Example", "email": "ada@example.com", "phone": "+49 30 000000"}],
	}},
	"findings": {
		"entities": {"EMAIL": 1, "PERSON": 1, "PHONE": 1},
		"classes": ["contact", "personal"],
		"facts": {"columns": {"total": 3, "contact": 2, "personal": 3}},
	},
}

_elsewhere := {
	"context": {"arguments": {"destination": "s3://partner-drop/customers.csv"}},
	"findings": {"facts": {"destination": {"domain": "example.com", "internal": false, "scheme": "s3"}}},
}

test_an_export_without_personal_data_is_allowed if {
	_export({}).effect == "allow"
}

test_the_same_export_with_personal_data_asks_the_data_owner if {
	_export(_personal) == {
		"effect": "needs_approval",
		"reasons": [{"code": "export.personal", "message": "export of personal data"}],
		"requirement": {
			"stages": [{
				"name": "data owner",
				"approvers": {"groups": ["data-owners"], "people": []},
				"quorum": 1,
				"escalate": [],
			}],
			"must_show": ["/arguments/destination", "/resource", "facts:rows"],
			"approve_within_s": 3600,
			"use_within_s": 300,
			"report_within_s": 900,
			"claim_by": [],
			"channel": "teams:data-approvals",
			"profiles": {"*": "reviewer"},
			"exclude": [],
			"require_reason": false,
			"min_assurance": "channel",
			"durability": "durable",
			"batch": false,
			"break_glass": null,
		},
		"mask": ["/arguments/customer_ids"],
	}
}

test_leaving_the_sample_out_changes_nothing if {
	arguments := {"arguments": {"columns": ["name", "email", "phone"]}}
	_export(object.union(_personal, {"context": arguments})).effect == "needs_approval"
}

test_an_export_has_to_name_its_columns if {
	every columns in [[], "*", ["plan", "created_at", "*"], null] {
		decision := _export({"context": {"arguments": {"columns": columns}}})
		testing.codes(decision) == {"export.unnamed_columns"}
	}
}

test_exports_leaving_the_organisation_ask_security if {
	decision := _export(_elsewhere)
	testing.codes(decision) == {"export.external"}
	testing.quorums(decision) == {"security": 1}
	decision.requirement.require_reason
	"facts:destination.domain" in decision.requirement.must_show
}

test_personal_data_leaving_asks_both_and_proven_people if {
	decision := _export(object.union(_personal, _elsewhere))
	[stage.name | some stage in decision.requirement.stages] == ["data owner", "security"]
	decision.requirement.min_assurance == "person"
	decision.requirement.approve_within_s == 1800
}

test_only_our_bucket_alone_is_ours if {
	every place in [{"domain": "analytics-exports-2"}, {"scheme": "gs"}, {"count": 2}] {
		decision := _export({"findings": {"facts": {"destination": place}}})
		testing.codes(decision) == {"export.external"}
	}
}

test_a_destination_the_sanitizer_knows_is_internal if {
	known := object.union(_elsewhere, {"findings": {"facts": {"destination": {"internal": true}}}})
	_export(known).effect == "allow"
}

test_secrets_are_never_exported if {
	every environment in ["dev", "staging", "production"] {
		decision := _export({"context": {"environment": environment}, "findings": {"classes": ["secret"]}})
		decision.effect == "deny"
		testing.codes(decision) == {"export.secret"}
	}
}

test_an_export_has_to_say_where_it_goes if {
	testing.codes(_export({"context": {"arguments": {"destination": null}}})) == {"export.no_destination"}
}

test_many_rows_ask_the_data_owner if {
	decision := _export({"findings": {"facts": {"rows": {"at_least": 100000, "bucket": "100k-1M"}}}})
	testing.codes(decision) == {"export.large"}
	testing.quorums(decision) == {"data owner": 1}
}

test_an_unknown_number_of_rows_counts_as_many if {
	testing.codes(_export({"findings": {"facts": {"rows": {"at_least": null}}}})) == {"export.large"}
}

test_many_exports_in_the_hour_add_up if {
	_export({"recent": {"hour": {"allow": 19}}}).effect == "allow"
	decision := _export({"recent": {"hour": {"allow": 20}}})
	testing.codes(decision) == {"export.many"}
}

_small(recent) := _export({
	"findings": {"facts": {"rows": {"at_least": 10, "bucket": "10-99"}}, "quantity": {"rows": 50}},
	"recent": recent,
})

test_a_hundred_small_exports_add_up if {
	# The hundred-and-first of one day, each alone allowed and never twenty an hour.
	_small({"day": {"allow": 99, "rows": 4950}}).effect == "allow"
	decision := _small({"day": {"allow": 100, "rows": 5000}})
	testing.codes(decision) == {"export.many_today"}
	testing.quorums(decision) == {"data owner": 1}
	testing.codes(_small({"day": {"allow": 60, "claimed": 40}})) == {"export.many_today"}
}

test_rows_of_small_exports_add_up_with_this_one if {
	_small({"day": {"allow": 40, "rows": 249949}}).effect == "allow"
	testing.codes(_small({"day": {"allow": 40, "rows": 249950}})) == {"export.adds_up"}
	testing.codes(_export({"recent": {"day": {"rows": 244790}}})) == {"export.adds_up"}
}

test_an_unknown_sum_counts_as_too_much if {
	every changes in [
		{"recent": {"day": {"rows": null}}},
		{"findings": {"quantity": {"rows": 0}}},
		{"findings": {"quantity": {"rows": null}}},
	] {
		testing.codes(_export(changes)) == {"export.adds_up"}
	}
}

test_votes_keep_their_worth_while_others_are_served if {
	busy := {"recent": {"hour": {"allow": 500}, "day": {"allow": 500, "rows": 9000000}}, "approval": testing.approved}
	testing.codes(_export(object.union(_personal, busy))) == {"export.personal"}
}

test_environments if {
	cases := [
		{"environment": "dev", "change": {}, "effect": "allow"},
		{"environment": "dev", "change": _personal, "effect": "allow"},
		{"environment": "dev", "change": _elsewhere, "effect": "needs_approval"},
		{"environment": "staging", "change": {}, "effect": "allow"},
		{"environment": "staging", "change": _personal, "effect": "needs_approval"},
		{"environment": "production", "change": _personal, "effect": "needs_approval"},
		{"environment": "unheard-of", "change": _personal, "effect": "needs_approval"},
	]
	every case in cases {
		decision := _export(object.union(case.change, {"context": {"environment": case.environment}}))
		decision.effect == case.effect
	}
}

test_what_is_shown_is_never_masked if {
	every change in [_personal, _elsewhere, object.union(_personal, _elsewhere)] {
		testing.unshowable(_export(change)) == set()
	}
}

# --- attacks: each is what the sanitizer says of arguments that were made to look harmless ---

test_a_destination_that_could_not_be_read_is_external if {
	facts := {"destination": {"domain": "unreadable", "domains": ["unreadable", "analytics-exports"], "count": 2, "unread": 1}}
	testing.codes(_export({"findings": {"facts": facts}})) == {"export.external"}
}

test_an_unread_destination_is_never_internal_whatever_else_is_said if {
	every said in [{"internal": true}, {"domain": "analytics-exports", "count": 1}] {
		facts := {"destination": object.union(said, {"unread": 1})}
		testing.codes(_export({"findings": {"facts": facts}})) == {"export.external"}
	}
}

test_more_destinations_than_anybody_sees_are_refused if {
	testing.codes(_export({"findings": {"facts": {"destination": {"more": 1}}}})) == {"export.many_destinations"}
}

test_what_leaves_is_shown_with_every_domain if {
	"facts:destination.domains" in _export(_elsewhere).requirement.must_show
}

test_columns_in_doubt_count_as_personal if {
	every facts in [{"columns_unread": 1}, {"columns_unread": null}, {"columns": {"total": 1}}] {
		testing.codes(_export({"findings": {"facts": facts}})) == {"export.unnamed_columns"}
	}
}

test_a_count_that_could_not_be_read_counts_as_many if {
	every rows in [{"at_least": 1000000, "bucket": "1M+", "unread": 1}, {"at_least": 1, "bucket": "1-9", "unread": 1}] {
		testing.codes(_export({"findings": {"facts": {"rows": rows}}})) == {"export.large"}
	}
}

test_arguments_that_no_rule_knows_ask if {
	every extra in ["query", "fields", "to", "x", "where"] {
		decision := _export({"context": {"arguments": {extra: "y"}}})
		testing.codes(decision) == {"export.unread"}
		testing.quorums(decision) == {"data owner": 1}
	}
}

test_a_table_that_is_a_query_or_another_than_the_resource_asks if {
	every table in ["(select ssn as plan from crm.customers) t", "customers, secrets", 5, "crm.salaries", null, "", ["crm.customers"]] {
		decision := _export({"context": {"arguments": {"table": table}}})
		"export.other_table" in testing.codes(decision)
		testing.quorums(decision) == {"data owner": 1}
	}
}

test_a_column_that_is_a_row_asks if {
	every arguments in [
		{"columns": ["plan", "Customers"]},
		{"format": {"query": "x"}},
	] {
		testing.codes(_export({"context": {"arguments": arguments}})) == {"export.unread"}
	}
}

test_a_mask_over_a_shown_field_is_noticed if {
	decision := {"mask": ["/arguments/*/id"], "requirement": {"must_show": ["/arguments/sample", "/resource", "facts:rows"]}}
	testing.unshowable(decision) == {"/arguments/sample"}
}

test_what_could_not_be_looked_at_is_not_impersonal if {
	every findings in [{"classes": null}, {"classes": "none"}] {
		decision := _export({"findings": findings})
		decision.effect != "allow"
	}
	_export({"findings": {"complete": false}}).effect == "deny"
}

test_an_owner_or_attributes_that_are_made_up_change_nothing if {
	forged := {"context": {"resource": {"owner": "agent", "attributes": {"internal": true, "personal_data": false, "rows": 1}}}}
	decision := _export(object.union(object.union(_personal, _elsewhere), forged))
	decision == _export(object.union(_personal, _elsewhere))
}

test_huge_and_impossible_counts_ask if {
	every rows in [{"at_least": 1000000, "bucket": "1M+"}, {"at_least": "0", "bucket": "0"}, {"at_least": -5, "bucket": "1M+"}, null] {
		_export({"findings": {"facts": {"rows": rows}}}).effect == "needs_approval"
	}
}

test_a_bucket_is_ours_only_where_the_settings_say_so if {
	decision := _export({}) with data.settings as {}
	testing.codes(decision) == {"export.external"}
}

test_owners_come_from_the_pools_where_there_are_any if {
	said := {
		"packs": {"export": {"company_buckets": ["analytics-exports"]}},
		"pools": [
			{"name": "crm owners", "groups": ["crm"], "resources": ["table:crm.*"], "quorum": 2},
			{"name": "data office", "groups": ["data-office"], "fallback": true},
		],
	}
	decision := _export(_personal) with data.settings as said
	testing.quorums(decision) == {"crm owners": 2}
	elsewhere := _export(object.union(_personal, {"context": {"resource": {"id": "shop.orders"}, "arguments": {"table": "shop.orders"}}})) with data.settings as said
	testing.quorums(elsewhere) == {"data office": 1}
}

test_a_malformed_setting_is_seen if {
	every said in [{"packs": {"export": {"large_rows": "many"}}}, {"packs": {"export": {"large_row": 5}}}, {"pools": "all"}] {
		decision := _export({}) with data.settings as said
		decision.effect == "deny"
		"policy.settings_invalid" in testing.codes(decision)
	}
}
