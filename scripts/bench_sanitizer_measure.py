"""What survives, and what was masked for nothing.

A value is masked only if no run of four of its characters stands anywhere in
what leaves: the preview's context and facts, the record's context, the
pointers of both reports. What leaves is read as a person or a program might
read it: with full-width forms made plain, percent signs, entities, escapes,
base64 and hex decoded, three deep. Runs that stand in the text around the value
as well say nothing and are left out. Called by `bench_sanitizer_main`.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import html
import json
import re
import unicodedata
import urllib.parse
from collections.abc import Iterator
from typing import Any, Final

from countersign.model import ActionContext, Principal, Resource
from countersign.sanitize import Sanitizer

RUN: Final = 4
_TAG_KEY: Final = bytes(32)
_PLACEHOLDER: Final = re.compile(r"\[[A-Z][A-Z_]*(?::[0-9a-f]+)?\](?:#\d+)?")
_VISIBLE: Final = re.compile(r"<U\+[0-9A-F]{4,6}>")
_ESCAPE: Final = re.compile(r"\\+u([0-9a-fA-F]{4})")
_CODED: Final = re.compile(r"[A-Za-z0-9+/_-]{8,}")
_HEX: Final = re.compile(r"[0-9a-fA-F]{8,}")
_DEPTH: Final = 3
_FACT_WORDS: Final = """at_least bucket 1000000 100k-1M 10k-100k unread internal domain domains
scheme count statements verb predicate tables limit calls all_columns columns_unread program
programs flags reads grants added removed none by_key range always_true other multiple select
insert update delete merge unreadable contact personal financial health government_id network
secret total"""
"""What facts say in words of their own."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one context."""

    survives: tuple[str, ...]
    """Where some of the value can still be read."""
    shown: str
    """The arguments and the reason as reviewers see them."""
    benign: int
    """Characters of arguments and reason that are not the value."""
    masked: int
    """How many of those are gone."""


def context(arguments: dict[str, Any], reason: str = "") -> ActionContext:
    """Arguments and reason in an action about nothing in particular."""
    return ActionContext(
        actor=Principal(type="workload", id="bench-agent"),
        on_behalf_of=(),
        action="record.change",
        resource=Resource(type="record", id="crm", owner="alice", attributes={}),
        environment="production",
        arguments=arguments,
        reason=reason,
        session="",
    )


class Measure:
    """One sanitizer, asked as the flow asks it."""

    def __init__(self) -> None:
        self.sanitizer: Final = Sanitizer()

    def leaving(self, raw: ActionContext) -> dict[str, Any]:
        """Everything that leaves of a context, by where it goes."""
        known = {"bench-agent", "alice"}.__contains__
        found = self.sanitizer.detect(raw, known=known)
        preview = self.sanitizer.preview(
            raw, found, profile="reviewer", policy_mask=(), must_show=(), tag_key=_TAG_KEY
        )
        clean = self.sanitizer.clean(raw, found, policy_mask=(), tag_key=_TAG_KEY)
        return {
            "preview": json.loads(preview.context_json),
            "facts": json.loads(preview.facts_json),
            "preview report": _pointers(json.loads(preview.report_json)),
            "record": clean.context,
            "record report": _pointers(clean.report),
        }

    def of(self, raw: ActionContext, values: dict[str, str], around: str) -> Outcome:
        """What becomes of values (each with how it was written) in a context."""
        left = self.leaving(raw)
        known = known_text(raw, around)
        looked_for = {
            run for value, written in values.items() for run in runs(value, written, known)
        }
        survives = tuple(
            place for place, what in left.items() if looked_for and _reads(what, looked_for)
        )
        before = {"arguments": raw.arguments, "reason": raw.reason}
        shown = {name: left["preview"].get(name) for name in before}
        after = {name: left["record"].get(name) for name in before}  # in the order of `before`
        size = sum(map(len, values.values()))
        return Outcome(
            survives=survives,
            shown=json.dumps(shown, ensure_ascii=False),
            benign=max(0, length([*before.values()]) - size),
            masked=max(0, lost(before, after) - size),
        )


def known_text(raw: ActionContext, around: str) -> str:
    """All that may be read for another reason than that the value survives, in lower case."""
    return "\x00".join((*readings(around), _FACT_WORDS, *_envelope(raw))).casefold()


def _pointers(report: Any) -> list[str]:
    """All that a report says in words that are not the sanitizer's own."""
    return [entry["pointer"] for entry in report["masked"]]


def _envelope(raw: ActionContext) -> Iterator[str]:
    """What stands around every case; ids are known and stay."""
    whole = {**raw.to_json(), "arguments": {}, "reason": ""}
    yield from texts(whole)


# --- what can still be read ---------------------------------------------------


def runs(value: str, written: str, around: str) -> set[str]:
    """The runs of a value, and of how it was written, that do not stand around it as well.

    A run of the written form is as much longer as that form is. `around` is in lower case.
    """
    found = _runs(value, RUN)
    if written != value:
        found |= _runs(written, RUN * -(-len(written) // max(1, len(value))))
    return {run for run in found if run not in around}


def _runs(text: str, size: int) -> set[str]:
    text = text.casefold()
    if len(text) < size:
        return {text} if text else set()
    return {text[at : at + size] for at in range(len(text) - size + 1)}


def _reads(value: Any, looked_for: set[str]) -> bool:
    text = "\x00".join(_PLACEHOLDER.sub("\x00", text) for text in texts(value))
    return any(run in reading for reading in readings(text) for run in looked_for)


def texts(value: Any) -> Iterator[str]:
    """Every text, key and number of a value."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def readings(text: str) -> list[str]:
    """A text as it is, and as it reads decoded."""
    seen = {text: None}
    level = [text]
    for _ in range(_DEPTH):
        level = [each for one in level for each in _decoded(one) if each not in seen]
        seen.update(dict.fromkeys(level))
    return [each.casefold() for each in seen]


def _decoded(text: str) -> Iterator[str]:
    if not text.isascii() or "<U+" in text:
        shown = _VISIBLE.sub("", unicodedata.normalize("NFKC", text))
        yield "".join(char for char in shown if unicodedata.category(char) != "Cf")
    if "%" in text:
        yield urllib.parse.unquote(text)
    if "&" in text:
        yield html.unescape(text)
    if "\\u" in text:
        yield _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
    for form, decode in ((_CODED, _from_base64), (_HEX, _from_hex)):
        if decoded := "\x00".join(filter(None, map(decode, form.findall(text)))):
            yield decoded


def _from_base64(run: str) -> str:
    """What it says, from wherever in a group of four it begins."""
    found = []
    for skip in range(4):
        part = run[skip:].replace("-", "+").replace("_", "/")
        part = part[: len(part) - (len(part) % 4 == 1)]
        found.append(_readable(base64.b64decode(part + "=" * (-len(part) % 4))))
    return "\x00".join(filter(None, found))


def _from_hex(run: str) -> str:
    halves = (run[: len(run) // 2 * 2], run[1 : 1 + (len(run) - 1) // 2 * 2])
    return "\x00".join(filter(None, (_readable(binascii.a2b_hex(half)) for half in halves)))


def _readable(data: bytes) -> str:
    text = data.decode("utf-8", "replace")
    strange = sum(not char.isprintable() or char == "\ufffd" for char in text)
    return text if text and strange * 4 <= len(text) else ""


# --- what was masked for nothing ----------------------------------------------


def length(value: Any) -> int:
    """Characters in all texts, keys and numbers."""
    return sum(map(len, texts(value)))


def lost(before: Any, after: Any) -> int:
    """Characters of `before` that `after` does not show."""
    if isinstance(before, str) and isinstance(after, str) and before[:1] in "{[":
        before, after = _json(before), _json(after)
    if isinstance(before, dict) and isinstance(after, dict):
        keys = sum(
            max(0, len(old) - len(_kept(new))) for old, new in zip(before, after, strict=False)
        )
        items = zip(before.values(), after.values(), strict=False)
        return keys + sum(lost(old, new) for old, new in items)
    if isinstance(before, list) and isinstance(after, list):
        return sum(lost(old, new) for old, new in zip(before, after, strict=False))
    return max(0, length(before) - sum(len(_kept(text)) for text in texts(after)))


def _kept(text: str) -> str:
    return _PLACEHOLDER.sub("", text)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
