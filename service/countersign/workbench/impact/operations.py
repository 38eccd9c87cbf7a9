"""Which unknowns the outcome of one operation depends on.

A built-in that moves values without looking at them (`object.get`, `array.concat`)
or looks only at what is known (`object.keys`, `count` of a list, `is_string` of a
masked text) tells nothing of an unknown in its operands. Whatever is not listed
here is taken to look at everything it is given. Pure. Called by `trace`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from countersign.workbench.impact.terms import Marks, Value
from countersign.workbench.impact.unknowns import Sort, Unknown

_NOTHING: Final[frozenset[int]] = frozenset()
Told: TypeAlias = "Callable[[Marks, Sequence[Value]], frozenset[int]]"


def depends(name: str, marks: Marks, operands: Sequence[Value]) -> frozenset[int]:
    """The unknowns on which it depends what a call of this built-in does and returns.

    `operands` may end with what the result is unified with.
    """
    inside = frozenset[int]().union(*map(marks.of, operands))
    if not inside:
        return _NOTHING
    known = _KNOWN.get(name)
    if known is None:
        return inside
    arity, told = known
    given, result = operands[:arity], operands[arity:]
    if len(given) < arity or any(value[0] == "opaque" for value in given):
        return inside
    if given[0][0] == "var" or (result and result[0][0] != "var"):
        return inside  # compared with something: what was only moved would be looked at
    if name == "object.get" and not result:
        return inside  # what it finds decides by itself, being false or not
    return told(marks, given)


# --- equality and order ------------------------------------------------------


def _equality(marks: Marks, given: Sequence[Value]) -> frozenset[int]:
    return marks.depends(given[0], given[1])


def _order(marks: Marks, given: Sequence[Value]) -> frozenset[int]:
    """Rego orders null, false, true, numbers, texts, arrays, objects, sets."""
    inside = marks.of(given[0]) | marks.of(given[1])
    for one, other in (given, given[::-1]):
        unknown = marks.alone(one)
        if unknown is None or marks.of(other):
            continue
        if unknown.sort is Sort.TEXT and other[0] != "string":
            return _NOTHING
        if unknown.sort is Sort.NUMBER:
            apart = other[0] != "number" or is_beside(unknown.least, unknown.most, other[1])
            return _NOTHING if apart else inside
    return inside


def is_beside(least: float, most: float, number: float) -> bool:
    """Whether every comparison with a number says the same between two bounds."""
    return number < least or number > most


# --- types -------------------------------------------------------------------


def _type(may_be: Callable[[Unknown], bool]) -> Told:
    """A test of type: settled for everything but what stands for an unknown itself."""

    def told(marks: Marks, given: Sequence[Value]) -> frozenset[int]:
        unknown = marks.alone(given[0])
        return marks.of(given[0]) if unknown is not None and may_be(unknown) else _NOTHING

    return told


def _is_open(unknown: Unknown) -> bool:
    return unknown.sort is Sort.ANYTHING


def _is_open_scalar(unknown: Unknown) -> bool:
    return _is_open(unknown) or unknown.sort is Sort.SCALAR


def _may_be_boolean(unknown: Unknown) -> bool:
    return _is_open(unknown) or unknown.maybe_boolean


# --- parts of objects and lists ----------------------------------------------


def _moved(marks: Marks, given: Sequence[Value]) -> frozenset[int]:
    """Nothing, as long as nothing that is moved may be an object or list itself."""
    inside = frozenset[int]().union(*map(marks.of, given))
    return inside if any(map(marks.anything_in, given)) else _NOTHING


def _members(marks: Marks, given: Sequence[Value]) -> frozenset[int]:
    """Of a list's or object's size: its members count, not what they are."""
    return _NOTHING if given[0][0] in ("array", "object") else marks.of(given[0])


def _keys(marks: Marks, given: Sequence[Value]) -> frozenset[int]:
    """A set of the keys: what nobody knows of them is in it."""
    return _NOTHING if given[0][0] == "object" else marks.of(given[0])


def _get(marks: Marks, given: Sequence[Value]) -> frozenset[int]:
    """`object.get`: the way there must be known, whatever lies at its end."""
    value, key = given[0], given[1]
    if marks.of(key) or key[0] == "object":
        return marks.of(value) | marks.of(key)
    for step in key[1] if key[0] == "array" else (key,):
        if marks.alone(value) is not None and marks.anything_in(value):
            return marks.of(value)
        if value[0] == "object":
            if step not in dict(value[1]) and marks.absent(value, step):
                return marks.absent(value, step)
            value = dict(value[1]).get(step, ("null", None))
        elif value[0] == "array" and step[0] == "number" and 0 <= step[1] < len(value[1]):
            value = value[1][int(step[1])]
        else:
            return _NOTHING  # a scalar, or there is no such index: the default
    return _NOTHING


def _chosen(marks: Marks, given: Sequence[Value]) -> frozenset[int]:
    """`object.remove` and `object.filter` by known keys."""
    if marks.of(given[1]) or not marks.keys_are_known(given[0]):
        return marks.of(given[0]) | marks.of(given[1])
    return _NOTHING


def _slice(marks: Marks, given: Sequence[Value]) -> frozenset[int]:
    plain = given[0][0] == "array" and not marks.of(given[1]) | marks.of(given[2])
    return _NOTHING if plain else frozenset().union(*map(marks.of, given))


def _member(marks: Marks, given: Sequence[Value]) -> frozenset[int]:
    """`x in xs`: a known member that is equal settles it."""
    wanted, value = given
    if marks.alone(value) is not None:
        return marks.of(value) if marks.anything_in(value) else _NOTHING
    if value[0] == "object":
        members = [item for _, item in value[1]]
    elif value[0] in ("array", "set"):
        members = list(value[1])
    else:
        return _NOTHING
    if not marks.of(wanted) and any(each == wanted and not marks.of(each) for each in members):
        return _NOTHING
    return frozenset().union(*(marks.depends(wanted, each) for each in members))


def _walk(marks: Marks, given: Sequence[Value]) -> frozenset[int]:
    """`walk` into a plain pattern: every path is known where nothing can open up below."""
    value, pattern = given
    plain = pattern[0] == "var" or (
        pattern[0] == "array" and all(each[0] == "var" for each in pattern[1])
    )
    return marks.of(value) if not plain or marks.anything_in(value) else _NOTHING


def _union(marks: Marks, given: Sequence[Value]) -> frozenset[int]:
    """Of two sets; of what may not be sets, everything."""
    sets = all(each[0] == "set" for each in given)
    return _moved(marks, given) if sets else frozenset().union(*map(marks.of, given))


_KNOWN: Final[dict[str, tuple[int, Told]]] = {
    "equal": (2, _equality),
    "neq": (2, _equality),
    "lt": (2, _order),
    "lte": (2, _order),
    "gt": (2, _order),
    "gte": (2, _order),
    "is_string": (1, _type(_is_open_scalar)),
    "is_number": (1, _type(_is_open_scalar)),
    "type_name": (1, _type(_is_open_scalar)),
    "is_boolean": (1, _type(_may_be_boolean)),
    **{f"is_{kind}": (1, _type(_is_open)) for kind in ("array", "object", "set", "null")},
    "count": (1, _members),
    "object.keys": (1, _keys),
    "object.get": (3, _get),
    "object.remove": (2, _chosen),
    "object.filter": (2, _chosen),
    "object.union": (2, _moved),
    "array.concat": (2, _moved),
    "array.reverse": (1, _moved),
    "array.slice": (3, _slice),
    "or": (2, _union),
    "internal.member_2": (2, _member),
    "walk": (2, _walk),
}
