"""What OPA's trace of one evaluation says: which rules were tried, and where each stopped.

OPA numbers each try of a body; the condition a body stopped at is the furthest
one that failed, since an earlier one may fail again while others are tried. Read
from `opa eval --explain full --format json`. Pure; called by `explain` and
`testing`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Final

Place = tuple[str, int]
"""A file and a row."""
Path = tuple[str, ...]
"""Steps below `input`; `*` for one that is no constant."""
_ENTER: Final = "Enter"


@dataclasses.dataclass(slots=True, kw_only=True)
class Step:
    """The expressions of one body that begin in one row."""

    place: Place
    index: int
    failed: bool = False
    reads: set[Path] = dataclasses.field(default_factory=set)
    """What they read of the input, themselves."""
    asks: set[str] = dataclasses.field(default_factory=set)
    """The rules they ask: `data.countersign.lib.dev`."""


@dataclasses.dataclass(slots=True, kw_only=True)
class Try:
    """One try of one rule's body."""

    place: Place
    """Where the rule is."""
    head: Place
    """Where its head is: the same, but for a rule with several bodies or an `else`."""
    held: bool = False
    steps: dict[Place, Step] = dataclasses.field(default_factory=dict)
    parent: int = -1

    def conditions(self) -> list[Step]:
        """Up to the one it stopped at, in the order of the body."""
        ordered = sorted(self.steps.values(), key=lambda step: (step.index, step.place))
        failing = self.failing()
        if failing is None:
            return ordered
        return [step for step in ordered if step.index <= failing.index]

    def failing(self) -> Step | None:
        """The condition it stopped at; None when it held."""
        if self.held:
            return None
        failed = [step for step in self.steps.values() if step.failed]
        return max(failed, key=lambda step: (step.index, step.place), default=None)


def tries(events: Sequence[Mapping[str, Any]]) -> list[Try]:
    """Every try of a rule's body, in the order in which they began."""
    found: dict[int, Try] = {}
    parents: dict[int, int] = {}
    for event in events:
        query, op = int(event["QueryID"]), event["Op"]
        parents.setdefault(query, int(event["ParentID"]))
        node, place = event.get("Node"), _place(event)
        is_rule = isinstance(node, dict) and "head" in node
        if op == _ENTER and is_rule:
            found.setdefault(query, Try(place=place, head=place, parent=parents[query]))
        elif op == "Exit" and is_rule and query in found:
            found[query].held = True
        elif op in {"Eval", "Fail"} and isinstance(node, dict) and "terms" in node:
            own = _owner(query, found, parents)
            if own is not None:
                # What runs in a comprehension or an `every` counts to the row it stands in.
                _note(own, node, place, failed=op == "Fail" and query in found)
    return list(found.values())


def _owner(query: int, found: Mapping[int, Try], parents: Mapping[int, int]) -> Try | None:
    while query not in found:
        if query not in parents or parents[query] == query:
            return None
        query = parents[query]
    return found[query]


def _note(own: Try, node: Mapping[str, Any], place: Place, *, failed: bool) -> None:
    index = int(node.get("index", 0))
    step = own.steps.setdefault(place, Step(place=place, index=index))
    step.failed |= failed
    for steps in references(node):
        match steps[0]:
            case "input":
                step.reads.add(steps[1:])
            case "data":
                step.asks.add(".".join(steps))


def _place(event: Mapping[str, Any]) -> Place:
    location = event.get("Location") or {}
    return str(PurePosixPath(str(location.get("file", "")))), int(location.get("row", 0))


def references(tree: Any) -> Iterator[tuple[str, ...]]:
    """Every reference in a syntax tree: its variable, then its steps."""
    todo = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, list):
            todo += node
        elif isinstance(node, dict):
            steps = node.get("value")
            if node.get("type") == "ref" and isinstance(steps, list) and steps:
                yield tuple(_step(step, first=i == 0) for i, step in enumerate(steps))
            todo += [value for key, value in node.items() if key not in {"location", "Locals"}]


def _step(term: Mapping[str, Any], *, first: bool) -> str:
    if first or term.get("type") == "string":
        return str(term.get("value"))
    return "*"
