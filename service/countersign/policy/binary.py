"""The OPA program: finding it, checking its version, running its commands.

Called by `bundle` and `opa`; the operator's tools ask it for the capabilities
file to give to `opa check` and `opa test`. Everything here blocks: call it from
a thread.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from countersign.errors import ConfigurationError

OLDEST_VERSION: Final = (1, 22, 2)
BELOW_VERSION: Final = (2, 0, 0)
_COMMAND_TIMEOUT_S: Final = 60
_ADVICE: Final = "Run `make opa`, or name an OPA ≥ 1.22.2 and < 2 in the configuration."

FORBIDDEN_BUILTINS: Final = frozenset(
    {
        # Reach out of the process. Schemas may hold a remote $ref, which OPA fetches.
        "http.send",
        "json.match_schema",
        "json.verify_schema",
        "net.lookup_ip_addr",
        "opa.runtime",
        # Read the clock or a random source: a decision could not be replayed.
        "crypto.x509.parse_and_verify_certificates",
        "crypto.x509.parse_and_verify_certificates_with_options",
        "io.jwt.decode_verify",
        "io.jwt.encode_sign",
        "io.jwt.encode_sign_raw",
        "rand.intn",
        "time.now_ns",
        "uuid.rfc4122",
        # Write what they are given to OPA's own output.
        "internal.print",
        "print",
        "trace",
    }
)
"""Built-ins that no policy may call; the time of a decision is `input.time`."""


def find_opa(configured: Path | None, fallbacks: Iterable[Path]) -> Path:
    """The OPA the operator named, else the first fallback that exists.

    Raises `ConfigurationError` unless it is an OPA of a version we know: a
    named one that is wrong is never silently replaced by another.
    """
    places = [configured] if configured is not None else list(fallbacks)
    for place in places:
        path = place.absolute()
        if path.is_file() and os.access(path, os.X_OK):
            check_version(path)
            return path
    looked = ", ".join(map(str, places)) or "no place"
    raise ConfigurationError("opa.missing", f"there is no OPA (looked at {looked})", advice=_ADVICE)


def check_version(opa: Path) -> str:
    """OPA's version, if it is one we know."""
    try:
        output = run_opa(opa, ["version"], cwd=opa.parent)
    except CommandError:
        output = ""
    match = re.search(r"^Version: (\d+)\.(\d+)\.(\d+)", output, re.MULTILINE)
    version = tuple(map(int, match.groups())) if match else ()
    text = ".".join(map(str, version)) or "none it would tell"
    if not OLDEST_VERSION <= version < BELOW_VERSION:
        raise ConfigurationError(
            "opa.version", f"{opa} has version {text}, which is not supported", advice=_ADVICE
        )
    return text


def capabilities(opa: Path) -> bytes:
    """The capabilities file: what this OPA can do, less what policy must not.

    Besides the named built-ins, any that a later OPA itself marks as
    nondeterministic is left out.
    """
    everything = json.loads(run_opa(opa, ["capabilities", "--current"], cwd=opa.parent))
    everything["builtins"] = [
        builtin
        for builtin in everything["builtins"]
        if builtin["name"] not in FORBIDDEN_BUILTINS and not builtin.get("nondeterministic")
    ]
    everything["allow_net"] = []
    return json.dumps(everything, indent=1).encode()


class CommandError(ConfigurationError):
    """A program we called failed; the message is its own."""

    def __init__(self, message: str) -> None:
        super().__init__("opa.command", message, advice=_ADVICE)


class UnusableError(CommandError):
    """A program could not be run to its own end: the machine's fault, not of what it was given."""


_NO_ROOM: Final = re.compile(
    r"no space left|disk quota|cannot allocate memory|out of memory|too many open files"
    r"|resource temporarily unavailable|read-only file system|input/output error"
    r"|^fatal error: |^runtime: ",
    re.IGNORECASE | re.MULTILINE,
)


def lacks_room(said: str) -> bool:
    """Whether a program failed for want of disk, memory or handles, by its own words."""
    return _NO_ROOM.search(said) is not None


def run_opa(opa: Path, arguments: list[str], *, cwd: Path) -> str:
    """What an OPA command prints. Raises `CommandError` when it fails."""
    return run_program([str(opa.absolute()), *arguments], cwd=cwd, environment={})


def run_program(command: list[str], *, cwd: Path, environment: Mapping[str, str]) -> str:
    """Run a short command in an environment of its own."""
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command; no shell
            command,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_COMMAND_TIMEOUT_S,
            check=False,
        )
    except OSError as error:
        raise UnusableError(f"cannot run {command[0]}: {error.strerror}") from error
    except subprocess.TimeoutExpired:
        raise UnusableError(f"{command[0]} did not finish in {_COMMAND_TIMEOUT_S} s") from None
    said = (done.stderr or done.stdout).strip()
    if done.returncode < 0:
        raise UnusableError(f"{command[0]} was ended by signal {-done.returncode}")
    if done.returncode != 0:
        raise UnusableError(said) if lacks_room(said) else CommandError(said)
    return done.stdout
