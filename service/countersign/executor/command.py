"""What exactly would run, and the arguments of the action context that say so.

Invariant 4 for commands: the program and its hash, the argument vector, the
whole environment, the working directory, the account and what is on standard
input are all in the context, so a changed byte in any of them is another
action. Keys are chosen so that the sanitizer reads `argv` as an argument
vector and judges each of `env` by its name; `env` is absent when nothing is
passed, because a command that gets none can be known to read only.

Pure; `resolve` makes commands. Messages name an option or a position, never a
value, which may be a secret.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping, Sequence
from typing import Final

from countersign.errors import CountersignError
from countersign.model import JsonObject, JsonValue, Withheld

SEARCH_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where a program is looked for when no PATH is passed; what runs gets no PATH by that."""
NOT_STARTED: Final = 125
NOT_RUNNABLE: Final = 126
NOT_FOUND: Final = 127
_ENV_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HIJACK_PREFIXES: Final = ("LD_", "DYLD_", "BASH_FUNC_", "GIT_CONFIG")
_HIJACKS: Final = frozenset(
    """
BASHOPTS BASH_ENV BASH_LOADABLES_PATH CDPATH CLASSPATH DOTNET_STARTUP_HOOKS ENV FPATH GCONV_PATH
GETCONF_DIR GIT_ASKPASS GIT_EDITOR GIT_EXEC_PATH GIT_EXTERNAL_DIFF GIT_PAGER GIT_PROXY_COMMAND
GIT_SEQUENCE_EDITOR GIT_SSH GIT_SSH_COMMAND GIT_TEMPLATE_DIR GLIBC_TUNABLES GLOBIGNORE HOSTALIASES
IFS JAVA_TOOL_OPTIONS JDK_JAVA_OPTIONS LESSCLOSE LESSOPEN LOCPATH LUA_INIT MALLOC_TRACE NIS_PATH
NLSPATH NODE_OPTIONS NODE_PATH NODE_REPL_EXTERNAL_MODULE OPENSSL_CONF OPENSSL_ENGINES
OPENSSL_MODULES PERL5DB PERL5LIB PERL5OPT PERLIB PERLLIB PHPRC PHP_INI_SCAN_DIR PROMPT_COMMAND PS4
PYTHONBREAKPOINT PYTHONEXECUTABLE PYTHONHOME PYTHONINSPECT PYTHONPATH PYTHONPLATLIBDIR
PYTHONPYCACHEPREFIX PYTHONSTARTUP PYTHONUSERBASE PYTHONWARNINGS RESOLV_HOST_CONF RUBYLIB RUBYOPT
SHELLOPTS SSH_ASKPASS TCLLIBPATH TMPPREFIX ZDOTDIR _JAVA_OPTIONS
""".split()
)
"""Names by which a loader, a shell or an interpreter runs other code than the hashed program."""


class Refused(CountersignError):  # noqa: N818 - named after what happened
    """The command was not started. `exit_code` is what `countersign exec` ends with."""

    def __init__(
        self, code: str, message: str, *, advice: str = "", exit_code: int = NOT_STARTED
    ) -> None:
        super().__init__(code, message, advice=advice)
        self.exit_code = exit_code


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Wanted(Withheld):
    """What was asked for, before anything was looked up."""

    argv: tuple[str, ...]
    """The program as it was named, and its arguments."""
    env: Mapping[str, str] = dataclasses.field(default_factory=dict)
    cwd: str = "."
    files: tuple[str, ...] = ()
    """Files whose content is bound as well."""
    user: str = ""
    """Account to run as; empty: this process's own."""
    stdin: bytes | None = None
    """What the command reads; None: nothing."""
    again_after: str = ""
    """Permit or decision of an earlier run that nobody saw the end of."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class File(Withheld):
    """A file by its real path and the SHA-256 of its content."""

    path: str
    sha256: str

    def to_json(self) -> JsonObject:
        return {"path": self.path, "sha256": self.sha256}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """As whom it runs."""

    user: str
    uid: int
    gid: int
    groups: tuple[int, ...]

    def to_json(self) -> JsonObject:
        return {
            "user": self.user,
            "uid": self.uid,
            "gid": self.gid,
            "groups": list[JsonValue](self.groups),
        }


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Input(Withheld):
    """What stands on standard input. `text` when a person could read it."""

    length: int
    sha256: str
    text: str | None

    def to_json(self) -> JsonObject:
        readable: JsonObject = {} if self.text is None else {"text": self.text}
        return {"length": self.length, "sha256": self.sha256, **readable}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Command(Withheld):
    """One command as it would run here and now."""

    argv: tuple[str, ...]
    """`argv[0]` is the path it was found under, so that what goes by its name still can."""
    program: File
    interpreter: File | None
    """What runs a script: the program of its first line."""
    files: tuple[File, ...]
    env: Mapping[str, str]
    cwd: str
    run_as: Account
    stdin: Input | None
    again_after: str

    def arguments(self) -> JsonObject:
        """The arguments of its action context."""
        said: JsonObject = {
            "argv": list[JsonValue](self.argv),
            "cwd": self.cwd,
            "program": self.program.to_json(),
            "run_as": self.run_as.to_json(),
        }
        if self.interpreter is not None:
            said["interpreter"] = self.interpreter.to_json()
        if self.env:
            said["env"] = dict(self.env)
        if self.files:
            # As sha256sum writes them: a path as a key would be judged as a name.
            said["files"] = [f"{file.sha256}  {file.path}" for file in self.files]
        if self.stdin is not None:
            said["stdin"] = self.stdin.to_json()
        if self.again_after:
            said["again_after"] = self.again_after
        return said


def changed(approved: Command, actual: Command) -> tuple[str, ...]:
    """Names of the arguments in which two commands differ."""
    before, now = approved.arguments(), actual.arguments()
    names = sorted({*before, *now})
    return tuple(name for name in names if before.get(name) != now.get(name))


def text(what: str, raw: str) -> str:
    """An argument as the system passed it, as UTF-8. Raises `Refused`."""
    try:
        decoded = os.fsencode(raw).decode("utf-8")
    except UnicodeError:
        raise Refused(
            "exec.not_utf8",
            f"{what} is not UTF-8, so nobody could be shown what would run",
            advice="Name it in UTF-8, or put the bytes into a file or on --stdin.",
        ) from None
    if "\0" in decoded:
        raise Refused("exec.nul", f"{what} holds a NUL character, which no program can be given")
    return decoded


def argument_vector(raw: Sequence[str]) -> tuple[str, ...]:
    """The program and its arguments, each checked. Raises `Refused`."""
    if not raw or not raw[0]:
        raise Refused(
            "exec.no_command", "no command was given", advice="Put it last: -- COMMAND ARG..."
        )
    return tuple(
        text(f"argument {index} of the command" if index else "the command", argument)
        for index, argument in enumerate(raw)
    )


def environment(
    passed: Sequence[str], given: Sequence[str], own: Mapping[str, str]
) -> dict[str, str]:
    """The command's whole environment: `--pass-env NAME`s out of `own`, and `--env NAME=VALUE`s.

    Raises `Refused` for a name that is missing, malformed, given twice, or that
    would have other code run than the program that is approved.
    """
    made: dict[str, str] = {}
    pairs = [(name, own.get(name), "--pass-env") for name in passed]
    for index, pair in enumerate(given, 1):
        name, equals, value = pair.partition("=")
        if not equals:
            raise _wrong_env(f"--env number {index}", "must be NAME=VALUE")
        pairs.append((name, value, "--env"))
    for index, (name, found, option) in enumerate(pairs, 1):
        if not _ENV_NAME.fullmatch(name):
            raise _wrong_env(f"variable {index}", "has a name that is not of A-Z a-z 0-9 _")
        what = f"{option} {name}"
        if name in made:
            raise _wrong_env(what, "is given twice")
        if name in _HIJACKS or name.startswith(_HIJACK_PREFIXES):
            raise Refused(
                "exec.env_hijack",
                f"{what}: this variable makes programs load or run other code",
                advice="Set it in a script that belongs to root, and run that script.",
            )
        if found is None:
            raise _wrong_env(what, "is not set here")
        made[name] = text(what, found)
    return dict(sorted(made.items()))


def _wrong_env(what: str, problem: str) -> Refused:
    return Refused("exec.env", f"{what}: {problem}", advice="Correct the option.")
