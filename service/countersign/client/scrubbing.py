"""What agents do and see besides: masked, given back, or put on record.

Conversations of the `Activity` service (see `steps`), used by both clients. What
comes back has the shape of what was sent; nothing is ever given back unmasked:
an answer of another sort is a `ProtocolError`.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Final

import grpc
import grpc.aio

from countersign import canonical
from countersign.canonical import StrictJsonError
from countersign.client.context import strict_value
from countersign.client.errors import InvalidRequest, ProtocolError
from countersign.client.exchange import Exchange
from countersign.client.steps import Conversation
from countersign.client.values import record_of
from countersign.model import JsonValue, RecordRef, new_id
from countersign.v1 import activity_pb2
from countersign.v1.activity_pb2_grpc import ActivityStub
from countersign.v1.decisions_pb2_grpc import DecisionsStub
from countersign.v1.trust_pb2_grpc import TrustStub

_FIELD: Final = "content"


def machine_stub(channel: grpc.Channel | grpc.aio.Channel) -> object:
    """The verbs of all services that machines speak to."""
    stubs = (DecisionsStub(channel), ActivityStub(channel), TrustStub(channel))
    return SimpleNamespace(**{name: verb for stub in stubs for name, verb in vars(stub).items()})


def scrub(exchange: Exchange, value: Any) -> Conversation[Any]:
    """A text or JSON value without personal data and secrets; nothing is stored."""
    sent = _content(value)
    answer = yield from exchange.call("Sanitize", activity_pb2.SanitizeRequest(content=sent))
    return _value(answer.content)


def log_activity(
    exchange: Exchange,
    type: str,
    content: Any,
    *,
    session: str = "",
    decision_id: str = "",
    budget_s: float | None = None,
) -> Conversation[RecordRef | None]:
    """Put it on record, masked by the server."""
    request = activity_pb2.LogRequest(
        type=type,
        content=_content(content),
        session=session,
        decision_id=decision_id,
        request_id=new_id("act"),
    )
    answer = yield from exchange.call("Log", request, budget_s=budget_s)
    return record_of(answer.record)


def _content(value: Any) -> activity_pb2.Content:
    if isinstance(value, str):
        return activity_pb2.Content(text=strict_value(_FIELD, value, error=InvalidRequest))
    sound = strict_value(_FIELD, value, error=InvalidRequest)
    return activity_pb2.Content(json=canonical.encode(sound))


def _value(content: activity_pb2.Content) -> JsonValue:
    if content.WhichOneof("content") == "text":
        return content.text
    try:
        return canonical.parse_value(content.json)
    except StrictJsonError:
        raise ProtocolError("protocol.content", "the server sent back no content") from None
