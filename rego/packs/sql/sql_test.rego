# SQL, as a table and as attacks.
package countersign.tests.sql

import data.countersign.testing

_sql(verb, predicate) := {"findings": {"facts": {"sql": {
	"verb": verb,
	"tables": ["customers"],
	"predicate": predicate,
	"calls": false,
	"statements": 1,
}}}}

_calling(verb, predicate) := object.union(_sql(verb, predicate), {"findings": {"facts": {"sql": {"calls": true}}}})

_with(arguments) := {"context": {"arguments": arguments}}

_cases := [
	["dev", _sql("delete", "none"), "allow", {}],
	["dev", {}, "needs_approval", {"dba": 1}],
	["staging", _sql("select", "none"), "allow", {}],
	["staging", _sql("delete", "by_key"), "allow", {}],
	["staging", _sql("delete", "always_true"), "needs_approval", {"dba": 1}],
	["staging", _sql("alter", "none"), "needs_approval", {"dba": 1}],
	["staging", _sql("vacuum", "none"), "needs_approval", {"dba": 1}],
	["production", _sql("select", "by_key"), "allow", {}],
	["production", _sql("select", "other"), "needs_approval", {"dba": 1}],
	["production", _sql("other", "by_key"), "needs_approval", {"dba": 1}],
	["production", _calling("select", "by_key"), "needs_approval", {"dba": 1}],
	["staging", _calling("select", "by_key"), "needs_approval", {"dba": 1}],
	["staging", _calling("insert", "none"), "needs_approval", {"dba": 1}],
	["staging", _sql("other", "none"), "needs_approval", {"dba": 1}],
	["production", object.union(_sql("select", "by_key"), _with({"after": "x"})), "needs_approval", {"dba": 1}],
	["staging", object.union(_sql("select", "by_key"), _with({"after": "x"})), "needs_approval", {"dba": 1}],
	["production", {"findings": {"facts": {"sql": {"verb": "select", "predicate": "by_key"}}}}, "needs_approval", {"dba": 1}],
	["production", _sql("select", "range"), "needs_approval", {"dba": 1}],
	["production", _sql("select", "none"), "needs_approval", {"dba": 1}],
	["production", _sql("insert", "other"), "needs_approval", {"dba": 1}],
	["production", _sql("update", "by_key"), "needs_approval", {"dba": 1}],
	["production", _sql("delete", "range"), "needs_approval", {"dba": 1}],
	["production", _sql("delete", "none"), "deny", {}],
	["production", _sql("update", "always_true"), "deny", {}],
	["production", _sql("update", "other"), "deny", {}],
	["production", _sql("create", "none"), "needs_approval", {"dba": 1}],
	["production", _sql("drop", "none"), "needs_approval", {"dba": 2}],
	["production", _sql("call", "none"), "needs_approval", {"dba": 1}],
	["staging", _sql("multiple", "other"), "needs_approval", {"dba": 1}],
	["production", _sql("multiple", "other"), "deny", {}],
	["production", {}, "deny", {}],
]

test_every_case_comes_out_as_listed if {
	testing.wrong("sql.execute", _cases) == set()
}

test_a_narrow_range_with_a_limit_is_read_without_asking if {
	narrow := object.union(_sql("select", "range"), {"findings": {"facts": {"sql": {"limit": 100}}}})
	testing.decide_case("sql.execute", ["production", narrow]).effect == "allow"
	wide := object.union(narrow, {"findings": {"facts": {"sql": {"limit": 1001}}}})
	testing.codes(testing.decide_case("sql.execute", ["production", wide])) == {"sql.scan"}
}

# --- attacks -----------------------------------------------------------------

_read := _sql("select", "by_key")

test_a_table_read_row_by_row_asks if {
	every hour in [{"allow": 200}, {"allow": null}] {
		decision := testing.decide_case("sql.execute", ["production", object.union(_read, {"recent": {"hour": hour}})])
		testing.codes(decision) == {"sql.many"}
	}
	held := object.union(_read, {"recent": {"hour": {"allow": 900}}, "approval": testing.approved})
	testing.decide_case("sql.execute", ["production", held]).effect == "allow"
}

_careful := {"packs": {"sql": {"sensitive_tables": ["hr.*", "salaries"]}}}

_touching(tables, more) := object.union(_read, {"findings": {"facts": {"sql": object.union({"tables": tables}, more)}}})

test_sensitive_tables_are_never_read_on_their_own if {
	every tables in [["hr.people"], ["customers", "salaries"], ["finance.salaries"], ["people"], ["[OTHER]"], null] {
		decision := testing.decide_case("sql.execute", ["production", _touching(tables, {})]) with data.settings as _careful
		"sql.sensitive" in testing.codes(decision)
	}
	more := testing.decide_case("sql.execute", ["production", _touching(["crm.customers"], {"tables_more": 3})]) with data.settings as _careful
	"sql.sensitive" in testing.codes(more)
	plain := testing.decide_case("sql.execute", ["production", _touching(["crm.customers"], {})]) with data.settings as {"packs": {"sql": {"sensitive_tables": ["hr.people", "salaries"]}}}
	plain.effect == "allow"
}

test_a_statement_under_another_name_is_refused_in_production if {
	# No fact is made from what is called otherwise.
	decision := testing.decide_case("sql.execute", ["production", _with({"q": "delete from customers"})])
	"sql.unreadable" in testing.codes(decision)
}

test_parameters_that_are_more_than_values_ask if {
	every arguments in [
		{"parameters": {"id": {"$ne": null}}}, {"parameters": [[1, 2]]}, {"database": "crm; drop"}, {"schema": null},
		{"params": [1]},
	] {
		decision := testing.decide_case("sql.execute", ["production", object.union(_read, _with(arguments))])
		testing.codes(decision) == {"sql.unread"}
	}
}

test_a_limit_that_is_no_number_limits_nothing if {
	every limit in ["5", null, [5]] {
		narrow := object.union(_sql("select", "range"), {"findings": {"facts": {"sql": {"limit": limit}}}})
		testing.codes(testing.decide_case("sql.execute", ["production", narrow])) == {"sql.scan"}
	}
}

test_no_message_repeats_the_input if {
	decision := testing.decide_case("sql.execute", ["production", _with({"sql": "MARK"})])
	not contains(json.marshal(decision.reasons), "MARK")
}

test_a_malformed_setting_is_seen if {
	decision := testing.decide_case("sql.execute", ["production", _read]) with data.settings as {"packs": {"sql": {"max_rows": -1}}}
	testing.codes(decision) == {"policy.settings_invalid"}
}
