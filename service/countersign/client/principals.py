"""Who stands behind an action, and the evidence that proves one of them.

Evidence is a JWT that shows which person is behind this very call. It is no
part of what is about to happen: it takes part in no comparison, binds no
approval, is never saved, printed or pickled, and goes out with Check and Answer
alone. It expires within minutes, so it belongs to a call rather than to a
context that may wait for an hour: give it to `check` or `authorize`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import ClassVar, Final, TypeAlias

from countersign.client.errors import InvalidContext, InvalidRequest
from countersign.model import Withheld
from countersign.v1 import context_pb2

_JWT: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){2}")


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Person(Withheld):
    """A human, by registered id or by an account of theirs.

    `evidence` is a JWT that proves them, when it is at hand as the context is made.
    """

    id: str
    _: dataclasses.KW_ONLY
    evidence: str = dataclasses.field(default="", compare=False)
    type: ClassVar[str] = "person"


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Workload(Withheld):
    """An agent or service."""

    id: str
    type: ClassVar[str] = "workload"


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class External(Withheld):
    """Somebody outside, known by what they call themselves."""

    id: str
    type: ClassVar[str] = "external"


Principal: TypeAlias = Person | Workload | External


def principal_of(type: str, id: str, evidence: str = "") -> Principal:
    """The principal that a message or saved context names. Raises `InvalidContext`."""
    if evidence and type != Person.type:
        raise InvalidContext("evidence", "proves a person; leave it out of other principals")
    if type == Person.type:
        return Person(id, evidence=evidence)
    for kind in (Workload, External):
        if kind.type == type:
            return kind(id)
    raise InvalidContext("type", "of a principal must be person, workload or external")


def message_of_person(field: str, person: object) -> context_pb2.Principal:
    """One person with their evidence, as Answer takes them. Raises `InvalidRequest`."""
    if not isinstance(person, Person) or not isinstance(person.id, str) or not person.id:
        raise InvalidRequest(field, 'must be a Person, like Person("alice", evidence=token)')
    if person.evidence:
        require_jwt(f"{field}.evidence", person.evidence)
    return context_pb2.Principal(type=person.type, id=person.id, evidence=person.evidence)


def evidence_of(principals: Sequence[Principal], given: str = "") -> list[str]:
    """The evidence that goes with each principal: with one of them at most.

    `given` with the call goes to the person who carries some already, else to
    the only person there is. Raises `InvalidRequest` when that is nobody: whom
    a token proves is never guessed.
    """
    carried = [who.evidence if isinstance(who, Person) else "" for who in principals]
    if not given:
        return carried
    require_jwt("evidence", given)
    people = [index for index, evidence in enumerate(carried) if evidence] or [
        index for index, who in enumerate(principals) if isinstance(who, Person)
    ]
    if len(people) != 1:
        found = "several people" if people else "no person"
        raise InvalidRequest(
            "evidence",
            f"proves one person, and the context names {found}; "
            "give it to the one it proves: Person(id, evidence=token)",
        )
    return [given if index == people[0] else "" for index in range(len(principals))]


def require_jwt(field: str, token: object, error: type[InvalidRequest] = InvalidRequest) -> None:
    """Raise `error` unless it has the form of a JWT; what it proves the server sees."""
    if not isinstance(token, str) or not _JWT.fullmatch(token):
        raise error(
            field, "must be a JWT as it was issued: three parts, without 'Bearer' or white space"
        )
