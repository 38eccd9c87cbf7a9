"""How the command prints: plain text for people, one JSON value for scripts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp

from countersign.v1 import context_pb2

_UNPRINTABLE: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)

WRONG_USAGE: Final = 2
DENIED: Final = 3
UNDECIDED: Final = 4


def as_json(value: Any) -> None:
    """Print one JSON value."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def safe(text: str) -> str:
    """Text that cannot steer a terminal: control and bidi characters made visible."""
    return _UNPRINTABLE.sub(lambda match: f"<U+{ord(match.group()):04X}>", text)


def field(name: str, value: str) -> None:
    """One aligned line; further lines of the value are indented below it."""
    head, *rest = safe(value).split("\n") or [""]
    print(f"  {name:<12} {head}")
    for line in rest:
        print(f"  {'':<12} {line}")


def reasons(given: Iterable[Any]) -> None:
    """Reasons, one a line."""
    for reason in given:
        field("because", f"{reason.message} [{reason.code}]")


def moment(stamp: Timestamp) -> str:
    """A time in UTC, readable."""
    return stamp.ToDatetime(tzinfo=UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def until(stamp: Timestamp) -> str:
    """A time and how far away it is."""
    left_s = int((stamp.ToDatetime(tzinfo=UTC) - datetime.now(UTC)).total_seconds())
    minutes, seconds = divmod(abs(left_s), 60)
    distance = f"{minutes} min {seconds} s"
    return f"{moment(stamp)} ({f'in {distance}' if left_s >= 0 else f'{distance} ago'})"


STATES: Final = {
    number: name.removeprefix("REVIEW_STATE_").replace("_", " ")
    for name, number in context_pb2.ReviewState.items()
}
AWAITS_VOTES: Final = (
    context_pb2.REVIEW_STATE_PENDING,
    context_pb2.REVIEW_STATE_INFO_REQUESTED,
)
