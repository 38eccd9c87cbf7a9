"""What a sanitized context leaves open, and what may stand there instead.

A masked value is known by its placeholder (`[EMAIL:9f2c]`, `[POLICY]`): a text
with one anywhere in it is unknown as a whole, and so is one in which hidden
characters were spelled out (`<U+202E>`). What is known of its type narrows what
it can be: the detector masks texts, numbers and, below names of health,
booleans; policy and the bounds mask whatever stands there. An object with a
masked key has a part nobody knows the name of.

Pure. Called by `recorded`, `trace` and `judging`.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from countersign.canonical import escape
from countersign.model import ActionContext, JsonObject, JsonValue, Principal, Resource
from countersign.sanitize import Sanitizer, kinds

Path: TypeAlias = "tuple[str | int, ...]"

_PLACEHOLDER: Final = re.compile(r"\[([A-Z][A-Z0-9_]{1,39})(?::[^\[\]]{1,40})?\]")
_SPELLED: Final = "<U+"
_TWIN: Final = re.compile(r"#[0-9]+\Z")
"""How a key ends that reads like another once it is masked."""
_WORDS: Final = re.compile(r"[a-z]{1,32}(_[a-z]{1,32}){0,4}")
_ANYTHING: Final = frozenset(kind.name for kind in kinds.NOT_ENTITIES)
"""Masked for where it stood: an object or list may stand below it."""
_TEXTS: Final = frozenset({kinds.PERSON.name})
"""Never a number: of others, one may be a piece of what was found across its neighbours."""
_STRINGS: Final = frozenset(
    {
        *(("context", name) for name in ("action", "environment", "reason", "session")),
        *(("context", "actor", name) for name in ("id", "type")),
        *(("context", "resource", name) for name in ("id", "owner", "type")),
    }
)
"""Fields of a context that hold a text, whatever anybody sends."""


class Sort(enum.Enum):
    """What is known of an unknown value."""

    TEXT = "text"
    SCALAR = "scalar"
    """A text that is not empty, a number, or (`maybe_boolean`) a boolean."""
    ANYTHING = "anything"
    NUMBER = "number"
    """A whole number between two bounds."""
    KEYS = "keys"
    """An object some of whose keys, and what is below them, are unknown."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """One place of policy's input of which the record does not say what was there."""

    path: Path
    """Below `input`."""
    sort: Sort
    maybe_empty: bool = False
    maybe_boolean: bool = False
    least: int = 0
    most: int = 0
    """Bounds of a NUMBER, both possible."""
    shown: str = ""
    """The masked text."""
    told: bool = False
    """Of KEYS: the rules that masked them are ours, so a name they let stand was not masked."""

    @property
    def pointer(self) -> str:
        """Into the context, or into policy's input where it is not of the context."""
        steps = self.path[1:] if self.path[:1] == ("context",) else self.path
        return "".join(f"/{escape(str(step))}" for step in steps)

    def may_equal(self, value: JsonValue) -> bool:
        """Whether it could have been exactly this."""
        match self.sort:
            case Sort.TEXT:
                return isinstance(value, str) and (value != "" or self.maybe_empty)
            case Sort.SCALAR:
                if isinstance(value, bool):
                    return self.maybe_boolean
                return (isinstance(value, str) and value != "") or isinstance(value, int | float)
            case Sort.NUMBER:
                if isinstance(value, bool) or not isinstance(value, int | float):
                    return False
                return self.least <= value <= self.most and float(value).is_integer()
            case Sort.KEYS:
                return isinstance(value, str) and not (self.told and is_never_masked(value))
            case _:
                return True

    @property
    def is_scalar(self) -> bool:
        """Whether nothing can stand below it."""
        return self.sort is not Sort.ANYTHING


def masked_in(context: JsonObject, report: Mapping[str, Any]) -> list[Unknown]:
    """The unknowns of a sanitized context, by the report of what was masked in it."""
    total = report.get("total")
    names = frozenset(total) if isinstance(total, dict) else None
    told = report.get("ruleset") == _sanitizer().ruleset and "ner" not in report
    return [
        dataclasses.replace(unknown, told=told) if unknown.sort is Sort.KEYS else unknown
        for unknown in _find(context, ("context",), names)
    ]


@functools.lru_cache(maxsize=4096)
def is_never_masked(name: str) -> bool:
    """Whether our own rules let this key stand, wherever it stands.

    A plain word is judged by itself alone; beside others, only keys with digits are.
    """
    if not _WORDS.fullmatch(name):
        return False
    nobody = Principal(type="workload", id="a")
    context = ActionContext(
        actor=nobody,
        on_behalf_of=(),
        action="a",
        resource=Resource(type="a", id="a", owner="", attributes={}),
        environment="a",
        arguments={name: 1},
        reason="",
        session="",
    )
    sanitizer = _sanitizer()
    findings = sanitizer.detect(context, known=lambda _name: False)
    clean = sanitizer.clean(context, findings, policy_mask=(), tag_key=b"")
    shown = clean.context["arguments"]
    return isinstance(shown, dict) and set(shown) == {name}


@functools.cache
def _sanitizer() -> Sanitizer:
    return Sanitizer()


def _find(value: JsonValue, path: Path, names: Collection[str] | None) -> Iterator[Unknown]:
    if isinstance(value, dict):
        masked = [key for key in value if is_masked_key(key, names)]
        if masked:
            yield Unknown(path=path, sort=Sort.KEYS)
        for key, item in value.items():
            if key not in masked:
                yield from _find(item, (*path, key), names)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _find(item, (*path, index), names)
    elif isinstance(value, str):
        kinds_in = placeholders(value, names)
        if kinds_in or _SPELLED in value:
            yield _masked(value, path, kinds_in)


def placeholders(text: str, names: Collection[str] | None) -> list[str]:
    """The kinds whose placeholders stand in a text; all that look like one without names."""
    found = [match[1] for match in _PLACEHOLDER.finditer(text)]
    return found if names is None else [name for name in found if name in names]


def is_masked_key(key: str, names: Collection[str] | None) -> bool:
    """Whether the raw key may have been another."""
    return bool(placeholders(key, names) or _SPELLED in key or _TWIN.search(key))


def _masked(text: str, path: Path, kinds_in: Sequence[str]) -> Unknown:
    whole = _PLACEHOLDER.fullmatch(text)
    if whole is None:
        return Unknown(path=path, sort=Sort.TEXT, shown=text)
    kind = kinds_in[0] if kinds_in else ""
    plain = Unknown(path=path, sort=Sort.TEXT, shown=text)
    if _is_string(path):
        return dataclasses.replace(plain, maybe_empty=kind in _ANYTHING)
    if kind in _ANYTHING:
        return dataclasses.replace(plain, sort=Sort.ANYTHING)
    if kind in _TEXTS:
        return plain
    return dataclasses.replace(plain, sort=Sort.SCALAR, maybe_boolean=kind == kinds.HEALTH.name)


def _is_string(path: Path) -> bool:
    principal = path[:2] == ("context", "on_behalf_of") and path[3:] in {("id",), ("type",)}
    return path in _STRINGS or principal


# --- something else in their place -------------------------------------------


def put(document: JsonValue, path: Path, value: JsonValue) -> JsonValue:
    """The document with another value at a path that leads somewhere; nothing else is copied."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(document, dict) and isinstance(step, str):
        return {**document, step: put(document.get(step), rest, value)}
    if isinstance(document, list) and isinstance(step, int):
        return [*document[:step], put(document[step], rest, value), *document[step + 1 :]]
    return document


def at(document: JsonValue, path: Path) -> JsonValue:
    """What stands at a path that leads somewhere."""
    for step in path:
        if isinstance(document, dict) and isinstance(step, str):
            document = document.get(step)
        elif isinstance(document, list) and isinstance(step, int):
            document = document[step]
    return document


def without_masked_keys(items: JsonObject, names: Collection[str] | None) -> JsonObject:
    """The part of an object whose keys are known."""
    return {key: item for key, item in items.items() if not is_masked_key(key, names)}
