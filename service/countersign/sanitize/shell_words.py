"""The words of a command line, with where they stand; quotes and here-documents known.

Not a shell: nothing is expanded, an open quote is a character, and a line no shell
would take still has words. What is asked of it is where a value begins and ends.

Linear: every alternative is decided by its first bytes and repeats possessively.
Pure; used by `shell_secrets`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

_PIECE: Final = re.compile(
    rb"(?s)(?P<blank>(?:[ \t\r]|\\\r?\n)++)"
    rb"|(?P<herestring><<<)"
    rb"|<<-?[ \t]*+(?P<here>'[^'\n]*+'|\"[^\"\n]*+\"|\\?[A-Za-z0-9_.]++)"
    rb"|(?P<pipe>\|&?(?!\|))|(?P<end>\|\||&&|[;&\n()`]|\$\()"
    rb"|(?P<redirect>[<>]++&?)"
    rb"|'[^']*+'|\$'(?:[^'\\]|\\.)*+'|\"(?:[^\"\\]|\\.)*+\"|\\."
    rb"|[^ \t\r\n'\"\\|;&()<>`$]++|."
)
_ESCAPE: Final = re.compile(rb"(?s)\\(?:\r?\n|(.))")
MAX_DOCUMENTS: Final = 20


class Word(NamedTuple):
    """A word as it stands and as the program gets it, near enough."""

    start: int
    end: int
    raw: bytes
    value: bytes


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One simple command."""

    words: list[Word]
    inputs: list[Word] = dataclasses.field(default_factory=list)
    """Words of here-strings."""
    documents: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    """Where the bodies of here-documents stand."""
    piped: bool
    """Its input is the output of the line before it."""


def lines(data: bytes) -> list[Line]:
    """Every simple command, in order."""
    return _Reader(data).read()


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._lines: list[Line] = [Line(words=[], piped=False)]
        self._start = -1
        self._end = 0
        self._to_input = False
        self._awaited: list[tuple[Line, bytes]] = []
        self._documents = 0

    def read(self) -> list[Line]:
        position = 0
        while (match := _PIECE.match(self._data, position)) is not None:
            position = match.end()
            kind = match.lastgroup
            if kind is None:
                self._start = match.start() if self._start < 0 else self._start
                self._end = position
                continue
            self._end_word()
            if kind == "herestring":
                self._to_input = True
            elif kind == "here":
                self._awaited.append((self._lines[-1], match["here"].strip(b"\\'\"")))
            elif kind in {"pipe", "end"}:
                self._lines.append(Line(words=[], piped=kind == "pipe"))
                if match.group() == b"\n" and self._awaited:
                    position = self._read_documents(position)
        self._end_word()
        return [line for line in self._lines if line.words or line.documents or line.inputs]

    def _end_word(self) -> None:
        if self._start < 0:
            return
        raw = self._data[self._start : self._end]
        word = Word(self._start, self._end, raw, unquoted(raw))
        (self._lines[-1].inputs if self._to_input else self._lines[-1].words).append(word)
        self._start = -1
        self._to_input = False

    def _read_documents(self, position: int) -> int:
        for line, delimiter in self._awaited:
            self._documents += 1
            end = after = len(self._data)
            if self._documents <= MAX_DOCUMENTS:
                closing = re.compile(rb"(?m)^\t*+" + re.escape(delimiter) + rb"[ \t\r]*+$")
                found = closing.search(self._data, position)
                end, after = found.span() if found else (end, after)
            line.documents.append((position, end))
            position = after
        self._awaited.clear()
        return position


_QUOTED: Final = re.compile(
    rb"(?s)'([^']*+)'|\$'((?:[^'\\]|\\.)*+)'|\"((?:[^\"\\]|\\.)*+)\"|\\(?:\r?\n|(.))|([^'\"\\$]++|.)"
)


def unquoted(raw: bytes) -> bytes:
    """The word without its quotes and backslashes."""
    if not _HAS_QUOTES.search(raw):
        return raw
    return b"".join(_plain(match) for match in _QUOTED.finditer(raw))


_HAS_QUOTES: Final = re.compile(rb"['\"\\]")


def _plain(match: re.Match[bytes]) -> bytes:
    single, dollar, double, escaped, rest = match.groups()
    for quoted in (dollar, double):
        if quoted is not None:
            return _ESCAPE.sub(rb"\1", quoted) if b"\\" in quoted else quoted
    return single or escaped or rest or b""


def inner(word: Word) -> Iterator[tuple[int, bytes]]:
    """What a quoted word with blanks holds, and where: it may be a command of its own."""
    raw = word.raw
    if len(raw) > 2 and raw[0] in b"'\"" and raw[-1] == raw[0] and b" " in raw:
        yield word.start + 1, raw[1:-1]
