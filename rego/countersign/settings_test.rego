# Settings: the first test looks at those of whoever uses the library, and names
# what is malformed; the others at made-up ones.
package countersign.tests.settings

import data.countersign.settings
import data.countersign.testing

test_the_settings_are_well_formed if {
	settings.invalid == set()
}

_whole := {
	"environments": {"lab": "dev", "preview": "staging", "live": "production"},
	"personal_classes": ["employee"],
	"working_hours": {"zone": "Asia/Tokyo", "from": "09:00", "until": "24:00", "days": ["Sunday"]},
	"holidays": ["2026-12-25"],
	"freezes": [{
		"name": "turn of the year", "from": "2026-12-19T00:00", "until": "2027-01-04T00:00", "zone": "UTC",
		"tiers": ["staging", "production"], "actions": ["deploy.*"], "except_actions": ["deploy.rollback"],
		"except_resources": ["service:status-*"],
	}],
	"maintenance_windows": [{
		"name": "sunday night", "resources": ["database:*"], "days": ["Sunday"], "from": "22:00", "until": "04:00",
		"zone": "Europe/Berlin",
	}],
	"pools": [{"name": "crm", "groups": ["crm-owners"], "people": ["ada"], "quorum": 2, "resources": ["table:crm.*"], "owners": ["crm"], "tiers": ["production"], "fallback": false}],
	"stages": {"finance": {"groups": ["treasury"]}},
	"break_glass": {"groups": ["on-call"], "review_by": {"people": ["ada"]}},
	"preapproved": {"infra.apply": [{
		"name": "minor upgrade", "environment": "production", "resource": {"type": "cluster", "id": "eu-1"},
		"arguments": {}, "executors": ["gateway"], "from": "2026-11-01T00:00:00Z", "expires": "2026-12-01T00:00:00Z",
		"max_per_day": 3,
	}]},
	"risk": {"weights": {"leaves": 50, "own": 5}, "levels": {"medium": 10}, "quorums": {"critical": 4}},
}

test_everything_that_may_be_said_is_well_formed if {
	settings.invalid == set() with data.settings as _whole
	settings.invalid == set() with data.settings as {}
	settings.invalid == set() with data.settings as null
	every section, _ in _whole {
		settings.sound({section}) with data.settings as _whole
		settings.sound({section}) with data.settings as {}
	}
}

# place, and what stands there
_malformed := {
	"environments.lab": ["environments", {"lab": "Production"}],
	"environments.live": ["environments", {"live": null}],
	"environments": ["environments", null],
	"packs": ["packs", false],
	"personal_classes": ["personal_classes", "employee"],
	"personal_classes.0": ["personal_classes", ["Employee Data"]],
	"holidays.1": ["holidays", ["2026-12-25", "2026-12-32"]],
	"holidays.0": ["holidays", [20261225]],
	"working_hours.zone": ["working_hours", {"zone": "Europe/Nowhere", "from": "09:00", "until": "17:00"}],
	"working_hours.from": ["working_hours", {"zone": "UTC", "from": 9, "until": "17:00"}],
	"working_hours.until": ["working_hours", {"zone": "UTC", "from": "09:00"}],
	"working_hours.day": ["working_hours", {"zone": "UTC", "from": "09:00", "until": "17:00", "day": ["Monday"]}],
	"working_hours.days": ["working_hours", {"zone": "UTC", "from": "09:00", "until": "17:00", "days": ["Mon"]}],
	"freezes": ["freezes", {"from": "2026-12-19T00:00"}],
	"freezes.0": ["freezes", ["2026-12-19"]],
	"freezes.0.from": ["freezes", [{"name": "x", "from": "2026-12-19", "until": "2027-01-04T00:00", "zone": "UTC"}]],
	"freezes.0.until": ["freezes", [{"name": "x", "from": "2026-12-19T00:00", "until": "2026-01-04T00:00", "zone": "UTC"}]],
	"freezes.0.zone": ["freezes", [{"name": "x", "from": "2026-12-19T00:00", "until": "2027-01-04T00:00"}]],
	"freezes.0.tiers": ["freezes", [{"name": "x", "from": "2026-12-19T00:00", "until": "2027-01-04T00:00", "zone": "UTC", "tiers": ["prod"]}]],
	"freezes.0.actions": ["freezes", [{"name": "x", "from": "2026-12-19T00:00", "until": "2027-01-04T00:00", "zone": "UTC", "actions": ["deploy.(a|b)"]}]],
	"maintenance_windows.0.resources": ["maintenance_windows", [{"name": "x", "resources": [], "days": ["Sunday"], "from": "22:00", "until": "04:00", "zone": "UTC"}]],
	"maintenance_windows.0.from": ["maintenance_windows", [{"name": "x", "resources": ["a:*"], "days": ["Sunday"], "from": "22", "until": "04:00", "zone": "UTC"}]],
	"pools.0": ["pools", [{"name": "x"}]],
	"pools.0.groups": ["pools", [{"name": "x", "groups": []}]],
	"pools.0.quorum": ["pools", [{"name": "x", "groups": ["y"], "quorum": 0}]],
	"pools.0.fallback": ["pools", [{"name": "x", "groups": ["y"], "fallback": "no"}]],
	"stages.finance.group": ["stages", {"finance": {"group": ["x"], "name": "y"}}],
	"stages.finance": ["stages", {"finance": {}}],
	"break_glass.review_by": ["break_glass", {"groups": ["x"]}],
	"break_glass": ["break_glass", {"review_by": {"groups": ["x"]}}],
	"preapproved.a.b": ["preapproved", {"a.b": {}}],
	"preapproved.a.b.0.executors": ["preapproved", {"a.b": [{"name": "x", "environment": "production", "resource": {"type": "t", "id": "i"}, "arguments": {}, "executors": [], "expires": "2026-12-01T00:00:00Z"}]}],
	"preapproved.a.b.0.expires": ["preapproved", {"a.b": [{"name": "x", "environment": "production", "resource": {"type": "t", "id": "i"}, "arguments": {}, "executors": ["g"], "expires": "tomorrow"}]}],
	"preapproved.a.b.0.resource": ["preapproved", {"a.b": [{"name": "x", "environment": "production", "resource": {"type": "t", "id": "i", "owner": "o"}, "arguments": {}, "executors": ["g"], "expires": "2026-12-01T00:00:00Z"}]}],
	"preapproved.a.b.0.digest": ["preapproved", {"a.b": [{"name": "x", "environment": "production", "resource": {"type": "t", "id": "i"}, "digest": "abc", "executors": ["g"], "expires": "2026-12-01T00:00:00Z"}]}],
	"preapproved.a.b.0": ["preapproved", {"a.b": [{"name": "x", "environment": "production", "resource": {"type": "t", "id": "i"}, "executors": ["g"], "expires": "2026-12-01T00:00:00Z"}]}],
	"risk.weight": ["risk", {"weight": {"leaves": 5}}],
	"risk.weights": ["risk", {"weights": 5}],
	"risk.weights.leaves": ["risk", {"weights": {"leaves": -5}}],
	"risk.levels.urgent": ["risk", {"levels": {"urgent": 5}}],
	"risk.quorums.high": ["risk", {"quorums": {"high": 1.5}}],
}

# A set of what went wrong, so that a failing case can be read with `opa eval`.
unnoticed contains place if {
	some place, [section, value] in _malformed
	found := settings.invalid with data.settings as {section: value}
	not place in found
}

unnoticed contains place if {
	some place, [section, value] in _malformed
	settings.sound({section}) with data.settings as {section: value}
}

test_what_is_malformed_is_named_and_not_relied_on if {
	unnoticed == set()
}

test_what_nothing_reads_is_denied_by_every_decision if {
	every said in [{"freezs": []}, {"packs": {"exprot": {"max_rows": 5}}}, {"packs": {"layout": {}}}, {"packs": "all"}, {"packs": null}, [1], "text"] {
		decision := data.countersign.decision with input as testing.given({"context": {"environment": "dev", "action": "iam.revoke"}})
			with data.settings as said
		testing.codes(decision) == {"policy.settings_invalid"}
	}
}

test_settings_of_a_pack_have_the_shape_of_its_defaults if {
	defaults := {"max_rows": 10, "buckets": ["a"], "strict": true, "name": "x"}
	every given in [{}, {"max_rows": 0}, {"buckets": []}, {"strict": false}, {"name": "y", "max_rows": 7}] {
		found := settings.invalid with data.settings as {"packs": {"made_up": given}}
			with data.countersign.rules as {"made_up": {"defaults": defaults}}
		found == set()
		_pack_sound({"packs": {"made_up": given}}, defaults)
	}
	every given in [
		{"max_rows": "10"}, {"max_rows": null}, {"max_rows": -1}, {"max_rows": 1.5}, {"max_row": 10}, {"buckets": "a"},
		{"buckets": [1]}, {"strict": "no"}, {"name": ""}, {"name": 5},
	] {
		found := settings.invalid with data.settings as {"packs": {"made_up": given}}
			with data.countersign.rules as {"made_up": {"defaults": defaults}}
		found == {sprintf("packs.made_up.%s", [name]) | some name, _ in given}
		not _pack_sound({"packs": {"made_up": given}}, defaults)
	}
	not _pack_sound({"packs": {"made_up": 5}}, defaults)
	settings.of("made_up", defaults).max_rows == 5 with data.settings as {"packs": {"made_up": {"max_rows": 5}}}
}

_pack_sound(said, defaults) if {
	settings.of("made_up", defaults) with data.settings as said
}

test_a_malformed_change_denies_the_decisions_on_its_action_alone if {
	said := {"preapproved": {"db.export": [{"name": "x"}]}}
	decision := data.countersign.decision with input as testing.given({"context": {"action": "db.export"}})
		with data.settings as said
	"policy.settings_invalid" in testing.codes(decision)
	other := data.countersign.decision with input as testing.given({"context": {"action": "unheard.of"}})
		with data.settings as said
	testing.codes(other) == {"policy.no_rule"}
}

test_an_environment_of_no_tier_is_seen_where_it_is_asked_about if {
	said := {"environments": {"lab": "Dev", "dev": "dev"}}
	decision := testing.decide({"context": {"environment": "lab"}}) with data.settings as said
	testing.codes(decision) == {"policy.settings_invalid"}
	other := testing.decide({"context": {"environment": "dev"}}) with data.settings as said
	testing.codes(other) == {"policy.no_rule"}
}

test_stages_are_laid_over if {
	standard := {"name": "finance", "groups": ["finance"], "quorum": 2}
	settings.stage("finance", standard) == standard with data.settings as {}
	settings.stage("finance", standard).groups == ["treasury"] with data.settings as _whole
}
