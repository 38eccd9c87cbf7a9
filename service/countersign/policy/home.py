"""OPA's private directory: made, kept locked while in use, swept when left behind.

Only the owner may enter, so whoever can reach the socket is us. A server that
is killed outright leaves its directory; since the lock on it ends with the
process, the next server knows what nobody uses. Called by `child`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Final

from countersign.errors import ConfigurationError

_PREFIX: Final = "countersign-opa-"
_MAX_SOCKET_PATH_BYTES: Final = 107
_MIN_LEFT_BEHIND_S: Final = 60
"""Younger ones may be between being made and being locked."""


class Home:
    """A locked directory with a bundle, and soon a socket."""

    def __init__(self, archive: bytes) -> None:
        """Raises `ConfigurationError` when the temporary directory will not do."""
        self._lock = -1
        try:
            self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        except OSError as error:
            raise _unusable(error) from error
        try:
            self._lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            self.bundle.write_bytes(archive)
        except OSError as error:
            self.remove()
            raise _unusable(error) from error
        if len(os.fsencode(self.socket)) > _MAX_SOCKET_PATH_BYTES:
            self.remove()
            raise ConfigurationError(
                "opa.socket_path",
                f"the path of OPA's socket would exceed {_MAX_SOCKET_PATH_BYTES} bytes",
                advice="Point TMPDIR at a directory with a shorter path.",
            )

    @property
    def socket(self) -> Path:
        return self.path / "s"

    @property
    def bundle(self) -> Path:
        return self.path / "b.tar.gz"

    def remove(self) -> None:
        """Delete the directory. May be called again."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _unusable(error: OSError) -> ConfigurationError:
    return ConfigurationError(
        "opa.home",
        f"OPA's private directory cannot be made: {error.strerror}",
        advice="Make room in the temporary directory, or make it writable.",
    )


def sweep() -> None:
    """Delete the directories of servers that are gone."""
    latest = time.time() - _MIN_LEFT_BEHIND_S
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # another user's, in use, or gone already
            if path.stat(follow_symlinks=False).st_mtime < latest:
                _remove_unless_locked(path)


def _remove_unless_locked(path: Path) -> None:
    lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(lock)
