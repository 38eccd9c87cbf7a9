# METADATA
# title: Shell
# description: |
#   shell.run, judged by program and flags. Reading is free below production;
#   destroying is never done through an agent in production.
package countersign.rules.shell

import data.countersign.lib
import data.countersign.settings
import data.countersign.stages

# METADATA
# title: Settings
# description: How many commands an hour run on their own before somebody looks.
defaults := {"allowed_per_hour": 300}

_settings := settings.of("shell", defaults)

deny contains settings.refusal if {
	input.context.action == "shell.run"
	not _settled
}

_settled if {
	_settings
	settings.sound({"stages"})
}

# What a command that runs on its own may say; an environment or input changes what it does.
_plain_arguments := {"command", "cwd", "timeout_s"}

deny contains {
	"code": "shell.destroys",
	"message": "destructive commands are not run through an agent in production",
} if {
	input.context.action == "shell.run"
	lib.production
	lib.shell_destroys
}

deny contains {
	"code": "shell.secret",
	"message": "the command carries a credential; pass it by reference",
} if {
	input.context.action == "shell.run"
	lib.secrets
}

needs contains {
	"code": "shell.production",
	"message": "command on a production machine",
	"stages": [stages.platform],
	"must_show": _command,
	"require_reason": true,
} if {
	input.context.action == "shell.run"
	lib.production
}

needs contains {
	"code": "shell.writes",
	"message": "command that may change something, or that could not be read",
	"stages": [stages.platform],
	"must_show": _command,
} if {
	input.context.action == "shell.run"
	not lib.shell_reads_only
}

needs contains {
	"code": "shell.destroys",
	"message": "destructive command",
	"stages": [_platform],
	"must_show": _command,
	"require_reason": true,
} if {
	input.context.action == "shell.run"
	lib.shell_destroys
}

needs contains {
	"code": "shell.unread",
	"message": "command with arguments that no rule knows",
	"stages": [stages.platform],
	"must_show": _command,
} if {
	input.context.action == "shell.run"
	not _spelt_out
}

needs contains {
	"code": "shell.many",
	"message": "many commands were allowed within the hour",
	"stages": [stages.platform],
	"must_show": _command,
} if {
	input.context.action == "shell.run"
	not lib.dev
	not lib.at_claim
	not lib.recently_below("hour", "allow", _settings.allowed_per_hour)
}

allow contains {
	"code": "shell.reads",
	"message": "command that only reads",
} if {
	input.context.action == "shell.run"
	not lib.production
	lib.shell_reads_only
}

_command := {"/resource"} | lib.shown({"shell.programs", "shell.flags"})

_spelt_out if {
	lib.only_arguments(_plain_arguments)
	regex.match(`^[A-Za-z0-9_./-]*$`, object.get(input.context.arguments, "cwd", ""))
	is_number(object.get(input.context.arguments, "timeout_s", 0))
}

_platform := stages.platform if lib.dev

_platform := stages.two(stages.platform) if not lib.dev
