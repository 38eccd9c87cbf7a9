"""The shape of a statement, by an allow-list: which rows it touches, whether it only reads.

A statement is written down as one character a token and held against a short
grammar: one table, conditions `column operator constant` joined by AND, nothing
after. Only what the grammar takes in whole is `by_key` or `range`, and only that
has a limit; a construct nobody thought of is `other`.

Pure; used by `sql`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from countersign.sanitize.sql_tokens import Token, name_of

MAX_KEYS: Final = 100
"""A longer list of keys is a range."""
_LIMIT_CAP: Final = 1_000_000

_PURE: Final = frozenset(
    """abs avg cast ceil coalesce count date_trunc floor length lower max min now nullif round sum
    trim upper""".split()
)
"""Functions that read their arguments only, and give back no more than one of them."""
_NOT_CALLS: Final = frozenset(
    """and any as between by distinct else exists from group having in intersect except is join
    like not on or over select some then union using values when where with""".split()
)
_NEVER_IN_A_READ: Final = frozenset(
    """add alter attach backup begin break bulk call checkpoint close cluster commit continue copy
    create dbcc deallocate declare delete deny describe detach disable do drop dumpfile
    enable exec execute explain flush for go goto grant handler if insert install into kill listen
    load lock merge move notify open optimize outfile pragma print procedure purge raiserror
    readtext receive reconfigure refresh reindex release rename repair replace reset restore return
    revert revoke rollback save security send set setuser show shutdown signal start stop throw
    truncate unlisten unlock update updatetext upsert use vacuum waitfor while writetext""".split()
)
"""Words that begin a statement somewhere or make a read write; some dialects need no semicolon."""
_READ_OPERATORS: Final = frozenset("= < > <= >= <> != ( ) , . * + - / % || :: ?".split())

_KEYWORDS: Final = {
    "select": "S", "delete": "X", "update": "U", "set": "=", "distinct": "D", "all": "D",
    "from": "F", "where": "W", "and": "A", "between": "B", "in": "I", "is": "N", "not": "!",
    "null": "0", "like": "L", "ilike": "L", "as": "a", "order": "O", "group": "G", "by": "y",
    "asc": "z", "desc": "z", "limit": "M", "offset": "o", "fetch": "f", "first": "1", "next": "1",
    "row": "r", "rows": "r", "only": "R", "nulls": "Z", "last": "2",
}  # fmt: skip
_SIGNS: Final = {
    "=": "e", "<": "<", ">": "<", "<=": "<", ">=": "<", "<>": "#", "!=": "#",
    ",": ",", "(": "(", ")": ")", ".": ".", "*": "*",
}  # fmt: skip
_FOREIGN: Final = "~"

_COLUMN: Final = r"n(?:\.n){0,3}+"
_CONSTANTS: Final = r"[ck](?:,[ck])*+"
_TERM: Final = (
    rf"{_COLUMN}(?:[e<#][ck]|I\({_CONSTANTS}\)|B[ck]A[ck]|N!?0|!?L[ck]|!I\({_CONSTANTS}\))"
)
_WHERE: Final = rf"W(?P<where>(?:{_TERM}|\({_TERM}\))(?:A(?:{_TERM}|\({_TERM}\)))*+)"
_ITEM: Final = rf"(?:\*|n\.\*|[ck]|{_COLUMN}|p\((?:\*|D?{_COLUMN}|[ck])(?:,(?:{_COLUMN}|[ck]))*+\))"
_ORDER: Final = rf"{_COLUMN}z?(?:Z[12])?(?:,{_COLUMN}z?(?:Z[12])?)*+"
_LIMIT: Final = r"(?:M[ck](?:,[ck]|o[ck])?|(?:o[ck]r?)?f1[ck]rR)"
_TABLE: Final = rf"{_COLUMN}(?:a?n)?"
_SELECT: Final = re.compile(
    rf"SD?{_ITEM}(?:a?n)?(?:,{_ITEM}(?:a?n)?)*+F{_TABLE}(?:{_WHERE})?"
    rf"(?:Gy{_COLUMN}(?:,{_COLUMN})*+)?(?:Oy{_ORDER})?(?P<limit>{_LIMIT})?"
)
_DELETE: Final = re.compile(rf"XF{_TABLE}(?:{_WHERE})?(?P<limit>M[ck])?")
_ASSIGNED: Final = rf"{_COLUMN}e(?:[ck0]|{_COLUMN})"
_UPDATE: Final = re.compile(
    rf"U{_TABLE}={_ASSIGNED}(?:,{_ASSIGNED})*+(?:{_WHERE})?(?P<limit>M[ck])?"
)
_GRAMMAR: Final = {"select": _SELECT, "delete": _DELETE, "update": _UPDATE}
_TERMS: Final = re.compile(_TERM)
_KEY_TERM: Final = re.compile(r"n(?:\.n){0,3}+(?P<op>e|I\()(?P<values>k(?:,k)*+)\)?")
_KEY_NAMES: Final = frozenset({"id", "uuid", "guid", "pk", "key"})
_PLAIN_NUMBER: Final = re.compile(rb"[1-9][0-9]{0,38}")


def calls(code: Sequence[Token]) -> bool:
    """Whether anything is called, or an operator used, that may do more than read."""
    if _selects_attributes(code):
        return True
    for index, token in enumerate(code):
        if token.word in _CALLED_BARE:
            return True
        if token.kind == "operator":
            if token.word not in _READ_OPERATORS:
                return True
        elif index + 1 < len(code) and code[index + 1].word == "(":
            before = _before_name(code, index)
            known = token.kind == "word" and token.word in _PURE | _NOT_CALLS
            if before != "into" and not (known and before != "."):
                return True
    return False


def _selects_attributes(code: Sequence[Token]) -> bool:
    """Whether the select list holds `row.name`, which may call the function of that name."""
    for index, token in enumerate(code):
        if token.word == "from":
            return False
        if token.word == "." and index + 1 < len(code) and code[index + 1].word != "*":
            return True
    return False


_CALLED_BARE: Final = frozenset({"nextval", "currval"})
"""Names that are called without parentheses."""


def _before_name(code: Sequence[Token], index: int) -> str:
    """The word before a name; `.` where only a qualifier stands before it."""
    at = index - 1
    while at > 0 and code[at].word == ".":
        at -= 2
    if at >= 0 and code[at].word == "into":
        return "into"
    return code[index - 1].word if index else ""


def only_reads(words: Sequence[str]) -> bool:
    """Whether no word of a SELECT belongs to a statement that does more."""
    return _NEVER_IN_A_READ.isdisjoint(words)


class Shape:
    """One statement held against the grammar."""

    __slots__ = ("_code", "_match")

    def __init__(self, code: Sequence[Token], verb: str) -> None:
        merged = _merged(code)
        grammar = _GRAMMAR.get(verb)
        self._code = merged
        self._match = grammar.fullmatch(_written(merged)) if grammar is not None else None

    @property
    def understood(self) -> bool:
        """Whether the grammar takes the statement in whole."""
        return self._match is not None

    def predicate(self, table: str) -> str:
        """`by_key`, `range`, `none` or `other`."""
        if self._match is None:
            return "other"
        if self._match["where"] is None:
            return "none"
        start = self._match.start("where")
        written = self._match.string
        kinds = set()
        for term in _TERMS.finditer(written, start, self._match.end("where")):
            kinds.add(self._kind(term, table))
        return "by_key" if "by_key" in kinds else "range" if "range" in kinds else "other"

    def _kind(self, term: re.Match[str], table: str) -> str:
        key = _KEY_TERM.fullmatch(term.group())
        if key is not None:
            column = name_of(self._code[term.start() + key.start("op") - 1]).lower()
            if is_key(column, table):
                return "by_key" if key["values"].count("k") <= MAX_KEYS else "range"
        return "range" if "<" in term.group() or "B" in term.group() else "other"

    @property
    def limit(self) -> int | None:
        """Rows at most: `LIMIT n`, `LIMIT a, n`, `LIMIT n OFFSET a`, `FETCH FIRST n ROWS ONLY`."""
        if self._match is None or not self._match["limit"]:
            return None
        written = self._match["limit"]
        at = written.index(",") + 1 if "," in written else written.find("f") + 2
        at = 1 if "," not in written and "f" not in written else at
        token = self._code[self._match.start("limit") + at]
        if token.kind != "number" or not token.text.isdigit():
            return None
        return min(int(token.text), _LIMIT_CAP) if len(token.text) < 19 else _LIMIT_CAP


def is_key(column: str, table: str) -> bool:
    """`id` and its like, or the table's own: `customer_id` of `customers`, not `tenant_id`."""
    if column in _KEY_NAMES:
        return True
    name = table.rpartition(".")[2].lower()
    own = {name, name.removesuffix("s"), name.removesuffix("es"), name.removesuffix("ies") + "y"}
    return any(column == f"{each}_{key}" for each in own - {"", "y"} for key in _KEY_NAMES)


def _merged(code: Sequence[Token]) -> list[Token]:
    """Two quotes inside a literal read as two literals that touch: one."""
    merged: list[Token] = []
    for token in code:
        last = merged[-1] if merged else None
        touches = last is not None and last.kind == "literal" and last.end == token.start
        if last is not None and touches and token.text.startswith(b"'"):
            merged[-1] = last._replace(text=last.text + token.text, end=token.end)
        else:
            merged.append(token)
    return merged


def _written(code: Sequence[Token]) -> str:
    """One character a token; `~`, which no grammar takes, for whatever is not expected."""
    return "".join(_character(code, index) for index in range(len(code)))


def _character(code: Sequence[Token], index: int) -> str:
    token = code[index]
    if token.kind == "word":
        following = code[index + 1].word if index + 1 < len(code) else ""
        if following == "(" and token.word in _PURE:
            return "p"
        if token.word in _KEYWORDS:
            return _KEYWORDS[token.word]
        return "n" if token.word not in _RESERVED else _FOREIGN
    if token.kind == "quoted":
        return "n" if _is_name(code, index) else _FOREIGN
    if token.kind == "operator":
        return "k" if token.word == "?" else _SIGNS.get(token.word, _FOREIGN)
    return "k" if _selects(token) else "c"


def _is_name(code: Sequence[Token], index: int) -> bool:
    """Whether a quoted token is a name in every dialect.

    Where no such column exists, some take `"id"` for the text id, and the
    predicate for one that is always true.
    """
    if not code[index].text.startswith(b'"'):
        return True
    before = code[index - 1].word if index else ""
    following = code[index + 1].word if index + 1 < len(code) else ""
    return "." in (before, following) or before in {"from", "into", "update", "table"}


def _selects(token: Token) -> bool:
    """Whether equality with this constant picks rows in every dialect.

    Zero equals any text that begins with no digit, where texts and numbers are compared.
    """
    if token.kind == "number":
        return _PLAIN_NUMBER.fullmatch(token.text) is not None
    return token.kind == "parameter" or token.text.startswith(b"'")


_RESERVED: Final = _NEVER_IN_A_READ | frozenset(
    """any array case collate cross current div else end escape except exists false final full
    glob having inner intersect join lateral left match minus mod natural on or outer over
    overlaps partition pivot qualify regexp returning right rlike sample similar some sounds table
    tablesample then top true union unique unknown unpivot using values when window with xor
    """.split()
)
"""Words that are no plain name wherever they stand."""
