"""Counts, targets and tables of the sanitizer's bench: worst first, nothing left out.

Pure. Used by `bench_sanitizer_main`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from bench_sanitizer_cases import NAME_IN_PROSE, PLAIN, SECRET, Case
from bench_sanitizer_measure import Outcome
from bench_sanitizer_speed import Speed
from bench_sanitizer_useful import QUESTIONS, Answer

MISSED: Final = "MISSED"
MET: Final = "met"


@dataclasses.dataclass(slots=True)
class Count:
    """How many of one class, how many are gone, and what else went with them."""

    cases: int = 0
    gone: int = 0
    benign: int = 0
    masked: int = 0

    def add(self, outcome: Outcome) -> None:
        """One more case."""
        self.cases += 1
        self.gone += not outcome.survives
        self.benign += outcome.benign
        self.masked += outcome.masked

    @property
    def recall(self) -> float:
        """The share that is gone to the last run of characters."""
        return self.gone / self.cases if self.cases else 0.0

    @property
    def over(self) -> float:
        """The share of benign characters that are gone as well."""
        return self.masked / self.benign if self.benign else 0.0


Class = tuple[str, str, str]
"""Entity, shape, encoding."""


class Tally:
    """Counts of one set by class, summed as asked."""

    def __init__(self) -> None:
        self.counts: dict[Class, Count] = {}

    def add(self, case: Case, outcome: Outcome) -> None:
        """One more case."""
        at = (case.entity, case.shape, case.encoding)
        self.counts.setdefault(at, Count()).add(outcome)

    def sum(self, wanted: Callable[[Class], bool]) -> Count:
        """All classes that are wanted, as one."""
        total = Count()
        for at, count in self.counts.items():
            if wanted(at):
                total.cases += count.cases
                total.gone += count.gone
                total.benign += count.benign
                total.masked += count.masked
        return total

    def names(self, index: int) -> list[str]:
        """The names of all entities, shapes or encodings met."""
        return list(dict.fromkeys(at[index] for at in self.counts))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One goal, and where it stands."""

    what: str
    goal: str
    seen: str
    met: bool


def quality_targets(held_out: Tally, benign: dict[str, Count]) -> list[Target]:
    """What is promised of data nobody tuned on."""

    def at_least(what: str, goal: float, count: Count) -> Target:
        seen = f"{count.recall:.3f} of {count.cases}"
        return Target(what=what, goal=f"≥ {goal:.2f}", seen=seen, met=count.recall >= goal)

    def at_most(what: str, goal: float, count: Count) -> Target:
        seen = f"{count.over:.1%}"
        return Target(what=what, goal=f"≤ {goal:.0%}", seen=seen, met=count.over <= goal)

    def plain(*entities: str) -> Count:
        return held_out.sum(lambda at: at[0] in entities and at[2] == PLAIN)

    prose = plain(NAME_IN_PROSE)
    around = Count(
        benign=prose.benign + benign["prose"].benign, masked=prose.masked + benign["prose"].masked
    )
    return [
        at_least("provider secrets", 0.97, plain(SECRET)),
        *(
            at_least(name, 1.0, plain(*entities))
            for name, *entities in (
                ("e-mail", "e-mail"),
                ("card", "card"),
                ("IBAN", "IBAN"),
                ("SSN", "SSN", "SSN, nine digits"),
                ("IP address", "IP address"),
            )
        ),
        at_least("phone", 0.97, plain("phone, international", "phone, national")),
        at_least("names in prose", 0.85, prose),
        at_most("benign characters masked, prose", 0.06, around),
        at_least(
            "SQL literals", 1.0, held_out.sum(lambda at: at[1] == "SQL literal" and at[2] == PLAIN)
        ),
        at_least("encoded variants", 0.95, held_out.sum(lambda at: at[2] != PLAIN)),
        *(
            at_most(f"benign characters masked, {name}", 0.03, benign[name])
            for name in ("SQL", "shell", "YAML")
        ),
    ]


def speed_targets(seen: Speed) -> list[Target]:
    """The budgets of time."""
    worst = max(seen.hostile_ms, key=lambda name: seen.hostile_ms[name])
    kinds = len(seen.hostile_ms)
    rows = (
        (f"detect + mask {seen.document_bytes} bytes nested, p50", 0.5, seen.p50_ms, ""),
        ("the same, p95", 1.0, seen.p95_ms, ""),
        (f"64 KiB, worst of {kinds} hostile kinds", 150.0, seen.hostile_ms[worst], f" ({worst})"),
        ("1 MiB of rows", 2000.0, seen.megabyte_ms, ""),
        ("cold start, wall time", 1000.0, seen.start_ms, ""),
    )
    return [
        Target(what=what, goal=f"≤ {goal:g} ms", seen=f"{ms:.2f} ms{note}", met=ms <= goal)
        for what, goal, ms, note in rows
    ]


# --- tables -------------------------------------------------------------------

Row = Sequence[str]


def by_class(tuning: Tally, held_out: Tally, index: int) -> list[Row]:
    """One row an entity, shape or encoding, the worst held-out recall first."""
    rows: list[tuple[float, Row]] = []
    for name in dict.fromkeys([*held_out.names(index), *tuning.names(index)]):
        known, unknown = _of_class(tuning, index, name), _of_class(held_out, index, name)
        looked_at = unknown[:1] if index == 1 else unknown  # shapes are shown plain
        worst = min((each.recall for each in looked_at if each.cases), default=0.0)
        over = (unknown[0] if unknown[0].cases else unknown[1]).over
        rows.append((worst, (name, *map(_recall, (*known, *unknown)), f"{over:.1%}")))
    rows.sort(key=lambda row: (row[0], row[1][0]))
    return [row for _, row in rows]


def _of_class(tally: Tally, index: int, name: str) -> tuple[Count, Count]:
    """Plain and encoded."""
    plain = tally.sum(lambda at: at[index] == name and at[2] == PLAIN)
    return plain, tally.sum(lambda at: at[index] == name and at[2] != PLAIN)


def _recall(count: Count) -> str:
    return f"{count.recall:.3f}" if count.cases else ""


def worst_cells(held_out: Tally, most: int) -> list[Row]:
    """Entities in shapes or encodings of which least is gone; the few cases say how sure it is."""
    cells = {(at[0], at[1] if at[2] == PLAIN else at[2]): Count() for at in held_out.counts}
    for entity, where in cells:
        cells[entity, where] = held_out.sum(
            lambda at: at[0] == entity and where == (at[1] if at[2] == PLAIN else at[2])  # noqa: B023
        )
    # What is found nowhere has a row of its own among the entities.
    seldom = {name for name in held_out.names(0) if _by_entity(held_out, name).recall < 0.5}
    partly = [item for item in cells.items() if item[0][0] not in seldom and item[1].recall < 1]
    partly.sort(key=lambda item: item[1].recall)
    return [
        (entity, where, f"{count.recall:.2f}", str(count.cases))
        for (entity, where), count in partly[:most]
    ]


def _by_entity(tally: Tally, name: str) -> Count:
    return tally.sum(lambda at: at[0] == name and at[2] == PLAIN)


def benign_rows(tuning: dict[str, Count], held_out: dict[str, Count]) -> list[Row]:
    """Corpora, the most masked first."""
    worst_first = sorted(held_out.items(), key=lambda item: -item[1].over)
    return [
        (name, f"{count.benign:,}", f"{tuning[name].over:.1%}", f"{count.over:.1%}")
        for name, count in worst_first
    ]


def useful_rows(answers: Iterable[Answer]) -> list[Row]:
    """How often each question is answered."""
    every = list(answers)
    rows: list[Row] = []
    for question in QUESTIONS:
        asked = [answer for answer in every if answer.question == question]
        counts = [
            str(sum(answer.how == how for answer in asked))
            for how in ("shown", "by tag", "missing")
        ]
        unanswered = sorted({answer.action for answer in asked if answer.how != "shown"})
        rows.append((question, str(len(asked)), *counts, ", ".join(unanswered)))
    return rows


def table(title: str, heads: Row, rows: Iterable[Row], *, markdown: bool) -> str:
    """Aligned for a terminal, or as Markdown."""
    lines = [list(heads), *([str(cell) for cell in row] for row in rows)]
    if markdown:
        body = ["| " + " | ".join(line) + " |" for line in lines]
        body.insert(1, "|" + "---|" * len(heads))
        return f"**{title}**\n\n" + "\n".join(body) + "\n"
    widths = [max(len(line[at]) for line in lines) for at in range(len(heads))]
    body = [
        "  " + "  ".join(
            cell.ljust(width) if at == 0 else cell.rjust(width) if at < len(line) - 1 else cell
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]  # fmt: skip
    return f"{title}\n" + "\n".join(body) + "\n"
