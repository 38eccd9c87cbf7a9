"""How dialects of SQL write literals: one pattern of tokens for each way to read a text.

The plain one takes what all dialects share. The others are asked where the plain
one meets what dialects read differently: a backslash before a quote (MySQL,
BigQuery, Snowflake, ClickHouse, Spark), `$tag$` (PostgreSQL, ClickHouse; a name in
MySQL), `q'[…]'` (Oracle), three quotes (BigQuery). A database in whose reading a
quote stays open runs nothing, so that reading drops out; the others must agree.

Every alternative is decided by its first bytes and repeats possessively, so
nothing is tried twice; an opening without its end is a token that is refused at
once. That makes `re` linear here, at a tenth of what RE2 costs a token.

Pure; used by `sql_tokens` only.
"""

from __future__ import annotations

import re
from typing import Final

_COMMENTS: Final = rb"--[^\n]*+|/\*.*?\*/|/\*"
_PREFIX: Final = rb"(?i:[exbnuq]|u&|nq)?"
_NAMES: Final = rb'"[^"]*+"|`[^`]*+`'
_REST: Final = (
    rb"[$:@?][A-Za-z_][A-Za-z0-9_]*+(?!\$)|\$[0-9]{1,3}(?![0-9A-Za-z_])"  # parameters
    rb"|[0-9][0-9A-Za-z_.]*+"
    rb"|[A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*+"
    rb"|<=|>=|<>|!=|\|\||::|[=<>(),;.*+\-/%?:~&|^!\[\]{}@]"
    rb"|[^ \t\r\n\f\v]"  # nothing of SQL: refused
)
_QUOTED: Final = _PREFIX + rb"'[^']*+'"
_ESCAPED: Final = (
    rb"(?i:[exbnuqr]|u&|nq|br|rb)?(?:'(?:[^'\\]|\\.)*+'|(?P<refused_quote>'))"
    rb'|(?P<quoted>"(?:[^"\\]|\\.)*+")|`[^`\\]*+`'
)


def _tokens(*literals: bytes) -> re.Pattern[bytes]:
    """The tokens of a reading; a group's name, up to `_`, is the kind of what it matches."""
    return re.compile(rb"(?s)" + b"|".join((_COMMENTS, *literals, _REST)))


PLAIN: Final = _tokens(_QUOTED, rb"\$\$.*?\$\$", _NAMES)

READINGS: Final = (
    # What the standard says: a backslash is a character.
    _tokens(_QUOTED, rb"\$\$.*?\$\$", _NAMES),
    # PostgreSQL: backslashes escape in E'' alone, and dollars quote.
    _tokens(
        rb"(?i:e)(?:'(?:[^'\\]|\\.)*+'|(?P<refused_e>'))",
        rb"(?P<literal>\$(?P<tag>(?:[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*+)?+)\$.*?\$(?P=tag)\$)",
        _QUOTED,
        _NAMES,
    ),
    # Oracle: a quote of one's own choice.
    _tokens(
        rb"(?P<literal>(?i:n?q)'(?:\[.*?\]|\{.*?\}|\(.*?\)|<.*?>|(?P<own>[^\s\[{(<']).*?(?P=own))')",
        rb"(?P<refused_q>(?i:n?q)')",
        _QUOTED,
        _NAMES,
    ),
    # MySQL: a dollar begins a name.
    _tokens(_ESCAPED, rb"(?P<word>\$[A-Za-z0-9_$\x80-\xff]*+)"),
    # Snowflake, ClickHouse, Spark: two dollars quote.
    _tokens(_ESCAPED, rb"\$\$.*?\$\$"),
    # BigQuery: three quotes hold quotes.
    _tokens(
        rb"(?P<literal>(?i:r|b|br|rb)?(?:'''(?:[^\\]|\\.)*?'''|\"\"\"(?:[^\\]|\\.)*?\"\"\"))",
        rb"(?P<refused_three>(?i:r|b|br|rb)?(?:'''|\"\"\"))",
        _ESCAPED,
    ),
)
