"""Settings inside a string: YAML, INI, properties, `.env`, TOML, headers of HTTP.

A line that gives a value to a key is judged by the key's name, as JSON is (`keys`);
what stands deeper below a key that masks a subtree goes with it, and so do block
scalars, folded lines and the `value` beside a telling `name`. Nothing is parsed:
a line that reads otherwise is left to the patterns.

Pure and linear in lines; `mark` is called by `detect`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from countersign.sanitize import assignments, keys, kinds
from countersign.sanitize.keys import KeyRule
from countersign.sanitize.survey import Span, Survey

RULE: Final = "settings"
_LEAST_LINES: Final = 2
_MAX_LINES: Final = 5_000
_LINE: Final = re.compile(
    rb"(?P<indent>[ \t]*+)(?P<item>(?:-[ \t]++)*+)(?:export[ \t]++)?"
    rb"(?P<quote>[\"']?)(?P<key>[A-Za-z_$][A-Za-z0-9_. /$\[\]-]{0,80}?)(?P=quote)"
    rb"[ \t]*+(?:[:=](?=[ \t]|$)|=|:(?=[\"'\[{|>&!*]))[ \t]*+"
    rb"(?P<tag>(?:[&!][A-Za-z0-9_!/.-]*+[ \t]++)*+)(?P<value>.*+)"
)
_BLOCK: Final = re.compile(rb"[|>][+-]?[0-9]?[+-]?[ \t]*+(?:#.*)?")
_OTHER_LINE: Final = re.compile(rb"[ \t]*+(?:|[#;!].*|---|\.\.\.|\[[^\]]*\].*|[{}\]]+,?|- .*)")
_REQUEST: Final = re.compile(rb"[A-Z]{3,8} \S++ HTTP/[0-9.]++$|HTTP/[0-9.]++ [0-9]{3}")
"""Headers follow, be it one."""
_REMARK: Final = re.compile(rb"((?:[^ \t]++|[ \t]++(?!#))*+)[ \t]++#.*+")
_SECRET: Final = KeyRule(kind=kinds.SECRET, id="kubernetes", deep=True)
_SECRET_DATA: Final = frozenset({"data", "stringData"})
_THREE: Final = (b'"""', b"'''")
_THINGS: Final = frozenset(
    "apiVersion kind metadata image namespace replicas spec version engine cluster region".split()
)


class _Entry(NamedTuple):
    """A line that gives a value to a key; `depth` counts the dash of a list."""

    depth: int
    key: str
    start: int
    end: int
    after: int
    """The index of the line after it."""
    block: bool
    """The value is what stands deeper below."""


def mark(survey: Survey) -> None:
    """Cover the values of telling keys in every text of several lines."""
    texts = survey.texts()
    for leaf in texts.leaves if "\n" in texts.joined else ():
        if "\n" in leaf.text:
            found = spans(leaf.text)
            survey.spans.spend(len(found))
            leaf.spans.extend(found)
    assignments.mark(survey)


def is_read(text: str) -> bool:
    """Whether every line is an entry, part of one, or says nothing."""
    rows, entries = _read(text)
    inside = {
        number
        for entry in entries
        if entry.block
        for number in range(entry.after, _end_of_block(rows, entry))
    }
    known = {entry.after - 1 for entry in entries} | inside
    return bool(entries) and all(
        number in known or _OTHER_LINE.fullmatch(row) for number, (_, row) in enumerate(rows)
    )


def spans(text: str) -> Sequence[Span]:
    """Where values of telling keys stand, in UTF-8 bytes."""
    rows, entries = _read(text)
    least = 1 if _REQUEST.match(rows[0][1]) else _LEAST_LINES
    return [] if len(entries) < least else [*_spans(rows, entries)]


def _read(text: str) -> tuple[list[tuple[int, bytes]], list[_Entry]]:
    """The lines with where they begin, and those that are entries."""
    rows: list[tuple[int, bytes]] = []
    at = 0
    for row in text.encode("utf-8", "replace").split(b"\n", _MAX_LINES):
        rows.append((at, row.removesuffix(b"\r")))
        at += len(row) + 1
    entries = []
    for number, (start, row) in enumerate(rows):
        match = _LINE.fullmatch(row)
        if match is not None:
            value = match["value"].rstrip()
            first = start + match.start("value")
            entries.append(
                _Entry(
                    depth=len(match["indent"]) + len(match["item"]),
                    key=match["key"].decode("ascii").strip(),
                    start=first,
                    end=first + len(_without_remark(value)),
                    after=number + 1,
                    block=not value or _BLOCK.fullmatch(value) is not None,
                )
            )
    return rows, entries


def _without_remark(value: bytes) -> bytes:
    if b" #" not in value or value[:1] in {b'"', b"'"}:
        return value
    match = _REMARK.fullmatch(value)
    return match.group(1) if match else value


def _spans(rows: Sequence[tuple[int, bytes]], entries: Sequence[_Entry]) -> Iterator[Span]:
    names = {entry.key for entry in entries}
    secret = any(entry.key == "kind" and _text(rows, entry) == "Secret" for entry in entries)
    rules = [
        _SECRET if secret and entry.key in _SECRET_DATA else keys.rule_of(entry.key)
        for entry in entries
    ]
    personal = any(
        rule and _says_person(rule, rows, entry) and rule.kind is not kinds.SECRET
        for rule, entry in zip(rules, entries, strict=True)
    )
    named: tuple[int, KeyRule] | None = None
    covered = 0
    for entry, rule, following in itertools.zip_longest(entries, rules, entries[1:]):
        own = rule
        if rule is not None and rule.if_personal and rule.kind is kinds.ADDRESS:
            own = rule if entry.block or _says_person(rule, rows, entry) else None
        elif rule is not None and rule.if_personal:
            said = keys.rule_of(_text(rows, entry))
            named = (entry.depth, said) if said is not None else None
            own = rule if _is_personal(rows, entry, names, personal=personal) else None
        elif entry.key in {"value", "Value"} and named is not None and named[0] == entry.depth:
            own, named = named[1], None
        if own is None or entry.start < covered:
            continue
        end = _end_of_three(rows, entry) or entry.end
        if entry.block or _goes_on(rows, entry):
            last = _end_of_block(rows, entry)
            holds_entries = following is not None and following.after <= last
            if entry.block and not own.deep and holds_entries:
                continue
            if last > entry.after:
                end = rows[last - 1][0] + len(rows[last - 1][1])
        start = rows[entry.after][0] if entry.block and end > entry.end else entry.start
        covered = end
        start += (
            len(rows[entry.after][1]) - len(rows[entry.after][1].lstrip())
            if start > entry.start
            else 0
        )
        if start < end:
            yield Span(start, end, own.kind, f"{RULE}.{own.id}")


def _end_of_three(rows: Sequence[tuple[int, bytes]], entry: _Entry) -> int:
    """Where a string that three quotes open ends, if not on its own line; else 0."""
    start, row = rows[entry.after - 1]
    value = row[entry.start - start :]
    quotes = value[:3]
    if quotes not in _THREE or quotes in value[3:]:
        return 0
    for start, row in rows[entry.after :]:
        if quotes in row:
            return start + row.index(quotes) + 3
    return rows[-1][0] + len(rows[-1][1])


def _text(rows: Sequence[tuple[int, bytes]], entry: _Entry) -> str:
    start, row = rows[entry.after - 1]
    return row[entry.start - start : entry.end - start].decode("utf-8", "replace").strip("\"'")


def _says_person(rule: KeyRule, rows: Sequence[tuple[int, bytes]], entry: _Entry) -> bool:
    """A postal address has blanks; one of a machine or a resource has none."""
    if rule.kind is kinds.ADDRESS and rule.if_personal:
        return " " in _text(rows, entry)
    return not rule.if_personal


def _is_personal(
    rows: Sequence[tuple[int, bytes]], entry: _Entry, names: set[str], *, personal: bool
) -> bool:
    """A bare `name` is somebody's beside an address or a phone, or if it has several words."""
    if not _THINGS.isdisjoint(names):
        return False
    value = _text(rows, entry)
    return personal or (" " in value and value[:1].isalpha())


def _end_of_block(rows: Sequence[tuple[int, bytes]], entry: _Entry) -> int:
    """The first line after it that is not deeper; what is blank belongs to it."""
    last = entry.after
    for number in range(entry.after, len(rows)):
        row = rows[number][1]
        if not row.strip():
            continue
        deeper = len(row) - len(row.lstrip(b" \t"))
        if deeper <= entry.depth and not (deeper == entry.depth and row.lstrip()[:2] == b"- "):
            break
        last = number + 1
    return last


def _goes_on(rows: Sequence[tuple[int, bytes]], entry: _Entry) -> bool:
    """A value that is folded onto deeper lines which are no entries."""
    if entry.after >= len(rows):
        return False
    row = rows[entry.after][1]
    deeper = len(row) - len(row.lstrip(b" \t"))
    return bool(row.strip()) and deeper > entry.depth and _LINE.fullmatch(row) is None
