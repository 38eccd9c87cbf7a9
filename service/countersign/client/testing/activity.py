"""The `Activity` service in memory: masks every text, and keeps what was logged.

The real one masks what is sensitive. This one says where scrubbing took place.
"""

from __future__ import annotations

from typing import Final

from countersign import canonical
from countersign.model import JsonValue, new_id
from countersign.v1 import activity_pb2, context_pb2

MASKED: Final = "[MASKED]"


def sanitize(request: activity_pb2.SanitizeRequest) -> activity_pb2.SanitizeResponse:
    """The same shape, without any text."""
    content = request.content
    if content.WhichOneof("content") == "text":
        clean = activity_pb2.Content(text=MASKED if content.text else "")
    else:
        value = _masked(canonical.parse_value(content.json))
        clean = activity_pb2.Content(json=canonical.encode(value))
    return activity_pb2.SanitizeResponse(content=clean, report_json=b"{}", complete=True)


def log(seq: int) -> activity_pb2.LogResponse:
    """Where it would stand."""
    return activity_pb2.LogResponse(
        record=context_pb2.RecordRef(log_id=new_id("log"), seq=seq, leaf_hash=bytes(32))
    )


def content_of(request: activity_pb2.LogRequest) -> JsonValue:
    """What was logged, as it was sent."""
    content = request.content
    if content.WhichOneof("content") == "text":
        return content.text
    return canonical.parse_value(content.json)


def _masked(value: JsonValue) -> JsonValue:
    if isinstance(value, str):
        return MASKED if value else ""
    if isinstance(value, list):
        return [_masked(item) for item in value]
    if isinstance(value, dict):
        return {key: _masked(item) for key, item in value.items()}
    return value
