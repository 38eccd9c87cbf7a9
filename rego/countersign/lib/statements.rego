package countersign.lib

# --- SQL ---------------------------------------------------------------------

# METADATA
# title: SQL verb
# description: Lower case, or "unknown".
default sql_verb := "unknown"

sql_verb := input.findings.facts.sql.verb

# METADATA
# title: SQL changes the schema
# description: A statement that changes structure or rights rather than rows.
sql_ddl if sql_verb in {"create", "alter", "drop", "truncate", "rename", "grant", "revoke"}

# METADATA
# title: SQL destroys a whole object
sql_drops if sql_verb in {"drop", "truncate"}

# METADATA
# title: SQL writes rows
sql_writes if sql_verb in {"insert", "update", "delete", "merge"}

# METADATA
# title: SQL by key
# description: The statement is known to touch rows picked by their key.
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

# --- shell -------------------------------------------------------------------

# Programs that write nothing whatever their flags. `find`, `sed`, `sort`,
# `uniq`, `tee`, `env` and `xargs` can write or start others, so they are not here.
_readers := {
	"cat", "cut", "df", "diff", "du", "file", "grep", "head", "id", "ls", "ps", "pwd",
	"sha256sum", "stat", "tail", "uname", "uptime", "wc", "whoami",
}

_destroyers := {
	"chmod", "chown", "dd", "fdisk", "halt", "kill", "killall", "mkfs", "pkill", "poweroff",
	"reboot", "rm", "rmdir", "shred", "shutdown", "truncate", "unlink", "userdel", "wipefs",
}

# METADATA
# title: Shell program
# description: The program's name without its path, or "unknown".
default shell_program := "unknown"

shell_program := input.findings.facts.shell.program

# METADATA
# title: Shell reads only
# description: One program that cannot write, with no shell syntax around it.
shell_reads_only if {
	shell_program in _readers
	not _shell_syntax
}

# METADATA
# title: Shell destroys
# description: A program or a flag that removes, overwrites or forces.
shell_destroys if shell_program in _destroyers

shell_destroys if {
	not shell_program in _readers
	some flag in input.findings.facts.shell.flags
	regex.match(`^(-[A-Za-z]*[rRf][A-Za-z]*|--(recursive|force|delete|no-preserve-root|hard|purge)(=.*)?)$`, flag)
}

# Pipes, lists, substitutions and redirections: the facts name one program, and
# here there may be others.
_shell_syntax if {
	walk(input.context.arguments, [_, text])
	is_string(text)
	regex.match("[;&|<>`$(){}\n\r]", text)
}

# --- rights ------------------------------------------------------------------

_privileged := {"admin", "administrator", "owner", "root", "superuser"}

# METADATA
# title: Ordinary grants
# description: The change is known, and no right it adds is an administrator's or a wildcard.
grants_ordinary if {
	every right in input.findings.facts.grants.added {
		ordinary(right)
	}
}

# METADATA
# title: Ordinary revocations
# description: The change is known, and no right it removes is an administrator's or a wildcard.
revocations_ordinary if {
	every right in input.findings.facts.grants.removed {
		ordinary(right)
	}
}

# METADATA
# title: Ordinary right
# description: A right or role that is neither a wildcard nor an administrator's.
ordinary(right) if {
	not contains(right, "*")
	words := {word | some word in regex.split(`[^a-z]+`, lower(right))}
	count(words & _privileged) == 0
}
