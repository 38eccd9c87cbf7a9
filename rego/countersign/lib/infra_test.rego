# What plans and requests to clusters do, once they were read to the end.
package countersign.tests.infrastructure

import data.countersign.lib

_plan := {
	"plans": 1, "unread": 0, "create": 1, "update": 1, "replace": 1, "delete": 0, "other": 0,
	"types": ["aws_db_instance", "aws_vpc"], "destroyed": ["aws_db_instance"],
}

test_a_plan_destroys_what_it_deletes_replaces_or_forgets if {
	lib.terraform_destroys_nothing with input.findings.facts.terraform as object.union(_plan, {"replace": 0})
	every more in [{}, {"replace": 0, "delete": 1}, {"replace": 0, "other": 1}, {"replace": 0, "unread": 1}, {"replace": 0, "plans": 2}] {
		not lib.terraform_destroys_nothing with input.findings.facts.terraform as object.union(_plan, more)
	}
	not lib.terraform_destroys_nothing with input.findings.facts as {}
}

test_a_plan_has_a_size if {
	lib.terraform_below(4) with input.findings.facts.terraform as _plan
	not lib.terraform_below(3) with input.findings.facts.terraform as _plan
	not lib.terraform_below(100) with input.findings.facts.terraform as object.union(_plan, {"create": null})
	not lib.terraform_below(100) with input.findings.facts as {}
}

test_types_are_spared_and_kept if {
	lib.terraform_spares({"aws_iam_*"}) with input.findings.facts.terraform as _plan
	not lib.terraform_spares({"aws_db_*"}) with input.findings.facts.terraform as _plan
	lib.terraform_keeps({"aws_vpc"}) with input.findings.facts.terraform as _plan
	not lib.terraform_keeps({"aws_db_instance"}) with input.findings.facts.terraform as _plan
	not lib.terraform_keeps(set()) with input.findings.facts.terraform as object.union(_plan, {"destroyed": ["[OTHER]"]})
	not lib.terraform_keeps(set()) with input.findings.facts.terraform as object.union(_plan, {"destroyed_more": 1})
	not lib.terraform_spares(set()) with input.findings.facts.terraform as object.remove(_plan, {"types"})
}

_request := {"verb": "apply", "kinds": ["Deployment"], "objects": 1, "namespaces": ["named"], "unread": 0}

test_a_request_is_told_when_it_was_read if {
	lib.kubernetes_verb == "apply" with input.findings.facts.kubernetes as _request
	lib.kubernetes_within({"Deployment"}) with input.findings.facts.kubernetes as _request
	lib.kubernetes_namespaced with input.findings.facts.kubernetes as _request
	not lib.kubernetes_reads with input.findings.facts.kubernetes as _request
	lib.kubernetes_reads with input.findings.facts.kubernetes as object.union(_request, {"verb": "get"})
	every more in [{"unread": 1}, {"kinds_more": 1}, {"verb": "multiple"}, {"verb": "other"}, {"verb": null}] {
		lib.kubernetes_verb == "unknown" with input.findings.facts.kubernetes as object.union(_request, more)
	}
	lib.kubernetes_verb == "unknown" with input.findings.facts as {}
	not lib.kubernetes_within({"Deployment"}) with input.findings.facts.kubernetes as object.union(_request, {"kinds": []})
	not lib.kubernetes_namespaced with input.findings.facts.kubernetes as object.union(_request, {"namespaces": []})
}

test_nothing_is_destroyed_where_nothing_that_acts_may_destroy if {
	select := {"verb": "select", "calls": false, "statements": 1}
	every facts in [
		{"sql": select}, {"shell": {"reads": true}}, {"kubernetes": object.union(_request, {"verb": "create"})},
		{"terraform": object.union(_plan, {"replace": 0})}, {"sql": select, "shell": {"reads": true}},
	] {
		lib.destroys_nothing with input.findings.facts as facts
	}
	every facts in [{}, {"rows": {}}, {"sql": select, "shell": {"reads": false}}, {"sql": {"verb": "delete"}}, {"kubernetes": _request}] {
		not lib.destroys_nothing with input.findings.facts as facts
	}
}
