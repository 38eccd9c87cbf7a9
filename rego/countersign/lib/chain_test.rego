# Who asks, and who is none of them.
package countersign.tests.chain

import data.countersign.lib
import data.countersign.testing

_asked := {
	"context": {
		"actor": {"type": "workload", "id": "Export-Agent"},
		"arguments": {"principal": "kim"},
		"on_behalf_of": [{"type": "person", "id": "ada"}, {"type": "workload", "id": "planner"}],
	},
	"verified": {"caller": "gateway", "owners": ["alice"], "users": ["bob"], "parent": "root", "person": "carol", "claimant": "runner"},
}

test_everyone_known_or_named_is_a_requester if {
	found := lib.requesters with input as testing.given(_asked)
	found == {"export-agent", "ada", "planner", "gateway", "alice", "bob", "root", "carol", "runner"}
}

test_what_is_absent_leaves_the_others if {
	found := lib.requesters with input as {"verified": {"caller": "gateway", "parent": null}, "context": {"on_behalf_of": null}}
	found == {"gateway"}
	found_of_nothing := lib.requesters with input as {}
	found_of_nothing == set()
}

test_outside_is_who_does_not_ask if {
	lib.outside_chain("principal") with input as testing.given(_asked)
	every principal in ["ada", " ADA ", "export-agent", "gateway", "carol", "root", "bob", "", "  ", null, 5, ["kim"]] {
		not lib.outside_chain("principal") with input as testing.given(object.union(_asked, {"context": {"arguments": {"principal": principal}}}))
	}
	not lib.outside_chain("other") with input as testing.given(_asked)
	not lib.outside_chain("principal") with input as {"context": {"arguments": {"principal": "kim"}}}
}

test_the_chain_has_a_length_and_kinds if {
	lib.chain_below(3) with input as testing.given(_asked)
	not lib.chain_below(2) with input as testing.given(_asked)
	lib.chain_internal with input as testing.given(_asked)
	lib.person_named with input as testing.given(_asked)
	outside := {"context": {"on_behalf_of": [{"type": "external", "id": "x"}]}}
	not lib.chain_internal with input as testing.given(outside)
	not lib.person_named with input as testing.given(outside)
	every chain in [null, "ada"] {
		not lib.chain_below(9) with input as testing.given({"context": {"on_behalf_of": chain}})
		not lib.chain_internal with input as testing.given({"context": {"on_behalf_of": chain}})
	}
}

test_the_caller_is_known_and_not_said if {
	lib.caller_is({"gateway"}) with input as testing.given(_asked)
	not lib.caller_is({"Export-Agent"}) with input as testing.given(_asked)
	not lib.caller_is({"gateway"}) with input as {}
	not lib.no_parent with input as testing.given(_asked)
	lib.no_parent with input as testing.given({})
	not lib.no_parent with input as {}
}

test_arguments_are_spelt_out_or_not if {
	lib.only_arguments({"a", "b"}) with input.context.arguments as {"a": 1}
	lib.only_arguments({"a"}) with input.context.arguments as {}
	every arguments in [{"c": 1}, {"a": 1, "A": 2}, null, ["a"], "a"] {
		not lib.only_arguments({"a", "b"}) with input.context.arguments as arguments
	}
	not lib.only_arguments({"a"}) with input as {}
}

test_resources_match_patterns_to_the_letter if {
	cases := {
		["table:crm.*", "table", "crm.customers"]: true,
		["table:*", "table", "a\nb"]: true,
		["*", "table", "x"]: true,
		["table:crm.customers", "table", "crm.customers"]: true,
		["table:crm.customers", "table", "crm_customers"]: false,
		["table:crm.*", "tables", "crm.x"]: false,
		["table:crm.*", "table", "xcrm.x"]: false,
		["table:*.x", "table", "crm.xy"]: false,
		["*:eu-1", "cluster", "eu-1"]: true,
	}
	every case, expected in cases {
		_matches(case) == expected
	}
	not lib.resource_is([]) with input.context.resource as {"type": "a", "id": "b"}
	not lib.resource_is(["*"]) with input as {}
}

_matches(case) if {
	lib.resource_is([case[0]]) with input.context.resource as {"type": case[1], "id": case[2]}
} else := false

test_single_values_are_plain if {
	every value in ["kim", "registry/web:1.2.3", "a@b", 5, 0, true, false] {
		lib.plain({"a"}) with input.context.arguments as {"a": value}
	}
	every value in ["", " kim", "a b", "a,b", "a*", "k\u0456m", "kim\u200b", "-x", null, [], {}, ["kim"]] {
		not lib.plain({"a"}) with input.context.arguments as {"a": value}
	}
	lib.plain({"a"}) with input.context.arguments as {"b": []}
	not lib.plain({"a"}) with input as {}
}
