"""Changes of `callers.toml` and `people.toml` that are safe to make at any time.

Adding keeps the operator's comments and formatting: it appends one table, and
the new file takes the old one's place only after both files together made a
valid directory. Used by the command line.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from countersign.credentials import SubjectKind, new_token, token_hash, toml_string
from countersign.errors import ConfigurationError
from countersign.model import Caller, Person
from countersign.registry.files import Source, parse


def add_caller(callers_path: Path, people_path: Path, caller: Caller) -> str:
    """Append a caller to its file and return its new token, which is kept nowhere.

    Raises `ConfigurationError`, and changes nothing, unless the result loads.
    """
    token = new_token(SubjectKind.CALLER)
    entries = _entries(caller, token)
    with _replacing(callers_path) as edit:
        callers = edit.appended("callers", entries)
        parse(callers, _read_if_there(people_path))
        edit.commit(callers.data)
    return token


def add_person(callers_path: Path, people_path: Path, person: Person) -> str:
    """Append a person to its file and return their new token, which is kept nowhere.

    Raises `ConfigurationError`, and changes nothing, unless the result loads.
    """
    token = new_token(SubjectKind.PERSON)
    entries = _entries(person, token)
    with _replacing(people_path) as edit:
        people = edit.appended("people", entries)
        parse(_read_if_there(callers_path), people)
        edit.commit(people.data)
    return token


def _entries(subject: Caller | Person, token: str) -> str:
    """The body of a table. Empty values are left out: they are the defaults."""
    values = {field.name: getattr(subject, field.name) for field in dataclasses.fields(subject)}
    values["token_sha256"] = (token_hash(token),)
    lines = []
    for key, value in values.items():
        if isinstance(value, str) and value:
            lines.append(f"{key} = {toml_string(value)}\n")
        elif value:
            items = sorted(value) if isinstance(value, frozenset) else value
            lines.append(f"{key} = [{', '.join(map(toml_string, items))}]\n")
    return "".join(lines)


def _read_if_there(path: Path) -> Source:
    return Source.read(path) if path.exists() else Source(path=path, data=b"")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Edit:
    """A file held against other adders, until its successor takes its place."""

    path: Path
    directory: int
    """Descriptor of the directory, locked."""

    def appended(self, name: str, entries: str) -> Source:
        """The file with one more table after everything it says now."""
        data = _read_if_there(self.path).data
        gap = b"" if not data else b"\n" if data.endswith(b"\n") else b"\n\n"
        table = f"[[{name}]]\n{entries}".encode("utf-8", "surrogatepass")  # parsing refuses those
        return Source(path=self.path, data=data + gap + table)

    def commit(self, data: bytes) -> None:
        """Write beside, flush, rename, flush the directory."""
        beside = self.path.with_name(f".{self.path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                self._keep_access(file.fileno())
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self.path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        os.fsync(self.directory)

    def _keep_access(self, descriptor: int) -> None:
        """Whoever could read the old file can read the new one; a group at most."""
        with contextlib.suppress(FileNotFoundError):
            old = self.path.stat()
            new = os.fstat(descriptor)
            if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
                os.fchown(descriptor, old.st_uid, old.st_gid)
            os.fchmod(descriptor, (stat.S_IMODE(old.st_mode) & 0o040) | 0o600)


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[_Edit]:
    """Hold the directory of a file. A link's target is replaced, not the link."""
    target = path.resolve()
    try:
        directory = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            yield _Edit(path=target, directory=directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise ConfigurationError(
            "directory.unwritable",
            f"{path} cannot be replaced: {error.strerror}",
            advice="Run this as the owner of the file, in a directory you may write to.",
        ) from error
