"""Reading a log's directory that may be hostile.

Nothing here follows a symbolic link, opens a device or pipe, or reads more
than a bound. The `Source` of a local copy; a directory is data to judge.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from countersign.audit.source import MAX_FILE_BYTES, Inventory, UnsafeFileError, inventory_of

_MAX_DEPTH: Final = 12


class Directory:
    """One log's directory, or a copy of it."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, name: str, max_bytes: int = MAX_FILE_BYTES) -> bytes | None:
        """The bytes of a plain file, or None; raises `UnsafeFileError`."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            descriptor = os.open(self._root / name, flags)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise UnsafeFileError(name) from error
        with open(descriptor, "rb") as stream:  # noqa: PTH123 - a descriptor, not a path
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_size > max_bytes:
                raise UnsafeFileError(name)
            return stream.read(max_bytes)

    def inventory(self) -> Inventory:
        """Sort out every name below the directory."""
        return inventory_of(self._walk("", _MAX_DEPTH))

    def stored_at(self, _name: str) -> None:
        """Never: whoever copies a file sets its time."""

    def laid_over(self, _name: str) -> tuple[bytes, ...]:
        """Nothing: a directory has one file of a name."""
        return ()

    def _walk(self, folder: str, depth: int) -> Iterator[tuple[str, bool]]:
        try:
            entries = list(os.scandir(self._root / folder))
        except OSError:
            if folder:
                yield folder, False
            return
        for entry in entries:
            name = f"{folder}/{entry.name}" if folder else entry.name
            if not entry.is_dir(follow_symlinks=False):
                yield name, entry.is_file(follow_symlinks=False)
            elif depth:
                yield from self._walk(name, depth - 1)
            else:
                yield name, False
