"""How much of one context is looked at: what costs time is counted, not timed.

A caller chooses what it sends, so each stage counts what it meets and stops at
a constant; what was counted is then shown as nothing at all, never as it is.
Within these bounds every stage is linear in the bytes it is given.
Used by `survey`, `patterns`, `views`, `detect`, `money` and `sanitizer`.
"""

from __future__ import annotations

from typing import Final

MAX_LEAVES: Final = 5_000
"""Strings and numbers that may be sensitive, and names of keys, of one value."""
MAX_SPANS: Final = 1_500
"""Finds, before those that overlap are made one."""
MAX_MATCHES: Final = 4_000
"""Places a pattern or a search for encodings tries, found sensitive or not."""
MAX_STATEMENTS: Final = 1_000
"""Texts read as SQL."""
MAX_AMOUNTS: Final = 5_000
"""Values below keys of money, each as often as such keys stand above it."""
MAX_NAMES: Final = 1_000
"""Different names that facts ask to have cleaned."""


class TooMuchError(Exception):
    """More than is looked at in one value: nothing of it may be shown."""


class Allowance:
    """What is left of a bound."""

    __slots__ = ("_left",)

    def __init__(self, bound: int) -> None:
        self._left = bound

    def spend(self, count: int = 1) -> None:
        """Take from it; raises `TooMuchError` when nothing is left."""
        self._left -= count
        if self._left < 0:
            raise TooMuchError
