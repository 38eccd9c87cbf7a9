"""Fuzz targets: the sanitizer as a whole. Nothing planted gets out, nothing fails inside.

The planted values are those of the bench, in its shapes and encodings, among
whatever the fuzzer makes. Used by `fuzz_main`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import random
import traceback
from collections.abc import Iterator
from typing import Any, Final

import bench_sanitizer_measure as measure
import bench_sanitizer_secrets as secrets
import bench_sanitizer_shapes as shapes
import bench_sanitizer_values as values
from bench_sanitizer_words import TUNING as WORDS
from fuzz_pieces import Draw

from countersign import canonical

_MAKES: Final = (values.email, values.card, values.iban, values.ssn)
_TOKENS: Final = ("aws access key", "github classic", "slack bot", "stripe live", "gitlab personal")
_SHAPES: Final = tuple(
    make
    for table in (shapes.UNNAMED_TUNING, shapes.UNNAMED_HELD_OUT, shapes.TUNING, shapes.HELD_OUT)
    for makes in table.values()
    for make in makes
)
_ENCODINGS: Final = (
    shapes.plain, shapes.plain, shapes.plain, shapes.percent, shapes.escaped, shapes.in_base64,
    shapes.zero_width,
)  # fmt: skip
_ASKED: Final = measure.Measure()


class _Failed(logging.Handler):
    """What failed inside the sanitizer: it is masked then, and a mistake nevertheless."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if "_CannotWalkError" not in message:  # too deep or ambiguous: no mistake of ours
            self.seen.append(f"{message}\n{traceback.format_exc()}")


@contextlib.contextmanager
def _nothing_fails() -> Iterator[None]:
    """Whatever fails inside the sanitizer meanwhile is raised at the end."""
    log, failed = logging.getLogger("countersign.sanitize"), _Failed()
    log.addHandler(failed)
    log.propagate, before = False, log.propagate
    try:
        yield
    finally:
        log.removeHandler(failed)
        log.propagate = before
    assert not failed.seen, failed.seen[0]


def _strict(value: Any) -> Any:
    """As the edge would take it, or nothing."""
    try:
        return canonical.parse_value(json.dumps(value).encode())
    except canonical.StrictJsonError:
        return {}


def anything(given: bytes) -> None:
    """Any context, text or detail: nothing fails inside."""
    draw = Draw(given)
    arguments, reason = _strict(draw.object(depth=5)), draw.text(20)
    raw, text = measure.context(arguments, reason), draw.long_text()
    sanitizer = _ASKED.sanitizer
    with _nothing_fails():
        json.dumps(_ASKED.leaving(raw))
        found = sanitizer.detect(raw, known=lambda _: False)
        sanitizer.clean(raw, found, policy_mask=("/arguments/name",), tag_key=bytes(32))
        sanitizer.detail(arguments)
        sanitizer.scrub(reason, tag_key=bytes(32))
        sanitizer.finds(arguments)
        sanitizer.text(text)
        sanitizer.pointer(f"/arguments/{text.replace('/', '~1')}")


def planted(given: bytes) -> None:
    """A value that is to be masked, in a known shape, beside anything."""
    draw = Draw(given)
    value, written = _value(draw)
    shape = draw.pick(_SHAPES)
    beside = _strict(draw.object(depth=3))
    around = {**beside, **shape("v", "")}
    raw = measure.context({**beside, **shape("v", written)}, draw.text(6))
    with _nothing_fails():
        outcome = _ASKED.of(raw, {value: written}, _texts(around, raw.reason))
    assert not outcome.survives, f"{value} in {outcome.survives}: {outcome.shown}"


def in_text(given: bytes) -> None:
    """The same in the middle of a text of anything."""
    draw = Draw(given)
    value, written = _value(draw)
    key = draw.pick(("note", "sql", "command", "body", "url", "manifest"))
    before, after = draw.text(12), draw.text(12)
    raw = measure.context({key: f"{before} to {written} now {after}"})
    around = _texts({key: f"{before} to  now {after}"}, "")
    with _nothing_fails():
        outcome = _ASKED.of(raw, {value: written}, around)
    assert not outcome.survives, f"{value} in {outcome.survives}: {outcome.shown}"


def _value(draw: Draw) -> tuple[str, str]:
    rng = random.Random(draw.number())  # noqa: S311 - made-up values
    make = draw.pick((*_MAKES, None))
    if make is None:
        value = secrets.credential(rng, secrets.BOTH[draw.pick(_TOKENS)]).text
    else:
        value = make(rng, WORDS)
    return value, draw.pick(_ENCODINGS)(value)


def _texts(arguments: dict[str, Any], reason: str) -> str:
    return "\x00".join((*measure.texts(arguments), reason))
