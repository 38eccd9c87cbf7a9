"""Data of one's own: a JSON line each, with what must go. Used by `bench_sanitizer_main`.

    {"text": "call 555 0100", "spans": [[5, 13]], "entity": "phone"}
    {"context": {"arguments": {"to": "ada@example.com"}}, "values": ["ada@example.com"]}

A context may hold `arguments` and `reason`; the rest of an action is filled in.
An error names the line and the field, never what stands there.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench_sanitizer_measure import context, texts

from countersign.model import ActionContext


class DataError(Exception):
    """A line that cannot be used; the message says which and why."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line, ready to be measured."""

    number: int
    entity: str
    context: ActionContext
    values: tuple[str, ...]
    around: str
    """All of its text without the values."""


def read(path: Path) -> Iterator[Line]:
    """Every line that is not empty. Raises `DataError`."""
    try:
        content = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({type(error).__name__})") from None
    for number, text in enumerate(content.split("\n"), start=1):
        if text.strip():
            yield _line(number, text)


def _line(number: int, text: str) -> Line:
    def wrong(problem: str) -> DataError:
        return DataError(f"line {number}: {problem}")

    try:
        fields = json.loads(text)
    except ValueError:
        raise wrong("is no JSON") from None
    if not isinstance(fields, dict) or ("text" in fields) == ("context" in fields):
        raise wrong("needs either text or context")
    whole = fields.get("context")
    if "text" in fields:
        if not isinstance(fields["text"], str):
            raise wrong("text is no string")
        whole = {"arguments": {"text": fields["text"]}}
    if not isinstance(whole, dict) or not isinstance(whole.get("arguments", {}), dict):
        raise wrong("context is no object with arguments")
    values = _values(fields, wrong)
    raw = context(whole.get("arguments", {}), str(whole.get("reason", "")))
    every = "\x00".join((*texts(raw.arguments), raw.reason))
    absent = [at for at, value in enumerate(values) if value not in every]
    if absent:
        raise wrong(f"values[{absent[0]}] does not stand in its text")
    for value in sorted(values, key=len, reverse=True):
        every = every.replace(value, "\x00")
    return Line(
        number=number,
        entity=str(fields.get("entity", "all")),
        context=raw,
        values=values,
        around=every,
    )


def _values(fields: dict[str, Any], wrong: Any) -> tuple[str, ...]:
    values = fields.get("values", [])
    if not isinstance(values, list) or not all(isinstance(each, str) and each for each in values):
        raise wrong("values is no list of strings")
    spans = fields.get("spans", [])
    if spans and "text" not in fields:
        raise wrong("spans go with text; a context needs values")
    try:
        values = [*values, *(fields["text"][start:end] for start, end in spans)]
    except (TypeError, ValueError):
        raise wrong("spans is no list of pairs of offsets") from None
    if not values or not all(values):
        raise wrong("needs values or spans that are not empty")
    return tuple(values)
