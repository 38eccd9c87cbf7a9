package countersign.tests.tickets

import data.countersign.testing

test_what_is_deleted_can_be_shown if {
	decision := testing.decide({"context": {"action": "ticket.delete"}})
	testing.quorums(decision) == {"support": 1}
	testing.unshowable(decision) == set()
}
