"""Values written apart: `4 1 1 1`, `j o h n @`, `john (at) example (dot) com`, `4.1e15`.

Each function looks through many texts joined by NUL and tells where such a run
stands and how a person reads it. What is found there is believed only where its
shape is unmistakable (`views`), because a list of numbers or a sentence may look
so by chance. Time is linear. Pure; used by `views` only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import re2

from countersign.sanitize.bounds import Allowance
from countersign.sanitize.decoding import Run

_OPTIONS: Final = re2.Options()
_OPTIONS.log_errors = False

LETTERS: Final = r"(?:[^\s\x00] ){6,}[^\s\x00]"
DIGITS: Final = r"(?:[0-9][._*|/~-]){8,}[0-9]"
GROUPS: Final = r"[0-9]{3,6}(?:[_+*~=|]{1,3}[0-9]{2,6}){2,6}"
EXPONENT: Final = r"[1-9]\.[0-9]{8,18}[eE]\+?1[2-8]"
_WORD: Final = "[a-z0-9-]+"
_AT: Final = r"(?: {0,2}[\[({<] ?(?:at|@) ?[\])}>] {0,2}| @ )"
_DOT: Final = r"(?:\.| {0,2}[\[({<] ?(?:dot|\.) ?[\])}>] {0,2}| dot | \. )"
SPOKEN: Final = (
    rf"(?i)[a-z0-9._%+-]+(?:{_AT}{_WORD}(?:{_DOT}{_WORD})+| at {_WORD}(?: dot {_WORD})+)"
)
"""` at ` alone is an address only with ` dot `: nobody is reached by "look at example.com"."""

_BLANKS: Final = b" \t\r\n\x00"
_SIGN: Final = b"._*|/~-"
_SIGNS: Final = bytes.maketrans(b"_+*~=|", b"      ")
_AT_OR_DOT: Final = re2.compile(r"(?i)[ \[({<]+(at|@|dot|\.)[ \])}>]+", _OPTIONS)


def _runs(pattern: str, read: Callable[[bytes], bytes]) -> Callable[..., Iterator[Run]]:
    regexp = re2.compile(pattern, _OPTIONS)

    def runs(data: bytes, allowance: Allowance) -> Iterator[Run]:
        for match in regexp.finditer(data):
            allowance.spend()
            start, end = match.span()
            yield start, end, read(data[start:end])

    return runs


def letters(data: bytes, allowance: Allowance) -> Iterator[Run]:
    """One letter after the other; those at the ends may belong to words beside them."""
    for first, last, _ in _letters(data, allowance):
        run = data[first:last]
        before, after = data[max(first - 1, 0) : first], data[last : last + 1]
        skipped = run.index(b" ") + 1 if before.strip(_BLANKS) else 0
        end = run.rindex(b" ") if after.strip(_BLANKS) else len(run)
        yield first + skipped, first + end, run[skipped:end].replace(b" ", b"")


def _spoken(run: bytes) -> bytes:
    parts: list[bytes] = []
    position = 0
    for match in _AT_OR_DOT.finditer(run):
        start, end = match.span()
        word = run[start:end].strip(b" []{}()<>").lower()
        parts += (run[position:start], b"@" if word in {b"at", b"@"} else b".")
        position = end
    return b"".join((*parts, run[position:]))


def _in_full(number: bytes) -> bytes:
    """`4.111111111111111e15` without its exponent."""
    digits, _, exponent = number.lower().partition(b"e")
    whole, _, rest = digits.partition(b".")
    return whole + rest[: int(exponent)].ljust(int(exponent), b"0")


_letters: Final = _runs(LETTERS, bytes)
digits: Final = _runs(DIGITS, lambda run: run.translate(None, _SIGN))
groups: Final = _runs(GROUPS, lambda run: b" ".join(run.translate(_SIGNS).split()))
exponents: Final = _runs(EXPONENT, _in_full)
spoken: Final = _runs(SPOKEN, _spoken)
