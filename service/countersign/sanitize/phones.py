"""What is a telephone number, once its form is one: how many digits, and no date.

Each check takes the bytes a pattern matched and says which part of them is the
number. Pure; used by the rules of phones only.
"""

from __future__ import annotations

import re
from typing import Final

from countersign.sanitize.checks import Parts, digits

_GROUP: Final = re.compile(rb"[0-9]+")
_DATE: Final = re.compile(
    rb"(?:0[1-9]|[12][0-9]|3[01])[./ -](?:0[1-9]|1[0-2])[./ -](?:19|20)[0-9]{2}(?![0-9])"
)
_SHORTEST: Final = 9
_LONGEST: Final = 12


def international(found: bytes) -> Parts:
    """E.164: 8 to 15 digits; country code 1 has an exact plan."""
    number = digits(found)
    if number[:1] == b"1" and (len(number) < 11 or number[1:2] in b"01"):
        return ()
    return ((0, len(found)),) if len(number) >= 8 else ()


def trunk(found: bytes) -> Parts:
    """9 to 12 digits, the trunk zero included; what follows them is something else."""
    if _DATE.match(found):
        return ()
    groups = list(_GROUP.finditer(found))
    if len(groups) == 1:
        return ()
    pairs = [len(group.group()) == 2 for group in groups]
    if all(pairs[:3]) and not all(pairs[:5]):  # `01.02.03`, a date or a version
        return ()
    total = last = 0
    for group in groups:
        total += len(group.group())
        if total > _LONGEST:
            break
        last = group.end() if total >= _SHORTEST else last
        if last and all(pairs) and total == 10:
            break
    return ((0, last),) if last else ()


def pairs(found: bytes) -> Parts:
    """Exactly four groups of two (Denmark, Norway): longer rows are no number."""
    return ((0, len(found)),) if len(found) == len(b"12 34 56 78") else ()


def alone(found: bytes) -> Parts:
    """Groups as one country writes them; three equal groups of zeros are a round sum."""
    return () if found.endswith(b"000 000") else ((0, len(found)),)


def mentioned(found: bytes) -> Parts:
    """A number that the words before it call a phone: 7 to 15 digits, no date."""
    if _DATE.match(found):
        return ()
    return ((0, len(found)),) if 7 <= len(digits(found)) <= 15 else ()
