"""The tokens of a SQL statement, read without knowing its dialect.

Linear, and bounded in bytes and tokens. What dialects read differently (a
backslash before a quote, `#`, nested or executable comments, quotes with a tag)
is refused: such a statement is masked whole and cannot be approved.

Pure; used by `sql` and its parts.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

MAX_SQL_BYTES: Final = 64 << 10
MAX_TOKENS: Final = 6_000

# Every alternative is decided by its first bytes and repeats possessively, so
# nothing is tried twice; an opening without its end is a token that is refused
# at once. That makes `re` linear here, at a tenth of what RE2 costs a token.
_TOKEN: Final = re.compile(
    rb"(?s)--[^\n]*+|/\*.*?\*/|/\*"  # comments
    rb"|(?i:[exbnuq]|u&|nq)?'[^']*+'|\$\$.*?\$\$"  # literals
    rb'|"[^"]*+"|`[^`]*+`'
    rb"|[$:@?][A-Za-z_][A-Za-z0-9_]*+|\$[0-9]{1,3}(?![0-9A-Za-z_])"  # parameters
    rb"|[0-9][0-9A-Za-z_.]*+"
    rb"|[A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*+"
    rb"|<=|>=|<>|!=|\|\||::|[=<>(),;.*+\-/%?:~&|^!\[\]{}@]"
    rb"|[^ \t\r\n\f\v]"  # nothing of SQL: refused
)
_EXECUTABLE: Final = re.compile(rb"/\*(?:[mM]?!|\+)")
"""Comments that some databases run or obey."""
_NUMBER: Final = re.compile(
    rb"(?i)0x[0-9a-f]+|0b[01]+|[0-9][0-9_]*\.?[0-9_]*(?:e[0-9]*)?"
)  # the sign and digits of an exponent may be tokens of their own


class Token(NamedTuple):
    """One token; `word` is lower case for words and operators, empty for the rest."""

    kind: str
    text: bytes
    start: int
    end: int
    word: str


class UnreadableSqlError(Exception):
    """The statement cannot be tokenized without knowing the dialect."""


def tokenize(data: bytes) -> list[Token]:
    """Every token but white space; stops at the first that cannot be read."""
    if len(data) > MAX_SQL_BYTES:
        raise UnreadableSqlError
    tokens: list[Token] = []
    for match in _TOKEN.finditer(data):
        text = match.group()
        kind = _kind(text)
        if kind == "word" or kind == "operator":  # noqa: PLR1714 - twice as fast as a set
            word = text.decode("utf-8", "replace").lower()
        else:
            word = ""
        if kind != "operator":
            _refuse_ambiguous(kind, text)
        tokens.append(Token(kind, text, match.start(), match.end(), word))
        if len(tokens) > MAX_TOKENS:
            raise UnreadableSqlError
    return tokens


def _is_name(text: bytes) -> bool:
    return text.decode("utf-8", "replace").replace("$", "_").isidentifier()


def name_of(token: Token) -> str:
    """A word or quoted name without its quotes."""
    text = token.text.decode("utf-8", "replace")
    return text[1:-1] if token.kind == "quoted" else text


def _kind(text: bytes) -> str:
    """What a token is, by its first and last bytes."""
    first = text[0]
    if text[-1] == _QUOTE and len(text) > 1:
        return "literal"
    kind = _KIND_OF[first]
    if kind == "operator" and len(text) > 1:
        if text.startswith(_COMMENT_STARTS):
            return "comment"
        if first in b"$:@?" and text != b"::":
            return "parameter"
    if kind == "dollar":
        return "literal" if text.startswith(b"$$") else "parameter" if len(text) > 1 else "refused"
    if kind == "quoted" and len(text) == 1:
        return "refused"
    return kind


_QUOTE: Final = ord("'")
_COMMENT_STARTS: Final = (b"--", b"/*")
_KIND_OF: Final = [
    "number" if byte in b"0123456789"
    else "word" if chr(byte).isalpha() or byte == ord("_") or byte >= 0x80
    else "quoted" if byte in b'"`'
    else "dollar" if byte == ord("$")
    else "operator" if byte in b"=<>(),;.*+-/%?:~&|^![]{}@"
    else "refused"
    for byte in range(256)
]  # fmt: skip


def _refuse_ambiguous(kind: str, text: bytes) -> None:
    if kind == "comment":
        bad = (
            _EXECUTABLE.match(text) is not None
            or (text.startswith(b"/*") and (len(text) < 4 or b"/*" in text[2:]))
            or (text.startswith(b"--") and text[2:3] not in b" \t\r\n")
            or (text.startswith(b"--") and b"\r" in text[:-1])
        )
    elif kind == "word":
        # A space of another alphabet parts words in some dialects.
        bad = not text.isascii() and not _is_name(text)
    elif kind == "number":
        # Elsewhere `1OR` is a number and a word.
        bad = not _NUMBER.fullmatch(text)
    elif kind == "literal":
        bad = text[-2:-1] == b"\\" or text[:2].lower().strip(b"n")[:1] == b"q"
    else:
        bad = kind == "refused" or (kind == "quoted" and b"\\" in text)
    if bad:
        raise UnreadableSqlError
