"""What may be shown of a value in place of a tag, where an operator wishes it.

A value that is not of the expected form shows nothing: a find may have grown
by what stood beside it. Pure; named by `custom_file`, called by `mask`.
"""

from __future__ import annotations

import re
from typing import Final

from countersign.sanitize import checks, quantities

_NUMBER: Final = re.compile(rb"['\"]?([+-]?)([0-9]{1,18})(?:\.[0-9]{1,18})?['\"]?")
_NOT_DIGITS: Final = re.compile(rb"[ .\-]")


def bucket(value: bytes) -> str:
    """The power of ten a number falls into, as facts say it: `1k-10k`."""
    match = _NUMBER.fullmatch(value)
    if match is None:
        return ""
    sign = "-" if match[1] == b"-" else ""
    return f"{sign}{quantities.bucket(int(match[2]))['bucket']}"


def last_4(value: bytes) -> str:
    """The last four digits of a card's number, and of nothing else."""
    digits = _NOT_DIGITS.sub(b"", value)
    if not digits.isdigit() or list(checks.card(digits)) != [(0, len(digits))]:
        return ""
    return digits[-4:].decode()
