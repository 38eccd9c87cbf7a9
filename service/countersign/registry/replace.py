"""Files held against other editors, and replaced whole or not at all.

A reader, a crash or a full disk at any moment finds the old file or the new one,
never a part. What holds them is a file of their own that nobody else can open, since
whoever can open a file can lock it. Used by `edit`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from countersign.errors import ConfigurationError

LOCK_NAME: Final = ".countersign.lock"
_RETRY_S: Final = 0.02


@contextlib.contextmanager
def held(paths: Iterable[Path], *, wait_s: float) -> Iterator[None]:
    """Hold the directories of these files against other editors, who get so long to end.

    In one order for everybody, so that two editors never wait for each other.
    """
    until_s = time.monotonic() + wait_s
    with contextlib.ExitStack() as stack:
        for parent in sorted({path.resolve().parent for path in paths}):
            try:
                descriptor = os.open(
                    parent / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600
                )
                stack.callback(os.close, descriptor)
                _give_to_owner(parent, descriptor)
                _lock(descriptor, until_s)
            except OSError as error:
                raise _unwritable(parent, error) from error
        yield


def _give_to_owner(parent: Path, descriptor: int) -> None:
    """What root makes on the host must not keep the service out."""
    owner = parent.stat()
    if os.geteuid() == 0 and os.fstat(descriptor).st_uid != owner.st_uid:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _lock(descriptor: int, until_s: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until_s:
                raise ConfigurationError(
                    "directory.held",
                    "somebody else is changing the registers",
                    advice="Nothing was changed; try again in a moment.",
                ) from None
            time.sleep(_RETRY_S)
        else:
            return


def replace(path: Path, data: bytes, *, unless: Callable[[], bool]) -> bool:
    """Give a file new content: write beside, flush, rename, flush the directory.

    The directory is `held`. A link's target is replaced, not the link. `unless` is
    asked last of all: when it says so, nothing is replaced. Whether it was.
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
            if unless():
                beside.unlink()
                return False
            beside.replace(target)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        _flush(target.parent)
    except OSError as error:
        raise _unwritable(path, error) from error
    return True


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
