"""Counts that one thread writes and another reads."""

from __future__ import annotations

import collections
import threading


class Counting:
    """How often each thing happened."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: collections.Counter[str] = collections.Counter()

    def add(self, what: str) -> None:
        with self._lock:
            self._counts[what] += 1

    def __getitem__(self, what: str) -> int:
        with self._lock:
            return self._counts[what]

    def all(self) -> dict[str, int]:
        """Everything so far."""
        with self._lock:
            return dict(self._counts)
