"""A bundle in a file of this machine. Blocking."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from countersign.errors import ConfigurationError
from countersign.policy.sources.bundle import Delivered
from countersign.policy.sources.stamps import stamp, trusted


class FilePlace:
    """A `Place`: read again when its stamp has changed."""

    def __init__(self, path: Path, *, max_bytes: int) -> None:
        self._path = path
        self._max_bytes = max_bytes

    @property
    def origin(self) -> str:
        return str(self._path)

    @property
    def max_bytes(self) -> int:
        return self._max_bytes

    def get(self, tag: str) -> Delivered | None:
        """See `Place`."""
        try:
            # A pipe would wait for whoever writes to it.
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as file:
                seen = os.fstat(descriptor)
                if not stat.S_ISREG(seen.st_mode):
                    raise self._refused("is not a regular file")
                now = trusted([stamp(seen)])
                if tag and now == tag:
                    return None
                archive = file.read(self._max_bytes + 1)
        except OSError as error:
            raise self._refused(f"cannot be read: {error.strerror}") from error
        if len(archive) > self._max_bytes:
            raise self._refused(f"is larger than policy.bundle.max_bytes ({self._max_bytes})")
        return Delivered(archive=archive, tag=now)

    def _refused(self, problem: str) -> ConfigurationError:
        return ConfigurationError(
            "policy.unreadable",
            f"policy.bundle.file {self._path} {problem}",
            advice="Name a bundle made by `opa build` that this process may read.",
        )
