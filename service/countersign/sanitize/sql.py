"""What a SQL statement does, and where its literals and comments are.

A linear tokenizer that knows no dialect and therefore refuses what dialects
read differently (a backslash before a quote, `#`, nested or executable comments,
quotes with a tag): such a statement is masked whole and cannot be
approved. All literals, numbers and comments are hidden; what remains is words,
so no name or number of the statement's data is left to show.

Pure; called by `detect` for arguments that hold SQL.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Final, NamedTuple

import re2

MAX_SQL_BYTES: Final = 64 << 10

_VERBS: Final = frozenset(
    """
select insert update delete merge truncate drop alter create grant revoke copy call with explain
replace upsert vacuum analyze set show begin commit rollback use exec execute declare do lock
""".split()
)
_QUERY_VERBS: Final = _VERBS - {"show", "set", "use", "analyze", "do", "lock", "begin", "call"}
_FIRST_WORD: Final = re2.compile(rb"[A-Za-z]+")
_WRITES: Final = ("delete", "update", "insert", "merge", "drop", "truncate", "alter")
_TABLE_WORDS: Final = frozenset({"from", "join", "into", "update", "table", "using"})
_NOT_TABLES: Final = frozenset(
    {"select", "set", "where", "only", "if", "not", "exists", "lateral", "values", "unnest", "("}
)
_END_OF_WHERE: Final = frozenset(
    {"group", "order", "limit", "returning", "having", "window", "fetch", "offset", "for", ";"}
)
_HARD: Final = frozenset({"union", "intersect", "except", "with", "select", "case"})

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
_IDENTIFIER: Final = re2.compile(r"[A-Za-z_][A-Za-z0-9_$ ]{0,63}")
_LIMIT_CAP: Final = 1_000_000


class Token(NamedTuple):
    """One token; `word` is lower case for words and operators, empty for the rest."""

    kind: str
    text: bytes
    start: int
    end: int
    word: str


class UnreadableSqlError(Exception):
    """The statement cannot be tokenized without knowing the dialect."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What is known of a statement. Names are raw; `facts` runs them through the text rules."""

    verb: str
    tables: tuple[str, ...]
    columns: tuple[str, ...]
    all_columns: bool
    predicate: str
    limit: int | None
    statements: int
    hidden: tuple[tuple[int, int], ...]
    """Byte spans of literals and comments."""


def read(text: str) -> Statement:
    """Tokenize and describe. Raises `UnreadableSqlError`."""
    tokens = tokenize(text.encode("utf-8"))
    hidden = tuple((t.start, t.end) for i, t in enumerate(tokens) if _is_hidden(tokens, i))
    code = [token for token in tokens if token.kind != "comment"]
    if not code:
        raise UnreadableSqlError
    while code and code[-1].word == ";":
        code.pop()
    words = [token.word for token in code]
    verb = next((word for word in words if word not in {"(", ";"}), "")
    if verb not in _VERBS:
        raise UnreadableSqlError
    statements = 1 + words.count(";")
    if verb in {"with", "explain"}:
        verb = next((word for word in _WRITES if word in words), "select")
    if statements > 1:
        verb = "multiple"
    columns, all_columns = _columns(code, words)
    return Statement(
        verb=verb,
        tables=_tables(code, words),
        columns=columns,
        all_columns=all_columns,
        predicate=_predicate(code, words, statements),
        limit=_limit(code, words),
        statements=statements,
        hidden=hidden,
    )


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
            _refuse_ambiguous(kind, text)
        tokens.append(Token(kind, text, match.start(), match.end(), word))
    return tokens


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


def begins_statement(text: str) -> bool:
    """Whether a query is SQL at all: a comment or a verb of SQL comes first."""
    head = text.lstrip(" \t\r\n(;")
    if head.startswith(("--", "/*")):
        return True
    word = _FIRST_WORD.match(head[:32].encode("utf-8", "replace"))
    return word is not None and word.group().decode("ascii").lower() in _QUERY_VERBS


def _refuse_ambiguous(kind: str, text: bytes) -> None:
    if kind == "comment":
        bad = (
            text.startswith(b"/*!")
            or (text.startswith(b"/*") and (len(text) < 4 or b"/*" in text[2:]))
            or (text.startswith(b"--") and text[2:3] not in b" \t\r\n-")
        )
    elif kind == "literal":
        bad = text[-2:-1] == b"\\" or text[:2].lower().strip(b"n")[:1] == b"q"
    else:
        bad = kind == "refused" or (kind == "quoted" and b"\\" in text)
    if bad:
        raise UnreadableSqlError


def _is_hidden(tokens: list[Token], index: int) -> bool:
    """Literals, numbers, comments; double quotes unless they name a table or column."""
    token = tokens[index]
    if token.kind in {"comment", "literal", "number"}:
        return True
    if token.kind != "quoted":
        return False
    if not _IDENTIFIER.fullmatch(token.text[1:-1].decode("utf-8", "replace")):
        return True
    if token.text.startswith(b"`"):
        return False
    before = tokens[index - 1].word if index else ""
    following = tokens[index + 1].word if index + 1 < len(tokens) else ""
    return not (before in _TABLE_WORDS or before == "." or following == ".")


def _name(token: Token) -> str:
    text = token.text.decode("utf-8", "replace")
    return text[1:-1] if token.kind == "quoted" else text


def _tables(code: list[Token], words: list[str]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for index, word in enumerate(words):
        if word not in _TABLE_WORDS:
            continue
        position = index + 1
        while position < len(code) and words[position] in {"only", "if", "not", "exists"}:
            position += 1
        name = _dotted(code, words, position)
        if name:
            found[name] = None
    return tuple(found)


def _dotted(code: list[Token], words: list[str], position: int) -> str:
    """`schema.table` beginning at a token, or nothing."""
    parts: list[str] = []
    while position < len(code):
        token = code[position]
        if token.kind not in {"word", "quoted"} or (not parts and words[position] in _NOT_TABLES):
            break
        parts.append(_name(token))
        if position + 1 >= len(code) or words[position + 1] != ".":
            break
        position += 2
    return ".".join(parts)


def _columns(code: list[Token], words: list[str]) -> tuple[tuple[str, ...], bool]:
    """The names between SELECT and FROM."""
    if "select" not in words:
        return (), False
    start = words.index("select") + 1
    end = words.index("from", start) if "from" in words[start:] else len(words)
    names = [_name(t) for t in code[start:end] if t.kind in {"word", "quoted"}]
    stars = [
        i for i in range(start, end) if words[i] == "*" and words[i - 1] in {"select", ".", ","}
    ]
    return tuple(dict.fromkeys(names)), bool(stars)


def _limit(code: list[Token], words: list[str]) -> int | None:
    for word in ("limit", "top", "first"):
        if word in words and words.index(word) + 1 < len(code):
            text = code[words.index(word) + 1].text
            if text.isdigit():
                return min(int(text[:9]), _LIMIT_CAP)
    return None


# --- the shape of WHERE ------------------------------------------------------


def _predicate(code: list[Token], words: list[str], statements: int) -> str:
    if statements > 1 or not _HARD.isdisjoint(words[1:]):
        return "other"
    if "where" not in words:
        return "none"
    start = words.index("where") + 1
    end = next((i for i in range(start, len(words)) if words[i] in _END_OF_WHERE), len(words))
    branches = _split(code[start:end], words[start:end], "or")
    if any(_always_true(branch) for branch in branches):
        return "always_true"
    if len(branches) > 1:
        return "other"
    conjuncts = _split(branches[0], [token.word for token in branches[0]], "and")
    if any(_is_key_equality(conjunct) for conjunct in conjuncts):
        return "by_key"
    return "range" if all(_is_range(conjunct) for conjunct in conjuncts) else "other"


def _split(tokens: list[Token], words: list[str], at: str) -> list[list[Token]]:
    """Split at a word outside parentheses; `BETWEEN a AND b` stays whole."""
    parts: list[list[Token]] = [[]]
    depth = 0
    between = False
    for token, word in zip(tokens, words, strict=True):
        depth += (word == "(") - (word == ")")
        between = between or word == "between"
        if word == at and depth == 0 and not (between and at == "and"):
            parts.append([])
            continue
        between = between and word != "and"
        parts[-1].append(token)
    return parts


def _always_true(branch: list[Token]) -> bool:
    """`TRUE`, `1`, `1 = 1`, `x = x`, `'a' LIKE '%'`; with parentheses or several of them."""
    tokens = [token for token in branch if token.word not in {"(", ")"}]
    conjuncts = _split(tokens, [token.word for token in tokens], "and")
    if len(conjuncts) > 1:
        return all(_always_true(conjunct) for conjunct in conjuncts)
    words = [token.word for token in tokens]
    if len(tokens) == 1:
        return words[0] == "true" or (
            tokens[0].kind == "number" and tokens[0].text.strip(b"0.") != b""
        )
    if "or" in words:
        return any(_always_true(part) for part in _split(tokens, words, "or"))
    constants = sum(token.kind in {"literal", "number"} for token in tokens)
    if len(tokens) == 3 and constants == 2:
        return True  # two constants compared: the data has no say, so take it as true
    for at, word in enumerate(words):
        if word in {"=", "like", "<=", ">="}:
            left = [token.text.lower() for token in tokens[:at]]
            return left == [token.text.lower() for token in tokens[at + 1 :]]
    return False


def _is_key_equality(conjunct: list[Token]) -> bool:
    words = [token.word for token in conjunct]
    at = next((i for i, word in enumerate(words) if word in {"=", "in"}), 0)
    if at == 0 or "or" in words or "not" in words:
        return False
    names = [token for token in conjunct[:at] if token.word != "."]
    if not names or any(token.kind not in {"word", "quoted"} for token in names):
        return False
    values = [token for token in conjunct[at + 1 :] if token.word not in {"(", ")", ","}]
    fixed = all(token.kind in {"literal", "number", "parameter"} for token in values)
    name = _name(names[-1]).lower()
    is_key = name in {"id", "uuid", "key", "pk"} or name.endswith(("_id", "_uuid", "_key"))
    return bool(values) and fixed and is_key


def _is_range(conjunct: list[Token]) -> bool:
    words = {token.word for token in conjunct}
    return bool(words & {"<", ">", "<=", ">=", "between"}) and "or" not in words
