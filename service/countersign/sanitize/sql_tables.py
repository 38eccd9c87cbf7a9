"""Every table a statement names, in whatever clause, or a marker for one it hides.

Follows the lists after FROM, JOIN, INTO and their like at every depth of
parentheses. Names too many (a common table expression, a word of a function's
own FROM) do no harm; where a list cannot be followed the answer holds `OTHER`.

Pure; used by `sql`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Final

from countersign.sanitize.sql_tokens import Token, name_of

OTHER: Final = "[OTHER]"
MAX_PARTS: Final = 4
_MAX_NAME: Final = 128

_TABLE_WORDS: Final = frozenset(
    {"from", "join", "into", "update", "table", "using", "apply", "straight_join", "tables"}
)
_FIRST_WORDS: Final = frozenset({"truncate", "copy", "analyze", "vacuum", "lock"})
"""Verbs whose table may follow at once."""
_SKIPPED: Final = frozenset({"only", "if", "not", "exists", "lateral", "ignore", "low_priority"})
_QUERY_WORDS: Final = frozenset({"select", "with", "values"})
_END_OF_LIST: Final = frozenset(
    """where group order having limit set select union intersect except values window fetch offset
    returning for ;""".split()
)


@dataclasses.dataclass(slots=True)
class _Level:
    """What is expected within one pair of parentheses."""

    in_list: bool = False
    expects: bool = False

    def follow(self, word: str) -> None:
        """Go on over a word that names no table."""
        if word in _TABLE_WORDS:
            self.in_list = self.expects = True
        elif word == "," and self.in_list:
            self.expects = True
        elif word in _END_OF_LIST:
            self.in_list = self.expects = False


def tables(code: Sequence[Token], verb: str) -> tuple[str, ...]:
    """Names as written, in order."""
    found: dict[str, None] = {}
    at_once = verb in _FIRST_WORDS and len(code) > 1 and code[1].word not in _TABLE_WORDS
    levels = [_Level(in_list=at_once, expects=at_once)]
    position = int(at_once)
    while position < len(code):
        token, level = code[position], levels[-1]
        if token.word == "(":
            levels.append(_opened(level, code, position))
            level.expects = False
        elif token.word == ")":
            if level.expects:
                found[OTHER] = None
            if len(levels) > 1:
                levels.pop()
        elif level.expects and token.word not in _TABLE_WORDS | _SKIPPED:
            level.expects = False
            name, position = _dotted(code, position)
            found[name] = None
            continue
        else:
            level.follow(token.word)
        position += 1
    if levels[-1].expects:
        found[OTHER] = None
    return tuple(found)


def _opened(level: _Level, code: Sequence[Token], position: int) -> _Level:
    """`from (select …` begins anew; `from (a join b)` goes on; `using (id)` names columns."""
    before = code[position - 1].word if position else ""
    following = code[position + 1].word if position + 1 < len(code) else ""
    if not level.expects or following in _QUERY_WORDS or before == "using":
        return _Level()
    return _Level(in_list=True, expects=True)


def _dotted(code: Sequence[Token], position: int) -> tuple[str, int]:
    """`schema.table` beginning at a token, and where it ends."""
    parts: list[str] = []
    while position < len(code) and code[position].kind in {"word", "quoted"}:
        parts.append(name_of(code[position]))
        position += 1
        if position + 1 >= len(code) or code[position].word != ".":
            break
        position += 1
    name = ".".join(parts) if 0 < len(parts) <= MAX_PARTS else OTHER
    return (name if len(name) <= _MAX_NAME else OTHER), (position if parts else position + 1)
