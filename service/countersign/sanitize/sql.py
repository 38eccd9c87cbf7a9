"""What a SQL statement does, and where its literals and comments are.

All literals, numbers and comments are hidden; what remains is words, so no name
or number of the statement's data is left to show. What a statement does is said
by allow-list: a SELECT that may do more than read has the verb `other`, rows
that are not plainly picked by key or range the predicate `other`.

Pure; called by `detect` for arguments that hold SQL.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Final

import re2

from countersign.sanitize import sql_shape, sql_tables
from countersign.sanitize.sql_tokens import Token, UnreadableSqlError, name_of, tokenize

__all__ = ["Statement", "UnreadableSqlError", "begins_statement", "looks_like", "read"]

MULTIPLE: Final = "multiple"
OTHER: Final = "other"

_VERBS: Final = frozenset(
    """
select insert update delete merge truncate drop alter create grant revoke copy call with explain
replace upsert vacuum analyze set show begin commit rollback use exec execute declare do lock
""".split()
)
_QUERY_VERBS: Final = _VERBS - {"show", "set", "use", "analyze", "do", "lock", "begin", "call"}
_FIRST_WORD: Final = re2.compile(rb"[A-Za-z]+")
_PLAINLY_SQL: Final = re2.compile(
    rb"(?i)call\s+[\w.]+\s*\(|set\s+[\w.@]+\s*(?:=|to\s)|do\s+[$']|begin\s+(?:work|tran)"
    rb"|lock\s+table|analyze\s+\w+\s*$|use\s+\w+\s*$"
)
"""Verbs that are English as well, as SQL has them."""
_META_COMMAND: Final = re2.compile(rb"\\[a-z!?]")
_LOOKS: Final = (
    ("select ", " from "),
    ("update ", " set "),
    ("insert into ", " "),
    ("insert overwrite ", " "),
    ("replace into ", " "),
    ("delete from ", " "),
    ("merge into ", " "),
    ("with ", " select "),
    ("copy ", " from stdin"),
    ("values (", ")"),
    ("explain ", " from "),
)
_STARTS: Final = (*{verb.split()[0] for verb, _ in _LOOKS}, "--", "/*")
_FIRST: Final = frozenset({start[0] for start in _STARTS} | set(" \t\r\n(;")) | {
    start[0].upper() for start in _STARTS
}
"""What such a text can begin with."""
_WRITES: Final = ("delete", "update", "insert", "merge", "drop", "truncate", "alter")
_NAME_WORDS: Final = frozenset({"from", "join", "into", "update", "table", "using"})
_IDENTIFIER: Final = re2.compile(r"[A-Za-z_][A-Za-z0-9_$ ]{0,63}")
_ALONE: Final = {
    "delete": frozenset({"delete", "for", "if", "replace"}),
    "update": frozenset({"update", "set", "for", "if", "replace"}),
    "insert": frozenset({"insert", "into", "for", "if", "replace"}),
}
"""Words of a statement that begin no second one."""
_ON_CONFLICT: Final = frozenset({("do", "update"), ("key", "update"), ("update", "set")})
_END_OF_WHERE: Final = frozenset(
    {"group", "order", "limit", "returning", "having", "window", "fetch", "offset", "for"}
)


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
    calls: bool
    """Something is called that may do more than read."""
    plain: bool
    """The grammar of `sql_shape` took it in whole."""
    hidden: tuple[tuple[int, int], ...]
    """Byte spans of literals and comments."""


def read(text: str) -> Statement:
    """Tokenize and describe. Raises `UnreadableSqlError`."""
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError:  # half a character, out of JSON in a string: no database takes it
        raise UnreadableSqlError from None
    tokens = tokenize(data)
    hidden = tuple((t.start, t.end) for i, t in enumerate(tokens) if _is_hidden(tokens, i))
    code = [token for token in tokens if token.kind != "comment"]
    while code and code[-1].word == ";":
        code.pop()
    words = [token.word for token in code]
    first = next((word for word in words if word not in {"(", ";"}), "")
    if first not in _VERBS or _holds_rows(words):
        raise UnreadableSqlError
    statements = 1 + words.count(";")
    calls = sql_shape.calls(code)
    shape = sql_shape.Shape(code, first)
    tables = sql_tables.tables(code, first)
    if not shape.understood and not tables and first in _WRITES:
        tables = (sql_tables.OTHER,)
    columns, all_columns = _columns(code, words)
    verb = _verb(first, words, statements, calls=calls)
    return Statement(
        verb=verb,
        tables=tables,
        columns=columns,
        all_columns=all_columns,
        predicate=_predicate(code, words, verb, shape, tables),
        limit=shape.limit if verb != MULTIPLE else None,
        statements=statements,
        calls=calls,
        plain=shape.understood,
        hidden=hidden,
    )


def _holds_rows(words: Sequence[str]) -> bool:
    """`COPY … FROM stdin;` and more: to one program rows, to another the next statement."""
    if "stdin" not in words:
        return False
    at = words.index("stdin")
    return "copy" in words[:at] and ";" in words[at:]


def _verb(first: str, words: Sequence[str], statements: int, *, calls: bool) -> str:
    """What is done. Only a statement in which nothing writes or is called is a `select`."""
    if statements > 1:
        return MULTIPLE
    if first in {"with", "explain"}:
        first = next((word for word in _WRITES if word in words), "select")
        return first if first != "select" or _reads(words[1:], calls=calls) else OTHER
    if first == "select":
        return "select" if _reads(words, calls=calls) else OTHER
    # Some dialects begin the next statement without a semicolon.
    alone = _ALONE.get(first)
    if alone is None:
        return first
    rest = [
        word
        for before, word, after in zip(["", *words], words, [*words[1:], ""], strict=False)
        if word not in alone
        and (before, word) not in _ON_CONFLICT
        and (word, after) not in {("do", "update"), ("do", "nothing")}
    ]
    return first if sql_shape.only_reads(rest) else MULTIPLE


def _reads(words: Sequence[str], *, calls: bool) -> bool:
    return not calls and sql_shape.only_reads(words)


def begins_statement(text: str) -> bool:
    """Whether a query is SQL at all: a comment, a verb of SQL or a command of psql comes first."""
    head = text.lstrip(" \t\r\n(;")
    if head.startswith(("--", "/*")) or _META_COMMAND.match(head[:8].encode("utf-8", "replace")):
        return True
    start = head[:200].encode("utf-8", "replace")
    word = _FIRST_WORD.match(start)
    if word is None:
        return False
    verb = word.group().decode("ascii").lower()
    return verb in _QUERY_VERBS or (
        verb in _VERBS and (";" in head or _PLAINLY_SQL.match(start) is not None)
    )


def looks_like(text: str) -> bool:
    """Whether a text nobody called SQL is a statement, after comments perhaps."""
    if text[:1] not in _FIRST:
        return False
    start = text[:16].lstrip(" \t\r\n(;").lower()
    if not start.startswith(_STARTS):
        return False
    text = _without_comments(text.lower())
    flat = " ".join(text.split())
    return any(flat.startswith(verb) and then in flat for verb, then in _LOOKS)


def _without_comments(text: str) -> str:
    """What follows the comments a text begins with."""
    at = 0
    while True:
        while text[at : at + 1] in _BEFORE:
            at += 1
        mark = text[at : at + 2]
        end = _END_OF_COMMENT.get(mark)
        found = text.find(end, at) if end else -1
        if end is None or found < 0:
            return text[at:]
        at = found + len(end)


_BEFORE: Final = frozenset(" \t\r\n(;")
_END_OF_COMMENT: Final = {"--": "\n", "/*": "*/"}


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
    return not (before in _NAME_WORDS or before == "." or following == ".")


def _columns(code: list[Token], words: list[str]) -> tuple[tuple[str, ...], bool]:
    """The names between each SELECT and its FROM, and whether one stands for all columns."""
    names: dict[str, None] = {}
    star = False
    within = False
    for index, token in enumerate(code):
        following = words[index + 1] if index + 1 < len(words) else ""
        if token.word == "select":
            within = True
        elif token.word == "from":
            within = False
        elif within and token.kind in {"word", "quoted"}:
            if following not in {".", "("}:
                names[name_of(token)] = None
        elif within and token.word == "*":
            star = star or words[index - 1] in {"select", ".", ",", "distinct", "all"}
    return tuple(names), star or not _rows_of(code).isdisjoint(name.lower() for name in names)


def _rows_of(code: list[Token]) -> set[str]:
    """Names of tables and what they are called here: as a column, such a name is the whole row."""
    found: set[str] = set()
    within = False
    for token in code:
        if token.word == "from":
            within = True
        elif token.word == "select" or token.word in _END_OF_WHERE or token.word == "where":
            within = False
        elif within and token.kind in {"word", "quoted"}:
            found.add(name_of(token).lower())
    return found


# --- the shape of WHERE ------------------------------------------------------


def _predicate(
    code: list[Token],
    words: list[str],
    verb: str,
    shape: sql_shape.Shape,
    tables: Sequence[str],
) -> str:
    if shape.understood and verb != MULTIPLE:
        known = shape.predicate(tables[0] if tables else "")
        if known != OTHER:
            return known
    if verb == MULTIPLE or "select" in words[1:] or "with" in words:
        return OTHER
    if "where" not in words:
        return "none"
    start = words.index("where") + 1
    end = _end_of_where(words, start)
    branches = _split(code[start:end], words[start:end], "or")
    return "always_true" if any(_always_true(branch) for branch in branches) else OTHER


def _end_of_where(words: list[str], start: int) -> int:
    """Where the clause ends: a word inside parentheses does not end it."""
    depth = 0
    for index in range(start, len(words)):
        depth += (words[index] == "(") - (words[index] == ")")
        if depth <= 0 and words[index] in _END_OF_WHERE:
            return index
    return len(words)


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
