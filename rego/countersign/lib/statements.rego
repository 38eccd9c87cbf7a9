package countersign.lib

# --- SQL ---------------------------------------------------------------------

# METADATA
# title: SQL verb
# description: |
#   Lower case; "multiple" for several statements, "unknown" for one that cannot
#   be read, "other" for a SELECT that may do more than read.
default sql_verb := "unknown"

sql_verb := input.findings.facts.sql.verb if input.findings.facts.sql.verb != "select"

sql_verb := "select" if {
	input.findings.facts.sql.verb == "select"
	_sql_reads_only
}

sql_verb := "other" if {
	input.findings.facts.sql.verb == "select"
	not _sql_reads_only
}

_sql_reads_only if {
	input.findings.facts.sql.calls == false
	input.findings.facts.sql.statements == 1
}

# METADATA
# title: SQL changes the schema
# description: A statement that changes structure or rights rather than rows.
sql_ddl if sql_verb in {"create", "alter", "drop", "truncate", "rename", "grant", "revoke"}

# METADATA
# title: SQL destroys a whole object
sql_drops if sql_verb in {"drop", "truncate"}

# METADATA
# title: SQL writes rows
sql_writes if sql_verb in {"insert", "update", "delete", "merge", "replace", "upsert"}

# METADATA
# title: SQL by key
# description: |
#   The statement is known to touch rows picked by a key. A foreign key is a key
#   too, so this may be many rows.
sql_by_key if input.findings.facts.sql.predicate == "by_key"

# METADATA
# title: SQL bounded
# description: |
#   The statement is known to touch part of a table: rows by key or by range.
#   No predicate, one that is always true and one not understood are unbounded.
sql_bounded if input.findings.facts.sql.predicate in {"by_key", "range"}

# METADATA
# title: SQL limited
# description: The statement itself returns or touches no more than this many rows.
sql_limited(rows) if {
	is_number(input.findings.facts.sql.limit)
	input.findings.facts.sql.limit <= rows
}

# METADATA
# title: SQL spares
# description: |
#   Every table of the statement is known, and none matches these patterns, with
#   its schema or without: `lib.sql_spares(["crm.*", "salaries"])`.
sql_spares(patterns) if {
	_all_listed(input.findings.facts.sql, "tables")
	every table in input.findings.facts.sql.tables {
		not _is_table_of(table, patterns)
	}
}

# What cannot be named may be any of them.
_is_table_of(table, _) if contains(table, "[")

_is_table_of(table, patterns) if {
	some pattern in patterns
	_covers(lower(pattern), table)
}

# A name without its schema may stand for a table of any.
_is_table_of(table, patterns) if {
	not contains(table, ".")
	some pattern in patterns
	_covers(regex.replace(lower(pattern), `^.*\.`, ""), table)
}

_is_table_of(table, patterns) if {
	some pattern in patterns
	not contains(pattern, ".")
	_covers(lower(pattern), regex.replace(table, `^.*\.`, ""))
}

# --- shell -------------------------------------------------------------------

_destroyers := {
	"chmod", "chown", "dd", "fdisk", "halt", "kill", "killall", "mkfs", "pkill", "poweroff",
	"reboot", "rm", "rmdir", "shred", "shutdown", "truncate", "unlink", "userdel", "wipefs",
}

# METADATA
# title: Shell programs
# description: |
#   The programs of the whole command line, `sudo` and what it starts included.
#   Undefined when there are none, or so many that some may not be listed.
shell_programs := programs if {
	programs := {program | some program in input.findings.facts.shell.programs}
	count(programs) > 0
	count(programs) < _max_listed
}

# METADATA
# title: Shell reads only
# description: |
#   The whole command was understood: readers from the system's directories with
#   options that write and start nothing; no assignment, redirection, substitution.
shell_reads_only if input.findings.facts.shell.reads == true

# METADATA
# title: Shell destroys
# description: A program or a flag that removes, overwrites or forces.
shell_destroys if {
	some program in input.findings.facts.shell.programs
	program in _destroyers
}

shell_destroys if {
	not shell_reads_only
	some flag in input.findings.facts.shell.flags
	regex.match(`^(-[A-Za-z]*[rRf][A-Za-z]*|--(recursive|force|delete|no-preserve-root|hard|purge))$`, flag)
}

# --- rights ------------------------------------------------------------------

# Facts list at most twenty names; a full list may be a cut one.
_max_listed := 20

_privileged := {"admin", "administrator", "owner", "root", "superuser"}

# METADATA
# title: Ordinary grants
# description: The change is known, and no right it adds is an administrator's or a wildcard.
grants_ordinary if {
	not input.findings.facts.grants.added_more
	count(input.findings.facts.grants.added) < _max_listed
	every right in input.findings.facts.grants.added {
		ordinary(right)
	}
}

# METADATA
# title: Ordinary revocations
# description: The change is known, and no right it removes is an administrator's or a wildcard.
revocations_ordinary if {
	not input.findings.facts.grants.removed_more
	count(input.findings.facts.grants.removed) < _max_listed
	every right in input.findings.facts.grants.removed {
		ordinary(right)
	}
}

# METADATA
# title: Ordinary rights
# description: |
#   The change names rights, and none that it adds or removes is an
#   administrator's or a wildcard.
rights_ordinary if {
	grants_ordinary
	_no_rights_removed
}

rights_ordinary if {
	revocations_ordinary
	_no_rights_added
}

rights_ordinary if {
	grants_ordinary
	revocations_ordinary
}

_no_rights_added if not input.findings.facts.grants.added

_no_rights_removed if not input.findings.facts.grants.removed

# METADATA
# title: Ordinary right
# description: |
#   A right or role that is neither a wildcard nor an administrator's, and no
#   placeholder such as [OTHER], under which the facts keep what they do not show.
ordinary(right) if {
	not regex.match(`[*\[]`, right)
	not regex.match(`(?i)admin|owner|root|superuser|fullaccess|poweruser`, right)
	words := {word | some word in regex.split(`[^a-z]+`, lower(right))}
	count(words & _privileged) == 0
}
