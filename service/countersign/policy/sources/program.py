"""A program run on behalf of a source: nothing inherited, bounded in time and in what it writes.

Its children end with it, whatever pipes they hold. What it says may come from a
server: it is cut and made printable before anybody reads it. Blocking.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

_BLOCK_BYTES: Final = 512
_MAX_WORDS: Final = 400
_MAX_SAID_BYTES: Final = 16_384
# POSIX counts in blocks of 512 bytes. A writer that goes on is told "File too large",
# and not killed, so that it can clear away what it began.
_LIMITED: Final = 'trap \'\' XFSZ && ulimit -f "$0" && exec "$@"'
_TOO_LARGE: Final = "File too large"


class ProgramError(Exception):
    """It failed, or took too long; the message is its own, in one printable line."""


def run(
    command: Sequence[str],
    *,
    cwd: Path,
    environment: Mapping[str, str],
    deadline_s: float,
    max_bytes: int,
    asked: bytes = b"",
) -> bytes:
    """What it prints, having read `asked`. No file that it writes is larger than `max_bytes`.

    Raises `ProgramError`, and `OSError` when it cannot be run.
    """
    blocks = str(-(-max_bytes // _BLOCK_BYTES))
    with (
        tempfile.TemporaryFile() as given,
        tempfile.TemporaryFile() as printed,
        tempfile.TemporaryFile() as said,
    ):
        given.write(asked)
        given.seek(0)
        process = subprocess.Popen(  # noqa: S603 - a fixed command
            ["/bin/sh", "-c", _LIMITED, blocks, *command],
            cwd=cwd,
            env=dict(environment),
            stdin=given,
            stdout=printed,
            stderr=said,
            start_new_session=True,
        )
        try:
            code = process.wait(timeout=deadline_s)
        except subprocess.TimeoutExpired:
            raise ProgramError(f"it did not finish in {deadline_s:g} s") from None
        finally:
            if process.returncode is None:
                _end(process)
        said.seek(0)
        words = printable(said.read(_MAX_SAID_BYTES))
        if code != 0 and _TOO_LARGE in words:
            raise ProgramError(f"it wrote more than {max_bytes} bytes")
        if code != 0:
            raise ProgramError(words[-_MAX_WORDS:] or f"it ended with {code}")
        printed.seek(0)
        return printed.read()


def printable(text: bytes) -> str:
    """One line, without what a terminal would act on."""
    words = " ".join(text.decode("utf-8", "replace").split())
    return "".join(letter if letter.isprintable() else "?" for letter in words)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End its whole group; the group's id is its own, since it began a session."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
