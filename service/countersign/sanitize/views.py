"""Other readings of a text: what a person or a program would make of it.

A value in disguise passes every pattern: fullwidth digits, a zero-width space
between two groups, `%40` for `@`, base64. So a text that reads differently is
searched in that form too, and so is what that form reads like, to a bounded
depth: characters made plain, escapes, runs of base64, base32 and hex, values
written apart. A find leads back to the part of the text it stands for
(`offsets`), and that part is masked.

Invariants: untrusted text meets RE2 and table look-ups only; all readings of a
text together are no longer than a bound times the text, and what would be
longer or deeper is not looked at but covered. Plain ASCII without such runs
costs one search for all texts.

Called by `detect` over all texts of a value, by `guard` and by `free`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import re2

from countersign.sanitize import apart, decoding, escapes, kinds
from countersign.sanitize.bounds import MAX_MATCHES, Allowance
from countersign.sanitize.characters import unseen_text
from countersign.sanitize.offsets import Edit, Reading, plain_reading
from countersign.sanitize.rules import Rule

MAX_DEPTH: Final = 6
"""How often a reading is read again: three encodings, each with its escapes or characters."""
_MAX_TIMES: Final = 8
_MAX_MORE_BYTES: Final = 4 << 10
"""All readings of a text may be so many times as long, and so much longer."""
_MAX_GROWTH: Final = 4
"""Compatibility forms may be longer than what they stand for."""
_READABLE: Final = bytes({9, 10, 13, *range(32, 127)})


class Joined:
    """Texts as one buffer of UTF-8, NUL between them, which no rule crosses."""

    __slots__ = ("_nuls", "data", "parts", "starts")

    def __init__(self, texts: Iterable[str | bytes]) -> None:
        """Bytes are taken for UTF-8."""
        self.parts = [
            text if isinstance(text, bytes) else text.encode("utf-8", "replace") for text in texts
        ]
        self.data = b"\x00".join(self.parts)
        self.starts = starts = [0]
        at = 0
        for part in self.parts:
            at += len(part) + 1
            starts.append(at)
        self._nuls = max(len(self.parts) - 1, 0)

    @classmethod
    def of_one(cls, data: bytes) -> Joined:
        """Texts that are joined already, as if they were one: nobody asks whose a find is."""
        joined = cls(())
        joined.parts, joined.data, joined.starts = [data], data, [0, len(data) + 1]
        joined._nuls = data.count(0)
        return joined

    def owner(self, position: int) -> int:
        """The index of the text that stands here."""
        return bisect_right(self.starts, position) - 1

    def is_plain(self) -> bool:
        """Printable ASCII, tabs and new lines, and of other characters only those between texts."""
        return len(self.data.translate(None, _READABLE)) == self._nuls


class Unread(NamedTuple):
    """A part of the text `owner` that is too long or too deep to look at."""

    owner: int
    start: int
    end: int


# --- what is looked for ------------------------------------------------------


def believed_decoded(rule: Rule) -> bool:
    """In what was decoded, chance letters are what most bytes look like."""
    return rule.kind is not kinds.RANDOM


_UNMISTAKABLE: Final = frozenset(
    {kinds.CREDIT_CARD, kinds.US_SSN, kinds.IBAN, kinds.EMAIL, kinds.SECRET}
)
_BY_CONTEXT: Final = frozenset(
    """assignment authorization basic_auth bearer cookie option option.user ssn.mentioned
    url.credentials url.credentials.database""".split()
)


def believed_apart(rule: Rule) -> bool:
    """Only shapes that neither a list of numbers nor a sentence takes by chance."""
    return rule.kind in _UNMISTAKABLE and rule.id not in _BY_CONTEXT


_Runs = Callable[[bytes, Allowance], Iterator[decoding.Run]]
_RUNS: Final[dict[str, _Runs]] = {
    decoding.BASE64: decoding.base64,
    decoding.BASE64_OF_ASCII: decoding.base64_of_ascii,
    decoding.WRAPPED: decoding.wrapped,
    decoding.BASE32: decoding.base32,
    decoding.HEX: decoding.hexadecimal,
}
_APART: Final[dict[str, _Runs]] = {
    apart.LETTERS: apart.letters,
    apart.DIGITS: apart.digits,
    apart.GROUPS: apart.groups,
    apart.EXPONENT: apart.exponents,
    apart.SPOKEN: apart.spoken,
}
_EDITS: Final[dict[str, Callable[[bytes, Allowance], Iterator[Edit]]]] = {
    escapes.ESCAPED: escapes.escaped,
    escapes.QUOTED: escapes.quoted,
}
_PATTERNS: Final = (*_RUNS, *_APART, *_EDITS)


def _set() -> Any:
    options = re2.Options()
    options.max_mem = 64 << 20
    options.log_errors = False
    found = re2.Set.SearchSet(options)
    for pattern in _PATTERNS:
        found.Add(pattern)
    found.Add(_CANARY)
    found.Compile()
    return found


_CANARY: Final = r"\x00\x02countersign view canary\x02"
_CANARY_DATA: Final = b"\x00\x02countersign view canary\x02"
_SET: Final = _set()


def _present(data: bytes) -> Sequence[str]:
    """The patterns that match somewhere; all of them if RE2 could not tell."""
    hits = _SET.Match(data + _CANARY_DATA)
    if not hits or len(_PATTERNS) not in hits:
        return _PATTERNS
    return [_PATTERNS[index] for index in sorted(hits) if index < len(_PATTERNS)]


# --- reading -----------------------------------------------------------------


class _Reader:
    """Reads texts again and again, within what each of them may cost."""

    def __init__(self, joined: Joined) -> None:
        self.readings: list[Reading] = []
        self.unread: list[Unread] = []
        self._joined = joined
        self._allowance = Allowance(MAX_MATCHES)
        self._left: dict[int, int] = {}
        self._said: set[tuple[int, bytes | None]] = set()
        """What each run of one buffer says and where it ends: two searches may find the same."""

    def read(self) -> None:
        """Fill `readings` and `unread`."""
        parts = self._joined.parts
        depth = 0
        made = self._step(self._joined, lambda index: Reading(parts[index], index))
        while made and depth < MAX_DEPTH:
            depth += 1
            self.readings += made
            current = [reading for reading in made if not reading.last]
            buffer = Joined(reading.data for reading in current)
            made = self._step(buffer, current.__getitem__) if current else []
        for reading in made:
            self.unread.append(Unread(reading.owner, *reading.origin(0, len(reading.data))))

    def _step(self, buffer: Joined, reading_at: Callable[[int], Reading]) -> list[Reading]:
        """What all texts of a buffer read like."""
        made: list[Reading] = []
        self._said.clear()
        if not buffer.is_plain():
            for index, part in enumerate(buffer.parts):
                if len(part.translate(None, _READABLE)):
                    self._respell(reading_at(index), made)
        for pattern in _present(buffer.data):
            if pattern in _EDITS:
                self._edit(pattern, buffer, reading_at, made)
            else:
                self._decode(pattern, buffer, reading_at, made)
        return made

    def _respell(self, reading: Reading, made: list[Reading]) -> None:
        plain = plain_reading(reading)
        if plain is not None and len(plain.data) > _MAX_GROWTH * len(reading.data):
            self._cover(reading, 0, len(reading.data))
        elif plain is not None:
            self._keep(plain, made)
        unseen = unseen_text(reading.data)
        if unseen is not None:
            self._keep(reading.decoded(0, len(reading.data), unseen, believed_decoded), made)

    def _edit(
        self,
        pattern: str,
        buffer: Joined,
        reading_at: Callable[[int], Reading],
        made: list[Reading],
    ) -> None:
        edits: dict[int, list[Edit]] = {}
        index, at, after = -1, 0, 0
        for start, end, read in _EDITS[pattern](buffer.data, self._allowance):
            if start >= after:
                index = buffer.owner(start)
                at, after = buffer.starts[index], buffer.starts[index + 1]
                edits[index] = []
            edits[index].append((start - at, end - at, read))
        for index, of_one in edits.items():
            # A line that ends in `=` may be quoted-printable, or base64.
            believed = believed_decoded if pattern == escapes.QUOTED else None
            self._keep(reading_at(index).edited(of_one, believed), made)

    def _decode(
        self,
        pattern: str,
        buffer: Joined,
        reading_at: Callable[[int], Reading],
        made: list[Reading],
    ) -> None:
        apart_ = _APART.get(pattern)
        believed = believed_apart if apart_ else believed_decoded
        for start, end, said in (apart_ or _RUNS[pattern])(buffer.data, self._allowance):
            if (end, said) in self._said:
                continue
            self._said.add((end, said))
            index = buffer.owner(start)
            at, reading = buffer.starts[index], reading_at(index)
            if said is None:
                self._cover(reading, start - at, end - at)
            else:
                run = reading.decoded(start - at, end - at, said, believed, last=bool(apart_))
                self._keep(run, made)

    def _keep(self, reading: Reading, made: list[Reading]) -> None:
        """Unless its text has cost what it may."""
        owner = reading.owner
        left = self._left.get(owner)
        if left is None:
            left = _MAX_TIMES * len(self._joined.parts[owner]) + _MAX_MORE_BYTES
        left -= len(reading.data)
        self._left[owner] = left
        if left < 0:
            self.unread.append(Unread(owner, 0, len(self._joined.parts[owner])))
        else:
            made.append(reading)

    def _cover(self, reading: Reading, start: int, end: int) -> None:
        self.unread.append(Unread(reading.owner, *reading.origin(start, end)))


def read(joined: Joined) -> tuple[list[Reading], list[Unread]]:
    """Every other reading of each text, and what is too much to read."""
    reader = _Reader(joined)
    reader.read()
    return reader.readings, list(dict.fromkeys(reader.unread))
