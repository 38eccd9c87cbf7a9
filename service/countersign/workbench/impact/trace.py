"""Which unknowns a full evaluation looked at.

OPA evaluated policy on the recorded input with a mark in place of each unknown,
with rule indexes and early exit off, and listed every expression it evaluated
and the variables bound there. As long as no expression looks at a mark, every
other value in its place takes the evaluation the same way: to be moved, bound to
a variable, or skipped over is not to be looked at. What is compared, looked up
by, or given to a built-in that may look at it, counts as needed; so does
whatever this module does not understand. Pure. Called by `judging`.

The expressions are those of OPA's `ast` after compilation: calls are flat, and
references in them are bound to variables first.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from countersign.model import JsonValue
from countersign.workbench.impact import operations, references
from countersign.workbench.impact.references import Reach, Rules
from countersign.workbench.impact.terms import (
    CONSTANT,
    Marks,
    Value,
    frozen,
    of_json,
    variables,
)
from countersign.workbench.impact.unknowns import Path, Sort

_CLOSURES: Final = frozenset({"setcomprehension", "arraycomprehension", "objectcomprehension"})
_SUMS: Final = frozenset({"plus", "minus"})
_ORDERS: Final = frozenset({"lt", "lte", "gt", "gte"})
Event = Mapping[str, Any]


class Trace:
    """One evaluation, gone through twice: what it found first, then what it looked at."""

    def __init__(self, events: Sequence[Event], marks: Marks, document: JsonValue) -> None:
        self._events = events
        self._marks = marks
        self._input = of_json(document)
        self._rules = Rules(marks)
        self._sums: dict[str, tuple[frozenset[int], float, float]] = {}
        self._rests: dict[str, frozenset[int]] = {}
        self._calls: dict[int, tuple[str, list[Value]]] = {}
        self._closures: dict[int, list[tuple[Mapping[str, Any], bool, bool]]] = {}
        """By query: each closure, whether it is compared, and whether it keeps an order."""
        self._ordered: dict[int, frozenset[int]] = {}
        """By query: the unknowns that decide in which order it goes through something."""
        self._listed: dict[int, str] = {}
        """By query: the variable that a list is just bound to."""
        self._orders: dict[str, frozenset[int]] = {}
        """By variable: the unknowns that decide the order of a list; not how long it is."""
        self.needed: set[int] = set()
        """The unknowns that were looked at."""
        self.read: set[Path] = set()
        """Every place of the input that was read, those of unknowns included."""
        self.input_replaced = False
        """Some of it was evaluated on an input of policy's own making (`with`)."""

    def run(self) -> None:
        """Go through it."""
        for event in self._events:
            node = event["Node"]
            if event["Op"] == "Exit" and "head" in node:
                self._rules.note(node["head"], _bound(event))
            elif event["Op"] == "Eval":
                self._note_sum(node, _bound(event))
                self._note_rest(node, _bound(event))
        for event in self._events:
            match event["Op"]:
                case "Eval":
                    self._evaluated(event, _bound(event))
                case "Enter":
                    self._entered(event)
                case "Exit":
                    self._left(event, _bound(event))
        for name, results in self._rules.expected.items():
            for value, result in itertools.product(self._rules.values(name), results):
                self.needed |= self._marks.depends(value, result)

    # --- sums: a number between bounds stays one ---

    def _note_sum(self, node: Any, bound: Any) -> None:
        """Remember the bounds of what a number was added to."""
        name, operands = _call(node)
        if name not in _SUMS or len(operands) != 3 or operands[2].get("type") != "var":
            return
        one, other = (self._span(operand, bound) for operand in operands[:2])
        if one is None or other is None:
            return
        marks = one[0] | other[0]
        if marks:
            (_, low, high), (_, least, most) = one, other
            if name == "minus":
                least, most = -most, -least
            known = self._sums.get(operands[2]["value"], (marks, low + least, high + most))
            self._sums[operands[2]["value"]] = (
                known[0] | marks,
                min(known[1], low + least),
                max(known[2], high + most),
            )

    def _span(
        self, operand: Mapping[str, Any], bound: Any
    ) -> tuple[frozenset[int], float, float] | None:
        if operand.get("type") == "var" and operand["value"] in self._sums:
            return self._sums[operand["value"]]
        value = frozen(operand, bound)
        unknown = self._marks.alone(value)
        if unknown is not None and unknown.sort is Sort.NUMBER:
            return self._marks.of(value), unknown.least, unknown.most
        if value[0] == "number":
            return frozenset(), value[1], value[1]
        return None

    def _uses_sum(self, name: str, operands: Sequence[Any], bound: Any) -> bool:
        """Whether this is an operation on sums that their bounds settle or carry on."""
        if len(operands) not in {2, 3}:
            return False
        one, other = (self._span(operand, bound) for operand in operands[:2])
        if one is None or other is None:
            return False
        if name in _SUMS:
            return len(operands) == 3 and operands[2].get("value") in self._sums
        if name not in _ORDERS or (len(operands) == 3 and operands[2].get("type") != "var"):
            return False
        (_, low, high), (_, least, most) = one, other
        return high < least or most < low

    # --- differences of sets: something known that is left over stays left over ---

    def _note_rest(self, node: Any, bound: Any) -> None:
        """Remember a difference of sets that is not empty, whatever the unknowns in it are."""
        name, operands = _call(node)
        if name != "minus" or len(operands) != 3 or operands[2].get("type") != "var":
            return
        whole, less = (frozen(operand, bound) for operand in operands[:2])
        marks = self._marks.of(whole)
        if whole[0] == less[0] == "set" and marks and not self._marks.of(less):
            variable = operands[2]["value"]
            if any(self._is_left(each, less[1]) for each in whole[1]):
                self._rests[variable] = self._rests.get(variable, frozenset()) | marks
            else:
                self.needed |= marks

    def _is_left(self, member: Value, less: Sequence[Value]) -> bool:
        """Whether a member of a set is surely none of those taken away."""
        return member not in less and not any(self._marks.depends(member, each) for each in less)

    def _uses_rest(self, name: str, operands: Sequence[Any], bound: Any) -> bool:
        """Whether this makes such a difference, or only asks whether it is empty."""
        names = [operand.get("value") for operand in operands if operand.get("type") == "var"]
        if name == "minus":
            return len(operands) == 3 and operands[2].get("value") in self._rests
        if name not in {"eq", "equal", "neq"} or not set(names) & set(self._rests):
            return False
        return any(frozen(operand, bound) == ("set", ()) for operand in operands)

    # --- expressions ---

    def _evaluated(self, event: Event, bound: Any) -> None:
        node, query = event["Node"], event["QueryID"]
        self._closures[query] = []
        self._calls.pop(query, None)
        if node.get("with"):
            self.input_replaced = True
            self.needed.update(range(len(self._marks.unknowns)))
        terms = node.get("terms")
        self._note_reads(terms, bound)
        if isinstance(terms, dict):
            self._used_up(terms)
            self._stands_alone(terms, bound, query)
            return
        name, operands = _call(node)
        self._listed[query] = _listed(name, operands, bound)
        if self._sums and self._uses_sum(name, operands, bound):
            return
        if self._rests and self._uses_rest(name, operands, bound):
            return
        counted = name == "count" and operands[0].get("type") == "var"
        self._used_up(operands, but=operands[0]["value"] if counted else self._listed[query])
        if name == "eq" and len(operands) == 2:
            self._unified(operands, bound, query)
            return
        values = [self._one(operand, bound, query) for operand in operands]
        if name.startswith("data."):
            self._calls[query] = name, values
        else:
            self.needed |= operations.depends(name, self._marks, values)
            if name == "walk":
                self._goes_through(query, self._marks.in_order_below(values[0]))

    def _goes_through(self, query: int, ordered: frozenset[int]) -> None:
        self._ordered[query] = self._ordered.get(query, frozenset()) | ordered

    def _used_up(self, terms: Any, *, but: str = "") -> None:
        """Any other use of a sum, a difference or the order of a list looks at it."""
        if self._sums or self._rests or self._orders:
            for variable in variables(terms):
                if variable != but:
                    self.needed |= self._orders.get(variable, frozenset())
                if variable in self._sums:
                    self.needed |= self._sums[variable][0]
                self.needed |= self._rests.get(variable, frozenset())

    def _stands_alone(self, term: Mapping[str, Any], bound: Any, query: int) -> None:
        """A condition of one term: it holds unless that is false or undefined."""
        if "domain" in term or "symbols" in term:
            return  # `every` and `some`: what they go through is evaluated by itself
        for value in self._possible(term, bound, query, compared=True):
            unknown = self._marks.alone(value)
            may_be_false = unknown is not None and unknown.may_equal(value=False)
            if may_be_false or value[0] == "opaque":
                self.needed |= self._marks.of(value)

    def _unified(self, operands: Sequence[Any], bound: Any, query: int) -> None:
        one, other = operands
        free = [_is_free(each, bound) for each in operands]
        sides = [
            self._possible(each, bound, query, compared=not free[1 - index])
            for index, each in enumerate((one, other))
        ]
        if not any(free):
            for a, b in itertools.product(*sides):
                self.needed |= self._marks.depends(a, b)

    def _one(self, operand: Mapping[str, Any], bound: Any, query: int) -> Value:
        """The value of a call's operand; opaque where it is not one value."""
        if operand.get("type") not in {"ref", "call", *_CLOSURES}:
            self._nested(operand, bound, query)
            return frozen(operand, bound)
        values = self._possible(operand, bound, query, compared=True)
        if len(values) == 1:
            return values[0]
        return ("opaque", frozenset[int]().union(*map(self._marks.of, values)))

    def _possible(
        self, term: Mapping[str, Any], bound: Any, query: int, *, compared: bool
    ) -> list[Value]:
        """What a term may be, one by one; the way there may already need an unknown."""
        kind = term.get("type")
        if kind == "ref":
            reach = Reach(self._marks, self._rules, self._input, bound)
            values = reach.values(term["value"], compared=compared)
            self.needed |= reach.needed
            self._goes_through(query, reach.ordered)
            return values
        if kind in _CLOSURES:
            self._closures[query].append((term["value"], compared, kind == "arraycomprehension"))
            return []
        if kind == "call":
            inside = [frozen(each, bound) for each in term["value"]]
            self.needed |= frozenset().union(*map(self._marks.of, inside))
            return [CONSTANT]
        self._nested(term, bound, query)
        return [frozen(term, bound)]

    def _nested(self, term: Mapping[str, Any], bound: Any, query: int) -> None:
        """References and closures inside a list or object: as though compared."""
        for inner in _parts(term):
            for value in self._possible(inner, bound, query, compared=True):
                self.needed |= self._marks.of(value)

    # --- what happens between expressions ---

    def _entered(self, event: Event) -> None:
        """A function's parameters may be patterns."""
        call = self._calls.get(event["ParentID"])
        node = event["Node"]
        if call is None or "head" not in node or "args" not in node["head"]:
            return
        name, given = call
        formal = [frozen(each, {}) for each in node["head"]["args"]]
        names = list(variables(node["head"]["args"]))
        if len(names) != len(set(names)):
            self.needed |= frozenset().union(*map(self._marks.of, given))
        for pattern, value in zip(formal, given, strict=False):
            self.needed |= self._matched(pattern, value)
        for result in given[len(formal) :]:
            if result[0] != "var":
                self._rules.expected[name.rpartition(".")[2]].append(result)
        if len(given) == len(formal):
            # A condition: it holds unless the function says false.
            self._rules.expected[name.rpartition(".")[2]].append(("boolean", False))

    def _matched(self, pattern: Value, value: Value) -> frozenset[int]:
        if pattern[0] == "var":
            return frozenset()
        return self._marks.depends(pattern, value)

    def _left(self, event: Event, bound: Any) -> None:
        node = event["Node"]
        if isinstance(node, dict):
            if "head" in node:
                self._rule_left(node["head"], bound)
            return
        for closure, compared, keeps_order in self._closures.get(event["ParentID"], []):
            if keeps_order:  # who is at which place depends on all of them
                self._keeps_order(event)
            inner = [
                self._marks.of(frozen(closure[part], bound))
                for part in ("term", "value")
                if part in closure
            ]
            if compared:
                self.needed |= frozenset().union(*inner)
            if "key" in closure:
                self.needed |= self._marks.of(frozen(closure["key"], bound))

    def _keeps_order(self, event: Event) -> None:
        ordered = self._ordered.get(event["QueryID"], frozenset())
        variable = self._listed.get(event["ParentID"])
        if variable:
            self._orders[variable] = self._orders.get(variable, frozenset()) | ordered
        else:
            self.needed |= ordered

    def _rule_left(self, head: Mapping[str, Any], bound: Any) -> None:
        self._used_up(head)
        if "value" in head and "key" in head:  # an object's keys decide what collides
            self.needed |= self._marks.of(frozen(head["key"], bound))
        for step in head.get("ref", [])[1:]:
            if step.get("type") == "var":
                self.needed |= self._marks.of(frozen(step, bound)) if "value" in head else set()

    # --- what was read ---

    def _note_reads(self, terms: Any, bound: Any) -> None:
        self.read.update(references.input_paths(terms, bound))


def _bound(event: Event) -> dict[str, Any]:
    return {each["name"]: each for each in event["Locals"] or ()}


def _call(node: Any) -> tuple[str, list[Any]]:
    """The name and operands of an expression that is a call; no name otherwise."""
    terms = node.get("terms") if isinstance(node, dict) else None
    if not isinstance(terms, list) or not terms:
        return "", []
    operator, *operands = terms
    steps = operator["value"] if operator.get("type") == "ref" else [operator]
    return ".".join(str(step.get("value")) for step in steps), operands


def _listed(name: str, operands: Sequence[Any], bound: Any) -> str:
    """The variable that this binds to a list; empty if it does something else."""
    if name != "eq" or len(operands) != 2:
        return ""
    for one, other in (operands, operands[::-1]):
        if _is_free(one, bound) and other.get("type") == "arraycomprehension":
            return str(one["value"])
    return ""


def _is_free(term: Mapping[str, Any], bound: Any) -> bool:
    return term.get("type") == "var" and term["value"] not in bound


def _parts(term: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """References, calls and closures inside lists, sets and objects of a term."""
    kind, value = term.get("type"), term.get("value")
    if kind in ("array", "set") and isinstance(value, list):
        for each in value:
            yield from _deep(each)
    elif kind == "object" and isinstance(value, list):
        for pair in value:
            for each in pair:
                yield from _deep(each)


def _deep(term: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if term.get("type") in {"ref", "call", *_CLOSURES}:
        yield term
    else:
        yield from _parts(term)
