"""Finds a command on this machine and keeps hold of what it found.

What is hashed is what runs: the program stays open from its hash to its start,
and everything that is opened again by its path (a script, its interpreter, a
bound file) may be replaced by nobody but root and this process's own user:
it and every directory above it belong to one of them and nobody else may
write there. `Resolved.require_unchanged` looks once more, right before the
start.

Links are followed once, here; `argv[0]` keeps the name they were found under.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import pwd
import stat
from collections.abc import Iterator
from typing import Final

from countersign.executor.command import (
    NOT_FOUND,
    SEARCH_PATH,
    Account,
    Command,
    File,
    Input,
    Refused,
    Wanted,
    argument_vector,
    text,
)
from countersign.executor.paths import follow, open_trusted, unusable

MAX_STDIN_BYTES: Final = 8 * 1024 * 1024
_MAX_STDIN_TEXT_BYTES: Final = 16 * 1024
_MAX_FIRST_LINE_BYTES: Final = 256
"""What Linux reads of a script's first line."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """A file as it was when it was hashed. Nobody but root can set a change time."""

    path: str
    what: str
    identity: tuple[int, ...]

    @classmethod
    def of(cls, path: str, what: str, found: os.stat_result) -> _Seen:
        return cls(path=path, what=what, identity=_identity(found))

    def require_unchanged(self) -> None:
        """Raise `Refused` unless the path still leads to this very content."""
        try:
            same = _identity(os.stat(self.path)) == self.identity  # noqa: PTH116 - beside fstat
        except OSError:
            same = False
        if not same:
            raise changed_since(self.what)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Resolved:
    """A command and open descriptors of its program and its directory."""

    command: Command
    program: int
    directory: int
    stdin: bytes | None
    seen: tuple[_Seen, ...]

    def require_unchanged(self) -> None:
        """Raise `Refused` when anything was replaced or written to since it was hashed."""
        for file in self.seen:
            file.require_unchanged()
        try:
            there = os.stat(self.command.cwd)  # noqa: PTH116 - beside fstat
        except OSError:
            raise changed_since("--cwd") from None
        if not os.path.samestat(there, os.fstat(self.directory)):
            raise changed_since("--cwd")


@contextlib.contextmanager
def resolve(wanted: Wanted) -> Iterator[Resolved]:
    """What would run now. Raises `Refused`."""
    with contextlib.ExitStack() as open_files:
        yield _resolve(wanted, open_files)


def _resolve(wanted: Wanted, open_files: contextlib.ExitStack) -> Resolved:
    argv = argument_vector(wanted.argv)
    cwd, directory = _directory(wanted.cwd, open_files)
    found = _find(argv[0], cwd, wanted.env.get("PATH", SEARCH_PATH))
    program, descriptor, seen = _bind("the program", os.path.realpath(found), open_files)
    _require_runnable(descriptor)
    interpreter, also_seen = _interpreter(descriptor, open_files)
    files = []
    for index, name in enumerate(wanted.files, 1):
        what = f"--bind number {index}"
        path = follow(what, os.path.join(cwd, text(what, name)))  # noqa: PTH118
        file, _, file_seen = _bind(what, path, open_files)
        files.append(file)
        also_seen += (file_seen,)
    command = Command(
        argv=(text("the program's path", found), *argv[1:]),
        program=program,
        interpreter=interpreter,
        files=tuple(files),
        env=wanted.env,
        cwd=cwd,
        run_as=_account(wanted.user),
        stdin=None if wanted.stdin is None else _input(wanted.stdin),
        again_after=wanted.again_after,
    )
    return Resolved(
        command=command,
        program=descriptor,
        directory=directory,
        stdin=wanted.stdin,
        seen=(seen, *also_seen),
    )


def changed_since(what: str) -> Refused:
    """The error of a thing that is not any more what was approved."""
    return Refused(
        "exec.changed",
        f"{what} changed after it was read; nothing has run",
        advice="Run the same again: it is then asked about as it is now.",
    )


# --- where things are --------------------------------------------------------


def _directory(name: str, open_files: contextlib.ExitStack) -> tuple[str, int]:
    """The real path of the working directory, and the directory itself."""
    try:
        path = text("--cwd", os.path.realpath(name))
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise Refused(
            "exec.cwd", f"--cwd: {error.strerror}", advice="Name an existing directory."
        ) from None
    open_files.callback(os.close, descriptor)
    return path, descriptor


def _find(name: str, cwd: str, search: str) -> str:
    """The path of a program, its directory's links followed and its own kept."""
    if "/" in name:
        candidates = [os.path.join(cwd, name)]  # noqa: PTH118 - the name is kept as it is
    else:
        # A relative entry would find what somebody put into the working directory.
        places = [place for place in search.split(":") if place.startswith("/")]
        candidates = [os.path.join(place, name) for place in places]  # noqa: PTH118
    for candidate in candidates:
        with contextlib.suppress(OSError):
            found = os.stat(candidate)  # noqa: PTH116
            if "/" in name or (stat.S_ISREG(found.st_mode) and found.st_mode & 0o111):
                above, own = os.path.split(candidate)
                return os.path.join(os.path.realpath(above), own)  # noqa: PTH118
    raise Refused(
        "exec.not_found",
        "the command was not found",
        advice="Give an absolute path. Without --env PATH=… it is looked for in the system's "
        "directories only.",
        exit_code=NOT_FOUND,
    )


def _bind(what: str, path: str, open_files: contextlib.ExitStack) -> tuple[File, int, _Seen]:
    """Open and hash a file that nobody else can replace or write to."""
    descriptor = open_trusted(what, path, open_files)
    found = os.fstat(descriptor)
    with open(descriptor, "rb", closefd=False) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    bound = File(path=text(f"the path of {what}", path), sha256=digest)
    return bound, descriptor, _Seen.of(path, what, found)


def _identity(found: os.stat_result) -> tuple[int, ...]:
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


# --- what kind of program ----------------------------------------------------


def _require_runnable(descriptor: int) -> None:
    mode = os.fstat(descriptor).st_mode
    if not mode & 0o111:
        raise unusable("the program", "exec.not_executable", "is not executable")
    if mode & (stat.S_ISUID | stat.S_ISGID):
        raise unusable(
            "the program",
            "exec.setuid",
            "would change to an account that nobody approved (setuid or setgid)",
            advice="Run what it would run, with --user.",
        )


def is_script(descriptor: int) -> bool:
    """Whether the kernel hands this file to an interpreter."""
    return os.pread(descriptor, 2, 0) == b"#!"


def _interpreter(
    descriptor: int, open_files: contextlib.ExitStack
) -> tuple[File | None, tuple[_Seen, ...]]:
    """The program of a script's first line, bound like the script itself."""
    if not is_script(descriptor):
        return None, ()
    line, newline, _ = os.pread(descriptor, _MAX_FIRST_LINE_BYTES, 2).partition(b"\n")
    words = line.strip(b" \t").split(None, 1)
    if not newline or not words or not words[0].startswith(b"/"):
        raise unusable(
            "the program",
            "exec.interpreter",
            "is a script whose first line names no interpreter by its absolute path",
            advice="Write one, as in #!/bin/sh, in at most 255 characters.",
        )
    what = "the script's interpreter"
    path = follow(what, text(what, os.fsdecode(words[0])))
    file, opened, seen = _bind(what, path, open_files)
    _require_runnable(opened)
    if is_script(opened):
        raise unusable(
            "the program",
            "exec.interpreter",
            "is a script whose interpreter is a script",
            advice="Name the program that really runs it.",
        )
    return file, (seen,)


# --- as whom, with what ------------------------------------------------------


def own_account() -> Account:
    """As whom this process runs."""
    own = os.geteuid()
    try:
        user = pwd.getpwuid(own).pw_name
    except KeyError:
        user = str(own)
    groups = tuple(sorted({*os.getgroups()}))
    return Account(user=user, uid=own, gid=os.getegid(), groups=groups)


def _account(name: str) -> Account:
    own = own_account()
    if name in ("", own.user):
        return own
    try:
        entry = pwd.getpwnam(name)
    except (KeyError, ValueError):
        raise Refused("exec.user", "--user: there is no such account") from None
    if own.uid != 0:
        raise Refused(
            "exec.user",
            "--user: only root can run a command as somebody else",
            advice="Start countersign exec as root, or as that user.",
        )
    groups = tuple(sorted({*os.getgrouplist(entry.pw_name, entry.pw_gid)}))
    return Account(user=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid, groups=groups)


def _input(data: bytes) -> Input:
    if len(data) > MAX_STDIN_BYTES:
        raise Refused(
            "exec.stdin",
            f"--stdin: is more than {MAX_STDIN_BYTES} bytes",
            advice="Put it into a file, name the file in the command and give --bind FILE.",
        )
    readable = None
    if len(data) <= _MAX_STDIN_TEXT_BYTES:
        with contextlib.suppress(UnicodeDecodeError):
            readable = data.decode("utf-8")
    return Input(length=len(data), sha256=hashlib.sha256(data).hexdigest(), text=readable)
