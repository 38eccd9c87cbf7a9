"""Characters that only deceive: control, format and bidi characters.

Three answers to them. What people wrote is stripped of them (`printable`). What
was rendered from a context shows them as `<U+202E>` (`visible`), so that none
reorders or hides what a reviewer reads, whatever the client. And a text is
searched a second time as the reader sees it (`plain`): compatibility forms,
digits of other scripts and look-alikes become ASCII, hidden characters go.

Characters are looked up one by one in a table that fills as they are met, so
time is linear (`unicodedata.normalize` is not, over combining characters).
Used by `sanitizer`, `survey` and `views`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any, Final

from countersign.model import JsonValue
from countersign.sanitize.confusables import LIKE_ASCII

_KEPT: Final = frozenset("\n\t")
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_MARKS: Final = frozenset({"Mn", "Me"})
_BLANK: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and symbols that are drawn as nothing."""
_UNSEEN_MARKS: Final = frozenset(
    map(chr, (0x034F, 0x17B4, 0x17B5, *range(0x180B, 0x180F), *range(0xFE00, 0xFE10),
              *range(0xE0100, 0xE01F0)))
)  # fmt: skip
"""Marks that change nothing anybody sees, variation selectors among them."""
_SPELLING: Final = "<U+"
_CIRCLED: Final = (0x1F150, 0x1F170, 0x1F1E6)
"""Where letters from A to Z begin that have no compatibility form: white on black, flags."""
_MAX_TABLE: Final = 20_000


class _Table(dict[int, str]):
    """A `str.translate` table made from a function, one character at a time."""

    def __init__(self, of: Callable[[str], str]) -> None:
        super().__init__()
        self._of = of

    def __missing__(self, code: int) -> str:
        shown = self._of(chr(code))
        if len(self) < _MAX_TABLE:
            self[code] = shown
        return shown


def _is_hidden(char: str) -> bool:
    return char not in _KEPT and unicodedata.category(char) in _HIDDEN


def _stripped(char: str) -> str:
    return "" if _is_hidden(char) else char


def _spelled(char: str) -> str:
    unseen = _is_hidden(char) or char in _BLANK or char in _UNSEEN_MARKS
    return f"<U+{ord(char):04X}>" if unseen else char


def _plain(char: str) -> str:
    category = unicodedata.category(char)
    if char in _KEPT or char == "\r":
        return char
    if _is_hidden(char) or char in _BLANK or category in _MARKS:
        return ""
    if category == "Pd":
        return "-"
    if category in {"Nd", "No"} and (digit := unicodedata.digit(char, None)) is not None:
        return str(digit)
    for first in _CIRCLED:
        if first <= ord(char) < first + 26:
            return chr(ord("A") + ord(char) - first)
    return "".join(LIKE_ASCII.get(each, each) for each in unicodedata.normalize("NFKC", char))


_STRIPPED: Final = _Table(_stripped)
_SPELLED: Final = _Table(_spelled)
_PLAIN: Final = _Table(_plain)


def printable(text: str) -> str:
    """Without control, format and bidi characters; new lines and tabs stay."""
    return text if text.isprintable() else text.translate(_STRIPPED)


def visible(text: str) -> str:
    """With `<U+202E>` for each character nobody sees; new lines and tabs stay.

    A text that holds that spelling already is told from one that was spelled.
    """
    if _SPELLING in text:
        text = text.replace(_SPELLING, "<U+003C>U+")
    return text if text.isascii() and text.isprintable() else text.translate(_SPELLED)


def plain(text: str) -> str:
    """The text in ASCII as far as it reads like ASCII."""
    return text if text.isascii() and text.isprintable() else text.translate(_PLAIN)


_UNSEEN_TEXT: Final = re.compile("[\U000e0020-\U000e007e\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_LEAST_UNSEEN: Final = 5


def unseen_text(data: bytes) -> bytes | None:
    """What tags and variation selectors spell that nobody sees, as UTF-8; None: nothing."""
    found = _UNSEEN_TEXT.findall(data.decode("utf-8"))
    if len(found) < _LEAST_UNSEEN:
        return None
    spelled = bytes(_unseen_byte(ord(char)) for char in found)
    return spelled.replace(b"\x00", b"\x01").decode("utf-8", "replace").encode("utf-8")


def _unseen_byte(code: int) -> int:
    if code < 0x10000:
        return code - 0xFE00
    return code - 0xE0000 if code < 0xE0100 else code - 0xE0100 + 16


def is_plain_json(encoded: bytes) -> bool:
    """Whether canonical JSON surely holds none of these characters: ASCII without escapes."""
    return (
        encoded.isascii()
        and b"\\" not in encoded
        and b"\x7f" not in encoded
        and _SPELLING.encode() not in encoded
    )


def printable_json(value: JsonValue) -> Any:
    """`printable` for every string and key of a value; no key is lost."""
    return _json(value, printable)


def visible_json(value: JsonValue) -> Any:
    """`visible` for every string and key of a value; no key is lost."""
    return _json(value, visible)


def _json(value: JsonValue, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_json(item, change) for item in value]
    if isinstance(value, dict):
        result: dict[str, Any] = {}
        alike: dict[str, int] = {}
        for key, item in value.items():
            result[unused(change(key), result, alike)] = _json(item, change)
        return result
    return value


def unused(key: str, taken: Mapping[str, Any], alike: dict[str, int]) -> str:
    """The key, with `#2`, `#3` … when another key reads the same."""
    shown = key
    while shown in taken:
        alike[key] = alike.get(key, 1) + 1
        shown = f"{key}#{alike[key]}"
    return shown
