"""Values split over siblings: `["4111", "1111", …]`, a key's two halves, bytes as numbers.

What stands side by side in one list or object is read as one text, without
anything between the parts. A find there that reaches over more than one part
covers each part it touches. Parts in which something was found already, long
ones and sentences end a text, and only shapes are believed that neighbours do
not take by chance (`views.believed_apart`); so an address beside another word
does not cover the word.

Invariants: each part is joined once, so time is linear; covering only adds.
Called by `detect` after the patterns.
"""

from __future__ import annotations

import itertools
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from countersign.model import JsonValue
from countersign.sanitize import decoding, kinds
from countersign.sanitize.checks_secrets import random_token
from countersign.sanitize.rules import Rule
from countersign.sanitize.survey import Leaf, Place, Row, Span, Step, Survey
from countersign.sanitize.views import Joined

_LONGEST_PART: Final = 128
_LEAST_WORD: Final = 2
"""Shorter parts of an address are no words beside it."""
_LEAST_BYTES: Final = 9
_LEAST_NUMBERS: Final = 3
_DOMAIN: Final = re.compile(rb"[^.]\.[A-Za-z]{2,}\Z")
_LINES: Final = "pem"
_FIRST_LINE: Final = "-----BEGIN "
"""A find by itself, and the rest of the lines belong to it."""

Scan = Callable[[Joined], Iterable[tuple[int, int, int, Rule | None]]]
"""Finds as (index of text, start, end, rule); no rule: too much to look at."""


Part = tuple[Place, Step, JsonValue, int]
"""Where it stands, what it is, and how many bytes of the text are its own."""


class _Parts(NamedTuple):
    """Siblings that read as one text."""

    text: bytes
    parts: Callable[[], list[Part]]
    """Made when something is found."""


def cover(
    survey: Survey, scan: Scan, disguised: Scan, key_spans: dict[str, Sequence[Span]]
) -> None:
    """Cover what is split over siblings.

    `scan` believes shapes only; `disguised` all that texts and their other readings hold.
    """
    covers = _Covers(survey)
    if texts := [*_of_leaves(survey.leaves), *_of_rows(survey.rows)]:
        _cover(texts, scan, covers, _is_whole)
    if numbers := list(_of_bytes(survey.rows)):
        _cover(numbers, disguised, covers, _is_any)
    _cover_pairs(survey, scan, key_spans)


def _cover(
    texts: Sequence[_Parts], scan: Scan, covers: _Covers, believes: Callable[[Rule, bytes], bool]
) -> None:
    made: dict[int, tuple[list[Part], list[int]]] = {}
    for index, start, end, rule in scan(Joined(each.text for each in texts)):
        text = texts[index].text
        if index not in made:
            parts = texts[index].parts()
            made[index] = parts, list(itertools.accumulate(part[3] for part in parts))
        parts, ends = made[index]
        first, last = bisect_right(ends, start), bisect_right(ends, end - 1)
        if rule is not None and (first == last or not believes(rule, text[start:end])):
            continue
        if rule is not None and rule.kind is kinds.EMAIL and b"@" in text[start:end]:
            first, last = _of_address(text, ends, start, first, last)
        for part in parts[first : last + 1]:
            covers.add(part, rule)


def _of_address(
    text: bytes, ends: Sequence[int], start: int, first: int, last: int
) -> tuple[int, int]:
    """The parts an address needs: words before and after it would belong to it as well."""
    sign = text.index(b"@", start)
    sizes = [end - begin for begin, end in itertools.pairwise([0, *ends])]
    at = begin = bisect_right(ends, sign)
    if begin > first and sign == ends[begin - 1]:
        begin -= 1
    while begin > first and sizes[begin - 1] < _LEAST_WORD:
        begin -= 1
    end = at
    while end < last and not _DOMAIN.search(text[sign : ends[end]]):
        end += 1
    while end < last and sizes[end + 1] < _LEAST_WORD:
        end += 1
    return begin, end


def _is_whole(rule: Rule, found: bytes) -> bool:
    """`task-1` beside `billing-worker` looks like a key to a rule, and to nobody else."""
    if rule.kind is not kinds.SECRET or rule.id == _LINES:
        return True
    return found.isupper() or bool(random_token(found))


def _is_any(rule: Rule, found: bytes) -> bool:
    """Bytes as numbers are one text, and everything in it counts."""
    del rule, found
    return True


class _Covers:
    """Covers leaves by where they stand; what was no leaf becomes one."""

    def __init__(self, survey: Survey) -> None:
        self._survey = survey
        self._leaves: dict[tuple[int, Step], Leaf] = {}

    def add(self, part: Part, rule: Rule | None) -> None:
        """Cover one part."""
        if not self._leaves:
            for leaf in self._survey.leaves:
                if leaf.place is not None:
                    self._leaves[id(leaf.place[0]), leaf.place[1]] = leaf
        parent, step, value, _ = part
        at = (id(parent), step)
        if at not in self._leaves:
            new = Leaf(str(value), (parent, step), "", is_text=isinstance(value, str))
            self._leaves[at] = new
            self._survey.leaves.append(new)
        self._survey.spans.spend()
        if rule is None:
            self._survey.complete = False
            self._leaves[at].cover(kinds.TOO_LONG, "bound.view")
        else:
            self._leaves[at].cover(rule.kind, f"siblings.{rule.id}")


# --- which stand side by side ------------------------------------------------


def _of_leaves(leaves: Sequence[Leaf]) -> Iterator[_Parts]:
    """Neighbours among the leaves: texts of some length, nothing found in them."""
    together: list[Leaf] = []
    parent: Place = None
    for leaf in leaves:
        place = leaf.place
        if place is None or (leaf.spans and leaf.text[:1] != "-") or not _may_join(leaf):
            if len(together) > 1:
                yield _parts(together)
            together = []
        elif together and place[0] is parent:
            together.append(leaf)
        else:
            if len(together) > 1:
                yield _parts(together)
            together = [leaf]
            parent = place[0]
    if len(together) > 1:
        yield _parts(together)


def _may_join(leaf: Leaf) -> bool:
    text = leaf.text
    if len(text) > _LONGEST_PART or (" " in text and text[0].isalpha()):
        return False  # as `_is_part` says, for every leaf of a context
    if leaf.spans and not text.startswith(_FIRST_LINE):
        return False
    return leaf.is_text and leaf.parsed is None


def _is_part(text: str) -> bool:
    """No sentence: words with spaces between them are no half of a value."""
    return len(text) <= _LONGEST_PART and (" " not in text or not text[0].isalpha())


def _parts(leaves: Sequence[Leaf]) -> _Parts:
    text = "".join([leaf.text for leaf in leaves])

    def parts() -> list[Part]:
        return [
            (leaf.place[0], leaf.place[1], leaf.text, len(_bytes(leaf.text)))
            for leaf in leaves
            if leaf.place is not None
        ]

    return _Parts(_bytes(text), parts)


def _of_rows(rows: Sequence[Row]) -> Iterator[_Parts]:
    """Lists and objects with parts too short to be leaves: all that is a text in them."""
    for row in rows:
        steps, values = _items(row)
        texts = [
            _bytes(value) if isinstance(value, str) and _is_part(value) else b"\x00"
            for value in values
        ]
        yield _of_row(row.place, steps, values, texts)
        if sum(text.isdigit() for text in texts) >= _LEAST_NUMBERS:
            yield _of_row(row.place, steps, values, [text + b" " for text in texts])


def _of_bytes(rows: Sequence[Row]) -> Iterator[_Parts]:
    """Lists of numbers that are the bytes of a text."""
    for row in rows:
        steps, values = _items(row)
        if len(values) < _LEAST_BYTES or any(type(value) is not int for value in values):
            continue
        try:
            text = bytes(values)  # type: ignore[arg-type]
        except ValueError:
            continue
        if decoding.is_printable(text):
            yield _of_row(row.place, steps, values, [b"."] * len(values))._replace(text=text)


def _items(row: Row) -> tuple[Sequence[Step], Sequence[JsonValue]]:
    if isinstance(row.value, dict):
        return list(row.value), list(row.value.values())
    return range(len(row.value)), row.value


def _of_row(
    place: Place, steps: Sequence[Step], values: Sequence[JsonValue], texts: Sequence[bytes]
) -> _Parts:
    def parts() -> list[Part]:
        return [
            (place, step, value, len(text))
            for step, value, text in zip(steps, values, texts, strict=True)
        ]

    return _Parts(b"".join(texts), parts)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")


# --- keys and their values ---------------------------------------------------


def _cover_pairs(survey: Survey, scan: Scan, key_spans: dict[str, Sequence[Span]]) -> None:
    """A value whose first half is its key."""
    halves = {key for key in survey.keys if any(char in _DIGITS for char in key)}
    if not halves:
        return
    pairs = [
        (leaf.place[1], leaf)
        for leaf in survey.leaves
        if leaf.place is not None and leaf.place[1] in halves and _may_join(leaf)
    ]
    texts = [f"{key}{leaf.text}" for key, leaf in pairs]
    for index, start, end, rule in scan(Joined(texts)):
        key, leaf = pairs[index]
        size = len(_bytes(str(key)))
        if rule is None or not start < size < end:
            continue
        if _is_whole(rule, _bytes(texts[index])[start:end]):
            survey.spans.spend(2)
            leaf.cover(rule.kind, f"siblings.{rule.id}")
            whole = Span(0, size, rule.kind, f"siblings.{rule.id}")
            key_spans[str(key)] = [*key_spans.get(str(key), ()), whole]


_DIGITS: Final = frozenset("0123456789")
