"""Remembers a command that was started and whose end nobody reported.

An approval is spent by its claim, so the same command never runs twice on one
approval. What this adds: a new approval for a command that may have run is not
asked for by accident. An entry is on disk before the command starts and goes
when its outcome is on record; while it is there, the same command is refused
until somebody says `--again`, and then the reviewer is told.

Entries hold ids and times, never what ran: they are named by a keyed hash of
it. Called by `enforce`.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import os
import secrets
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from countersign import canonical
from countersign.canonical import StrictJsonError
from countersign.client import Context, Grant
from countersign.executor.command import Refused
from countersign.model import JsonObject

MAY_HAVE_RUN: Final = 123
_KEY_BYTES: Final = 32
_MAX_ENTRY_BYTES: Final = 65_536


class Journal:
    """A private directory of open starts. Raises `Refused` when it cannot be relied on."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        try:
            # Not made here: whoever may choose the name would make directories as this user.
            found = directory.stat()
            private = found.st_uid == os.geteuid() and not found.st_mode & 0o077
            if not private or not stat.S_ISDIR(found.st_mode):
                raise Refused(
                    "exec.state_exposed",
                    "--state: must be a directory of this user's alone",
                    advice="Let it belong to this user, and: chmod 700 the directory.",
                )
            self._key = self._own_key()
        except OSError as error:
            raise _unusable(error) from None

    def earlier(self, context: Context) -> str:
        """The permit or decision of a start whose end is unknown; empty for none."""
        try:
            data = self._entry(context).read_bytes()[:_MAX_ENTRY_BYTES]
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise _unusable(error) from None
        try:
            entry = canonical.parse_object(data)
        except StrictJsonError:
            return "unknown"  # cut short by the crash itself
        return str(entry.get("permit") or entry.get("decision") or "unknown")

    def begin(self, context: Context, grant: Grant, *, again: bool) -> None:
        """Put the start on disk. Two at a time are refused, unless the first is known of."""
        said = {
            "decision": grant.decision_id,
            "permit": grant.permit.id if grant.permit else "",
            "review": grant.review_id,
            "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        path = self._entry(context)
        try:
            if again:
                path.unlink(missing_ok=True)
            self._write(path, json.dumps(said).encode())
        except FileExistsError:
            raise may_have_run(self.earlier(context)) from None
        except OSError as error:
            raise _unusable(error) from None

    def end(self, context: Context) -> None:
        """The outcome is on record, or nothing was started."""
        try:
            self._entry(context).unlink(missing_ok=True)
        except OSError as error:
            raise _unusable(error) from None

    def _entry(self, context: Context) -> Path:
        return self._directory / f"{_keyed(self._key, context)}.countersign-start"

    def _own_key(self) -> bytes:
        path = self._directory / "countersign-exec.key"
        with contextlib.suppress(FileExistsError):
            self._write(path, secrets.token_bytes(_KEY_BYTES))
        return path.read_bytes()

    def _write(self, path: Path, data: bytes) -> None:
        """A new 0600 file, on disk before this returns."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        place = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(place)
        finally:
            os.close(place)


def may_have_run(earlier: str) -> Refused:
    """The error for a command whose earlier start nobody saw the end of."""
    return Refused(
        "exec.may_have_run",
        f"this very command was started before ({earlier}) and nobody reported how it ended",
        advice="Find out whether it happened. To run it anyway, repeat with --again; "
        "reviewers are then told of the earlier start.",
        exit_code=MAY_HAVE_RUN,
    )


def _keyed(key: bytes, context: Context) -> str:
    """A name for what an action does, whoever asks and in whatever words."""
    arguments = {name: value for name, value in context.arguments.items() if name != "again_after"}
    said: JsonObject = {
        "action": context.action,
        "arguments": arguments,
        "environment": context.environment,
        "resource": {"type": context.resource.type, "id": context.resource.id},
    }
    return hmac.new(key, canonical.encode(said), "sha256").hexdigest()


def _unusable(error: OSError) -> Refused:
    return Refused(
        "exec.state",
        f"--state: {error.strerror}",
        advice="Name an existing directory that this user may write to.",
    )
