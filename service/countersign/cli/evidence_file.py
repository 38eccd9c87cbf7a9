"""A file with a token that proves who is behind a call: private, like a credential.

Read when it is used and kept nowhere. Used by the verbs of `agent.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from countersign.credentials import MAX_FILE_BYTES, read_private
from countersign.errors import ConfigurationError

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
    data = read_private(
        path,
        if_exposed="get a new token",
        if_unreadable="Name a file with the token, which belongs to this user.",
    )
    if len(data) > MAX_FILE_BYTES:
        raise ConfigurationError(
            "credential.malformed",
            f"{path} is longer than {MAX_FILE_BYTES} bytes",
            advice="Put the token there, and only it.",
        )
    token = data.decode("ascii", "replace").strip()
    if not token:
        raise ConfigurationError(
            "credential.malformed", f"{path} is empty", advice="Put the token there, and only it."
        )
    return token
