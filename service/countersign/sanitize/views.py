"""Other readings of a text: what a person or a program would make of it.

A value in disguise passes every pattern: fullwidth digits, a zero-width space
between two groups, `%40` for `@`, base64. So a text that reads differently is
searched in that form too, and a find there covers the whole text (there is no
way back to where in the text it stood). One step of each: characters made
plain and percent-decoded together, then runs of base64 or hex.

Invariants: untrusted text meets RE2 and table look-ups only; a view is no
longer than a bound times its text, and what would be longer is not looked at
but covered. Plain ASCII without such runs costs one search for all texts.

Called by `detect` over all texts of a value, and by `sanitizer` for one text.
"""

from __future__ import annotations

import binascii
import itertools
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import re2

from countersign.sanitize.bounds import MAX_MATCHES, Allowance
from countersign.sanitize.characters import plain

_MAX_GROWTH: Final = 4
"""Compatibility forms may be longer than what they stand for."""
_LEAST_RUN: Final = 16
_OPTIONS: Final = re2.Options()
_OPTIONS.log_errors = False
_RUN: Final = re2.compile(rf"[A-Za-z0-9+/_-]{{{_LEAST_RUN},}}", _OPTIONS)
_PERCENT: Final = re2.compile(r"(?:%[0-9A-Fa-f]{2})+", _OPTIONS)
_TO_BASE64: Final = bytes.maketrans(b"-_", b"+/")
_HEX: Final = b"0123456789abcdefABCDEF"
_READABLE: Final = bytes({9, 10, 13, *range(32, 127), *range(128, 256)})
"""Bytes of readable UTF-8."""


class View(NamedTuple):
    """One other reading of the text with the index `owner`; None: too long to look at."""

    owner: int
    text: str | None


class Joined:
    """Texts as one buffer of UTF-8, NUL between them, which no rule crosses."""

    __slots__ = ("data", "parts", "starts", "texts")

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts
        self.parts = [text.encode("utf-8", "replace") for text in texts]
        self.data = b"\x00".join(self.parts)
        self.starts = list(itertools.accumulate((len(part) + 1 for part in self.parts), initial=0))

    def owner(self, position: int) -> int:
        """The index of the text that stands here."""
        return bisect_right(self.starts, position) - 1

    def reads_as_it_is(self) -> bool:
        """ASCII without percent signs, and of control characters only those between texts."""
        data = self.data
        if not data.isascii() or b"%" in data:
            return False
        return len(data.translate(None, _READABLE)) == max(len(self.parts) - 1, 0)


def of(joined: Joined) -> Iterator[View]:
    """Every other reading of each text."""
    allowance = Allowance(MAX_MATCHES)
    if not joined.reads_as_it_is():
        plain_texts = list(joined.texts)
        for index, text in enumerate(joined.texts):
            view = _decoded(plain(text), allowance)
            if view == text:
                continue
            too_long = len(view) > _MAX_GROWTH * len(text)
            plain_texts[index] = "" if too_long else view
            yield View(index, None if too_long else view)
        joined = Joined(plain_texts)
    for match in _RUN.finditer(joined.data):
        allowance.spend()
        for text in _plain_texts(match.group()):
            yield View(joined.owner(match.start()), text)


def _decoded(text: str, allowance: Allowance) -> str:
    """Percent-decoded once and made plain again; itself if there is nothing to decode."""
    if "%" not in text:
        return text
    data = text.encode("utf-8", "replace")
    parts: list[bytes] = []
    position = 0
    for match in _PERCENT.finditer(data):
        allowance.spend()
        start, end = match.span()
        parts += (data[position:start], binascii.a2b_hex(match.group().replace(b"%", b"")))
        position = end
    if not parts:
        return text
    return plain(b"".join([*parts, data[position:]]).decode("utf-8", "replace"))


def _plain_texts(run: bytes) -> Iterator[str]:
    """What a run of base64 or hex says, if it says something readable."""
    if len(run) % 2 == 0 and not run.translate(None, _HEX):
        yield from _readable(binascii.a2b_hex(run))
    pieces = [run]
    if b"/" in run:  # a path, perhaps with a value among its steps
        pieces += [piece for piece in run.split(b"/") if len(piece) >= _LEAST_RUN]
    for piece in pieces:
        if len(piece) % 4 != 1:
            padded = piece.translate(_TO_BASE64) + b"=" * (-len(piece) % 4)
            yield from _readable(binascii.a2b_base64(padded))


def _readable(data: bytes) -> Iterator[str]:
    if len(data.translate(None, _READABLE)) * 10 > len(data):
        return
    try:
        yield data.decode("utf-8")
    except UnicodeDecodeError:
        return
