"""What policy said, as far as it can be compared, and how two answers differ.

Pure. A recorded answer may be known in part: what a server refused after policy
had spoken keeps policy's effect, not its reasons. What is not known is not
compared, and counted. Called by `recorded`, `judging` and `telling`.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

from countersign.errors import PolicyError
from countersign.flow import record
from countersign.model import Effect, JsonObject, JsonValue, PolicyDecision
from countersign.policy.contract import decode
from countersign.sanitize import pointers
from countersign.workbench.impact.unknowns import Path, Sort, Unknown


class Part(enum.StrEnum):
    """What of an answer counts as another answer."""

    EFFECT = "effect"
    REASONS = "reasons"
    REQUIREMENT = "requirement"
    MASK = "mask"


EVERY_PART: Final = frozenset(Part)
_STRICTNESS: Final = (Effect.ALLOW.value, Effect.NEEDS_APPROVAL.value, Effect.DENY.value)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer. None stands for what nobody recorded."""

    effect: str
    codes: frozenset[str] | None
    requirement: JsonObject | None = None
    """Complete; empty when the effect needs none."""
    masked: frozenset[Path] | None = None
    """Places of this context that it masks, the outermost of each."""
    mask: tuple[str, ...] = ()
    """The pointers by which it does."""

    def differences(self, other: Answer, parts: Collection[Part]) -> frozenset[Part]:
        """In which of these parts the other answer is another, as far as both are known."""
        found = set()
        if self.effect != other.effect:
            found.add(Part.EFFECT)
        if None not in (self.codes, other.codes) and self.codes != other.codes:
            found.add(Part.REASONS)
        known = self.requirement is not None and other.requirement is not None
        if known and self.requirement != other.requirement:
            found.add(Part.REQUIREMENT)
        if None not in (self.masked, other.masked) and self.masked != other.masked:
            found.add(Part.MASK)
        return frozenset(found & set(parts))

    def is_looser_than(self, other: Answer) -> bool:
        """Whether it lets through more easily what the other did not."""
        return _STRICTNESS.index(self.effect) < _STRICTNESS.index(other.effect)


def said(result: JsonValue, context: JsonObject, label: Callable[[str], str]) -> Answer:
    """The answer that a value of the entry point stands for, broken contracts included.

    `label` is how records write down names of policy's own.
    """
    try:
        decision = decode(result, "")
    except PolicyError as error:
        return refused(error.code)
    demanded = decision.requirement
    if demanded is not None:
        stages = tuple(
            dataclasses.replace(stage, name=label(stage.name)) for stage in demanded.stages
        )
        demanded = dataclasses.replace(demanded, stages=stages, channel=label(demanded.channel))
    return Answer(
        effect=decision.effect.value,
        codes=frozenset(reason.code for reason in decision.reasons),
        requirement=record.requirement(demanded) if demanded else {},
        masked=covered(context, decision),
        mask=decision.mask,
    )


def refused(code: str) -> Answer:
    """What the service answers when policy has no answer."""
    return Answer(
        effect=Effect.DENY.value, codes=frozenset({code}), requirement={}, masked=frozenset()
    )


def covered(context: JsonObject, decision: PolicyDecision) -> frozenset[Path]:
    """The places of a context that a decision masks."""
    found: set[Path] = set()
    for pointer in decision.mask:
        path = pointers.parse(pointer)
        found.update(pointers.matches(context, path) if path else ())
    return outermost(found)


def outermost(paths: Iterable[Path]) -> frozenset[Path]:
    """Those that lie in no other."""
    every = {tuple(str(step) for step in path) for path in paths}
    return frozenset(
        path for path in every if not any(path[:end] in every for end in range(len(path)))
    )


def reaches_into(decision_mask: Iterable[str], unknown: Unknown) -> bool:
    """Whether a mask names something below a place that is unknown as a whole."""
    place = tuple(str(step) for step in unknown.path[1:])
    if unknown.path[:1] != ("context",):
        return False
    for pointer in decision_mask:
        path = pointers.parse(pointer) or ()
        leads_there = all(step in {"*", own} for step, own in zip(path, place, strict=False))
        if len(path) > len(place) and leads_there and _is_open(path[len(place) :], unknown):
            return True
    return False


def _is_open(below: Sequence[str], unknown: Unknown) -> bool:
    """Whether nobody knows if these steps lead anywhere from an unknown place."""
    if unknown.sort is not Sort.KEYS:
        return True
    if below[0] == "*":  # every key, whatever its name; what is below a masked one is open
        return len(below) > 1
    return unknown.may_equal(below[0])
