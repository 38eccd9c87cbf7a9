"""The store's clock: never goes back, and never stands still (invariant 10).

Wall clocks are stepped by operators, by NTP and by restored machines. A backend
starts this clock at the instant of its newest commit, so that a deadline once
judged to have passed stays passed. While the wall is behind what was told, time
goes on by the machine's steady clock, which nobody can set: a deadline that was
still ahead then passes after as much real time as it was ahead.
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
    """`max(wall clock, last time taken from it + steady time since)`, from any thread.

    `wall` may jump; `steady` tells nanoseconds and never goes back.
    """

    def __init__(
        self, wall: Callable[[], Instant], last: Instant, steady: Callable[[], int]
    ) -> None:
        self._wall = wall
        self._steady = steady
        self._taken = last
        self._taken_at = steady()
        self._lock = threading.Lock()

    def now(self) -> Instant:
        """The time; equal to or later than any this clock ever told."""
        with self._lock:
            steady = self._steady()
            # From one fixed point: small steps, each rounded down, would add up to less.
            told = Instant(self._taken + (steady - self._taken_at) // 1000)
            wall = self._wall()
            if wall <= told:
                return told
            self._taken, self._taken_at = wall, steady
            return wall
