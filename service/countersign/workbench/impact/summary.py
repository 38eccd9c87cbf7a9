"""What a replay came to: counted as it goes, so that a log of any length fits.

Pure. Changes are grouped by action and by what changed (the effect, the reason
codes gained and lost, other parts); each group keeps a few examples. Called by
`replay` and `telling`.
"""

from __future__ import annotations

import dataclasses
import enum
import re
from collections import Counter
from collections.abc import Collection
from typing import Final, TypeVar

from countersign.workbench.impact.answers import Answer, Part
from countersign.workbench.impact.judging import Outcome
from countersign.workbench.impact.recorded import Case, Unreplayed

MAX_EXAMPLES: Final = 3
_MAX_GROUPS: Final = 1_000
_Key = TypeVar("_Key")
_INDEX: Final = re.compile(r"/[0-9]+(?=/|\Z)")


class Verdict(enum.StrEnum):
    """What the candidate means for one recorded decision."""

    SAME = "same"
    CHANGED = "changed"
    DEPENDS = "depends"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One decision, judged."""

    case: Case
    verdict: Verdict
    outcome: Outcome
    parts: frozenset[Part]
    """In what it changed."""

    @property
    def direction(self) -> str:
        """`loosened`, `tightened`, or nothing when the effect is the same or open."""
        new, old = self.outcome.answer, self.case.recorded
        if new is None or new.effect == old.effect:
            return ""
        return "loosened" if new.is_looser_than(old) else "tightened"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a group of decisions has in common."""

    action: str
    old: str
    new: str
    """Effects."""
    gained: tuple[str, ...]
    lost: tuple[str, ...]
    """Reason codes; empty where the record does not hold policy's own."""
    parts: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What a group of undecided decisions would have to know."""

    action: str
    pointers: tuple[str, ...]
    """List indices are `*`."""


@dataclasses.dataclass(slots=True)
class Group:
    """How often, and a few of them."""

    count: int = 0
    examples: list[tuple[int, str]] = dataclasses.field(default_factory=list)
    """Sequence number and decision id."""

    def add(self, case: Case) -> None:
        self.count += 1
        if len(self.examples) < MAX_EXAMPLES:
            self.examples.append((case.seq, case.decision))


def judged(case: Case, outcome: Outcome, parts: Collection[Part]) -> Judged:
    """The verdict on one decision."""
    if outcome.answer is None:
        found, verdict = frozenset[Part](), Verdict.DEPENDS
    else:
        found = outcome.answer.differences(case.recorded, parts)
        verdict = Verdict.CHANGED if found else Verdict.SAME
    return Judged(case=case, verdict=verdict, outcome=outcome, parts=found)


@dataclasses.dataclass(slots=True)
class Summary:
    """Everything that was replayed, and what was not."""

    counts: Counter[Verdict] = dataclasses.field(default_factory=Counter)
    directions: Counter[str] = dataclasses.field(default_factory=Counter)
    changes: dict[Change, Group] = dataclasses.field(default_factory=dict)
    needs: dict[Need, Group] = dataclasses.field(default_factory=dict)
    left_out: Counter[Unreplayed] = dataclasses.field(default_factory=Counter)
    in_part: Counter[str] = dataclasses.field(default_factory=Counter)
    """Decisions of which a part of the recorded answer is not known, so not compared."""
    not_sampled: int = 0
    """Decisions that a sample left out."""
    more_groups: int = 0
    """Decisions in groups beyond the bound."""

    @property
    def replayed(self) -> int:
        return self.counts.total()

    def add(self, one: Judged) -> None:
        """Count one decision."""
        self.counts[one.verdict] += 1
        if one.direction:
            self.directions[one.direction] += 1
        if one.case.recorded.codes is None:
            self.in_part["reasons"] += 1
        if one.case.recorded.requirement is None:
            self.in_part["requirement"] += 1
        if one.verdict is Verdict.CHANGED and one.outcome.answer is not None:
            change = _change(one, one.outcome.answer)
            self._group(self.changes, change, one.case)
        elif one.verdict is Verdict.DEPENDS:
            pointers = {_INDEX.sub("/*", pointer) for pointer in one.outcome.needs}
            need = Need(action=one.case.action, pointers=tuple(sorted(pointers)))
            self._group(self.needs, need, one.case)

    def _group(self, groups: dict[_Key, Group], key: _Key, case: Case) -> None:
        if key not in groups and len(groups) >= _MAX_GROUPS:
            self.more_groups += 1
            return
        groups.setdefault(key, Group()).add(case)


def _change(one: Judged, answer: Answer) -> Change:
    old = one.case.recorded
    known = old.codes is not None and answer.codes is not None
    return Change(
        action=one.case.action,
        old=old.effect,
        new=answer.effect,
        gained=tuple(sorted((answer.codes or frozenset()) - (old.codes or frozenset())))
        if known
        else (),
        lost=tuple(sorted((old.codes or frozenset()) - (answer.codes or frozenset())))
        if known
        else (),
        parts=tuple(sorted(part.value for part in one.parts)),
    )
