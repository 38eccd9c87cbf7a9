"""What an operator registers, between messages and values: strict and bounded.

Everything that can be judged from the message alone is judged here, so that a
refusal names the field (`caller.owners[1]`) and never what it holds. Used by
`admin` alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from countersign.credentials import SubjectKind
from countersign.directory import CredentialName
from countersign.enrolment import fold, is_id
from countersign.errors import InvalidRequestError
from countersign.model import (
    Account,
    Caller,
    CallerId,
    Channel,
    ChannelId,
    Conversation,
    Instant,
    Person,
    PersonId,
    TenantId,
)
from countersign.registry import Who
from countersign.registry.edit import TOKEN_NAME_CHARS
from countersign.v1 import admin_pb2

MAX_ENTRIES: Final = 100
"""In one list."""
MAX_ACCOUNTS: Final = 20
"""Of one person."""
MAX_CHARS: Final = 256
"""In one text."""
_KINDS: Final[Mapping[int, SubjectKind]] = {
    admin_pb2.SUBJECT_KIND_CALLER: SubjectKind.CALLER,
    admin_pb2.SUBJECT_KIND_PERSON: SubjectKind.PERSON,
    admin_pb2.SUBJECT_KIND_CHANNEL: SubjectKind.CHANNEL,
}
_AN_ID: Final = "must be 1 to 128 of a-z 0-9 . _ @ - and start with a letter or digit"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    """Where in the request something stands."""

    path: str

    def refuse(self, problem: str) -> InvalidRequestError:
        return InvalidRequestError(self.path, problem)

    def id(self, value: str) -> str:
        if not is_id(value):
            raise self.refuse(_AN_ID if value else "is missing")
        return value

    def text(self, value: str) -> str:
        """Printable, bounded, without blanks around it."""
        if not value:
            raise self.refuse("is missing")
        if len(value) > MAX_CHARS:
            raise self.refuse(f"is over {MAX_CHARS} characters")
        if not value.isprintable() or value != value.strip():
            raise self.refuse("has blanks around it or holds control characters; write plain text")
        return value

    def pattern(self, value: str) -> str:
        kind, _, name = self.text(value).partition(":")
        if not kind or not name:
            raise self.refuse('must be "type:id", with * for any run of characters')
        return value

    def listed(
        self, values: Sequence[str], one: Callable[[_Field, str], str], *, needed: bool = False
    ) -> tuple[str, ...]:
        self._bound(values, needed=needed)
        found = [one(_Field(path=f"{self.path}[{n}]"), value) for n, value in enumerate(values)]
        self._once(found)
        return tuple(found)

    def accounts(self, values: Sequence[admin_pb2.Account]) -> tuple[Account, ...]:
        self._bound(values, needed=False, most=MAX_ACCOUNTS)
        found = [
            Account(
                issuer=_Field(path=f"{self.path}[{number}].issuer").text(value.issuer),
                subject=_Field(path=f"{self.path}[{number}].subject").text(value.subject),
            )
            for number, value in enumerate(values)
        ]
        self._once(found)
        return tuple(found)

    def conversations(self, values: Sequence[admin_pb2.Conversation]) -> tuple[Conversation, ...]:
        self._bound(values, needed=False)
        found = [
            Conversation(
                name=_Field(path=f"{self.path}[{number}].name").id(value.name),
                id=_Field(path=f"{self.path}[{number}].id").text(value.id),
            )
            for number, value in enumerate(values)
        ]
        self._once(found)
        return tuple(found)

    def _bound(self, values: Sequence[object], *, needed: bool, most: int = MAX_ENTRIES) -> None:
        if needed and not values:
            raise self.refuse("is empty; name at least one")
        if len(values) > most:
            raise self.refuse(f"has more than {most} entries")

    def _once(self, values: Iterable[object]) -> None:
        seen: set[object] = set()
        for number, value in enumerate(values):
            if value in seen:
                raise InvalidRequestError(f"{self.path}[{number}]", "is there twice")
            seen.add(value)


def caller(tenant: TenantId, message: admin_pb2.CallerEntry) -> Caller:
    """A caller to register. Raises `InvalidRequestError`."""
    _no_credentials("caller", message.credentials)
    return Caller(
        tenant=tenant,
        id=CallerId(_Field(path="caller.id").id(message.id)),
        actors=_Field(path="caller.actors").listed(message.actors, _Field.id, needed=True),
        environments=_Field(path="caller.environments").listed(
            message.environments, _Field.id, needed=True
        ),
        resources=_Field(path="caller.resources").listed(
            message.resources, _Field.pattern, needed=True
        ),
        owners=_people("caller.owners", message.owners, needed=True),
        users=_people("caller.users", message.users),
        parent=CallerId(_Field(path="caller.parent").id(message.parent))
        if message.parent
        else None,
        audience=_Field(path="caller.audience").text(message.audience) if message.audience else "",
        clients=_Field(path="caller.clients").listed(message.clients, _Field.text),
    )


def person(tenant: TenantId, message: admin_pb2.PersonEntry) -> Person:
    """A person to register. Raises `InvalidRequestError`."""
    _no_credentials("person", message.credentials)
    found = Person(
        tenant=tenant,
        id=PersonId(_Field(path="person.id").id(message.id)),
        name=_Field(path="person.name").text(message.name),
        groups=frozenset(_Field(path="person.groups").listed(message.groups, _Field.id)),
        accounts=_Field(path="person.accounts").accounts(message.accounts),
        aliases=_Field(path="person.aliases").listed(message.aliases, _Field.text),
    )
    names = {fold(found.id)}
    for number, alias in enumerate(found.aliases):
        if fold(alias) in names:
            raise InvalidRequestError(f"person.aliases[{number}]", "is there twice, or is their id")
        names.add(fold(alias))
    return found


def channel(tenant: TenantId, message: admin_pb2.ChannelEntry) -> Channel:
    """A channel to register. Raises `InvalidRequestError`."""
    _no_credentials("channel", message.credentials)
    return Channel(
        tenant=tenant,
        id=ChannelId(_Field(path="channel.id").id(message.id)),
        issuers=_Field(path="channel.issuers").listed(message.issuers, _Field.text, needed=True),
        conversations=_Field(path="channel.conversations").conversations(message.conversations),
    )


def kind(value: int) -> SubjectKind:
    """The kind of subject a request names."""
    found = _KINDS.get(value)
    if found is None:
        raise InvalidRequestError("kind", "must be CALLER, PERSON or CHANNEL")
    return found


def subject_id(value: str) -> str:
    """The id of a subject a request names."""
    return _Field(path="id").id(value)


def token_name(value: str) -> str:
    """The name of a token; empty where none is given."""
    if value and (len(value) != TOKEN_NAME_CHARS or not set(value) <= set("0123456789abcdef")):
        raise InvalidRequestError(
            "name", f"must be the {TOKEN_NAME_CHARS} hex digits that a list shows for the token"
        )
    return value


def about(tenant: TenantId, message: Message) -> Who | None:
    """Whom a request is about, as far as it says so; nothing of it is checked but the form."""
    told = {field.name: value for field, value in message.ListFields()}
    for kind in SubjectKind:
        if str(kind) in told:
            return _about(tenant, kind, told[str(kind)].id)
    return _about(tenant, _KINDS.get(told.get("kind", 0)), told.get("id", ""))


def _about(tenant: TenantId, kind: SubjectKind | None, id: str) -> Who | None:
    return Who(tenant=tenant, kind=kind, id=id) if kind is not None and is_id(id) else None


def known_only(message: Message, path: str = "") -> None:
    """Refuse what this server cannot read: it would be left out in silence."""
    unknown = UnknownFieldSet(message)
    if len(unknown):
        raise InvalidRequestError(
            path or "request",
            f"has a field this server does not know, number {unknown[0].field_number}; "
            "update the server, or leave it out",
        )
    for descriptor, value in message.ListFields():
        if descriptor.message_type is None:
            continue
        below = f"{path}.{descriptor.name}" if path else descriptor.name
        if isinstance(value, Message):
            known_only(value, below)
        else:
            for number, item in enumerate(value):
                known_only(item, f"{below}[{number}]")


def caller_entry(
    found: Caller, credentials: Iterable[admin_pb2.CredentialInfo]
) -> admin_pb2.CallerEntry:
    """A registered caller, as it is told."""
    return admin_pb2.CallerEntry(
        id=found.id,
        actors=found.actors,
        environments=found.environments,
        resources=found.resources,
        owners=found.owners,
        users=found.users,
        parent=found.parent or "",
        audience=found.audience,
        clients=found.clients,
        credentials=credentials,
    )


def person_entry(
    found: Person, credentials: Iterable[admin_pb2.CredentialInfo]
) -> admin_pb2.PersonEntry:
    """A registered person, as they are told."""
    return admin_pb2.PersonEntry(
        id=found.id,
        name=found.name,
        groups=sorted(found.groups),
        accounts=[admin_pb2.Account(issuer=a.issuer, subject=a.subject) for a in found.accounts],
        aliases=found.aliases,
        credentials=credentials,
    )


def channel_entry(
    found: Channel, credentials: Iterable[admin_pb2.CredentialInfo]
) -> admin_pb2.ChannelEntry:
    """A registered channel, as it is told."""
    return admin_pb2.ChannelEntry(
        id=found.id,
        issuers=found.issuers,
        conversations=[
            admin_pb2.Conversation(name=each.name, id=each.id) for each in found.conversations
        ],
        credentials=credentials,
    )


def credential(found: CredentialName, last_used: Mapping[str, Instant]) -> admin_pb2.CredentialInfo:
    """A way in, and when it was last used, as far as that is known."""
    told = admin_pb2.CredentialInfo(name=found.name, kind=found.kind)
    if found.proof in last_used:
        told.last_used_at.FromMicroseconds(last_used[found.proof])
    return told


def _people(path: str, values: Sequence[str], *, needed: bool = False) -> tuple[PersonId, ...]:
    return tuple(map(PersonId, _Field(path=path).listed(values, _Field.id, needed=needed)))


def _no_credentials(path: str, given: Sequence[object]) -> None:
    if given:
        raise InvalidRequestError(
            f"{path}.credentials", "is told and never taken; leave it out, and rotate for a token"
        )
