"""`countersign exec`: a command runs with permission, once, as approved, or not at all.

An agent that has no credentials of its own is let act through this and nothing
else; docs/how-to/run-commands-through-exec.md locks it in. Options of a
wrapper come first and stand: one that is given twice is refused, so nobody can
put another credential behind it.

Needs the `cli` extra only; `python -I -m countersign.cli.exec` is the same
without the rest of the command. Standard output is the command's own.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand

from countersign.cli import output
from countersign.client import Client, External, Person, Resource, Timing, Workload
from countersign.client.principals import Principal
from countersign.errors import ConfigurationError, CountersignError
from countersign.executor import Asked, Journal, Refused, Story, Wanted, enforce
from countersign.executor.command import NOT_STARTED, environment
from countersign.executor.paths import trusted_file
from countersign.executor.resolve import MAX_STDIN_BYTES
from countersign.executor.run import fill_standard_descriptors

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
"""Without completion: to install it would write into the home of whoever this runs as."""

_TIMING: Final = Timing(report_s=60.0)
_DURATION: Final = re.compile(r"([0-9]{1,7})(s|m|h|)")
_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600}
_KINDS: Final[dict[str, type[Person | Workload | External]]] = {
    kind.type: kind for kind in (Person, Workload, External)
}
_Texts = list[str] | None


class _ExecCommand(TyperCommand):
    """Wrong usage ends in a code of its own, for 2 is one of the command's."""

    def make_context(self, *arguments: Any, **more: Any) -> Any:
        try:
            return super().make_context(*arguments, **more)
        except Exception as error:
            if hasattr(error, "exit_code") and getattr(error, "ctx", None) is not None:
                error.exit_code = NOT_STARTED
            raise

    def _main_shell_completion(self, *_: Any, **__: Any) -> None:
        """No variable turns a command that was to run into words and a success."""


@app.command(name="exec", cls=_ExecCommand, context_settings={"allow_interspersed_args": False})
def exec_(
    command: Annotated[
        list[str], typer.Argument(metavar="COMMAND ARG...", help="What to run; no shell sees it.")
    ],
    action: Annotated[
        _Texts, typer.Option(metavar="NAME", help="What it is, like deploy.rollback.")
    ] = None,
    resource: Annotated[_Texts, typer.Option(metavar="TYPE:ID", help="What it acts on.")] = None,
    environment_: Annotated[
        _Texts, typer.Option("--environment", metavar="NAME", help="Where, like production.")
    ] = None,
    reason: Annotated[_Texts, typer.Option(metavar="TEXT", help="Why, for the reviewer.")] = None,
    actor: Annotated[
        _Texts, typer.Option(metavar="NAME", help="The agent's registered name; default exec.")
    ] = None,
    on_behalf_of: Annotated[
        _Texts,
        typer.Option(
            metavar="TYPE:ID", help="A principal behind the agent, nearest first; repeat."
        ),
    ] = None,
    session: Annotated[_Texts, typer.Option(metavar="ID", help="Your correlation id.")] = None,
    supersedes: Annotated[
        _Texts, typer.Option(metavar="REVIEW", help="Open review that this one replaces.")
    ] = None,
    pass_env: Annotated[
        _Texts, typer.Option(metavar="NAME", help="Variable to pass on; repeat.")
    ] = None,
    env: Annotated[
        _Texts, typer.Option(metavar="NAME=VALUE", help="Variable to set; repeat.")
    ] = None,
    cwd: Annotated[
        _Texts, typer.Option(metavar="DIR", help="Working directory; default here.")
    ] = None,
    bind: Annotated[
        _Texts,
        typer.Option(metavar="FILE", help="File whose content is part of the approval; repeat."),
    ] = None,
    user: Annotated[
        _Texts, typer.Option(metavar="NAME", help="Account to run it as; needs root.")
    ] = None,
    stdin: Annotated[
        bool, typer.Option("--stdin", help="Pass standard input on; it is bound. Else: nothing.")
    ] = False,
    wait: Annotated[
        _Texts,
        typer.Option(
            metavar="TIME", help="Longest wait for people, like 10m; default: as long as it takes."
        ),
    ] = None,
    timeout: Annotated[
        _Texts, typer.Option(metavar="TIME", help="Longest the command may run, like 30s.")
    ] = None,
    state: Annotated[
        _Texts,
        typer.Option(metavar="DIR", help="Directory that remembers starts whose end is unknown."),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Ask although an earlier start may have happened.")
    ] = False,
    credential: Annotated[
        _Texts,
        typer.Option(metavar="FILE", help="Credential file; default $COUNTERSIGN_CREDENTIAL."),
    ] = None,
    status_fd: Annotated[
        _Texts,
        typer.Option(metavar="N", help="Descriptor for one JSON line about what came of it."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="That line on standard error, and no other words.")
    ] = False,
) -> None:
    """Run a command only if policy, and whoever it asks, permits exactly this one, once."""
    fill_standard_descriptors()
    say = _silent if as_json else _say
    story = Story()
    line_to: int | None = 2 if as_json else None
    try:
        line_to = _descriptor(_once("--status-fd", status_fd), line_to)
        own = os.environ
        wanted = Wanted(
            argv=tuple(command),
            env=environment(pass_env or [], env or [], own),
            cwd=_once("--cwd", cwd) or ".",
            files=tuple(bind or []),
            user=_once("--user", user),
            stdin=sys.stdin.buffer.read(MAX_STDIN_BYTES + 1) if stdin else None,
        )
        asked = Asked(
            action=_once("--action", action, needed=True),
            resource=_resource(_once("--resource", resource, needed=True)),
            environment=_once("--environment", environment_, needed=True),
            actor=_once("--actor", actor) or "exec",
            on_behalf_of=tuple(_principal(text) for text in on_behalf_of or []),
            reason=_once("--reason", reason),
            session=_once("--session", session),
            supersedes=_once("--supersedes", supersedes),
            again=again,
            wait_s=_seconds("--wait", _once("--wait", wait)),
            timeout_s=_seconds("--timeout", _once("--timeout", timeout)),
        )
        named = _once("--credential", credential) or own.get("COUNTERSIGN_CREDENTIAL", "")
        directory = _once("--state", state)
        journal = Journal(Path(directory)) if directory else None
        with Client.from_credential(_own_file(named), timing=_TIMING) as client:
            story = enforce(client, asked, wanted, journal=journal, say=say)
    except CountersignError as error:
        story.error, story.exit_code = error, getattr(error, "exit_code", NOT_STARTED)
    except KeyboardInterrupt:  # while standard input was read
        story.exit_code = 128 + signal.SIGINT
    if story.error is not None:
        say(str(story.error))
    if line_to is not None:
        _tell(line_to, story)
    raise typer.Exit(story.exit_code)


def _say(words: str) -> None:
    with contextlib.suppress(OSError):  # that nobody listens changes nothing that happens
        os.write(2, f"countersign exec: {output.safe(words)}\n".encode(errors="backslashreplace"))


def _silent(_: str) -> None:
    """Whoever wants JSON on standard error gets nothing else there."""


def _tell(descriptor: int, story: Story) -> None:
    """The line of `--json` or `--status-fd`. What ran has run, read or not."""
    line = json.dumps(story.to_json(), separators=(",", ":")) + "\n"
    try:
        os.write(descriptor, line.encode())
    except OSError as error:
        _say(f"the status line was not written: {error.strerror}")


# --- options -------------------------------------------------------------------


def _usage(code: str, message: str, advice: str = "") -> Refused:
    return Refused(code, message, advice=advice)


def _once(option: str, given: _Texts, *, needed: bool = False) -> str:
    """The one value of an option; a second could undo what a wrapper has set."""
    values = given or [""]
    if len(values) > 1:
        raise _usage("exec.option_twice", f"{option} is given twice", "Give it once.")
    if needed and not values[0]:
        raise _usage("exec.option_missing", f"{option} is missing", "Give it.")
    return values[0]


def _resource(text: str) -> Resource:
    type_, colon, name = text.partition(":")
    if not colon:
        raise _usage("exec.option", "--resource: must be TYPE:ID, like deployment:shop")
    return Resource(type_, name)


def _principal(text: str) -> Principal:
    kind, colon, name = text.partition(":")
    if not colon or kind not in _KINDS:
        raise _usage("exec.option", "--on-behalf-of: must be person:ID, workload:ID or external:ID")
    return _KINDS[kind](name)


def _seconds(option: str, text: str) -> float | None:
    if not text:
        return None
    match = _DURATION.fullmatch(text)
    if not match:
        raise _usage("exec.option", f"{option}: must be a whole number of s, m or h, like 10m")
    return float(int(match[1]) * _UNITS[match[2]])


def _descriptor(text: str, otherwise: int | None) -> int | None:
    if not text:
        return otherwise
    try:
        descriptor = int(text)
        os.fstat(descriptor)
    except (ValueError, OSError, OverflowError):
        raise _usage("exec.option", "--status-fd: is not an open descriptor") from None
    return descriptor


def _own_file(named: str) -> Path:
    """The credential file, which must be this user's or root's own.

    Whoever could choose another could ask another service, and be allowed anything.
    """
    if not named:
        raise ConfigurationError(
            "credential.missing",
            "no credential file was named",
            advice="Give --credential FILE or set COUNTERSIGN_CREDENTIAL.",
        )
    try:
        return Path(trusted_file("--credential", named))
    except Refused as error:
        raise _usage("exec.credential", error.message, error.advice) from None


def main() -> None:
    """The entry point of `python -m countersign.cli.exec`."""
    app(prog_name="countersign exec")


if __name__ == "__main__":
    main()
