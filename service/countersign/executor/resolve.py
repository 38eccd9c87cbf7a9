"""Finds a command on this machine and keeps hold of what it found.

What is hashed is what runs: the program stays open from its hash to its start,
and everything that is opened again by its path (a script, its interpreter, a
bound file) may be replaced by nobody but root and this process's own user:
it and every directory above it belong to one of them and nobody else may
write there. `Resolved.require_unchanged` looks once more, right before the
start.

Links are followed once, here; `argv[0]` keeps the name they were found under. That
name decides what some programs do or load, so nobody else may have made it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import pwd
import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
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

DESCRIPTORS: Final = Path("/proc/self/fd")
MAX_STDIN_BYTES: Final = 8 * 1024 * 1024
_MAX_STDIN_TEXT_BYTES: Final = 16 * 1024
_MAX_FIRST_LINE_BYTES: Final = 256
"""What Linux reads of a script's first line."""
_BLANKS: Final = re.compile(rb"[ \t]+")
"""What Linux takes as the end of the interpreter's path; other white space belongs to it."""
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
MAX_BOUND_BYTES: Final = 1024 * 1024 * 1024
"""What is hashed for one command: the program, its interpreter and the files of --bind."""
_BLOCK_BYTES: Final = 1024 * 1024


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
    if sys.getfilesystemencoding() != "utf-8":  # what is shown would not be what is opened
        raise Refused(
            "exec.not_utf8",
            "names of files are not read as UTF-8 here",
            advice="Start countersign exec with LC_ALL=C.UTF-8.",
        )
    argv = argument_vector(wanted.argv)
    cwd, directory = _directory(wanted.cwd, open_files)
    found = _find(argv[0], cwd, wanted.env.get("PATH", SEARCH_PATH))
    reader = _Reader(open_files=open_files)
    program, descriptor = reader.bind("the program", follow("the program", found), runs=True)
    interpreter = _interpreter(descriptor, reader)
    files = []
    for index, name in enumerate(wanted.files, 1):
        what = f"--bind number {index}"
        path = follow(what, os.path.join(cwd, text(what, name)))  # noqa: PTH118
        file, _ = reader.bind(what, path)
        files.append(file)
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
        seen=tuple(reader.seen),
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
        path = text("--cwd", "/" + os.path.realpath(name).lstrip("/"))  # it keeps "//"
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise Refused(
            "exec.cwd", f"--cwd: {error.strerror}", advice="Name an existing directory."
        ) from None
    open_files.callback(os.close, descriptor)
    with contextlib.suppress(FileNotFoundError):  # without /proc it is a path as good as another
        if str((DESCRIPTORS / str(descriptor)).readlink()) != path:
            raise changed_since("--cwd")
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


@dataclasses.dataclass(slots=True, kw_only=True)
class _Reader:
    """Opens and hashes the files that one command is made of, so much and no more."""

    open_files: contextlib.ExitStack
    seen: list[_Seen] = dataclasses.field(default_factory=list)
    left_bytes: int = MAX_BOUND_BYTES

    def bind(self, what: str, path: str, *, runs: bool = False) -> tuple[File, int]:
        """A file that nobody else can replace or write to, and its open descriptor."""
        descriptor = open_trusted(what, path, self.open_files)
        if runs:
            _require_runnable(descriptor)
        found = os.fstat(descriptor)
        self.left_bytes -= found.st_size
        if self.left_bytes < 0:
            raise unusable(
                what,
                "exec.too_large",
                f"is too large: a command and its files may be {MAX_BOUND_BYTES} bytes in all",
                advice="Bind a file that holds the hash of the large one, and let the command "
                "check it.",
            )
        digest = _digest(what, descriptor, found.st_size)
        self.seen.append(_Seen.of(path, what, found))
        return File(path=text(f"the path of {what}", path), sha256=digest), descriptor


def _digest(what: str, descriptor: int, size: int) -> str:
    """The SHA-256 of a file that is as long as it says."""
    digest, left = hashlib.sha256(), size + 1
    try:
        while left and (block := os.read(descriptor, min(left, _BLOCK_BYTES))):
            digest.update(block)
            left -= len(block)
    except OSError as error:
        raise unusable(what, "exec.unreadable", f"cannot be read: {error.strerror}") from None
    if left != 1:
        raise unusable(what, "exec.unreadable", "holds more or less than its size says")
    return digest.hexdigest()


def _identity(found: os.stat_result) -> tuple[int, ...]:
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


# --- what kind of program ----------------------------------------------------


def _require_runnable(descriptor: int) -> None:
    mode = os.fstat(descriptor).st_mode
    if not mode & 0o111:
        raise unusable("the program", "exec.not_executable", "is not executable")
    if mode & (stat.S_ISUID | stat.S_ISGID) or _has_capabilities(descriptor):
        raise unusable(
            "the program",
            "exec.setuid",
            "has rights of its own that nobody approved (setuid, setgid or capabilities)",
            advice="Run a program without them, as an account that has the rights: --user.",
        )


def _has_capabilities(descriptor: int) -> bool:
    """Whether Linux would give rights to whoever runs it. `run` sees to it that none are gained."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # there are none, or none of this kind
            return bool(os.getxattr(descriptor, "security.capability"))
    return False


def is_script(descriptor: int) -> bool:
    """Whether the kernel hands this file to an interpreter."""
    return os.pread(descriptor, 2, 0) == b"#!"


def _interpreter(descriptor: int, reader: _Reader) -> File | None:
    """The program of a script's first line, bound like the script itself."""
    if not is_script(descriptor):
        return None
    line, newline, _ = os.pread(descriptor, _MAX_FIRST_LINE_BYTES - 2, 2).partition(b"\n")
    name = _BLANKS.split(line.strip(b" \t"), 1)[0]
    if not newline or not name.startswith(b"/") or _CONTROL.search(line):
        raise unusable(
            "the program",
            "exec.interpreter",
            "is a script whose first line names no interpreter by its absolute path",
            advice="Write one, as in #!/bin/sh, in at most 255 characters that can be printed.",
        )
    what = "the script's interpreter"
    path = follow(what, text(what, os.fsdecode(name)))
    file, opened = reader.bind(what, path, runs=True)
    if is_script(opened):
        raise unusable(
            "the program",
            "exec.interpreter",
            "is a script whose interpreter is a script",
            advice="Name the program that really runs it.",
        )
    return file


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
