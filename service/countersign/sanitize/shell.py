"""Which programs a command runs and with which options; never their values.

Splits at white space and shell operators only: quoting is not undone, so what
is inside quotes may add words, never hide a program. Pure; called by `facts`.
"""

from __future__ import annotations

import dataclasses
from typing import Final

import re2

MAX_WORDS: Final = 500
MAX_SHOWN: Final = 20

_SEPARATORS: Final = re2.compile(r"\|\||&&|[|;&\n()`]|\$\(")
_ASSIGNMENT: Final = re2.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*")
_PROGRAM: Final = re2.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,39}")
_LONG: Final = re2.compile(r"(--[a-z][a-z0-9-]{0,39})(?:=.*)?")
_SHORT: Final = re2.compile(r"-[A-Za-z]{1,3}")
_ATTACHED: Final = frozenset("pPuUHw")
"""Short options whose value is often glued on: only the letter is shown."""
_WRAPPERS: Final = frozenset({"sudo", "env", "nohup", "time", "exec", "command", "xargs", "doas"})
_QUOTES: Final = "'\"{}[]\\"
OTHER: Final = "[OTHER]"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Programs in order, options sorted. Names still pass the text rules."""

    programs: tuple[str, ...]
    flags: tuple[str, ...]


def read(command: str | list[str]) -> Command:
    """Describe a command line, or an argument vector."""
    parts = [command] if isinstance(command, list) else _SEPARATORS.split(command)
    programs: dict[str, None] = {}
    flags: set[str] = set()
    for part in parts:
        words = part if isinstance(part, list) else part.split()
        _read_one(words[:MAX_WORDS], programs, flags)
    return Command(programs=tuple(programs)[:MAX_SHOWN], flags=tuple(sorted(flags))[:MAX_SHOWN])


def _read_one(words: list[str], programs: dict[str, None], flags: set[str]) -> None:
    expects_program = True
    for raw in words:
        word = raw.strip(_QUOTES)
        if word.startswith("-"):
            flag = _flag(word)
            if flag:
                flags.add(flag)
        elif expects_program and word and not _ASSIGNMENT.fullmatch(word):
            name = word.rsplit("/", 1)[-1]
            programs[name if _PROGRAM.fullmatch(name) else OTHER] = None
            expects_program = name in _WRAPPERS


def _flag(word: str) -> str:
    long = _LONG.fullmatch(word)
    if long:
        return str(long.group(1))
    if _SHORT.fullmatch(word) and word[1] not in _ATTACHED:
        return word
    return word[:2] if len(word) > 1 and word[1].isascii() and word[1].isalpha() else ""
