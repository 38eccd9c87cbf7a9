"""Protocol buffers to values: strict, bounded, and naming what is wrong.

Fields of a context are named by JSON pointer into the context, as policy and
`must_show` name them; other fields by their name in the request. A value is
never quoted, and steps of a pointer that may be data are masked.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.unknown_fields import UnknownFieldSet

from countersign.canonical import StrictJsonError, parse_object, parse_value
from countersign.errors import InvalidRequestError
from countersign.model import (
    SECOND_US,
    ActionContext,
    Instant,
    JsonObject,
    JsonValue,
    Principal,
    Resource,
)
from countersign.v1 import activity_pb2, context_pb2, decisions_pb2

V = TypeVar("V", bound=JsonValue)

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")
# A name has a letter: a number alone is somebody's card or address, not a name.
_ACTION: Final = re.compile(r"(?=[^a-z]*[a-z])[a-z0-9_]+(\.[a-z0-9_]+)*")
_WORD: Final = re.compile(r"(?=[^a-z]*[a-z])[a-z0-9][a-z0-9_.-]*")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_ID: Final = re.compile(r"[a-z]{3}_[0-9a-f]{32}")
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")

PRINCIPAL_TYPES: Final = ("person", "workload", "external")
MAX_PRINCIPALS: Final = 16
MAX_NAME_CHARS: Final = 256
MAX_RESOURCE_ID_CHARS: Final = 1024
MAX_TEXT_BYTES: Final = 4096
MAX_LABELS: Final = 16
SHA256_BYTES: Final = 32
MAX_SECONDS: Final = 253_402_300_800
"""The year 10000, where RFC 3339 ends."""


class Decoder:
    """Decodes requests within one server's bounds."""

    def __init__(self, *, max_context_bytes: int, mask_pointer: Callable[[str], str]) -> None:
        self._max_context_bytes = max_context_bytes
        self._mask_pointer = mask_pointer

    def context(self, message: context_pb2.Context) -> ActionContext:
        """The action context. Raises `InvalidRequestError`."""
        size = message.ByteSize()
        if size > self._max_context_bytes:
            attributes = message.resource.attributes_json
            large = len(message.arguments_json) >= len(attributes)
            raise InvalidRequestError(
                "/arguments" if large else "/resource/attributes",
                f"makes the context {size} bytes; at most {self._max_context_bytes} are taken. "
                "Send a reference to large data instead of the data",
                code="context.too_large",
            )
        if len(message.on_behalf_of) > MAX_PRINCIPALS:
            raise InvalidRequestError("/on_behalf_of", f"names more than {MAX_PRINCIPALS}")
        _refuse_unknown(message)
        evidence(message)  # one that stands in the wrong place is wrong where nobody reads it, too
        resource = message.resource
        return ActionContext(
            actor=_principal("/actor", message.actor),
            on_behalf_of=tuple(
                _principal(f"/on_behalf_of/{index}", principal)
                for index, principal in enumerate(message.on_behalf_of)
            ),
            action=_matching("/action", message.action, _ACTION, 'a dotted verb like "db.export"'),
            resource=Resource(
                type=_matching("/resource/type", resource.type, _WORD, 'a word like "table"'),
                id=_name("/resource/id", resource.id, MAX_RESOURCE_ID_CHARS),
                owner=_optional_name("/resource/owner", resource.owner),
                attributes=self._object("/resource/attributes", resource.attributes_json),
            ),
            environment=_matching(
                "/environment", message.environment, _WORD, 'a word like "production"'
            ),
            arguments=self._object("/arguments", message.arguments_json),
            reason=text("/reason", message.reason),
            session=_optional_name("/session", message.session),
        )

    def object(self, field: str, data: bytes) -> JsonObject:
        """A free-form JSON object outside a context, in the same bounds."""
        if len(data) > self._max_context_bytes:
            raise InvalidRequestError(field, f"is over {self._max_context_bytes} bytes")
        return self._object(field, data)

    def content(self, field: str, message: activity_pb2.Content) -> JsonValue:
        """A JSON value or a text outside a context, in the same bounds."""
        sort = message.WhichOneof("content")
        if sort is None:
            raise InvalidRequestError(field, "is missing; send json or text")
        given = getattr(message, sort)
        data = given if isinstance(given, bytes) else given.encode()
        if len(data) > self._max_context_bytes:
            raise InvalidRequestError(f"{field}.{sort}", f"is over {self._max_context_bytes} bytes")
        if sort == "text":
            return str(given)
        return self._json(f"{field}.json", data, parse_value)

    def _object(self, pointer: str, data: bytes) -> JsonObject:
        return self._json(pointer, data, parse_object)

    def _json(self, pointer: str, data: bytes, parse: Callable[[bytes], V]) -> V:
        try:
            return parse(data)
        except StrictJsonError as error:
            where = pointer + self._mask_pointer(error.pointer)
            raise InvalidRequestError(where, error.problem, code="context.json") from None


def evidence(message: context_pb2.Context) -> tuple[str, Principal, str] | None:
    """The one principal of a context that comes with evidence: pointer, itself, the token.

    Raises `InvalidRequestError`.
    """
    named = [("/actor", message.actor)]
    named += [(f"/on_behalf_of/{index}", p) for index, p in enumerate(message.on_behalf_of)]
    proven = [(pointer, principal) for pointer, principal in named if principal.evidence]
    if not proven:
        return None
    if len(proven) > 1:
        raise InvalidRequestError(
            f"{proven[1][0]}/evidence", "only one principal of a call can be proven; leave it out"
        )
    pointer, principal = proven[0]
    if principal.type != "person":
        raise InvalidRequestError(
            f"{pointer}/evidence", 'proves a person; name one of type "person" in on_behalf_of'
        )
    return pointer, _principal(pointer, principal), principal.evidence


def answered_by(message: decisions_pb2.AnswerRequest) -> Principal | None:
    """Who answers for the requester, when that is said."""
    if not message.HasField("answered_by"):
        return None
    return _principal("answered_by", message.answered_by)


def instant(field: str, value: Timestamp) -> Instant:
    """A moment of a request. Raises `InvalidRequestError`."""
    if not 0 < value.seconds < MAX_SECONDS or not 0 <= value.nanos < 1_000_000_000:
        raise InvalidRequestError(field, "is not a moment this server can keep")
    return Instant(value.seconds * SECOND_US + value.nanos // 1000)


def dotted(field: str, value: str) -> str:
    """A dotted word that says what something is."""
    return _matching(field, value, _ACTION, 'a dotted word like "tool.output"')


def session(value: str) -> str:
    """The caller's own correlation id; may be empty."""
    return _optional_name("session", value)


def request_id(value: str, *, required: bool) -> str:
    """An idempotency key; may be empty where it is not required."""
    if not value and not required:
        return ""
    if not _REQUEST_ID.fullmatch(value):
        raise InvalidRequestError(
            "request_id", "must match [A-Za-z0-9._:-]{1,128}; a UUID is a good one"
        )
    return value


def reference(field: str, value: str) -> str:
    """An id that we gave out. One that cannot be ours is simply not found later."""
    if not value:
        raise InvalidRequestError(field, "is missing")
    if len(value) > MAX_NAME_CHARS or _CONTROL.search(value):
        raise InvalidRequestError(field, "is not an id of this server")
    return value


def text(field: str, value: str) -> str:
    """Free text in bounds; it is sanitized before anybody sees it."""
    if len(value.encode()) > MAX_TEXT_BYTES:
        raise InvalidRequestError(field, f"is over {MAX_TEXT_BYTES} bytes; shorten it")
    return value


def labels(given: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Free labels in bounds."""
    result = dict(given)
    if len(result) > MAX_LABELS:
        raise InvalidRequestError("labels", f"has more than {MAX_LABELS} entries")
    for key, value in result.items():
        if not _WORD.fullmatch(key) or len(key) > 64 or len(value) > MAX_NAME_CHARS:
            raise InvalidRequestError(
                "labels", f"needs keys like [a-z0-9_.-]{{1,64}} and values ≤ {MAX_NAME_CHARS}"
            )
    return result


def profile(field: str, value: str) -> str:
    """A mask profile; refused votes are recorded with it, so it may only look like one."""
    return _matching(field, value, _WORD, 'a profile like "reviewer"')


def digest(field: str, value: bytes) -> str:
    """A SHA-256, as hex."""
    if len(value) != SHA256_BYTES:
        raise InvalidRequestError(field, f"must be the {SHA256_BYTES} bytes that were shown")
    return value.hex()


def audience(field: str, value: str) -> str:
    """A permit's audience; empty for none."""
    return _optional_name(field, value)


def trace_id(traceparent: str) -> str:
    """The trace id of a W3C traceparent header, or empty."""
    match = _TRACEPARENT.fullmatch(traceparent)
    return match.group(1) if match else ""


def _principal(pointer: str, message: context_pb2.Principal) -> Principal:
    if not message.id:
        raise InvalidRequestError(f"{pointer}/id", "is missing; name who this is")
    if message.type not in PRINCIPAL_TYPES:
        raise InvalidRequestError(f"{pointer}/type", f"must be one of {', '.join(PRINCIPAL_TYPES)}")
    return Principal(type=message.type, id=_name(f"{pointer}/id", message.id))


def _name(pointer: str, value: str, max_chars: int = MAX_NAME_CHARS) -> str:
    if not value:
        raise InvalidRequestError(pointer, "is missing")
    return _optional_name(pointer, value, max_chars)


def _optional_name(pointer: str, value: str, max_chars: int = MAX_NAME_CHARS) -> str:
    if len(value) > max_chars:
        raise InvalidRequestError(pointer, f"is over {max_chars} characters")
    if _CONTROL.search(value) or (not value.isascii() and any(map(_is_format, value))):
        raise InvalidRequestError(
            pointer, "holds control or invisible format characters; leave them out"
        )
    if value != value.strip():
        raise InvalidRequestError(pointer, "starts or ends with white space; leave it out")
    return value


def _is_format(char: str) -> bool:
    return unicodedata.category(char) == "Cf"


def _matching(pointer: str, value: str, pattern: re.Pattern[str], like: str) -> str:
    if not value:
        raise InvalidRequestError(pointer, f"is missing; send {like}")
    if len(value) > 128 or not pattern.fullmatch(value):
        raise InvalidRequestError(pointer, f"must be {like}, of at most 128 characters")
    return value


def _refuse_unknown(message: context_pb2.Context) -> None:
    """Refuse a context with fields we cannot read: no policy judged them."""
    nested: list[tuple[str, Message]] = [("countersign.v1.Context", message)]
    if message.HasField("actor"):
        nested.append(("countersign.v1.Principal (actor)", message.actor))
    nested += [("countersign.v1.Principal (on_behalf_of)", p) for p in message.on_behalf_of]
    if message.HasField("resource"):
        nested.append(("countersign.v1.Resource", message.resource))
    for name, part in nested:
        unknown = UnknownFieldSet(part)
        if len(unknown):
            number = unknown[0].field_number
            raise InvalidRequestError(
                "context",
                f"{name} has field number {number}, which this server cannot read (or in this "
                "wire type); no one could judge it. Update the server or leave it out",
                code="context.unknown_field",
            )
