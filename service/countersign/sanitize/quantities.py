"""How much: the one number behind a fact, and the bucket that people see of it.

What cannot be read counts as the most a bucket can say, and never makes up for
what was read: the larger counts. So more arguments never make a quantity
smaller. The exact number is for policy and for `Store.recent`; cards and
records hold the bucket.

Pure; called by `facts` and `sanitizer`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from countersign.model import JsonObject, JsonValue

MAX_QUANTITY: Final = 2**53 - 1
"""The largest whole number that JSON readers agree on."""
_BUCKETS: Final = (
    (1_000_000, "1M+"),
    (100_000, "100k-1M"),
    (10_000, "10k-100k"),
    (1_000, "1k-10k"),
    (100, "100-999"),
    (10, "10-99"),
    (1, "1-9"),
    (0, "0"),
)
UNREAD: Final = _BUCKETS[0][0]
"""What a number that cannot be read counts as, at least."""
_MAX_DIGITS: Final = 18


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """What one action adds to what was let through before it; 0 when nothing says."""

    rows: int = 0
    amount: int = 0
    """Whole units rounded up, whatever the currency."""

    def to_json(self) -> JsonObject:
        return {"rows": self.rows, "amount": self.amount}


UNKNOWN: Final = Quantity(rows=MAX_QUANTITY, amount=MAX_QUANTITY)
"""Of a context that could not be looked at, which nobody can approve either."""


class Measure(NamedTuple):
    """The most that anything says, and how much of it could not be read."""

    most: int
    unread: int = 0

    def fact(self) -> JsonObject:
        """As people see it."""
        if self.unread:
            return {**bucket(UNREAD), "unread": self.unread}
        return bucket(self.most)


def bucket(number: float) -> JsonObject:
    """The power of ten a count falls into."""
    for least, name in _BUCKETS:
        if number >= least:
            return {"at_least": least, "bucket": name}
    return {"at_least": 0, "bucket": "0"}


def counted(values: Sequence[JsonValue], objects: int) -> Measure | None:
    """The most that any of the counts says, and the longest list of objects."""
    if not values and not objects:
        return None
    counts = [_count(value) for value in values]
    unread = counts.count(None)
    read = [count for count in counts if count is not None]
    most = max(*read, objects, UNREAD if unread else 0, 0)
    return Measure(min(most, MAX_QUANTITY), unread)


def _count(value: JsonValue) -> int | None:
    """A positive number, also as digits; a list of records counts them. Zero may mean all."""
    if isinstance(value, list):
        counted = all(isinstance(item, dict | list) for item in value)
        return len(value) or None if counted else None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return math.ceil(value) if value >= 1 else None
    if isinstance(value, str) and value.isascii() and value.isdigit():
        if len(value) > _MAX_DIGITS:
            return MAX_QUANTITY
        return int(value) or None
    return None
