"""Reading a log's directory that may be hostile.

Nothing here follows a symbolic link, opens a device or pipe, or reads more
than a bound. Used by the verifier alone; a directory is data to judge.
"""

from __future__ import annotations

import dataclasses
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from countersign.audit.plan import CHECKPOINTS, OBJECTS, RECORDS, TILES, SegmentName

MAX_FILE_BYTES: Final = 64 * 1024 * 1024
_MAX_DEPTH: Final = 12
_TEMPORARY: Final = ".writing-"
_SIZE: Final = re.compile(r"[0-9]{20}", re.ASCII)
_HASH: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_PARTIAL: Final = re.compile(r"(.+)\.p/([1-9][0-9]{0,2})", re.ASCII)


class UnsafeFileError(Exception):
    """A file that is not a plain one of bearable size."""


@dataclasses.dataclass(slots=True)
class Inventory:
    """The names in a directory, sorted out."""

    segments: list[SegmentName] = dataclasses.field(default_factory=list)
    checkpoints: list[int] = dataclasses.field(default_factory=list)
    objects: list[str] = dataclasses.field(default_factory=list)
    partials: dict[str, list[int]] = dataclasses.field(default_factory=dict)
    """Full tile or bundle name to the widths of its partial versions."""
    unexpected: list[str] = dataclasses.field(default_factory=list)
    """Files among segments, checkpoints or objects that are none."""
    unsafe: list[str] = dataclasses.field(default_factory=list)


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
        found = Inventory()
        for name, plain in self._walk("", _MAX_DEPTH):
            if not plain:
                found.unsafe.append(name)
            elif not name.rpartition("/")[2].startswith(_TEMPORARY):
                _sort_out(name, found)
        found.segments.sort()
        found.checkpoints.sort()
        return found

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


def _sort_out(name: str, found: Inventory) -> None:
    if name.startswith(RECORDS):
        segment = SegmentName.parse(name)
        if segment is not None:
            found.segments.append(segment)
        else:
            found.unexpected.append(name)
    elif name.startswith(CHECKPOINTS):
        size = name.removeprefix(CHECKPOINTS)
        if _SIZE.fullmatch(size):
            found.checkpoints.append(int(size))
        else:
            found.unexpected.append(name)
    elif name.startswith(OBJECTS):
        digest = name.removeprefix(OBJECTS)
        if _HASH.fullmatch(digest):
            found.objects.append(digest)
        else:
            found.unexpected.append(name)
    elif name.startswith(TILES) and (match := _PARTIAL.fullmatch(name)):
        found.partials.setdefault(match[1], []).append(int(match[2]))
