"""Rego terms as a trace writes them, and where the unknowns are in them.

A term of OPA's syntax tree becomes a value of plain tuples, variables resolved
where they are bound, so that values can be compared and kept. What stands for
an unknown is a mark: a text or number nobody else uses. Pure. Called by
`operations` and `trace`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from countersign.model import JsonValue
from countersign.workbench.impact.unknowns import Sort, Unknown

Value: TypeAlias = "tuple[str, Any]"
"""`("string", text)`, `("array", values)`, `("object", pairs)`, … or `("var", name)` where it
is not bound, or `("opaque", marks)` for what cannot be looked into."""
Locals: TypeAlias = "Mapping[str, Mapping[str, Any]]"
"""The bound variables of a query, by name."""
_SCALARS: Final = frozenset({"string", "number", "boolean", "null"})
_NOTHING: Final[frozenset[int]] = frozenset()
CONSTANT: Final[Value] = ("opaque", _NOTHING)
"""Some value that no unknown is in."""


def of_json(value: JsonValue) -> Value:
    """The value of a JSON document."""
    if isinstance(value, dict):
        return ("object", tuple((("string", key), of_json(item)) for key, item in value.items()))
    if isinstance(value, list):
        return ("array", tuple(map(of_json, value)))
    if isinstance(value, bool):
        return ("boolean", value)
    if value is None:
        return ("null", None)
    return ("string" if isinstance(value, str) else "number", value)


def to_json(value: Value) -> JsonValue:
    """A scalar as JSON; None for anything else."""
    return value[1] if value[0] in _SCALARS else None


def frozen(term: Mapping[str, Any], bound: Locals) -> Value:
    """The value of a term; references and closures in it are opaque."""
    kind: Any = term.get("type")
    value: Any = term.get("value")
    if kind in _SCALARS:
        return (kind, value)
    if kind == "var":
        known = bound.get(str(value))
        return ("var", value) if known is None else frozen(known, {})
    if kind in ("array", "set"):
        return (kind, tuple(frozen(each, bound) for each in value))
    if kind == "object":
        return ("object", tuple((frozen(k, bound), frozen(v, bound)) for k, v in value))
    return CONSTANT


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What stands for which unknown in the documents of one evaluation."""

    unknowns: Sequence[Unknown]
    texts: Mapping[str, int]
    """The mark of an unknown, or of a masked key and what is below it."""
    numbers: Mapping[float, int]

    def of(self, value: Value) -> frozenset[int]:
        """Which unknowns are anywhere in a value."""
        kind, held = value
        if kind == "string":
            mark = self.texts.get(held)
            return _NOTHING if mark is None else frozenset({mark})
        if kind == "number":
            mark = self.numbers.get(held)
            return _NOTHING if mark is None else frozenset({mark})
        if kind in ("array", "set"):
            return frozenset().union(*map(self.of, held))
        if kind == "object":
            return frozenset().union(*(self.of(k) | self.of(v) for k, v in held))
        return held if kind == "opaque" else _NOTHING

    def alone(self, value: Value) -> Unknown | None:
        """The unknown that this value stands for, if it is one itself."""
        kind, held = value
        found = (
            self.texts.get(held)
            if kind == "string"
            else self.numbers.get(held)
            if kind == "number"
            else None
        )
        return None if found is None else self.unknowns[found]

    def anything_in(self, value: Value) -> bool:
        """Whether something in it may turn out to be an object or list."""
        return any(not self.unknowns[mark].is_scalar for mark in self.of(value))

    def keys_are_known(self, value: Value) -> bool:
        """Whether it is an object of which every key is known."""
        return value[0] == "object" and not any(self.of(key) for key, _ in value[1])

    def absent(self, value: Value, key: Value) -> frozenset[int]:
        """The unknown keys of an object that may be this one, which is none of the known."""
        return frozenset[int]().union(*(self.depends(own, key) for own, _ in value[1]))

    def of_keys(self, value: Value) -> frozenset[int]:
        """The unknowns that decide which keys an object has."""
        if value[0] != "object":
            return self.of(value)
        return frozenset[int]().union(*(self.of(key) for key, _ in value[1]))

    def held_in(self, value: JsonValue) -> list[Unknown]:
        """The unknowns whose marks stand in a JSON value, alone or in a text."""
        if isinstance(value, dict):
            parts: Iterable[JsonValue] = (*value, *value.values())
        elif isinstance(value, list):
            parts = value
        elif isinstance(value, str):
            return [self.unknowns[index] for mark, index in self.texts.items() if mark in value]
        else:
            found = self.numbers.get(value) if isinstance(value, float) else None
            return [] if found is None else [self.unknowns[found]]
        return [unknown for part in parts for unknown in self.held_in(part)]

    def in_order(self, value: Value) -> frozenset[int]:
        """The unknowns that decide in which order something goes through its members."""
        kind, held = value
        if kind == "set" and len(held) > 1:
            return self.of(value)
        if kind == "object" and len(held) > 1:
            return self.of_keys(value)
        return _NOTHING

    def in_order_below(self, value: Value) -> frozenset[int]:
        """The same for all there is in it."""
        kind, held = value
        inside = held if kind in ("array", "set") else ()
        if kind == "object":
            inside = [item for _, item in held]
        return self.in_order(value).union(*map(self.in_order_below, inside))

    # --- whether two values may or may not be equal ---

    def depends(self, one: Value, other: Value) -> frozenset[int]:
        """The unknowns on which it depends whether two values are equal; none if none."""
        inside = self.of(one) | self.of(other)
        if not inside or "var" in (one[0], other[0]):
            return _NOTHING
        if "opaque" in (one[0], other[0]):
            return inside
        first, second = self.alone(one), self.alone(other)
        if first is not None and second is not None:
            same = one == other and first.sort is not Sort.KEYS
            return _NOTHING if same else inside
        if first is not None or second is not None:
            unknown, value = (first, other) if first is not None else (second, one)
            return inside if unknown is not None and self._may_be(unknown, value) else _NOTHING
        return self._depends_below(one, other, inside)

    def _may_be(self, unknown: Unknown, value: Value) -> bool:
        if value[0] in _SCALARS:
            return unknown.may_equal(to_json(value))
        return not unknown.is_scalar

    def _depends_below(self, one: Value, other: Value, inside: frozenset[int]) -> frozenset[int]:
        if one[0] != other[0] or len(one[1]) != len(other[1]):
            # Sets of another size may be equal once two of their members are.
            return inside if one[0] == other[0] == "set" else _NOTHING
        if one[0] == "array":
            return self._of_pairs(list(zip(one[1], other[1], strict=True)))
        if one[0] == "object" and (self._lacks(one, other) or self._lacks(other, one)):
            return _NOTHING
        if one[0] == "object" and self.keys_are_known(one) and self.keys_are_known(other):
            known = dict(other[1])
            if {key for key, _ in one[1]} != set(known):
                return _NOTHING
            return self._of_pairs([(item, known[key]) for key, item in one[1]])
        return inside

    def _lacks(self, value: Value, other: Value) -> bool:
        """Whether an object has a key that is surely none of another object's."""
        keys = [key for key, _ in other[1]]
        return any(
            not any(key == each or self.depends(key, each) for each in keys) for key, _ in value[1]
        )

    def _of_pairs(self, pairs: Sequence[tuple[Value, Value]]) -> frozenset[int]:
        """Of values compared one by one: a pair that surely differs settles it."""
        for one, other in pairs:
            plain = one[0] in _SCALARS and other[0] in _SCALARS
            if plain and one != other and not self.of(one) | self.of(other):
                return _NOTHING
        return frozenset().union(*(self.depends(one, other) for one, other in pairs))


def variables(term: Any) -> Iterator[str]:
    """The names of all variables in a term or expression."""
    if isinstance(term, dict):
        if term.get("type") == "var":
            yield str(term["value"])
        else:
            for item in term.values():
                yield from variables(item)
    elif isinstance(term, list):
        for item in term:
            yield from variables(item)
