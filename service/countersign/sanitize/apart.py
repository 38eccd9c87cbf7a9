"""Values written apart: `4 1 1 1`, `j o h n @`, `john (at) example (dot) com`, `4.1e15`.

Each alternative is read the way a person reads it. What is found in it is
believed only where its shape is unmistakable (`views`), because a list of
numbers or a sentence may look so by chance. Time is linear and nothing grows
beyond a bound. Pure; used by `views` only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import re2

from countersign.sanitize.bounds import Allowance
from countersign.sanitize.offsets import Edit

_OPTIONS: Final = re2.Options()
_OPTIONS.log_errors = False

_LETTERS: Final = r"(?:[^\s\x00][ \x{a0}]){6,}[^\s\x00]"
_DIGITS: Final = r"(?:[0-9][._*|/~-]){8,}[0-9]"
_GROUPS: Final = r"[0-9]{3,6}(?:[_+*~=|]{1,3}[0-9]{2,6}){2,6}"
_SPOKEN: Final = (
    r"(?i)[a-z0-9._%+-]+(?: {0,2}[\[({<] ?(?:at|@) ?[\])}>] {0,2}| at | @ )[a-z0-9-]+"
    r"(?:(?:\.| {0,2}[\[({<] ?(?:dot|\.) ?[\])}>] {0,2}| dot | \. )[a-z0-9-]+)+"
)
_EXPONENT: Final = r"[1-9]\.[0-9]{8,18}[eE]\+?1[2-8]"

APART: Final = f"({_LETTERS})|({_DIGITS})|({_GROUPS})|({_EXPONENT})|({_SPOKEN})"
_APART: Final = re2.compile(APART, _OPTIONS)
_GAP: Final = re2.compile(r"[ \x{a0}]", _OPTIONS)
_SIGN: Final = re2.compile(r"[._*|/~-]", _OPTIONS)
_SIGNS: Final = re2.compile(r"[_+*~=|]+", _OPTIONS)
_AT_OR_DOT: Final = re2.compile(r"(?i) {0,2}[\[({< ] ?(?:(at|@)|dot|\.) ?[\])}> ] {0,2}", _OPTIONS)


def apart(data: bytes, allowance: Allowance) -> Iterator[Edit]:
    """What is read in place of gaps and words."""
    for match in _APART.finditer(data):
        allowance.spend()
        start, index = match.start(), match.lastindex
        run = match.group()
        if index == 4:
            yield Edit(start, match.end(), _whole(run))
            continue
        if index == 5 and b" at " in run and b"." in run and b" dot " not in run.lower():
            continue  # "look at example.com"
        gaps = list(_GAPS[index].finditer(run))
        if index == 1:  # the letters at the ends may belong to words
            gaps = gaps[_is_word(data, start - 1) : len(gaps) - _is_word(data, match.end())]
        for gap in gaps:
            yield Edit(start + gap.start(), start + gap.end(), _read(index, gap))


def _is_word(data: bytes, position: int) -> bool:
    return 0 <= position < len(data) and data[position] not in b" \t\r\n\x00"


def _read(index: int, gap: re2._Match) -> bytes:
    if index == 5:
        return b"@" if gap.group(1) else b"."
    return b" " if index == 3 else b""


def _whole(number: bytes) -> bytes:
    """`4.111111111111111e15` in full."""
    digits, _, exponent = number.lower().partition(b"e")
    shift = int(exponent)
    whole, _, rest = digits.partition(b".")
    return whole + rest[:shift].ljust(shift, b"0")


_GAPS: Final = {1: _GAP, 2: _SIGN, 3: _SIGNS, 5: _AT_OR_DOT}
