# Who is asked, in an emergency too, and what was approved beforehand.
package countersign.tests.people

import data.countersign.lib
import data.countersign.testing

_owned(owner, environment) := testing.given({"context": {
	"environment": environment,
	"resource": {"type": "table", "id": "crm.customers", "owner": owner},
}})

_pools := {"pools": [
	{"name": "crm", "groups": ["crm-owners"], "quorum": 2, "resources": ["table:crm.*"]},
	{"name": "production crm", "people": ["ada"], "resources": ["table:crm.*"], "tiers": ["production"]},
	{"name": "sales", "groups": ["sales"], "owners": ["sales-team"]},
	{"name": "data office", "groups": ["data-office"], "fallback": true},
]}

_names(stages) := [stage.name | some stage in stages]

test_pools_are_asked_by_resource_and_tier if {
	production := lib.pool_stages with input as _owned("", "production") with data.settings as _pools
	production == [{"name": "crm", "groups": ["crm-owners"], "quorum": 2}, {"name": "production crm", "people": ["ada"]}]
	staging := lib.pool_stages with input as _owned("", "staging") with data.settings as _pools
	_names(staging) == ["crm"]
}

test_an_owner_that_is_only_said_adds_a_pool_and_replaces_none if {
	said := lib.pool_stages with input as _owned("sales-team", "staging") with data.settings as _pools
	_names(said) == ["crm", "sales"]
	elsewhere := object.union(_owned("sales-team", "staging"), {"context": {"resource": {"id": "shop.orders"}}})
	found := lib.pool_stages with input as elsewhere with data.settings as _pools
	_names(found) == ["sales", "data office"]
}

test_where_nobody_is_known_the_fallback_is_asked if {
	elsewhere := object.union(_owned("", "production"), {"context": {"resource": {"id": "shop.orders"}}})
	found := lib.pool_stages with input as elsewhere with data.settings as _pools
	_names(found) == ["data office"]
	nobody := lib.pool_stages with input as elsewhere with data.settings as {"pools": [_pools.pools[0]]}
	nobody == []
	malformed := lib.pool_stages with input as elsewhere with data.settings as {"pools": array.concat(_pools.pools, [{"name": "x"}])}
	malformed == []
}

test_a_quorum_is_only_ever_raised if {
	lib.at_least({"name": "a"}, 2).quorum == 2
	lib.at_least({"name": "a", "quorum": 3}, 2).quorum == 3
}

test_an_emergency_way_is_that_of_the_settings if {
	way := {"groups": ["on-call"], "review_by": {"groups": ["platform"]}}
	given := lib.with_break_glass({"code": "a"}) with data.settings as {"break_glass": way}
	given == {"code": "a", "break_glass": way}
	every said in [{}, {"break_glass": {"groups": ["on-call"]}}, {"break_glass": "on-call"}] {
		bare := lib.with_break_glass({"code": "a"}) with data.settings as said
		bare == {"code": "a"}
	}
}

# --- approved beforehand -----------------------------------------------------

_arguments := {"workspace": "eu-1", "plan": {"create": 1}}

_context := {
	"action": "infra.apply",
	"arguments": _arguments,
	"resource": {"type": "cluster", "id": "eu-1"},
}

_executor := {"context": _context, "verified": {"caller": "gateway"}}

_listed(more) := {"preapproved": {"infra.apply": [object.union(
	{
		"name": "minor upgrade", "environment": "production", "resource": {"type": "cluster", "id": "eu-1"},
		"arguments": _arguments, "executors": ["gateway"], "expires": "2026-11-26T00:00:00Z",
	},
	more,
)]}}

_passes(changes, said) if {
	lib.preapproved with input as testing.given(object.union(_executor, changes)) with data.settings as said
}

# A policy that asks about everything.
_asking := {"own": {
	"needs": {{"code": "own.asks", "message": "always", "stages": [{"name": "owner", "groups": ["owners"]}]}},
	"deny": set(),
}}

_decide(changes, said) := decision if {
	decision := testing.decide(object.union(_executor, changes)) with data.settings as said
		with data.countersign.rules as _asking
}

test_a_listed_change_passes_for_its_executor if {
	_passes({}, _listed({}))
	decision := _decide({}, _listed({}))
	decision.effect == "allow"
	"preapproved" in testing.codes(decision)
}

test_whoever_only_says_so_is_asked_like_everybody if {
	every changes in [
		{"verified": {"caller": "agent"}},
		{"verified": {"caller": "agent", "claimant": "gateway"}},
		{"verified": {"caller": "agent"}, "context": {"actor": {"id": "gateway"}, "on_behalf_of": [{"type": "workload", "id": "gateway"}]}},
		{"verified": {"caller": null}},
	] {
		not _passes(changes, _listed({}))
		decision := _decide(changes, _listed({}))
		decision.effect == "needs_approval"
	}
}

test_one_difference_is_another_change if {
	every changes in [
		{"context": {"arguments": {"plan": {"create": 2}}}},
		{"context": {"arguments": {"force": true}}},
		{"context": {"resource": {"id": "eu-2"}}},
		{"context": {"resource": {"type": "clusters"}}},
		{"context": {"resource": {"attributes": {"region": "us"}}}},
		{"context": {"environment": "staging"}},
		{"context": {"action": "infra.destroy"}},
	] {
		not _passes(changes, _listed({}))
	}
}

test_it_holds_for_its_time_alone if {
	not _passes({"time": "2026-11-26T00:00:00Z"}, _listed({}))
	not _passes({}, _listed({"from": "2026-11-25T12:00:01Z"}))
	_passes({}, _listed({"from": "2026-11-25T12:00:00Z"}))
	not _passes({"time": "whenever"}, _listed({}))
}

test_it_holds_once_a_day_unless_more_is_said if {
	not _passes({"recent": {"day": {"allow": 1}}}, _listed({}))
	not _passes({"recent": {"day": {"claimed": 1}}}, _listed({}))
	_passes({"recent": {"day": {"allow": 1}}}, _listed({"max_per_day": 2}))
	not _passes({"recent": {"day": {"allow": null}}}, _listed({"max_per_day": 2}))
}

test_at_claim_votes_count_and_nothing_else if {
	not _passes({"approval": testing.approved, "verified": {"claimant": "gateway"}}, _listed({}))
}

test_a_denial_stands_above_it if {
	_decide({"findings": {"complete": false}}, _listed({})).effect == "deny"
	refusing := {"own": {"deny": {{"code": "own.refuses", "message": "never"}}}}
	decision := testing.decide(_executor) with data.settings as _listed({})
		with data.countersign.rules as refusing
	testing.codes(decision) == {"own.refuses"}
}

test_a_list_that_is_malformed_passes_nothing if {
	every more in [{"expires": "soon"}, {"executors": []}, {"executor": ["gateway"]}, {"max_per_day": 0}] {
		not _passes({}, _listed(more))
		decision := _decide({}, _listed(more))
		decision.effect == "deny"
		"policy.settings_invalid" in testing.codes(decision)
	}
}

test_a_digest_stands_for_the_whole_change if {
	digest := lib.change_digest with input as testing.given(_executor)
	said := {"preapproved": {"infra.apply": [object.union(
		object.remove(_listed({}).preapproved["infra.apply"][0], {"arguments"}),
		{"digest": digest},
	)]}}
	_passes({}, said)
	not _passes({"context": {"arguments": {"plan": {"create": 2}}}}, said)
	not _passes({"context": {"resource": {"attributes": {"a": 1}}}}, said)
	_passes({"context": {"reason": "because", "session": "s"}}, said)

	# Both have to fit.
	_passes({}, _listed({"digest": digest}))
	not _passes({}, _listed({"digest": digest, "arguments": {"workspace": "eu-2"}}))
	not _passes({}, _listed({"digest": "sha256:0000000000000000000000000000000000000000000000000000000000000000"}))
}
