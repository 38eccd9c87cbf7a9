"""A sink in a local directory: tamper-evident only, and it says so.

The layout is that of the locked bucket, so a copy of a log's directory is what
an auditor verifies. Every file is written under a temporary name, synced, and
then linked (create-exclusive) or renamed (the pointer) into place; the
directory is synced before the next file. A file therefore exists whole or not
at all, whatever moment the power goes.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from countersign.audit.plan import TILES, File, Keep
from countersign.errors import LogError

_SEGMENT: Final = re.compile(r"[A-Za-z0-9_=-][A-Za-z0-9._=-]{0,127}")
_TEMPORARY: Final = ".writing-"


def _nothing(_: str) -> None:
    """No fault is injected."""


class LocalSink:
    """Logs below `root`, each in the directory its id names."""

    def __init__(self, root: Path, *, reached: Callable[[str], None] = _nothing) -> None:
        """`reached` is told of each step towards a file: a crash must do no harm."""
        self._root = root
        self._reached = reached

    @property
    def enforcing(self) -> bool:
        """False: whoever owns the directory can delete it."""
        return False

    def check(self) -> None:
        """Nothing to see: the directory is made when it is written to."""

    def directory(self, log_id: str) -> Path:
        """Where that log is. This is what an auditor copies."""
        return self._path(log_id)

    def write(self, log_id: str, files: Sequence[File]) -> None:
        """Write the files in that order; each is durable before the next."""
        for file in files:
            path = self._path(log_id, file.name)
            with _wrapped(file.name):
                self._make_directory(path.parent)
                if file.keep is Keep.POINTER:
                    _replace(path, file.data, self._reached)
                else:
                    _create(path, file, self._reached)

    def read(self, log_id: str, name: str) -> bytes | None:
        """The bytes of a file, or None."""
        path = self._path(log_id, name)
        with _wrapped(name):
            try:
                return path.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def names(self, log_id: str, prefix: str, *, after: str = "") -> Sequence[str]:
        """All names that start with `prefix` and sort after `after`, sorted."""
        root = self._path(log_id)
        with _wrapped(prefix):
            names = list(_walk(root, prefix.rpartition("/")[0], after))
        return sorted(name for name in names if name.startswith(prefix) and name > after)

    def prune(self, log_id: str, directories: Sequence[str]) -> None:
        """Remove directories of partial tiles."""
        for name in directories:
            if not (name.startswith(TILES) and name.endswith(".p")):
                raise ValueError("only directories of partial tiles can be pruned")
            with _wrapped(name), contextlib.suppress(FileNotFoundError):
                shutil.rmtree(self._path(log_id, name))

    def _path(self, *parts: str) -> Path:
        names = [name for part in parts for name in part.split("/")]
        if not all(map(_SEGMENT.fullmatch, names)):
            raise LogError(
                "log.name_invalid",
                "a log id or file name has a part that cannot be a directory",
                advice="Use letters, digits, '.', '_' and '-' in the log name and tenant ids.",
            )
        return self._root.joinpath(*names)

    def _make_directory(self, path: Path) -> None:
        """Make a directory and its parents, each synced into its own parent."""
        if path.is_dir():
            return
        self._make_directory(path.parent)
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o755)
        _sync_directory(path.parent)


def _walk(root: Path, folder: str, after: str) -> Iterator[str]:
    """The names of files below a folder, leaving out folders that end before `after`."""
    try:
        entries = list(os.scandir(root / folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        name = f"{folder}/{entry.name}" if folder else entry.name
        if not entry.is_dir(follow_symlinks=False):
            if not entry.name.startswith(_TEMPORARY):
                yield name
        elif name >= after[: len(name)]:
            yield from _walk(root, name, after)


@contextlib.contextmanager
def _wrapped(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        raise LogError(
            "log.sink_unavailable",
            f"{name}: {reason}",
            advice="Check space and permissions of the audit directory; publishing goes on "
            "by itself once it can.",
        ) from error


def _create(path: Path, file: File, reached: Callable[[str], None]) -> None:
    with _temporary(path, file.data) as temporary:
        reached("local.written")
        try:
            os.link(temporary, path)
        except FileExistsError:
            if path.read_bytes() != file.data:
                raise LogError(
                    "log.conflict",
                    f"{file.name}: already published with other content",
                    advice="Two writers share this log, or it was tampered with. Keep both "
                    "copies, run `verify` on the directory, and find out which store is right.",
                ) from None
        reached("local.linked")
    _sync_directory(path.parent)


def _replace(path: Path, data: bytes, reached: Callable[[str], None]) -> None:
    with _temporary(path, data) as temporary:
        temporary.replace(path)
    reached("local.replaced")
    _sync_directory(path.parent)


@contextlib.contextmanager
def _temporary(path: Path, data: bytes) -> Iterator[Path]:
    """A synced file with these bytes beside `path`, gone afterwards."""
    temporary = path.with_name(f"{_TEMPORARY}{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
