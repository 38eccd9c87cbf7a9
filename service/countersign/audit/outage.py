"""Whether the sink answers anybody at all.

An outage that each of many logs had to find out by its own patience would be known
to the last of them when it is long over. So what one log finds out counts for all,
until one of them gets through again. It was that log's own trouble, and counts for
nobody else, when another one was published since it began. Pure: the clock's
seconds come in as arguments. Used by `publisher`.
"""

from __future__ import annotations

import math

from countersign.errors import LogError


class Outage:
    """What is known of the sink."""

    def __init__(self, *, first_s: float, max_s: float) -> None:
        self._first_s, self._max_s = first_s, max_s
        self._answered_at = -math.inf
        self._retry_s = 0.0
        self._probing: object | None = None
        self.error: LogError | None = None
        """Why nobody is let through; None while there is no outage."""
        self.retry_at = 0.0

    def answered(self, now: float) -> bool:
        """A log was published; whether that ends an outage."""
        ended = self.error is not None
        self._answered_at = now
        self.error, self._retry_s, self.retry_at = None, 0.0, 0.0
        return ended

    def found(self, error: LogError, *, began: float, now: float) -> None:
        """An attempt that began then met a sink that answers nobody."""
        if self._answered_at > began:
            return
        self.error = error
        self._retry_s = min(max(self._retry_s * 2, self._first_s), self._max_s)
        self.retry_at = now + self._retry_s

    def lets(self, who: object, now: float, *, last: bool = False) -> bool:
        """Whether this one may try: during an outage one at a time, when it is due.

        `last`: it will not be asked again, so it need not be due.
        """
        if self.error is None:
            return True
        if self._probing is not None or (now < self.retry_at and not last):
            return False
        self._probing = who
        return True

    def tried(self, who: object) -> None:
        """That attempt is over."""
        if self._probing is who:
            self._probing = None
