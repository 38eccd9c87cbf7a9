"""What is put in place of unknowns: marks to follow, and values to try.

Pure. A mark is a text, or a number between the bounds, that stands nowhere else
in the input. A value to try is one that could have been there: as short, odd or
telling as the detector lets it be, and the texts that policy itself compares
with. Called by `judging`.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Sequence
from typing import Final

from countersign.model import JsonObject, JsonValue
from countersign.workbench.impact.terms import Marks
from countersign.workbench.impact.unknowns import (
    Sort,
    Unknown,
    at,
    is_masked_key,
    put,
    without_masked_keys,
)

_MARK: Final = "countersign-impact-{}"
_PLACEHOLDER: Final = re.compile(r"\[[A-Z][A-Z0-9_]{1,39}(?::[^\[\]]{1,40})?\]")
_TEXTS: Final = (
    *("a", "0", "-", "true", "null", "name", "ada@example.org", "10.0.0.1", "Ada Lovelace"),
    *("https://example.org/x", "s3://bucket/key", "4111111111111111", "SELECT 1", "*", "admin"),
)
_NUMBERS: Final = (0, 1, -1, 7, 100, 5_000, 1_000_000, 0.5)
_OTHERS: Final[list[JsonValue]] = [None, True, False, [], {}, [1, 2, 3], ["a"], [{}], {"a": 1}]
ROUNDS: Final = 16


def marked(
    document: JsonObject, unknowns: Sequence[Unknown], names: frozenset[str]
) -> tuple[JsonObject, Marks]:
    """The document with a mark for each unknown: the same for the same place, in any document."""
    texts: dict[str, int] = {}
    numbers: dict[float, int] = {}
    inner: list[Unknown] = []
    result: JsonValue = document
    for index, unknown in enumerate(unknowns):
        value: JsonValue
        mark = _MARK.format(hashlib.sha256(repr(unknown.path).encode()).hexdigest()[:24])
        if unknown.sort is Sort.NUMBER:
            value = _between(unknown)
            while value in numbers:
                value += 2**-20
            numbers[value] = index
        elif unknown.sort is Sort.KEYS:
            keys = _masked_keys(at(document, unknown.path), mark, names)
            texts.update(dict.fromkeys(keys, index))
            texts.update(dict.fromkeys(keys.values(), len(unknowns) + len(inner)))
            inner.append(Unknown(path=unknown.path, sort=Sort.ANYTHING))
            value = {**_known_part(at(document, unknown.path), names), **keys}
        else:
            texts[mark] = index
            value = mark
        result = put(result, unknown.path, value)
    return (
        result if isinstance(result, dict) else {},
        Marks(unknowns=(*unknowns, *inner), texts=texts, numbers=numbers),
    )


def _between(unknown: Unknown) -> float:
    """No whole number, and another one for each place."""
    digest = hashlib.sha256(repr(unknown.path).encode()).digest()
    return unknown.least + (1 + int.from_bytes(digest[:2])) / 2**17


def _masked_keys(items: JsonValue, mark: str, names: frozenset[str]) -> dict[str, str]:
    """As many marks as there are masked keys, each with one for what is below it."""
    masked = [key for key in items if is_masked_key(key, names)] if isinstance(items, dict) else []
    return {f"{mark}-{number}": f"{mark}-{number}-below" for number in range(len(masked))}


def _known_part(items: JsonValue, names: frozenset[str]) -> JsonObject:
    return without_masked_keys(items, names) if isinstance(items, dict) else {}


class Trials:
    """Makes documents as the raw one may have been. The same ones in each run."""

    def __init__(self, constants: Sequence[str], seed: int = 0) -> None:
        self._constants = constants
        self._seed = seed

    def of(self, unknowns: Sequence[Unknown], case: int) -> list[dict[int, JsonValue]]:
        """Rounds of values, by the index of the unknown that each stands for."""
        chance = random.Random(f"{self._seed}/{case}")  # noqa: S311 - tries, no secrets
        rounds: list[dict[int, JsonValue]] = [
            {
                index: self._value(unknown, chance, number)
                for index, unknown in enumerate(unknowns)
                if unknown.sort is not Sort.KEYS
            }
            for number in range(ROUNDS)
        ]
        return rounds if rounds[0] else []

    def _value(self, unknown: Unknown, chance: random.Random, number: int) -> JsonValue:
        if unknown.sort is Sort.NUMBER:
            ends = (unknown.least, unknown.most)
            return ends[number] if number < 2 else chance.randint(*ends)
        if unknown.sort is Sort.TEXT or chance.random() < 0.6:
            return self._text(unknown, chance)
        found: JsonValue = chance.choice(_NUMBERS)
        if unknown.maybe_boolean and chance.random() < 0.3:
            found = chance.random() < 0.5
        if unknown.sort is Sort.ANYTHING and chance.random() < 0.7:
            found = chance.choice(_OTHERS)
        return found

    def _text(self, unknown: Unknown, chance: random.Random) -> str:
        words = self._constants if chance.random() < 0.5 and self._constants else _TEXTS
        word = chance.choice(words) or "a"
        if _PLACEHOLDER.fullmatch(unknown.shown) or not _PLACEHOLDER.search(unknown.shown):
            return word
        return _PLACEHOLDER.sub(lambda _match: word, unknown.shown)


def tried(
    document: JsonObject, unknowns: Sequence[Unknown], values: dict[int, JsonValue]
) -> JsonObject:
    """The document with these values in place of unknowns."""
    result: JsonValue = document
    for index, value in values.items():
        result = put(result, unknowns[index].path, value)
    return result if isinstance(result, dict) else {}
