"""The store's clock: never goes back (invariant 10).

Wall clocks are stepped by operators, by NTP and by restored machines. A backend
starts this clock at the instant of its newest commit, so that a deadline once
judged to have passed stays passed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from countersign.model import Instant


def wall_clock() -> Instant:
    """The machine's idea of the time."""
    return Instant(time.time_ns() // 1000)


class StoreClock:
    """`max(everything said before, wall clock)`, from any thread."""

    def __init__(self, wall: Callable[[], Instant], last: Instant) -> None:
        self._wall = wall
        self._last = last
        self._lock = threading.Lock()

    def now(self) -> Instant:
        """The time; equal to or later than any this clock ever told."""
        with self._lock:
            self._last = max(self._last, self._wall())
            return self._last
