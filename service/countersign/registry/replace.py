"""Files held against other editors, and replaced whole or not at all.

A reader, a crash or a full disk at any moment finds the old file or the new one,
never a part. Used by `edit`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from countersign.errors import ConfigurationError


@contextlib.contextmanager
def held(paths: Iterable[Path]) -> Iterator[None]:
    """Hold the directories of these files against other editors.

    In one order for everybody, so that two editors never wait for each other.
    """
    with contextlib.ExitStack() as stack:
        for parent in sorted({path.resolve().parent for path in paths}):
            try:
                descriptor = os.open(parent, os.O_RDONLY | os.O_DIRECTORY)
                stack.callback(os.close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            except OSError as error:
                raise _unwritable(parent, error) from error
        yield


def replace(path: Path, data: bytes) -> None:
    """Give a file new content: write beside, flush, rename, flush the directory.

    The directory is `held`. A link's target is replaced, not the link.
    """
    target = path.resolve()
    try:
        _remove_left_behind(target)
        beside = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                _keep_access(target, file.fileno())
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(target)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        _flush(target.parent)
    except OSError as error:
        raise _unwritable(path, error) from error


def _remove_left_behind(target: Path) -> None:
    """Nobody else writes while the directory is held: what is there is from a crash."""
    beside = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{16}}")
    for path in target.parent.iterdir():
        if beside.fullmatch(path.name):
            path.unlink()


def _keep_access(target: Path, descriptor: int) -> None:
    """Whoever could read the old file can read the new one; a group at most."""
    with contextlib.suppress(FileNotFoundError):
        old = target.stat()
        new = os.fstat(descriptor)
        if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
            os.fchown(descriptor, old.st_uid, old.st_gid)
        os.fchmod(descriptor, (stat.S_IMODE(old.st_mode) & 0o040) | 0o600)


def _flush(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritable(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        "directory.unwritable",
        f"{path} cannot be replaced: {error.strerror}",
        advice="Run this as the owner of the file, in a directory you may write to.",
    )
