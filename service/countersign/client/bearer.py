"""What every call of one client carries to prove who calls.

A token of its own never changes. One in a token file is somebody else's to
keep fresh, so the file is looked at before each call and read again when it is
another one. Whatever is wrong with it, nothing is sent. A token is in no `repr`
and no error. Used by the lines.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final, TypeAlias

from countersign.client.errors import TokenFileError
from countersign.credentials import Credential, read_token_file
from countersign.errors import ConfigurationError

Metadata: TypeAlias = tuple[tuple[str, str], ...]
_SETTLED_NS: Final = 2_000_000_000
"""A file that was written later than that ago may change and its times not tell."""


class Bearer:
    """The metadata of calls. Safe to use from threads."""

    def __init__(self, credential: Credential) -> None:
        self._file = credential.token_file
        self._fixed = () if credential.token is None else _bearing(credential.token)
        self._read: tuple[os.stat_result, Metadata] | None = None

    def metadata(self) -> Metadata:
        """What the next call carries. Raises `TokenFileError`: then it must not be made."""
        if self._file is None:
            return self._fixed
        known = self._read
        if known is not None and _is_still(self._file, known[0]):
            return known[1]
        try:
            token, found = read_token_file(self._file)
        except ConfigurationError as error:
            raise TokenFileError(error.code, error.message, advice=error.advice) from error
        carried = _bearing(token)
        settled = time.time_ns() - found.st_mtime_ns > _SETTLED_NS
        self._read = (found, carried) if settled else None
        return carried


def _is_still(file: Path, found: os.stat_result) -> bool:
    try:
        return _identity(file.stat()) == _identity(found)
    except OSError:  # reading it says why
        return False


def _identity(found: os.stat_result) -> tuple[int, ...]:
    """What changes with a file's content, or with whose hands it is in."""
    return (
        found.st_dev,
        found.st_ino,
        found.st_mode,
        found.st_uid,
        found.st_size,
        found.st_mtime_ns,
    )


def _bearing(token: str) -> Metadata:
    return (("authorization", f"Bearer {token}"),)
