# METADATA
# title: Data export
# description: |
#   db.export. Internal exports that are known to hold no personal data run on
#   their own; personal data needs its owner, leaving the organisation needs
#   security as well, and a credential never leaves at all.
#   Arguments: table, columns (a list of names), destination, row_count.
package countersign.rules.export

import data.countersign.lib
import data.countersign.settings
import data.countersign.stages

# METADATA
# title: Settings
# description: |
#   Buckets of our own; from how many rows an export is large; what an hour and a
#   day may come to before somebody is asked.
defaults := {
	"company_buckets": [],
	"large_rows": 100000,
	"allowed_per_hour": 20,
	"let_through_per_day": 100,
	"rows_per_day": 250000,
}

_settings := settings.of("export", defaults)

deny contains settings.refusal if {
	input.context.action == "db.export"
	not _settled
}

_settled if {
	_settings
	settings.sound({"personal_classes", "pools", "stages"})
}

# What an export that runs on its own may say; anything else may be what counts.
_plain_arguments := {"table", "columns", "format", "destination", "row_count"}

deny contains {
	"code": "export.secret",
	"message": "the export carries a credential; leave that column out or reference it by name",
} if {
	input.context.action == "db.export"
	lib.secrets
}

deny contains {
	"code": "export.no_destination",
	"message": "an export has to say where it goes; set arguments.destination",
} if {
	input.context.action == "db.export"
	not lib.says("destination")
}

deny contains {
	"code": "export.many_destinations",
	"message": "nobody can judge so many destinations at once; name at most twenty",
} if {
	input.context.action == "db.export"
	input.findings.facts.destination.more > 0
}

needs contains {
	"code": "export.personal",
	"message": "export of personal data",
	"stages": stages.owners,
	"must_show": _always_shown,
	"channel": "teams:data-approvals",
} if {
	input.context.action == "db.export"
	not lib.dev
	lib.personal_data
}

# An agent that names no columns must not have an easier time than one that does.
needs contains {
	"code": "export.unnamed_columns",
	"message": "export that does not name its columns, so it may hold personal data",
	"stages": stages.owners,
	"must_show": _always_shown,
	"channel": "teams:data-approvals",
} if {
	input.context.action == "db.export"
	not lib.dev
	not lib.columns_known
}

needs contains {
	"code": "export.large",
	"message": "export of many rows",
	"stages": stages.owners,
	"must_show": _always_shown,
	"channel": "teams:data-approvals",
} if {
	input.context.action == "db.export"
	lib.production
	not lib.below("rows", _settings.large_rows)
}

needs contains {
	"code": "export.external",
	"message": "export to a destination outside the organisation",
	"stages": [stages.security],
	"must_show": (_always_shown | lib.shown({"destination.domain", "destination.domains"})),
	"require_reason": true,
	"approve_within_s": 1800,
} if {
	input.context.action == "db.export"
	not _internal
}

# Clicks in a channel prove the account; what leaves with personal data in it
# deserves a proven person.
needs contains {
	"code": "export.personal_external",
	"message": "personal data leaves the organisation",
	"stages": array.concat(stages.owners, [stages.security]),
	"min_assurance": "person",
} if {
	input.context.action == "db.export"
	lib.production
	not _impersonal
	not _internal
}

# Many small exports are one large export. Judged at Check only: a vote that was
# cast must not lose its worth because others were served meanwhile.
needs contains {
	"code": "export.many",
	"message": "many exports were allowed within the hour",
	"stages": stages.owners,
	"channel": "teams:data-approvals",
} if {
	input.context.action == "db.export"
	not lib.dev
	not lib.at_claim
	not lib.recently_below("hour", "allow", _settings.allowed_per_hour)
}

needs contains {
	"code": "export.many_today",
	"message": "many exports were let through within the day",
	"stages": stages.owners,
	"channel": "teams:data-approvals",
} if {
	input.context.action == "db.export"
	not lib.dev
	not lib.at_claim
	not lib.let_through_below("day", _settings.let_through_per_day)
}

# What is large by itself is asked about above, also where nobody knows.
needs contains {
	"code": "export.adds_up",
	"message": "the exports of a day come to very many rows with this one",
	"stages": stages.owners,
	"must_show": _always_shown,
	"channel": "teams:data-approvals",
} if {
	input.context.action == "db.export"
	lib.production
	not lib.at_claim
	lib.below("rows", _settings.large_rows)
	not lib.adds_up_below("day", "rows", _settings.rows_per_day)
}

# What a caller may touch is judged by the resource, what it gets by the table.
needs contains {
	"code": "export.other_table",
	"message": "the export names another table than its resource",
	"stages": stages.owners,
	"must_show": _always_shown,
	"require_reason": true,
	"channel": "teams:data-approvals",
} if {
	input.context.action == "db.export"
	input.context.resource.type == "table"
	not _table in {"unnamed", input.context.resource.id}
}

needs contains {
	"code": "export.unread",
	"message": "export with arguments that no rule knows",
	"stages": stages.owners,
	"must_show": _always_shown,
	"channel": "teams:data-approvals",
} if {
	input.context.action == "db.export"
	not lib.dev
	_internal
	_impersonal
	not _spelt_out
}

allow contains {
	"code": "export.internal",
	"message": "internal export without personal data",
} if {
	input.context.action == "db.export"
	_internal
	_impersonal
}

allow contains {
	"code": "export.dev",
	"message": "internal export of development data",
} if {
	input.context.action == "db.export"
	lib.dev
	_internal
}

# Bare numbers look like nothing to a detector; only policy knows whose they are.
mask contains "/arguments/customer_ids" if input.context.action == "db.export"

_always_shown := {"/resource", "/arguments/destination"} | lib.shown({"rows"})

# A table that is a query or a column that is a whole row hold more than they say.
_spelt_out if {
	lib.only_arguments(_plain_arguments)
	regex.match(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*){0,3}$`, _table)
	regex.match(`^[a-z]{1,16}$`, object.get(input.context.arguments, "format", "any"))
	every column in input.context.arguments.columns {
		not lower(column) in _whole_rows
	}
}

_table := object.get(input.context.arguments, "table", "unnamed")

_whole_rows := {lower(word) |
	some name in [_table, input.context.resource.id]
	some word in regex.split(`[^A-Za-z0-9_]+`, name)
}

_impersonal if {
	lib.columns_known
	lib.impersonal
}

_internal if lib.destination_internal

_internal if {
	destination := input.findings.facts.destination
	destination.scheme == "s3"
	destination.domain in _settings.company_buckets
	destination.count == 1
	destination.unread == 0
}
