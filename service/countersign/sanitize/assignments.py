"""Values that a single line gives to telling names: `NAME=X`, `--name X`, `?name=X`, `"Name: X"`.

The name says what the value is, as in JSON (`keys`); credentials are left to the rules
that know more of them. A value ends where its quote, its part of a query or the line
does; without any, it goes on through words with digits or capitals.

Linear: names and values are bounded and match possessively, and each is read once.
Pure; `mark` is called by `fragments`, for every text of a context.
"""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Iterator, Sequence
from typing import Final

from countersign.sanitize import keys, kinds
from countersign.sanitize.bounds import TooMuchError
from countersign.sanitize.keys import KeyRule
from countersign.sanitize.survey import Leaf, Span, Survey

_LOG: Final = logging.getLogger(__name__)

RULE: Final = "named"
_LONGEST_VALUE: Final = 160
_NAME: Final = re.compile(
    rb"(^|[?&;\s\"'`(,])(?:--([A-Za-z][A-Za-z0-9_.-]{1,60}+)(=| )"
    rb"|([A-Za-z_][A-Za-z0-9_.-]{1,60}+)(\+?=|: ))"
)
_MARKS: Final = ("=", "--", ": ")
_QUOTED: Final = re.compile(rb"'[^'\n\x00]*+'|\"(?:[^\"\\\n\x00]|\\.)*+\"|\\\"[^\"\n\x00\\]*+\\\"")
_IN_QUERY: Final = re.compile(rb"[^&#\"'<>\n\x00]*+(?=&)")
_WORDS: Final = re.compile(
    rb"[^\s\"'<>&;\x00]++(?: (?:(?:v[ao]n|d[eiao]|de[lr]|bin|la|le) ){0,2}"
    rb"(?:[A-Z0-9(]|\xc3[\x80-\x9e])[^\s\"'<>&;\x00]*+){0,7}"
)
_TO_QUOTE: Final = re.compile(rb"[^\"'\n\x00]++")
_VARIABLE: Final = re.compile(rb"[\"']?(?:\$|%|\{\{|<|" + kinds.PLACEHOLDER.encode() + rb")")
_SKIPPED: Final = frozenset({kinds.SECRET, kinds.EMAIL, kinds.IP_ADDRESS})
"""They have rules of their own, or a form."""
_WORDY: Final = frozenset({kinds.PERSON, kinds.HEALTH})


def mark(survey: Survey) -> None:
    """Cover what telling names are given in the texts and lists of a context."""
    texts = survey.texts()
    marks = [sign for sign in _MARKS if sign in texts.joined]
    for leaf in texts.leaves if marks else ():
        text = leaf.text
        if "=" in text or "--" in text or ": " in text:
            _mark_one(survey, leaf)
    if "--" in marks:
        _mark_next(survey, texts.leaves)


def _mark_one(survey: Survey, leaf: Leaf) -> None:
    try:
        for span in spans(leaf.text):
            survey.spans.spend()
            leaf.add(span)
    except TooMuchError:
        raise
    except Exception as error:  # noqa: BLE001 - fail closed: this value is covered
        _LOG.error("a value was masked whole: %s", type(error).__name__)
        leaf.cover(kinds.UNREADABLE, RULE)
        survey.complete = False


def _mark_next(survey: Survey, leaves: Sequence[Leaf]) -> None:
    """`["--name", X]`: an option and its value in a list of words."""
    for previous, leaf in itertools.pairwise(leaves):
        if previous.text[:2] == "--" and _is_next(previous, leaf):
            rule = rule_of(previous.text[2:])
            if rule is not None and _fits(rule, leaf.text.encode("utf-8", "replace")):
                survey.spans.spend()
                leaf.cover(rule.kind, f"{RULE}.{rule.id}")


def _is_next(previous: Leaf, leaf: Leaf) -> bool:
    """Whether one stands behind the other in a list of words."""
    if previous.place is None or leaf.place is None or previous.place[0] is not leaf.place[0]:
        return False
    first, second = previous.place[1], leaf.place[1]
    return isinstance(first, int) and isinstance(second, int) and first + 1 == second


def spans(text: str) -> Iterator[Span]:
    """Where values of telling names stand, in UTF-8 bytes."""
    data = text.encode("utf-8", "replace")
    at = 0
    while (match := _NAME.search(data, at)) is not None:
        before, option, _, name, sign = match.groups()
        start = match.end()
        at = start - 1
        if sign == b": " and before not in {b'"', b"'"}:
            continue  # a colon gives a value only within quotes: headers of a request
        rule = rule_of((option or name).decode("ascii"))
        end = start if rule is None else _end(data, start, before, sign)
        if rule is not None and _fits(rule, data[start:end]):
            yield Span(start, end, rule.kind, f"{RULE}.{rule.id}")
            at = end


def _end(data: bytes, start: int, before: bytes, sign: bytes | None) -> int:
    """Where the value ends that begins here."""
    limit = start + _LONGEST_VALUE
    if quoted := _QUOTED.match(data, start, limit):
        return quoted.end()
    pattern = _WORDS
    if sign == b": " or (not before and b"\n" not in data and _NAME.search(data, start) is None):
        pattern = _TO_QUOTE
    elif before in {b"?", b"&", b";"} and _IN_QUERY.match(data, start, limit):
        pattern = _IN_QUERY
    found = pattern.match(data, start, limit)
    return found.end() if found else start


def rule_of(name: str) -> KeyRule | None:
    """What the name says, unless other rules know better or it may name a thing."""
    rule = keys.rule_of(name)
    if rule is None or rule.kind in _SKIPPED:
        return None
    return None if rule.if_personal and rule.kind is not kinds.ADDRESS else rule


def _fits(rule: KeyRule, value: bytes) -> bool:
    """Numbers have digits, postal addresses words, names letters; a variable hides its value."""
    if _VARIABLE.match(value):
        return False
    if rule.kind is kinds.ADDRESS:
        return b" " in value and any(byte > 64 for byte in value)
    if rule.kind in _WORDY:
        return any(byte > 64 for byte in value)
    return any(byte in b"0123456789" for byte in value)
