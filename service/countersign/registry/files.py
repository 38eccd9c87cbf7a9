"""`callers.toml` and `people.toml`, read strictly.

Every key is known, typed and checked before anything is believed; messages
name file, table and key, never what a key holds, because a pasted token is a
common mistake. Used by the watcher, by `edit` before it replaces a file, and by
the command line.
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from countersign.credentials import SubjectKind, toml_problem
from countersign.directory import Directory
from countersign.enrolment import Login, is_id
from countersign.errors import ConfigurationError
from countersign.model import Caller, CallerId, Person, PersonId, TenantId

DEFAULT_TENANT: Final = TenantId("default")
_LOGIN_KEYS: Final = frozenset({"token_sha256", "mtls_subject"})
_CALLER_KEYS: Final = frozenset(f.name for f in dataclasses.fields(Caller)) | _LOGIN_KEYS
_PERSON_KEYS: Final = frozenset(f.name for f in dataclasses.fields(Person)) | _LOGIN_KEYS
# A token pasted in the wrong place must not look like a key worth repeating.
_SHOWN_KEY: Final = re.compile(r"[a-z0-9_]{1,24}")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One file as it was read."""

    path: Path
    data: bytes

    @classmethod
    def read(cls, path: Path) -> Source:
        """Read a file. Raises `ConfigurationError` when it cannot be."""
        try:
            return cls(path=path, data=path.read_bytes())
        except OSError as error:
            raise ConfigurationError(
                "directory.unreadable",
                f"{path} cannot be read: {error.strerror}",
                advice="Create it, even empty, and let the server's user read it.",
            ) from error


def load(callers_path: Path, people_path: Path) -> Directory:
    """Read both files. Raises `ConfigurationError` unless all of it is right."""
    return parse(Source.read(callers_path), Source.read(people_path))


def parse(callers: Source, people: Source) -> Directory:
    """The directory that two files describe together."""
    found_callers = [_caller(table) for table in _tables(callers, "callers", _CALLER_KEYS)]
    found_people = [_person(table) for table in _tables(people, "people", _PERSON_KEYS)]
    return Directory.of(
        [caller for caller, _ in found_callers],
        [person for person, _ in found_people],
        [login for _, login in (*found_callers, *found_people)],
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """One table of a file, read key by key."""

    place: str
    values: Mapping[str, Any]

    def text(self, key: str, default: str | None = None) -> str:
        value = self.values.get(key, default)
        if value is None:
            raise self.wrong(key, "is missing")
        if not isinstance(value, str) or (not value and key in self.values):
            raise self.wrong(key, "must be a string that is not empty")
        return value

    def texts(self, key: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        value = self.values.get(key, default)
        if value is None:
            raise self.wrong(key, "is missing")
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
            raise self.wrong(key, f'must be a list of strings, as in {key} = ["…"]')
        if len(set(value)) < len(value):
            raise self.wrong(key, "lists something twice")
        return tuple(value)

    def login(self, kind: SubjectKind) -> Login:
        return Login(
            tenant=self.tenant,
            kind=kind,
            subject=self.text("id"),
            token_sha256=self.texts("token_sha256", ()),
            mtls_subject=self.text("mtls_subject") if "mtls_subject" in self.values else None,
        )

    @property
    def tenant(self) -> TenantId:
        return TenantId(self.text("tenant", DEFAULT_TENANT))

    def wrong(self, key: str, problem: str) -> ConfigurationError:
        return ConfigurationError(
            "directory.invalid_file",
            f"{self.place}: {key} {problem}",
            advice='The reference page "Callers and people" lists every key.',
        )


def _caller(table: _Table) -> tuple[Caller, Login]:
    login = table.login(SubjectKind.CALLER)
    if not login.token_sha256 and login.mtls_subject is None:
        raise table.wrong("token_sha256", "is missing, and mtls_subject too; give one of them")
    caller = Caller(
        tenant=table.tenant,
        id=CallerId(table.text("id")),
        actors=table.texts("actors"),
        environments=table.texts("environments"),
        resources=table.texts("resources"),
        owners=tuple(map(PersonId, table.texts("owners"))),
        users=tuple(map(PersonId, table.texts("users", ()))),
        parent=CallerId(table.text("parent")) if "parent" in table.values else None,
        audience=table.text("audience", ""),
    )
    return caller, login


def _person(table: _Table) -> tuple[Person, Login]:
    person = Person(
        tenant=table.tenant,
        id=PersonId(table.text("id")),
        name=table.text("name"),
        groups=frozenset(table.texts("groups", ())),
        accounts=table.texts("accounts", ()),
    )
    return person, table.login(SubjectKind.PERSON)


def _tables(source: Source, name: str, keys: frozenset[str]) -> Iterator[_Table]:
    """The `[[name]]` tables of a file, which must hold nothing else."""
    try:
        document = tomllib.loads(source.data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(
            "directory.invalid_file",
            f"{source.path} {toml_problem(error)}",
            advice="Correct the syntax there; strings need quotes.",
        ) from None
    top = _Table(place=str(source.path), values=document)
    _refuse_unknown(top, frozenset({name}))
    tables = document.get(name, [])
    if not isinstance(tables, list) or not all(isinstance(item, dict) for item in tables):
        raise top.wrong(name, f"must be tables, each under its own [[{name}]]")
    for number, values in enumerate(tables, start=1):
        table = _Table(place=_place(source.path, name, number, values), values=values)
        _refuse_unknown(table, keys)
        yield table


def _place(path: Path, name: str, number: int, values: Mapping[str, Any]) -> str:
    """Where a table is; its id too when that looks like one."""
    subject = values.get("id")
    shown = f' "{subject}"' if isinstance(subject, str) and is_id(subject) else ""
    return f"{path}: [[{name}]] number {number}{shown}"


def _refuse_unknown(table: _Table, keys: frozenset[str]) -> None:
    for key in sorted(table.values.keys() - keys):
        shown = f'the key "{key}"' if _SHOWN_KEY.fullmatch(key) else "a key"
        known = ", ".join(sorted(keys))
        raise table.wrong(shown, f"is unknown; known are {known}")
