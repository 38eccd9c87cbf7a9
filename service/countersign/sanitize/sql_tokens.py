"""The tokens of a SQL statement, read without knowing its dialect.

Linear, and bounded in bytes and tokens. Where dialects differ over what is a
literal, every reading without an open quote must come to the same tokens. What
else they read differently (`#`, nested or executable comments, a bracket with a
quote in it) is refused: such a statement is masked whole and cannot be approved.

Pure; used by `sql` and its parts.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from countersign.sanitize import sql_dialects

MAX_SQL_BYTES: Final = 64 << 10
MAX_TOKENS: Final = 6_000

_EXECUTABLE: Final = re.compile(rb"/\*(?:[mM]?!|\+)")
"""Comments that some databases run or obey."""
_NUMBER: Final = re.compile(
    rb"(?i)0x[0-9a-f]+|0b[01]+|[0-9][0-9_]*+(?:\.[0-9_]*+)?(?:e[0-9]*+)?"
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
    """Every token but white space; raises `UnreadableSqlError`."""
    if len(data) > MAX_SQL_BYTES:
        raise UnreadableSqlError
    if b"'''" not in data and b'"""' not in data:
        try:
            return _lex(sql_dialects.PLAIN, data, certain=True)
        except UnreadableSqlError:
            if not any(sign in data for sign in _SIGNS_OF_DIALECTS):
                raise
    return _agreed(data)


_SIGNS_OF_DIALECTS: Final = (b"\\", b"$", b"q'", b"Q'")


def _agreed(data: bytes) -> list[Token]:
    """What every dialect that can read the text at all reads in it."""
    agreed: list[Token] | None = None
    for reading in sql_dialects.READINGS:
        try:
            tokens = _joined(_lex(reading, data, certain=False))
        except UnreadableSqlError:
            continue
        if agreed is not None and tokens != agreed:
            raise UnreadableSqlError
        agreed = tokens
    if agreed is None or any(token.text[:1] == b"$" and token.word for token in agreed):
        raise UnreadableSqlError  # a name that begins so may be a literal left open
    return agreed


def _joined(tokens: list[Token]) -> list[Token]:
    """Literals that touch made one, for one dialect's `'''a'''` is three of another's."""
    joined: list[Token] = []
    for token in tokens:
        last = joined[-1] if joined else token
        if token.start == last.end and {token.kind, last.kind} <= {"literal", "quoted"}:
            joined[-1] = Token("literal", last.text + token.text, last.start, token.end, "")
        else:
            joined.append(token)
    return joined


def _lex(pattern: re.Pattern[bytes], data: bytes, *, certain: bool) -> list[Token]:
    """The tokens of one reading; if it is to be `certain`, no other may read them otherwise."""
    tokens: list[Token] = []
    bracket = False
    for match in pattern.finditer(data):
        text = match.group()
        kind = match.lastgroup.partition("_")[0] if match.lastgroup else _kind(text)
        if kind == "word" or kind == "operator":  # noqa: PLR1714 - twice as fast as a set
            word = text.decode("utf-8", "replace").lower()
            bracket = bracket or word == "["
        else:
            word = ""
        if kind != "operator":
            _refuse_ambiguous(kind, text, certain=certain)
            if bracket and b"]" in text:
                raise UnreadableSqlError  # elsewhere the bracket quotes a name that ends here
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


def _refuse_ambiguous(kind: str, text: bytes, *, certain: bool) -> None:
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
        bad = certain and (text[-2:-1] == b"\\" or text[:2].lower().strip(b"n")[:1] == b"q")
    else:
        bad = kind == "refused" or (certain and kind == "quoted" and b"\\" in text)
    if bad:
        raise UnreadableSqlError
