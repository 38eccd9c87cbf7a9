# Mistakes of layout that would leave a rule unread. Travels with the library,
# so it runs over the rule packages of whoever uses it.
package countersign.tests.layout

import data.countersign.testing

_read := {"allow", "deny", "mask", "needs"}

_near_misses := {"allowed", "allows", "denied", "denies", "masked", "masks", "need", "needed"}

test_every_contribution_stands_one_level_below_rules if {
	_misplaced == set()
}

test_no_contribution_has_a_name_that_is_never_read if {
	misspelt := {[name, rule] |
		some name, rules in data.countersign.rules with input as testing.given({})
		some rule, _ in rules
		rule in _near_misses
	}
	misspelt == set()
}

_misplaced := {path |
	walk(data.countersign.rules, [path, contribution]) with input as testing.given({})
	is_set(contribution)
	path[count(path) - 1] in _read
	count(path) != 2
}

test_a_nested_package_is_found if {
	_misplaced != set() with data.countersign.rules as {"team": {"export": {"deny": set()}}}
}
