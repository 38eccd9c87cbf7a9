"""Masking what came from outside, with everything that can be asked about it.

Rules alone are CPU work in bounds (see `aside`). Where an operator has other
recognizers too, they are asked first; what they did not look at comes out masked
whole (invariant 2), so nothing here waits longer than their deadline.
"""

from __future__ import annotations

from collections.abc import Callable

from countersign.flow.aside import aside
from countersign.flow.parts import Parts
from countersign.model import ActionContext, JsonObject, JsonValue
from countersign.sanitize import Findings, Scrubbed
from countersign.sanitize.recognized import Recognized


async def examined(
    parts: Parts, context: ActionContext, size_bytes: int, known: Callable[[str], bool]
) -> Findings:
    """What is in a context."""
    sanitizer = parts.sanitizer
    found = await _asked(parts, size_bytes, lambda: sanitizer.asks(context, known=known))
    return await aside(size_bytes, lambda: sanitizer.detect(context, known=known, recognized=found))


async def said(parts: Parts, text: str) -> str:
    """What somebody wrote: a reason, a question, an answer, a note."""
    sanitizer = parts.sanitizer
    found = await _asked(parts, len(text), lambda: sanitizer.asks_of_text(text))
    return sanitizer.text(text, found)


async def detail(parts: Parts, value: JsonObject, size_bytes: int) -> JsonObject:
    """Outcome detail and labels, without tags."""
    sanitizer = parts.sanitizer
    found = await _asked(parts, size_bytes, lambda: sanitizer.asks_of(value))
    return await aside(size_bytes, lambda: sanitizer.detail(value, found))


async def scrubbed(parts: Parts, value: JsonValue, size_bytes: int, tag_key: bytes) -> Scrubbed:
    """Any JSON value, with tags."""
    sanitizer = parts.sanitizer
    found = await _asked(parts, size_bytes, lambda: sanitizer.asks_of(value))
    return await aside(
        size_bytes, lambda: sanitizer.scrub(value, tag_key=tag_key, recognized=found)
    )


async def _asked(parts: Parts, size_bytes: int, asks: Callable[[], list[str]]) -> Recognized | None:
    if parts.recognizer is None:
        return None
    texts = await aside(size_bytes, asks)
    return await parts.recognizer.recognize(texts)
