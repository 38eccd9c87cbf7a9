"""Brute force beside impact analysis: the raw input, and values drawn in place of what is masked.

Independent of the analysis: answers come from the service's own policy point on
whole inputs, values from what stands in the raw corpus, from other types and from
the candidate's own words.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import random
import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

from countersign.model import ActionContext, JsonObject, JsonValue, Principal, Resource
from countersign.sanitize import Sanitizer
from countersign.workbench.impact.recorded import Case
from countersign.workbench.impact.unknowns import Sort, Unknown, at, put

SANITIZER = Sanitizer()
_TEXT = re.compile(rb'"((?:[^"\\\n]){1,40})"')
_ODD: tuple[JsonValue, ...] = (
    0,
    7,
    12.5,
    4930901820,
    True,
    False,
    None,
    [],
    {},
    ["ops"],
    [11, 12],
    {"plan": "gold"},
)


def leaves(value: JsonValue) -> Iterator[JsonValue]:
    """Every scalar in a value."""
    if isinstance(value, dict):
        for item in value.values():
            yield from leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)
    else:
        yield value


@functools.cache
def is_masked_as_key(name: str) -> bool:
    """Whether the masker would have masked this key: no other can have been there."""
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
    findings = SANITIZER.detect(context, known=lambda _name: False)
    clean = SANITIZER.clean(context, findings, policy_mask=(), tag_key=b"k" * 32)
    return list(clean.context["arguments"]) != [name]


class Draws:
    """Values for what is masked, as wild as the masker would still have masked them."""

    def __init__(
        self, raws: Sequence[JsonObject], files: dict[PurePosixPath, bytes], seed: str
    ) -> None:
        self._chance = random.Random(seed)
        texts = {
            leaf
            for raw in raws
            for leaf in leaves(raw["context"])
            if isinstance(leaf, str) and leaf
        }
        self._raw = sorted(texts)
        self._files = [text for path, text in files.items() if not path.name.endswith("_test.rego")]
        self._own: list[str] = []
        self._here: list[str] = []

    def about(self, case: Case) -> None:
        """Draw for this case: from the rules for its action, and from its own other fields."""
        action = case.action.encode()
        near = [
            text for text in self._files if action in text or b"countersign.rules.edited" in text
        ]
        self._own = sorted({match[1].decode() for text in near for match in _TEXT.finditer(text)})
        known = {leaf for leaf in leaves(case.input["context"]) if isinstance(leaf, str) and leaf}
        self._here = sorted(known)

    def value(self, unknown: Unknown, raw: JsonValue) -> JsonValue:
        """One value that could have been there."""
        pick = self._chance.choice
        if unknown.sort is Sort.NUMBER:
            return pick(
                (unknown.least, unknown.most, self._chance.randint(unknown.least, unknown.most))
            )
        kept = raw
        for _ in range(20):
            found: JsonValue = pick(
                (
                    pick(self._raw),
                    pick(self._here),
                    pick(self._own),
                    pick(self._own),
                    pick(_ODD),
                    raw,
                )
            )
            if unknown.may_equal(found) and (
                unknown.sort is not Sort.TEXT or isinstance(found, str)
            ):
                return found
        return kept

    def document(self, case: Case, raw: JsonObject) -> JsonObject:
        """The raw input with other values where the record shows none."""
        result: Any = raw
        for unknown in case.unknowns:
            if unknown.sort is Sort.KEYS:
                result = put(result, unknown.path, self._keyed(case, unknown, raw))
        for unknown in case.unknowns:
            if unknown.sort is not Sort.KEYS and self._chance.random() < 0.8:
                result = put(result, unknown.path, self.value(unknown, at(raw, unknown.path)))
        return result

    def _keyed(self, case: Case, unknown: Unknown, raw: JsonObject) -> JsonValue:
        """An object whose masked keys have other names, and other things below them."""
        shown, real = at(case.input, unknown.path), at(raw, unknown.path)
        if not isinstance(shown, dict) or not isinstance(real, dict):
            return real
        known = {key: item for key, item in real.items() if key in shown}
        for key, item in real.items():
            if key not in shown:
                others = (*self._raw, *self._own, *self._here)
                name = self._chance.choice((key, self._chance.choice(others)))
                taken = name in known or not is_masked_as_key(name)
                below = self._chance.choice((item, "x", 1, {"plan": "gold"}))
                known[key if taken else name] = below
        return known


@dataclasses.dataclass(kw_only=True)
class Score:
    """How the analysis did."""

    decisions: int = 0
    same: int = 0
    changed: int = 0
    depends: int = 0
    wrong: list[str] = dataclasses.field(default_factory=list)
    """Said same or changed, and raw or drawn values say otherwise."""
    needless: list[str] = dataclasses.field(default_factory=list)
    """Said depends, and no value that was drawn made a difference."""

    def add(self, other: Score) -> None:
        self.decisions += other.decisions
        self.same += other.same
        self.changed += other.changed
        self.depends += other.depends
        self.wrong += other.wrong
        self.needless += other.needless

    def __str__(self) -> str:
        excess = 100 * len(self.needless) / max(self.decisions, 1)
        return json.dumps(
            {
                "decisions": self.decisions,
                "same": self.same,
                "changed": self.changed,
                "depends": self.depends,
                "wrong": len(self.wrong),
                "needless": len(self.needless),
                "excess_percent": round(excess, 2),
                "precision_of_depends": round(1 - len(self.needless) / max(self.depends, 1), 3),
            }
        )
