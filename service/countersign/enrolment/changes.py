"""What differs between two books of one tenant, fit for a record.

Ids, and values where they are neither personal nor secret: which scope or group
became which other is told in full; names, aliases, accounts and credentials by
their field alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

from countersign.credentials import SubjectKind
from countersign.enrolment.values import Book, Group, Login, LoginKey
from countersign.model import Caller, Channel, Conversation, JsonObject, JsonValue, Person, TenantId

_TOLD: Final = frozenset(
    {
        *("owners", "users", "parent", "actors", "environments", "resources", "audience"),
        *("clients", "conversations", "groups", "includes", "issuers"),
    }
)
"""Fields whose values are told. Whatever else a subject may have is withheld."""
_Part: TypeAlias = Caller | Person | Channel | Group | Login
_Facts: TypeAlias = dict[str, tuple[_Part, ...]]
"""By id: a subject, and its credentials if it can have some."""
_Enrolled: TypeAlias = tuple[Book, Mapping[LoginKey, Login]]


def changes(tenant: TenantId, old: _Enrolled, new: _Enrolled) -> JsonObject:
    """By kind: `{"added": [id], "removed": [id], "changed": {id: {field: …}}}`.

    A field is `{"old": …, "new": …}`, or `{}` when its values are withheld. Empty
    exactly when both say the same.
    """
    before, now = _facts(tenant, *old), _facts(tenant, *new)
    if before == now:
        return {}
    return {kind: _compare(before[kind], facts) for kind, facts in now.items()}


def _facts(tenant: TenantId, book: Book, logins: Mapping[LoginKey, Login]) -> dict[str, _Facts]:
    def with_login(kind: SubjectKind, subjects: Iterable[Caller | Person | Channel]) -> _Facts:
        return {
            subject.id: (
                subject,
                logins.get((tenant, kind, subject.id))
                or Login(tenant=tenant, kind=kind, subject=subject.id),
            )
            for subject in subjects
        }

    callers = (entry.caller for entry in book.callers.values())
    return {
        "callers": with_login(SubjectKind.CALLER, callers),
        "people": with_login(SubjectKind.PERSON, book.people.values()),
        "channels": with_login(SubjectKind.CHANNEL, book.channels.values()),
        "groups": {group.id: (group,) for group in book.groups.values()},
    }


def _compare(old: _Facts, new: _Facts) -> JsonObject:
    same_ids = sorted(old.keys() & new.keys())
    return {
        "added": [*sorted(new.keys() - old.keys())],
        "removed": [*sorted(old.keys() - new.keys())],
        "changed": {
            subject: _changed_fields(old[subject], new[subject])
            for subject in same_ids
            if old[subject] != new[subject]
        },
    }


def _changed_fields(old: tuple[_Part, ...], new: tuple[_Part, ...]) -> JsonObject:
    found: JsonObject = {}
    for before, now in zip(old, new, strict=True):
        for name in (field.name for field in dataclasses.fields(now)):
            was, is_ = getattr(before, name), getattr(now, name)
            if was != is_:
                told = name in _TOLD
                found[name] = {"old": _plain(was), "new": _plain(is_)} if told else {}
    return found


_Told: TypeAlias = str | Conversation | None


def _plain(value: _Told | tuple[_Told, ...] | frozenset[str]) -> JsonValue:
    """A value as a record holds it."""
    if isinstance(value, frozenset):
        return [*sorted(value)]
    if isinstance(value, Conversation):
        return {"id": value.id, "name": value.name}
    return [_plain(each) for each in value] if isinstance(value, tuple) else value
