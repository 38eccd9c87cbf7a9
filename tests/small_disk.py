"""A real file system that is full when a test says so: a small tmpfs, mounted.

Mounting needs root and a kernel that lets it; elsewhere the test is skipped and says
why, since no limit on a process (RLIMIT_FSIZE, a quota) fails as a full disk does.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

_PIECE = b"\0" * 4096


class SmallDisk:
    """A mounted directory with little room."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def fill(self) -> None:
        """Take all the room that is left, to the last block."""
        with self._ballast.open("ab", buffering=0) as ballast, contextlib.suppress(OSError):
            while ballast.write(_PIECE):
                pass
        assert self.left_bytes() == 0

    def make_room(self) -> None:
        self._ballast.unlink()

    def grow(self, megabytes: int) -> None:
        """Make the disk itself larger."""
        options = f"remount,size={megabytes}m"
        subprocess.run(["mount", "-o", options, str(self.path)], check=True)

    def left_bytes(self) -> int:
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize


@contextlib.contextmanager
def small_disk(path: Path, megabytes: int) -> Iterator[SmallDisk]:
    """A disk of that size, mounted at the path until the end."""
    path.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "tmpfs", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)
