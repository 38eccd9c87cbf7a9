# METADATA
# title: SQL
# description: |
#   sql.execute, judged by what the statement does and never by its text: the
#   facts stay readable where the literals are masked.
package countersign.rules.sql

import data.countersign.lib
import data.countersign.settings
import data.countersign.stages

# METADATA
# title: Settings
# description: |
#   How many rows a read of production may return on its own, how many reads an
#   hour may have, and tables (`crm.*`) that are never read on their own.
defaults := {"max_rows": 1000, "allowed_per_hour": 200, "sensitive_tables": []}

_settings := settings.of("sql", defaults)

deny contains settings.refusal if {
	input.context.action == "sql.execute"
	not _settled
}

_settled if {
	_settings
	settings.sound({"pools", "stages"})
}

# What a statement that runs on its own may say; anything else may be run as well.
_plain_arguments := {"sql", "statement", "database", "schema", "parameters"}

deny contains {
	"code": "sql.unbounded_write",
	"message": "the statement rewrites or empties a whole table; add a predicate by key or range",
} if {
	input.context.action == "sql.execute"
	lib.production
	_unbounded_change
}

deny contains {
	"code": "sql.unreadable",
	"message": "the statement could not be understood; send one plain statement",
} if {
	input.context.action == "sql.execute"
	lib.production
	lib.sql_verb in {"unknown", "multiple"}
}

needs contains {
	"code": "sql.write",
	"message": "change of rows in production",
	"stages": [stages.dba],
	"must_show": _statement,
} if {
	input.context.action == "sql.execute"
	lib.production
	lib.sql_writes
}

needs contains {
	"code": "sql.unbounded_write",
	"message": "the statement rewrites or empties a whole table",
	"stages": [stages.dba],
	"must_show": _statement,
	"require_reason": true,
} if {
	input.context.action == "sql.execute"
	lib.staging
	_unbounded_change
}

needs contains {
	"code": "sql.ddl",
	"message": "change of the schema or of rights in it",
	"stages": [stages.dba],
	"must_show": _statement,
} if {
	input.context.action == "sql.execute"
	not lib.dev
	lib.sql_ddl
}

needs contains {
	"code": "sql.drop",
	"message": "a whole table or schema is dropped or emptied",
	"stages": [stages.two(stages.dba)],
	"require_reason": true,
	"min_assurance": "person",
} if {
	input.context.action == "sql.execute"
	lib.production
	lib.sql_drops
}

needs contains {
	"code": "sql.scan",
	"message": "read of more production rows than by key or a small limit",
	"stages": [stages.dba],
	"must_show": _statement,
} if {
	input.context.action == "sql.execute"
	lib.production
	lib.sql_verb == "select"
	not _narrow
}

needs contains {
	"code": "sql.unread",
	"message": "a statement with arguments that no rule knows",
	"stages": [stages.dba],
	"must_show": _statement,
	"require_reason": true,
} if {
	input.context.action == "sql.execute"
	not lib.dev
	not _spelt_out
}

needs contains {
	"code": "sql.calls",
	"message": "the statement calls something that may do more than it says",
	"stages": [stages.dba],
	"must_show": _statement,
	"require_reason": true,
} if {
	input.context.action == "sql.execute"
	not lib.dev
	not _calls_nothing
}

needs contains {
	"code": "sql.unusual",
	"message": "not one plain read, change of rows or change of schema",
	"stages": [stages.dba],
	"must_show": _statement,
	"require_reason": true,
} if {
	input.context.action == "sql.execute"
	lib.sql_verb != "select"
	not lib.sql_writes
	not lib.sql_ddl
}

needs contains {
	"code": "sql.sensitive",
	"message": "the statement touches a table that is never read on its own, or one that could not be named",
	"stages": stages.owners,
	"must_show": _statement,
	"require_reason": true,
} if {
	input.context.action == "sql.execute"
	not lib.dev
	count(_settings.sensitive_tables) > 0
	not lib.sql_spares(_settings.sensitive_tables)
}

# A table read row by row is a table read.
needs contains {
	"code": "sql.many",
	"message": "many statements were allowed within the hour",
	"stages": [stages.dba],
	"must_show": _statement,
} if {
	input.context.action == "sql.execute"
	lib.production
	not lib.at_claim
	not lib.recently_below("hour", "allow", _settings.allowed_per_hour)
}

allow contains {
	"code": "sql.dev",
	"message": "statement on a development database",
} if {
	input.context.action == "sql.execute"
	lib.dev
}

allow contains {
	"code": "sql.staging",
	"message": "read or bounded change of rows in staging",
} if {
	input.context.action == "sql.execute"
	lib.staging
	_rows
}

allow contains {
	"code": "sql.narrow_read",
	"message": "read of a few production rows",
} if {
	input.context.action == "sql.execute"
	lib.production
	lib.sql_verb == "select"
	_narrow
}

_rows if lib.sql_verb == "select"

_rows if lib.sql_writes

# Some drivers take objects and lists in parameters for more than values.
_spelt_out if {
	lib.only_arguments(_plain_arguments)
	every name in {"database", "schema"} {
		regex.match(`^[A-Za-z0-9_]*$`, object.get(input.context.arguments, name, ""))
	}
	every value in object.get(input.context.arguments, "parameters", []) {
		not is_object(value)
		not is_array(value)
	}
}

_calls_nothing if input.findings.facts.sql.calls == false

_narrow if lib.sql_by_key

_narrow if {
	lib.sql_bounded
	lib.sql_limited(_settings.max_rows)
}

_unbounded_change if {
	lib.sql_verb in {"update", "delete", "merge"}
	not lib.sql_bounded
}

_statement := {"/resource"} | lib.shown({"sql.verb", "sql.tables", "sql.predicate", "sql.calls"})
