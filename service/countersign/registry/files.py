"""`callers.toml`, `people.toml` and `channels.toml`, read strictly.

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
from countersign.enrolment import Group, Login, is_id
from countersign.errors import ConfigurationError
from countersign.model import (
    Account,
    Caller,
    CallerId,
    Channel,
    ChannelId,
    Conversation,
    Person,
    PersonId,
    TenantId,
)

DEFAULT_TENANT: Final = TenantId("default")
_LOGIN_KEYS: Final = frozenset({"token_sha256", "shown_to", "mtls_subject"})
_CALLER_KEYS: Final = frozenset(f.name for f in dataclasses.fields(Caller)) | _LOGIN_KEYS | {"jwt"}
_PERSON_KEYS: Final = frozenset(f.name for f in dataclasses.fields(Person)) | _LOGIN_KEYS
_CHANNEL_KEYS: Final = frozenset(f.name for f in dataclasses.fields(Channel)) | _LOGIN_KEYS
_GROUP_KEYS: Final = frozenset(f.name for f in dataclasses.fields(Group))
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


def load(callers_path: Path, people_path: Path, channels_path: Path | None = None) -> Directory:
    """Read the files. Raises `ConfigurationError` unless all of it is right.

    The file of channels may be missing: then there are none.
    """
    channels = channels_path and channels_path.exists() and Source.read(channels_path)
    return parse(Source.read(callers_path), Source.read(people_path), channels or None)


def parse(callers: Source, people: Source, channels: Source | None = None) -> Directory:
    """The directory that the files describe together."""
    found_callers = [_caller(table) for table in _tables(callers, callers=_CALLER_KEYS)]
    found_people, found_groups = [], []
    for table in _tables(people, people=_PERSON_KEYS, groups=_GROUP_KEYS):
        if table.name == "people":
            found_people.append(_person(table))
        else:
            found_groups.append(_group(table))
    found_channels = []
    if channels is not None:
        found_channels = [_channel(table) for table in _tables(channels, channels=_CHANNEL_KEYS)]
    return Directory.of(
        [caller for caller, _ in found_callers],
        [person for person, _ in found_people],
        [login for _, login in (*found_callers, *found_people, *found_channels)],
        [channel for channel, _ in found_channels],
        found_groups,
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """One table of a file, read key by key."""

    name: str
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

    def accounts(self, key: str) -> tuple[Account, ...]:
        found = self.values.get(key, [])
        if not isinstance(found, list) or not all(map(_is_account, found)):
            raise self.wrong(
                key,
                f'must be a list of accounts, as in {key} = [{{ issuer = "…", subject = "…" }}]'
                + ("; other names belong in aliases" if key == "accounts" else ""),
            )
        accounts = tuple(Account(issuer=a["issuer"], subject=a["subject"]) for a in found)
        if len(set(accounts)) < len(accounts):
            raise self.wrong(key, "lists something twice")
        return accounts

    def conversations(self, key: str) -> tuple[Conversation, ...]:
        found = self.values.get(key, [])
        if not isinstance(found, list) or not all(map(_is_conversation, found)):
            raise self.wrong(
                key, f'must be a list of conversations, as in {key} = [{{ name = "…", id = "…" }}]'
            )
        return tuple(Conversation(name=each["name"], id=each["id"]) for each in found)

    def login(self, kind: SubjectKind) -> Login:
        return Login(
            tenant=self.tenant,
            kind=kind,
            subject=self.text("id"),
            token_sha256=self.texts("token_sha256", ()),
            shown_to=self.shown_to(),
            mtls_subject=self.text("mtls_subject") if "mtls_subject" in self.values else None,
            jwt=self.accounts("jwt"),
        )

    def needed_login(self, kind: SubjectKind) -> Login:
        """The login of a subject that is nothing without one."""
        login = self.login(kind)
        if not login.token_sha256 and login.mtls_subject is None and not login.jwt:
            others = "mtls_subject and jwt" if kind is SubjectKind.CALLER else "mtls_subject"
            raise self.wrong("token_sha256", f"is missing, and {others} too; give one of them")
        return login

    def shown_to(self) -> tuple[tuple[str, PersonId], ...]:
        found = self.values.get("shown_to", {})
        if not isinstance(found, dict) or not all(
            isinstance(person, str) and is_id(person) for person in found.values()
        ):
            raise self.wrong("shown_to", 'must say who saw which token, as in { 0a1b2c = "bob" }')
        return tuple((name, PersonId(person)) for name, person in sorted(found.items()))

    @property
    def tenant(self) -> TenantId:
        return TenantId(self.text("tenant", DEFAULT_TENANT))

    def wrong(self, key: str, problem: str) -> ConfigurationError:
        return ConfigurationError(
            "directory.invalid_file",
            f"{self.place}: {key} {problem}",
            advice='The reference page "Callers and people" lists every key.',
        )


def _is_account(value: object) -> bool:
    return _has_texts(value, "issuer", "subject")


def _is_conversation(value: object) -> bool:
    return _has_texts(value, "id", "name")


def _has_texts(value: object, *keys: str) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == set(keys)
        and all(isinstance(text, str) for text in value.values())
    )


def _caller(table: _Table) -> tuple[Caller, Login]:
    login = table.needed_login(SubjectKind.CALLER)
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
        clients=table.texts("clients", ()),
    )
    return caller, login


def _person(table: _Table) -> tuple[Person, Login]:
    person = Person(
        tenant=table.tenant,
        id=PersonId(table.text("id")),
        name=table.text("name"),
        groups=frozenset(table.texts("groups", ())),
        accounts=table.accounts("accounts"),
        aliases=table.texts("aliases", ()),
    )
    return person, table.login(SubjectKind.PERSON)


def _group(table: _Table) -> Group:
    return Group(tenant=table.tenant, id=table.text("id"), includes=table.texts("includes", ()))


def _channel(table: _Table) -> tuple[Channel, Login]:
    channel = Channel(
        tenant=table.tenant,
        id=ChannelId(table.text("id")),
        issuers=table.texts("issuers"),
        conversations=table.conversations("conversations"),
    )
    return channel, table.needed_login(SubjectKind.CHANNEL)


def _tables(source: Source, **known: frozenset[str]) -> Iterator[_Table]:
    """The `[[…]]` tables of a file, which must hold nothing else. `known`: keys by name."""
    try:
        document = tomllib.loads(source.data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(
            "directory.invalid_file",
            f"{source.path} {toml_problem(error)}",
            advice="Correct the syntax there; strings need quotes.",
        ) from None
    top = _Table(name="", place=str(source.path), values=document)
    _refuse_unknown(top, frozenset(known))
    for name, keys in known.items():
        tables = document.get(name, [])
        if not isinstance(tables, list) or not all(isinstance(item, dict) for item in tables):
            raise top.wrong(name, f"must be tables, each under its own [[{name}]]")
        for number, values in enumerate(tables, start=1):
            place = _place(source.path, name, number, values)
            table = _Table(name=name, place=place, values=values)
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
