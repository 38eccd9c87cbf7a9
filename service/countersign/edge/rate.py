"""Requests a second, by subject: a token bucket each, in memory."""

from __future__ import annotations

import time
from collections.abc import Callable

from countersign.errors import ExhaustedError

MAX_BUCKETS = 10_000


class RateLimit:
    """At most `per_s` requests a second on average, `burst` at once; 0 is no limit."""

    def __init__(
        self, per_s: float, burst: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_s = per_s
        self._burst = float(burst)
        self._clock = clock
        self._buckets: dict[tuple[str, ...], tuple[float, float]] = {}

    def spend(self, *subject: str) -> None:
        """Take one. Raises `ExhaustedError` when none is left."""
        if self._per_s <= 0:
            return
        key = subject
        now = self._clock()
        left, at = self._buckets.get(key, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._per_s)
        if left < 1:
            raise ExhaustedError(
                "caller.rate", "too many requests from this credential; slow down and try again"
            )
        if len(self._buckets) >= MAX_BUCKETS and key not in self._buckets:
            self._buckets.clear()
        self._buckets[key] = (left - 1, now)
