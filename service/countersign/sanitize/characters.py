"""Characters that only deceive: control, format and bidi characters.

What people wrote is stripped of them before it is searched, so that none hides
a value from the patterns or reorders what a reviewer reads. Used by `sanitizer`.
"""

from __future__ import annotations

import unicodedata
from typing import Any, Final

from countersign.model import JsonValue

_KEPT: Final = frozenset("\n\t")
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def printable(text: str) -> str:
    """Without control, format and bidi characters; new lines and tabs stay."""
    if text.isprintable():
        return text
    return "".join(
        char for char in text if char in _KEPT or unicodedata.category(char) not in _HIDDEN
    )


def printable_json(value: JsonValue) -> Any:
    """The same for every string and key of a value."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list):
        return [printable_json(item) for item in value]
    if isinstance(value, dict):
        return {printable(key): printable_json(item) for key, item in value.items()}
    return value
