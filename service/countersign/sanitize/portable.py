r"""An operator's regular expression, made safe to run over many texts at once.

All texts of a context are searched together, with NUL between them. So an
expression must not match NUL, or it would run from one text into the next, and
anchors mean nothing. `apart_from_others` rewrites what can be rewritten (`.`,
`[^…]`, `\S`) and refuses the rest with a remedy. Pure; called by `custom_file`.
"""

from __future__ import annotations

from typing import Final

_NEGATED: Final = {"S": r"[^\s\x00]", "D": r"[^\d\x00]", "W": r"[^\w\x00]"}
_ANCHORS: Final = "say \\b where a word begins or ends; a whole value is found by `keys`"
_REFUSED: Final = {
    "A": f"anchors find nothing: {_ANCHORS}",
    "z": f"anchors find nothing: {_ANCHORS}",
    "Z": f"anchors find nothing: {_ANCHORS}",
    "C": r"\C is a byte, not a character: say which characters",
    "P": r"write \P{…} as [^\p{…}]",
    "Q": r"write \Q…\E with a backslash before each character",
    "0": "it may not name the character NUL",
}


class UnusableError(Exception):
    """What is wrong with an expression, and the remedy; nothing of any value."""


def apart_from_others(regex: str) -> str:
    """The expression as it is run. Raises `UnusableError`."""
    if "\x00" in regex or "\\x00" in regex or "\\x{0" in regex:
        raise UnusableError(_REFUSED["0"])
    parts: list[str] = []
    at = 0
    while at < len(regex):
        if regex[at] == "[":
            part, at = _class(regex, at)
        elif regex[at] == "\\":
            part, at = _escape(regex[at : at + 2]), at + 2
        else:
            part, at = _plain(regex, at), at + 1
        parts.append(part)
    return "".join(parts)


def _plain(regex: str, at: int) -> str:
    char = regex[at]
    if char in "^$":
        raise UnusableError(_REFUSED["A"])
    if regex.startswith("(?", at) and "s" in _flags(regex, at + 2):
        raise UnusableError("the flag s is refused: write (?:.|\\n) where a line may end")
    return r"[^\n\x00]" if char == "." else char


def _flags(regex: str, at: int) -> str:
    """The letters of `(?is)` or `(?i:`; of `(?P<name>` and `(?:` none."""
    end = at
    while end < len(regex) and (regex[end] in "imsU-"):
        end += 1
    return regex[at:end] if regex[end : end + 1] in {")", ":"} else ""


def _escape(escape: str) -> str:
    letter = escape[1:]
    if letter in _REFUSED:
        raise UnusableError(_REFUSED[letter])
    return _NEGATED.get(letter, escape)


def _class(regex: str, start: int) -> tuple[str, int]:
    """A class in brackets, and where it ends. A negated one has NUL added."""
    negated = regex.startswith("[^", start)
    at = first = start + (2 if negated else 1)
    while at < len(regex) and (regex[at] != "]" or at == first):
        if regex.startswith("[:", at) and ":]" in regex[at:]:
            end = regex.index(":]", at) + 2
            if regex.startswith("[:^", at):
                raise UnusableError("write a negated class without [:^…:]")
            at = end
            continue
        if regex[at] == "\\":
            letter = regex[at + 1 : at + 2]
            if letter in _REFUSED or (letter in _NEGATED and not negated):
                raise UnusableError(f"\\{letter} is refused inside [ ]: say which characters")
            at += 1
        at += 1
    inside = regex[first:at]
    return (f"[^\\x00{inside}]" if negated else f"[{inside}]"), at + 1
