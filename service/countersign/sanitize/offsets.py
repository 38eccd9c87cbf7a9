"""Texts in another form, and the way from there back to the original.

A reading was made from another text: pieces of it copied, pieces decoded, or
all of it decoded from one run. `Reading.origin` leads a find back, through
every reading it was made from, to the bytes it stands for. A find that touches
a decoded piece stands for the whole piece, so the way back only ever widens;
it starts and ends where a character does.

Pure; used by `views` and by what makes its readings.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from countersign.model import Withheld
from countersign.sanitize import characters
from countersign.sanitize.rules import Rule

_COPIED: Final = -1


Edit: TypeAlias = "tuple[int, int, bytes]"
"""Where bytes of a text start and end, and what is read in their place."""


class Pieces(Withheld):
    """Where each piece of a reading came from."""

    __slots__ = ("_at", "_high", "_low")

    def __init__(self, at: list[int], low: list[int], high: list[int]) -> None:
        """Pieces that begin `at` here: decoded from `low` to `high`, or copied from `low` on."""
        self._at = at
        self._low = low
        self._high = high

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """What this part of the reading was made from.

        Pieces that were read as nothing belong to the piece before them.
        """
        first = bisect_right(self._at, start) - 1
        last = bisect_right(self._at, end) - 1
        if self._at[last] == end and last > first:
            last -= 1
        low, high = self._low[first], self._high[last]
        if self._high[first] == _COPIED:
            low += start - self._at[first]
        if high == _COPIED:
            high = self._low[last] + end - self._at[last]
        return low, high


class Reading(Withheld):
    """A text in another form."""

    __slots__ = ("_parent", "_pieces", "accepts", "data", "last", "owner")

    def __init__(
        self,
        data: bytes,
        owner: int,
        *,
        parent: Reading | None = None,
        pieces: Pieces | Callable[[], Pieces] | None = None,
        accepts: Callable[[Rule], bool] | None = None,
        last: bool = False,
    ) -> None:
        self.data = data
        """UTF-8."""
        self.owner = owner
        """The index of the original."""
        self.accepts = accepts
        """Which rules are believed here; None: all."""
        self.last = last
        """Nothing more is read out of it."""
        self._parent = parent
        self._pieces = pieces

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """The bytes of the original that this part of the reading stands for."""
        reading: Reading = self
        while reading._parent is not None and reading._pieces is not None:
            if not isinstance(reading._pieces, Pieces):  # made when something is found there
                reading._pieces = reading._pieces()
            start, end = reading._pieces.origin(start, end)
            reading = reading._parent
        return start, end

    # --- readings of this one ------------------------------------------------

    def decoded(
        self,
        start: int,
        end: int,
        data: bytes,
        accepts: Callable[[Rule], bool],
        *,
        last: bool = False,
    ) -> Reading:
        """What one run of it says; a find there stands for the whole run."""
        return Reading(
            data,
            self.owner,
            parent=self,
            pieces=Pieces([0], [start], [end]),
            accepts=accepts if last else self.accepts or accepts,
            last=last,
        )

    def edited(
        self, edits: Sequence[Edit], accepts: Callable[[Rule], bool] | None = None
    ) -> Reading:
        """With the edits made, which are in order and do not overlap."""
        at: list[int] = []
        low: list[int] = []
        high: list[int] = []
        parts: list[bytes] = []
        size = position = 0
        for start, end, read in (*edits, (len(self.data), len(self.data), b"")):
            if position < start:
                at.append(size)
                low.append(position)
                high.append(_COPIED)
                parts.append(self.data[position:start])
                size += start - position
            at.append(size)
            low.append(start)
            high.append(end)
            parts.append(read)
            size += len(read)
            position = end
        return Reading(
            b"".join(parts),
            self.owner,
            parent=self,
            pieces=Pieces(at, low, high),
            accepts=self.accepts or accepts,
        )

    def respelled(self, data: bytes, spell: Callable[[str], str]) -> Reading:
        """The same, each character by itself spelled anew as `data`."""

        def pieces() -> Pieces:
            original = self.data.decode("utf-8")
            sizes = [len(char.encode()) for char in original]
            low = list(itertools.accumulate(sizes, initial=0))
            shown = [len(spell(char).encode()) for char in original]
            at = list(itertools.accumulate(shown, initial=0))
            return Pieces(at, low, [*low[1:], low[-1]])

        return Reading(data, self.owner, parent=self, pieces=pieces, accepts=self.accepts)


def plain_reading(reading: Reading) -> Reading | None:
    """The text as it reads in ASCII, or None if that is how it is written."""
    data = characters.plain(reading.data.decode("utf-8")).encode("utf-8")
    return None if data == reading.data else reading.respelled(data, characters.plain)
