"""The action context as an agent writes it: checked and copied at once.

Everything an approval binds to is turned into canonical bytes when a `Context`
is made, so a wrong argument is reported on the line that wrote it, and what a
caller changes in its own dictionaries afterwards changes nothing here
(invariant 4). Evidence of who is behind it is no part of that (`principals`).
Values never appear in `repr`, messages or pickles (invariant 3).
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar, cast

from countersign import canonical, model
from countersign.canonical import StrictJsonError
from countersign.client.errors import InvalidContext, InvalidRequest
from countersign.client.principals import (
    External,
    Person,
    Principal,
    Workload,
    evidence_of,
    principal_of,
    require_jwt,
)
from countersign.model import JsonObject, JsonValue, Withheld
from countersign.v1 import context_pb2

MAX_PRINCIPALS: Final = 16
T = TypeVar("T")
_ACTION: Final = re.compile(r"(?=[^a-z]*[a-z])[a-z0-9_]+(\.[a-z0-9_]+)*")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_UNPRINTABLE_BITS: Final = 4096
"""Python refuses to print integers of more than 4,300 digits."""


@dataclasses.dataclass(frozen=True, slots=True, repr=False, eq=False)
class Resource(Withheld):
    """What is acted on: `Resource("table", "customers")`.

    `attributes` is any JSON object, `owner` who owns it as far as you know.
    """

    type: str
    id: str
    _: dataclasses.KW_ONLY
    owner: str = ""
    attributes: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "attributes", strict_object("resource.attributes", self.attributes)
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=False)
class Context(Withheld):
    """What is about to happen. Raises `InvalidContext` naming the field that is wrong.

    `actor` is the agent's registered name; `on_behalf_of` the principals behind
    it, nearest first; `arguments` any JSON object. Two contexts are equal when
    an approval of one is an approval of the other.
    """

    action: str
    resource: Resource
    environment: str
    actor: str | Principal
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    on_behalf_of: Sequence[Principal] = ()
    reason: str = ""
    session: str = ""
    canonical_bytes: bytes = dataclasses.field(init=False)
    """RFC 8785 bytes of the whole context: what an approval binds to."""

    def __post_init__(self) -> None:
        if isinstance(self.actor, str):
            object.__setattr__(self, "actor", Workload(self.actor))
        self._check_kinds()
        object.__setattr__(self, "on_behalf_of", tuple(self.on_behalf_of))
        object.__setattr__(self, "arguments", strict_object("arguments", self.arguments))
        self._check()
        object.__setattr__(self, "canonical_bytes", canonical.encode(self.to_model().to_json()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Context) and self.canonical_bytes == other.canonical_bytes

    def __hash__(self) -> int:
        return hash(self.canonical_bytes)

    def _check_kinds(self) -> None:
        if not isinstance(self.resource, Resource):
            raise InvalidContext("resource", 'must be a Resource, like Resource("table", "orders")')
        if not isinstance(self.actor, Person | Workload | External):
            raise InvalidContext("actor", "must be a name or a Workload")
        if not isinstance(self.on_behalf_of, list | tuple):
            raise InvalidContext("on_behalf_of", "must be a list of principals")
        for index, principal in enumerate(self.on_behalf_of):
            if not isinstance(principal, Person | Workload | External):
                raise InvalidContext(
                    f"on_behalf_of[{index}]", "must be a Person, a Workload or an External"
                )

    def _check(self) -> None:
        for field, value in self._texts():
            if not isinstance(value, str):
                raise InvalidContext(field, "must be a string")
            if _SURROGATE.search(value):
                raise InvalidContext(field, "holds a lone surrogate; send valid Unicode")
        if not _ACTION.fullmatch(self.action):
            raise InvalidContext("action", "must be dotted lower-case words, like db.export")
        for field, value in self._texts():
            if not value and field not in {"reason", "session", "resource.owner"}:
                raise InvalidContext(field, "must not be empty")
        if len(self.on_behalf_of) > MAX_PRINCIPALS:
            raise InvalidContext("on_behalf_of", f"names more than {MAX_PRINCIPALS} principals")
        self._check_evidence()

    def _texts(self) -> list[tuple[str, str]]:
        """Every string of the envelope, with the name a message should use."""
        texts = [
            ("action", self.action),
            ("environment", self.environment),
            ("reason", self.reason),
            ("session", self.session),
            ("resource.type", self.resource.type),
            ("resource.id", self.resource.id),
            ("resource.owner", self.resource.owner),
            ("actor", self._actor.id),
        ]
        return texts + [(f"on_behalf_of[{i}]", p.id) for i, p in enumerate(self.on_behalf_of)]

    def _check_evidence(self) -> None:
        """One proof at most, and of the right form."""
        proven = [
            ("actor" if index == 0 else f"on_behalf_of[{index - 1}]", who)
            for index, who in enumerate(self._principals)
            if isinstance(who, Person) and who.evidence != ""
        ]
        for place, person in proven:
            require_jwt(f"{place}.evidence", person.evidence, InvalidContext)
        if len(proven) > 1:
            raise InvalidContext(f"{proven[1][0]}.evidence", "is a second one; give one at most")

    @property
    def _actor(self) -> Principal:
        return cast(Principal, self.actor)

    @property
    def _principals(self) -> tuple[Principal, ...]:
        return (self._actor, *self.on_behalf_of)

    def to_model(self) -> model.ActionContext:
        """The value `countersign.permit.verify` checks a permit against."""
        return model.ActionContext(
            actor=model.Principal(type=self._actor.type, id=self._actor.id),
            on_behalf_of=tuple(model.Principal(type=p.type, id=p.id) for p in self.on_behalf_of),
            action=self.action,
            resource=model.Resource(
                type=self.resource.type,
                id=self.resource.id,
                owner=self.resource.owner,
                attributes=cast(JsonObject, self.resource.attributes),
            ),
            environment=self.environment,
            arguments=cast(JsonObject, self.arguments),
            reason=self.reason,
            session=self.session,
        )

    def to_message(self) -> context_pb2.Context:
        """The wire form. Made from the bound bytes, so it says what was checked."""
        bound = canonical.parse_object(self.canonical_bytes)
        return message_of(bound)

    def to_check_message(self, evidence: str = "") -> context_pb2.Context:
        """The same with the evidence of the person behind it, which Check alone takes.

        `evidence` is a fresh token, in the place of one the context was made with.
        """
        message = self.to_message()
        parts = (message.actor, *message.on_behalf_of)
        for part, proof in zip(parts, evidence_of(self._principals, evidence), strict=True):
            part.evidence = proof
        return message

    @classmethod
    def from_message(cls, message: context_pb2.Context) -> Context:
        """The context a message carries. Raises `InvalidContext`."""
        try:
            return cls(
                action=message.action,
                resource=Resource(
                    message.resource.type,
                    message.resource.id,
                    owner=message.resource.owner,
                    attributes=canonical.parse_object(message.resource.attributes_json),
                ),
                environment=message.environment,
                actor=_principal(message.actor),
                arguments=canonical.parse_object(message.arguments_json),
                on_behalf_of=[_principal(item) for item in message.on_behalf_of],
                reason=message.reason,
                session=message.session,
            )
        except StrictJsonError as error:
            raise InvalidContext(f"arguments{error.pointer}", error.problem) from None

    @classmethod
    def from_canonical(cls, data: bytes) -> Context:
        """The context whose canonical bytes these are; undoes `canonical_bytes`."""
        bound: Any = canonical.parse_object(data)
        try:
            resource = bound["resource"]
            return cls(
                action=bound["action"],
                resource=Resource(
                    resource["type"],
                    resource["id"],
                    owner=resource["owner"],
                    attributes=resource["attributes"],
                ),
                environment=bound["environment"],
                actor=_saved_principal(**bound["actor"]),
                arguments=bound["arguments"],
                on_behalf_of=[_saved_principal(**item) for item in bound["on_behalf_of"]],
                reason=bound["reason"],
                session=bound["session"],
            )
        except (KeyError, TypeError) as error:
            raise InvalidContext("context", "is not a complete action context") from error


def _principal(message: context_pb2.Principal) -> Principal:
    return principal_of(message.type, message.id, message.evidence)


def _saved_principal(*, type: str, id: str) -> Principal:
    """Without evidence, which is never saved."""
    return principal_of(type, id)


def message_of(bound: Any) -> context_pb2.Context:
    """The protobuf form of a context's JSON form."""
    resource = bound["resource"]
    return context_pb2.Context(
        actor=context_pb2.Principal(**bound["actor"]),
        on_behalf_of=[context_pb2.Principal(**item) for item in bound["on_behalf_of"]],
        action=bound["action"],
        resource=context_pb2.Resource(
            type=resource["type"],
            id=resource["id"],
            owner=resource["owner"],
            attributes_json=canonical.encode(resource["attributes"]),
        ),
        environment=bound["environment"],
        arguments_json=canonical.encode(bound["arguments"]),
        reason=bound["reason"],
        session=bound["session"],
    )


def strict_object(
    field: str, value: object, *, error: type[InvalidRequest] = InvalidContext
) -> JsonObject:
    """A copy of a Python value as a strict JSON object, or `error` naming the place.

    Nothing is guessed: keys that are not strings, NaN, integers beyond 2^53,
    dates, decimals and bytes are refused rather than converted.
    """
    if not isinstance(value, Mapping):
        raise error(field, "must be a mapping with string keys")
    return _strict(field, value, canonical.parse_object, error)


def strict_value(field: str, value: object, *, error: type[InvalidRequest]) -> Any:
    """The same for any JSON value."""
    return _strict(field, value, canonical.parse_value, error)


def _strict(
    field: str, value: object, parse: Callable[[bytes], T], error: type[InvalidRequest]
) -> T:
    try:
        text = json.dumps(_plain(value, "", canonical.MAX_DEPTH), separators=(",", ":"))
        return parse(text.encode())
    except StrictJsonError as found:
        raise error(f"{field}{found.pointer}", found.problem) from None


def _plain(value: object, pointer: str, depth: int) -> JsonValue:
    """Check types and keys before `json` would quietly convert them."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        if value.bit_length() > _UNPRINTABLE_BITS:
            raise StrictJsonError(pointer, "is an integer beyond 2^53; send it as a string")
        return int(value)
    if isinstance(value, Mapping | list | tuple):
        if depth < 0:
            raise StrictJsonError(pointer, f"is nested deeper than {canonical.MAX_DEPTH}")
        if isinstance(value, Mapping):
            return {
                _key(key, pointer): _plain(item, f"{pointer}/{_token(key)}", depth - 1)
                for key, item in value.items()
            }
        return [_plain(item, f"{pointer}/{index}", depth - 1) for index, item in enumerate(value)]
    raise StrictJsonError(
        pointer, f"is a {type(value).__name__}, which JSON does not have; send it as a string"
    )


def _key(key: object, pointer: str) -> str:
    if not isinstance(key, str):
        raise StrictJsonError(pointer, f"has a key that is a {type(key).__name__}; use string keys")
    return str.__str__(key)


def _token(key: object) -> str:
    return canonical.escape(key) if isinstance(key, str) else "?"
