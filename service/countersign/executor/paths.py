"""Files that nobody but root and this process's own user can replace or write to.

What is hashed now and opened later by its path stays the same file only if it,
every directory above it and every link on the way belong to one of the two, and
nobody else may write there. In a sticky directory entries keep their owners.
A file system that makes its content up, or that belongs to somebody else, keeps nothing.

Called by `resolve`, and by the command line for its credential.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from pathlib import Path
from typing import Final

from countersign.executor.command import NOT_RUNNABLE, Refused

_MAX_STEPS: Final = 4096
"""Names and links on the way to one file."""
_MOUNTS: Final = Path("/proc/self/mountinfo")
_MADE_UP: Final = frozenset(
    b"""
binfmt_misc bpf cgroup cgroup2 configfs debugfs devpts efivarfs functionfs fusectl mqueue nfsd proc
pstore resctrl rpc_pipefs securityfs selinuxfs smackfs sysfs tracefs
""".split()
)
"""File systems whose content is made as it is read; reading may wait, or do something."""
_FUSE_OWNER: Final = re.compile(rb"\buser_id=([0-9]+)")


def trusted_file(what: str, path: str) -> str:
    """The real path of a file that nobody else can replace or write to. Raises `Refused`."""
    real = follow(what, os.path.abspath(path))  # noqa: PTH100 - links are followed below
    with contextlib.ExitStack() as open_files:
        open_trusted(what, real, open_files)
    return real


def follow(what: str, path: str) -> str:
    """The real path of an absolute one. Nobody else can let a link on the way lead elsewhere."""
    done, left = "/", path.split("/")
    for _ in range(_MAX_STEPS):
        if not left:
            return done
        name = left.pop(0)
        here = _step(done, name)
        if not os.path.islink(here):  # noqa: PTH114
            done = here
            continue
        if os.lstat(here).st_uid not in _trusted():
            raise _untrusted(what, "a link to it")
        _require_trusted_directory(what, done)
        target = os.readlink(here)  # noqa: PTH115
        done = "/" if target.startswith("/") else done
        left = target.split("/") + left
    raise unusable(what, "exec.unreadable", "is behind too many links")


def open_trusted(what: str, path: str, open_files: contextlib.ExitStack) -> int:
    """A regular file that nobody else can replace or write to, by its real path."""
    try:
        _require_trusted(what, path, os.lstat(path))  # to open a device may already do something
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError as error:
        raise unusable(what, "exec.unreadable", f"cannot be read: {error.strerror}") from None
    open_files.callback(os.close, descriptor)
    _require_trusted(what, path, os.fstat(descriptor))
    return descriptor


def _step(directory: str, name: str) -> str:
    """One name further; `directory` is real, so that `..` is what stands above it."""
    if name in ("", "."):
        return directory
    if name == "..":
        return os.path.dirname(directory)  # noqa: PTH120
    return os.path.join(directory, name)  # noqa: PTH118


def _trusted() -> set[int]:
    return {0, os.geteuid()}


def _require_trusted(what: str, path: str, found: os.stat_result) -> None:
    """Raise `Refused` unless it is a file that only root and this user could replace or change."""
    if not stat.S_ISREG(found.st_mode):
        raise unusable(what, "exec.not_a_file", "is not a regular file")
    if found.st_uid not in _trusted() or found.st_mode & 0o022:
        raise _untrusted(what, "the file")
    _require_trusted_directory(what, os.path.dirname(path))  # noqa: PTH120
    _require_stored(what, found)


def _require_stored(what: str, found: os.stat_result) -> None:
    """Raise `Refused` unless the content is kept, and by nobody else."""
    try:
        mounts = _MOUNTS.read_bytes().split(b"\n")
    except OSError:  # not Linux
        return
    device = b"%d:%d" % (os.major(found.st_dev), os.minor(found.st_dev))
    for mount in mounts:
        place, _, system = mount.partition(b" - ")
        if place.split()[2:3] != [device]:
            continue
        if system.split()[0] in _MADE_UP:
            raise unusable(what, "exec.not_a_file", "is made up by the system as it is read")
        owner = _FUSE_OWNER.search(system)
        if system.startswith(b"fuse") and owner and int(owner[1]) not in _trusted():
            raise _untrusted(what, "its file system")


def _require_trusted_directory(what: str, path: str) -> None:
    """The same of a directory and all above it; in a sticky one entries keep their owner.

    The path is a real one: a link in it was put there since it was looked up.
    """
    while True:
        place = os.lstat(path)
        shared = place.st_mode & 0o022 and not place.st_mode & stat.S_ISVTX
        if place.st_uid not in _trusted() or shared or not stat.S_ISDIR(place.st_mode):
            raise _untrusted(what, "a directory above it")
        above = os.path.dirname(path)  # noqa: PTH120
        if above == path:
            return
        path = above


def _untrusted(what: str, part: str) -> Refused:
    return unusable(
        what,
        "exec.writable",
        f"could be replaced while people decide: {part} belongs to or can be written by others",
        advice="Let it and the directories above it belong to root, writable by root only.",
    )


def unusable(what: str, code: str, problem: str, advice: str = "") -> Refused:
    """The error of a file that is there and cannot be relied on."""
    return Refused(code, f"{what} {problem}", advice=advice, exit_code=NOT_RUNNABLE)
