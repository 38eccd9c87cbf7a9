# METADATA
# title: Tickets
# description: ticket.close runs on its own; ticket.delete asks the support leads.
package countersign.rules.tickets

import data.countersign.lib

allow contains {
	"code": "ticket.close",
	"message": "closing a ticket harms nobody",
} if {
	input.context.action == "ticket.close"
}

needs contains {
	"code": "ticket.delete",
	"message": "a ticket of production is deleted for good",
	"stages": [{"name": "support", "groups": ["support-leads"]}],
	"must_show": {"/resource"},
	"require_reason": true,
} if {
	input.context.action == "ticket.delete"
	lib.production
}
