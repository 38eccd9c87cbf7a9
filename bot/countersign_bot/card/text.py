"""Untrusted text as a card may show it: literally, and unable to steer anything.

What somebody wrote comes out as one line or several, in which

* a character nobody sees (control, format, bidi, tag, blank, private or
  unassigned ones, variation selectors that change no symbol) reads `<U+202E>`,
  many of a kind once, with their number; so do four blanks or more in a row;
* more than `MAX_MARKS` combining marks on one letter are counted, not drawn;
* two braces stand apart (`{ {DATE(…)}}`), so that no client takes them for a
  function to expand;
* a tab is two blanks, and a no-break space one;
* a word that is longer than its place may be broken: by a zero-width space of
  ours, the only one there can be, so that no word runs over what stands beside
  it, or out of sight;
* letters that run from right to left stand in an isolate of their own, so that
  they turn round nothing beside them.

Nothing else changes: markdown, tags and links are for `TextRun`, which shows
them as they are. What is too long ends early and says so, with a digest of all
of it. Time is linear in what is shown. Pure; used by everything in this package
that shows a value.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import re
import unicodedata
from typing import Final, NewType

Clean = NewType("Clean", str)
"""Text that went through this module: one line, for a `TextRun` and nothing else."""

MAX_MARKS: Final = 4
"""Combining marks on one letter that any language needs."""
BREAK: Final = "\u200b"
"""Where a long word may go on in the next line."""
ISOLATE: Final = "\u2068"
END_ISOLATE: Final = "\u2069"
_TIMES: Final = "\u00d7"
_MAX_BLANKS: Final = 3
_DIGEST_CHARS: Final = 12
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_MARKS: Final = frozenset({"Mn", "Me"})
_BLANK: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0")
_UNSEEN_MARKS: Final = re.compile(
    "[\u034f\u17b4\u17b5\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)
_AS_BLANK: Final = {"\u00a0": " ", "\u202f": " ", "\t": "  "}
_EMOJI_STYLE: Final = frozenset("\ufe0e\ufe0f")
_RIGHT_TO_LEFT: Final = frozenset({"R", "AL", "AN"})
_NEW_LINE: Final = re.compile(r"\r\n|\n")
_GOES_WITH: Final = frozenset({*_MARKS, "Mc", "Sk"})
_PAUSES: Final = frozenset("._-/:,;=&?@+>)]}")
_WORD: Final = re.compile(r"\S+")
_OPENED_TWICE: Final = re.compile(r"\{(?=\{)")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What is shown of a text."""

    lines: tuple[Clean, ...]
    is_cut: bool
    """Whether part of it is not shown."""


def shown(raw: str, *, max_chars: int, max_lines: int) -> Shown:
    """A text in at most so many lines and about so many characters; blank lines go."""
    lines: list[Clean] = []
    left = max_chars
    cut = len(raw) > max_chars
    for line in filter(str.strip, _NEW_LINE.split(raw[:max_chars])):
        if left <= 0 or len(lines) == max_lines:
            cut = True
            break
        spelled, whole = _spelled(line, left)
        lines.append(_isolated(spelled))
        left -= len(spelled)
        cut = cut or not whole
    return Shown(lines=tuple(lines), is_cut=cut)


def brief(raw: str, *, max_chars: int) -> Shown:
    """A short text, such as an id, in one line; a line break is spelled, too."""
    spelled, whole = _spelled(raw[:max_chars], max_chars)
    whole = whole and len(raw) <= max_chars
    told = _isolated(spelled if whole else f"{spelled}…")
    return Shown(lines=(told,), is_cut=not whole)


def breakable(line: Clean, longest: int) -> Clean:
    """A line whose words may be broken after so many characters, rather after a sign."""
    if len(line) <= longest:
        return line
    return Clean(_WORD.sub(lambda word: _broken(word.group(), longest), line))


def _broken(word: str, longest: int) -> str:
    parts: list[str] = []
    while len(word) > longest:
        pauses = (at for at in range(longest, longest // 2, -1) if word[at - 1] in _PAUSES)
        end = next(pauses, longest)
        while end < len(word) and (
            unicodedata.category(word[end]) in _GOES_WITH or word[end] == END_ISOLATE
        ):
            end += 1
        parts.append(word[:end])
        word = word[end:]
    return BREAK.join([*parts, word] if word else parts)


def digest(raw: str) -> Clean:
    """The beginning of a whole text's SHA-256 in hex, to tell it from others that begin alike."""
    return Clean(hashlib.sha256(raw.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_CHARS])


def _spelled(line: str, max_chars: int) -> tuple[str, bool]:
    """A line with nothing hidden in it, and whether that is all of it."""
    parts: list[str] = []
    length = marks = 0
    before = ""
    for char, run in itertools.groupby(line):
        count = sum(1 for _ in run)
        is_mark = unicodedata.category(char) in _MARKS and not _UNSEEN_MARKS.match(char)
        room = MAX_MARKS - marks if before else 0
        part = _marks(char, count, room) if is_mark else _run(char, count, before)
        marks = marks + count if is_mark else 0
        if length + len(part) > max_chars:
            kept = part[: max_chars - length] if part == char * count else ""
            return _apart("".join(parts) + kept), False
        parts.append(part)
        length += len(part)
        before = char
    return _apart("".join(parts)), True


def _run(char: str, count: int, before: str) -> str:
    char = _AS_BLANK.get(char, char)
    if char.isspace() and not char.strip(" "):
        many = count * len(char)
        return " " * many if many <= _MAX_BLANKS else _spelling(" ", many)
    if char in _EMOJI_STYLE and count == 1 and before and unicodedata.category(before) == "So":
        return char
    category = unicodedata.category(char)
    unseen = category in _HIDDEN or category == "Zs" or char in _BLANK
    if unseen or _UNSEEN_MARKS.match(char):
        return _spelling(char, count)
    return char * count


def _marks(char: str, count: int, room: int) -> str:
    drawn = max(0, min(count, room))
    return char * drawn + (_spelling(char, count - drawn) if count > drawn else "")


def _spelling(char: str, count: int) -> str:
    return f"<U+{ord(char):04X}>" if count == 1 else f"<U+{ord(char):04X}{_TIMES}{count}>"


def _apart(line: str) -> str:
    return _OPENED_TWICE.sub("{ ", line)


def _isolated(line: str) -> Clean:
    turns = not line.isascii() and any(
        unicodedata.bidirectional(char) in _RIGHT_TO_LEFT for char in line
    )
    return Clean(f"{ISOLATE}{line}{END_ISOLATE}" if turns else line)
