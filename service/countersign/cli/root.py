"""The command tree, and what happens to errors."""

from __future__ import annotations

import sys

import typer

from countersign import __version__
from countersign.cli import (
    agent,
    audit,
    bot,
    delegations,
    doctor,
    keys,
    operator,
    output,
    policy,
    register,
    reviews,
    sanitize,
    witness,
)
from countersign.cli import exec as exec_
from countersign.client import Denied, NotApproved, StillPending, Unavailable
from countersign.errors import CountersignError

_WHERE = "  `countersign serve` starts it; the credential's `endpoint` says where it should be."

_NOT_JUDGED = ("audit.", "s3.", "log.key_invalid")
"""What an auditor named wrongly. Exit code 1 says that a log was judged and is no good."""
_ANSWERED = ("policy.", "opa.")
"""What a service that is there says of its policy."""
_AWAY = frozenset({"log.sink_unavailable"})


def _exit_with(code: object) -> None:
    """A verb that returns a number means its exit code."""
    if isinstance(code, int):
        raise typer.Exit(code)


app = typer.Typer(
    name="countersign",
    result_callback=_exit_with,
    help="Action-level approval for AI agents: policy decides, a human countersigns, an auditor "
    "can prove it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for tree in (operator.app, doctor.app, agent.app, exec_.app, delegations.top, sanitize.app):
    app.registered_commands += tree.registered_commands
app.add_typer(register.callers, name="caller")
app.add_typer(register.people, name="person")
app.add_typer(register.channels, name="channel")
app.add_typer(reviews.app, name="review")
app.add_typer(delegations.app, name="delegation")
app.add_typer(audit.app, name="audit")
app.add_typer(policy.app, name="policy")
app.add_typer(witness.app, name="witness")
app.add_typer(keys.app, name="keys")
app.add_typer(policy.app, name="policy")
app.add_typer(bot.app, name="bot")


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)


def run() -> int:
    """Run the command line; errors are a sentence and a remedy, never a traceback."""
    try:
        app()
    except CountersignError as error:
        print(f"countersign: {output.safe(str(error))}", file=sys.stderr)
        if isinstance(error, Unavailable) and not error.code.startswith(_ANSWERED):
            print(_WHERE, file=sys.stderr)
        return _code(error)
    except OSError as error:
        # A file named on the command line; errno's words hold nothing of its content.
        where = f"{error.filename}: " if error.filename else ""
        print(f"countersign: {output.safe(f'{where}{error.strerror}')}", file=sys.stderr)
        return 1
    return 0


def _code(error: CountersignError) -> int:
    if isinstance(error, StillPending):
        return output.UNDECIDED
    if error.code in _AWAY:
        return output.UNDECIDED
    if error.code.startswith(_NOT_JUDGED):
        return output.WRONG_USAGE
    return output.DENIED if isinstance(error, Denied | NotApproved) else 1
