"""A file with a token that proves who is behind a call: private, like a credential.

Read when it is used and kept nowhere. Used by the verbs of `agent.py`.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Annotated, Final

import typer

from countersign.errors import ConfigurationError

_MAX_FILE_BYTES: Final = 65_536

EvidenceOption = Annotated[
    Path | None,
    typer.Option(
        "--evidence-file", help="File (0600) with a JWT that proves the person behind this call."
    ),
]


def read_evidence(path: Path | None) -> str:
    """The token in a file, empty without one. Raises `ConfigurationError`."""
    if path is None:
        return ""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if os.name == "posix" and mode & 0o077:
                raise ConfigurationError(
                    "credential.exposed",
                    f"{path} can be used by others than its owner (mode {mode:04o})",
                    advice=f"Run: chmod 600 {path}. If others may have read it, get a new token.",
                )
            data = file.read(_MAX_FILE_BYTES)
    except OSError as error:
        raise ConfigurationError(
            "credential.unreadable",
            f"{path} cannot be read: {error.strerror}",
            advice="Name a file with the token, which belongs to this user.",
        ) from error
    token = data.decode("ascii", "replace").strip()
    if not token:
        raise ConfigurationError(
            "credential.malformed", f"{path} is empty", advice="Put the token there, and only it."
        )
    return token
