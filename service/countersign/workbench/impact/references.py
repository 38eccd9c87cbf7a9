"""Where references of an evaluated expression lead, and what the way there needs.

A reference into the input or a bound variable is followed step by step; a
variable that is not bound yet stands for every step there is. A reference to
rules leads to what the trace shows of them: only rules whose values hold a mark
matter. Pure. Called by `trace`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from countersign.workbench.impact.terms import CONSTANT, Locals, Marks, Value, frozen
from countersign.workbench.impact.unknowns import Path


class Rules:
    """The rules of one evaluation, and those of their values that hold marks."""

    def __init__(self, marks: Marks) -> None:
        self._marks = marks
        self._marked: dict[str, list[tuple[Value | None, Value | None]]] = defaultdict(list)
        self.names: set[str] = set()
        self.expected: dict[str, list[Value]] = defaultdict(list)
        """By function, what a call's result was compared with at once."""

    def note(self, head: Mapping[str, Any], bound: Locals) -> None:
        """A rule was left with this head."""
        name = _name(head)
        self.names.add(name)
        key = frozen(head["key"], bound) if "key" in head else None
        value = frozen(head["value"], bound) if "value" in head else None
        steps = [frozen(step, bound) for step in head.get("ref", [])[1:]]
        held = [each for each in (key, value, *steps) if each is not None]
        if any(map(self._marks.of, held)) and (key, value) not in self._marked[name]:
            self._marked[name].append((key, value))

    def marked_in(self, operands: Sequence[Mapping[str, Any]]) -> int | None:
        """Which step of a reference below `data` names a rule that holds marks."""
        for index, operand in enumerate(operands):
            if operand.get("type") == "string" and self._marked.get(operand["value"]):
                return index
        return None

    def entries(self, name: str) -> list[tuple[Value | None, Value | None]]:
        """Its marked keys and values."""
        return self._marked[name]

    def values(self, name: str) -> list[Value]:
        """Its marked values."""
        return [value for _, value in self._marked.get(name, []) if value is not None]

    @property
    def every_mark(self) -> frozenset[int]:
        """All marks that any rule's value holds."""
        held = (each for pairs in self._marked.values() for pair in pairs for each in pair)
        return frozenset[int]().union(*(self._marks.of(each) for each in held if each))


class Reach:
    """Follows one reference; `needed` are the unknowns that the way there depends on."""

    def __init__(self, marks: Marks, rules: Rules, document: Value, bound: Locals) -> None:
        self._marks = marks
        self._rules = rules
        self._input = document
        self._bound = bound
        self.needed: frozenset[int] = frozenset()
        self.ordered: frozenset[int] = frozenset()
        """The unknowns that decide in which order it leads there."""

    def values(self, steps: Sequence[Mapping[str, Any]], *, compared: bool) -> list[Value]:
        """Everything it may lead to. `compared`: it is not only bound to a variable."""
        head, *operands = steps
        name = head.get("value")
        if head.get("type") == "var" and name == "data":
            return self._below_data(operands, compared=compared)
        if head.get("type") == "var" and name == "input":
            base = self._input
        else:
            base = frozen(head, self._bound)
        return list(self._follow(base, [frozen(each, self._bound) for each in operands]))

    def _below_data(self, operands: Sequence[Mapping[str, Any]], *, compared: bool) -> list[Value]:
        steps = [frozen(each, self._bound) for each in operands]
        self._need(*steps)
        index = self._rules.marked_in(operands)
        if index is None:
            last = operands[-1] if operands else {}
            whole = last.get("type") != "string" or last["value"] not in self._rules.names
            if compared and (whole or any(step[0] == "var" for step in steps)):
                return [("opaque", self._rules.every_mark)]
            return [CONSTANT]
        rest, found = steps[index + 1 :], [CONSTANT]
        for key, value in self._rules.entries(operands[index]["value"]):
            if key is None and value is not None:
                found += self._follow(value, rest)
            elif key is not None and not rest:
                found.append(("opaque", self._marks.of(key) | (self._marks.of(value or CONSTANT))))
            elif key is not None:
                self.needed |= self._marks.depends(key, rest[0])
                if rest[0][0] == "var":
                    self.ordered |= self._marks.of(key)
                found += self._follow(key if value is None else value, rest[1:])
        return found

    def _need(self, *steps: Value) -> None:
        """What is looked up by an unknown needs it."""
        self.needed = self.needed.union(*map(self._marks.of, steps))

    def _follow(self, value: Value, steps: Sequence[Value]) -> Iterator[Value]:
        if not steps:
            yield value
            return
        step, rest = steps[0], steps[1:]
        self._need(step)
        if self._marks.alone(value) is not None:
            if self._marks.anything_in(value):
                self.needed |= self._marks.of(value)
            return
        if value[0] == "opaque":
            self.needed |= self._marks.of(value)
            yield value
            return
        for item in self._items(value, step):
            yield from self._follow(item, rest)

    def _items(self, value: Value, step: Value) -> Iterator[Value]:
        """What one step leads to; all there is where the step is open."""
        kind, held = value
        is_open = step[0] == "var"
        if is_open:
            self.ordered |= self._marks.in_order(value)
        if kind == "object":
            if is_open or step in dict(held):
                yield from (item for key, item in held if is_open or key == step)
            else:
                self.needed |= self._marks.absent(value, step)
        elif kind == "array" and not is_open:
            if step[0] == "number" and 0 <= step[1] < len(held):
                yield held[int(step[1])]
        elif kind == "array" or (kind == "set" and is_open):
            yield from held
        elif kind == "set":
            yield from self._member(held, step)

    def _member(self, members: Sequence[Value], wanted: Value) -> Iterator[Value]:
        """A set's member, which may be one of those that nobody knows."""
        if wanted in members and not self._marks.of(wanted):
            yield wanted
            return
        for member in members:
            self.needed |= self._marks.depends(member, wanted)


def input_paths(terms: Any, bound: Locals) -> Iterator[Path]:
    """The places of the input that an expression reads, as far as they are known."""
    if isinstance(terms, list):
        for each in terms:
            yield from input_paths(each, bound)
    elif isinstance(terms, dict):
        if terms.get("type") == "ref":
            head, *operands = terms["value"]
            if head.get("type") == "var" and head.get("value") == "input":
                yield _path(operands, bound)
            yield from input_paths(operands, bound)
        else:
            for each in terms.values():
                yield from input_paths(each, bound)
    # A variable `input` alone is a reference of one step.


def _path(operands: Sequence[Mapping[str, Any]], bound: Locals) -> Path:
    path: list[str | int] = []
    for operand in operands:
        kind, value = frozen(operand, bound)
        if kind == "string":
            path.append(value)
        elif kind == "number" and int(value) == value:
            path.append(int(value))
        else:
            break
    return tuple(path)


def _name(head: Mapping[str, Any]) -> str:
    """The last fixed name of what a rule defines."""
    steps = [step for step in head.get("ref", []) if step.get("type") in {"string", "var"}]
    fixed = [step for index, step in enumerate(steps) if index == 0 or step.get("type") == "string"]
    return str(fixed[-1]["value"]) if fixed else str(head.get("name", ""))
