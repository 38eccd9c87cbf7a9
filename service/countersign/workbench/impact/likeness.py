"""Which cases an answer or a trace of before speaks for as well.

Pure. The same marked input is the same case. An input that is equal in all that
an evaluation read goes the same way, whatever else it holds. Counts of recent
decisions differ from record to record; so an evaluation is followed with each of
them known only between two round numbers, as long as no comparison needs more.
Called by `judging`.
"""

from __future__ import annotations

import bisect
import hashlib
from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final

from countersign import canonical
from countersign.model import JsonObject, JsonValue
from countersign.workbench.impact.unknowns import Path, Sort, Unknown

_MAX_SHAPES: Final = 64
_MAX_MISSES: Final = 3
_EDGES: Final = [digit * 10**power for power in range(15) for digit in (1, 2, 5)]


def key_of(document: JsonObject, unknowns: Sequence[Unknown]) -> bytes:
    """Of everything policy could see: a marked document, and what each mark may be."""
    kinds = [_described(unknown) for unknown in unknowns]
    return hashlib.sha256(canonical.encode({"input": document, "unknowns": kinds})).digest()


def _described(unknown: Unknown) -> JsonValue:
    return [
        list(unknown.path),
        unknown.sort.value,
        unknown.maybe_empty,
        unknown.maybe_boolean,
        str(unknown.least),
        str(unknown.most),
        unknown.told,
    ]


class Alike:
    """Traces of before, by what they read: an input equal in all of it goes the same way."""

    def __init__(self) -> None:
        self._shapes: OrderedDict[tuple[Path, ...], dict[bytes, list[str]]] = OrderedDict()

    def keep(
        self,
        document: JsonObject,
        unknowns: Sequence[Unknown],
        read: Iterable[Path],
        needs: list[str],
    ) -> None:
        """Remember which unknowns an evaluation that read this looked at."""
        every = set(read)
        shape = tuple(
            sorted(
                (path for path in every if not any(path[:n] in every for n in range(len(path)))),
                key=str,
            )
        )
        known = self._shapes.setdefault(shape, {})
        self._shapes.move_to_end(shape)
        known[_seen(document, unknowns, shape)] = needs
        if len(self._shapes) > _MAX_SHAPES:
            self._shapes.popitem(last=False)

    def find(self, document: JsonObject, unknowns: Sequence[Unknown]) -> list[str] | None:
        """What such an evaluation looked at; None when none went this way."""
        for shape, known in reversed(self._shapes.items()):
            needs = known.get(_seen(document, unknowns, shape))
            if needs is not None:
                return needs
        return None


def _seen(document: JsonObject, unknowns: Sequence[Unknown], shape: Sequence[Path]) -> bytes:
    """What an evaluation that reads these places sees."""
    values: list[JsonValue] = [_there(document, path) for path in shape]
    kinds = [
        _described(unknown)
        for unknown in unknowns
        if any(_overlap(unknown.path, path) for path in shape)
    ]
    return hashlib.sha256(canonical.encode({"seen": values, "unknowns": kinds})).digest()


def _overlap(one: Path, other: Path) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def _there(document: JsonValue, path: Path) -> list[JsonValue]:
    """What is at a place, in a list of one; an empty list when nothing is."""
    for step in path:
        if isinstance(document, dict) and isinstance(step, str):
            if step not in document:
                return []
            document = document[step]
        elif isinstance(document, list) and isinstance(step, int):
            if not 0 <= step < len(document):
                return []
            document = document[step]
        else:
            return []
    return [document]


class Rounded:
    """Counts of the recent past, each between two round numbers."""

    def __init__(self) -> None:
        self._misses: Counter[tuple[str, Path]] = Counter()

    def of(self, document: JsonObject, action: str) -> list[Unknown]:
        """Those counts, but for such as rules for this action looked at more closely."""
        return [
            Unknown(path=path, sort=Sort.NUMBER, least=least, most=most)
            for path, value in _numbers(document.get("recent"), ("recent",))
            for least, most in [_between(value)]
            if least < most and self._misses[action, path] < _MAX_MISSES
        ]

    def missed(self, action: str, path: Path) -> None:
        """One was looked at more closely."""
        self._misses[action, path] += 1


def _numbers(value: JsonValue, path: Path) -> Iterable[tuple[Path, int]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _numbers(item, (*path, key))
    elif isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        yield path, value


def _between(value: int) -> tuple[int, int]:
    """The round numbers around a count: it is at least the one and below the other."""
    at = bisect.bisect_right(_EDGES, value)
    least = _EDGES[at - 1] if at else 0
    return least, _EDGES[at] - 1 if at < len(_EDGES) else value
