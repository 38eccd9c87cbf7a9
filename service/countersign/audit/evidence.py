"""What an evidence pack says about a period: counts, exceptions, changes, a sample.

Pure. Goes through the records of a log once, in order, and keeps little: sums,
bounded lists, and a sample that anybody can draw again. It reads; that these
are the records that were logged is what the verification beside it says.

The sample are the acts (decisions, claims, broken glasses) of the period whose
`SHA-256("countersign/sample/v1/" || seed || "/" || seq)` is smallest: uniform,
independent of the order of reading, and chosen by whoever chooses the seed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import heapq
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from countersign.audit.criteria import Criteria
from countersign.audit.flat import flat
from countersign.audit.reconcile import Reconciler, Reconciliation
from countersign.audit.sentences import object_of, plain
from countersign.audit.story import tell
from countersign.model import JsonObject, JsonValue

MAX_ROWS: Final = 10_000
"""Rows of one list; what is beyond is counted only."""
MAX_SAMPLE: Final = 1_000
ACTS: Final = frozenset({"decision", "claim", "break_glass"})
"""The population of the sample: what decided or granted something."""
_REFUSED: Final = frozenset({"vote.refused", "admin.refused"})
_CHANGES: Final = frozenset(
    {"policy.changed", "directory.changed", "config.changed", "keys.changed"}
)
_EMERGENCIES: Final = frozenset({"break_glass", "after_review.closed"})

Row = dict[str, str | int | None]
_Drawn = tuple[int, int, JsonObject]
"""Minus its rank, its place among the acts, and the record: the first in a heap goes first."""


@dataclasses.dataclass(slots=True)
class Rows:
    """A bounded list of flat rows, each with its title."""

    count: int = 0
    kept: list[Row] = dataclasses.field(default_factory=list)

    def add(self, record: JsonObject) -> None:
        """One more."""
        self.count += 1
        if len(self.kept) < MAX_ROWS:
            told = tell(record)
            change = plain(record["change"]) if "change" in record else None
            self.kept.append({**flat(record), "title": told.title, "change": change})


@dataclasses.dataclass(slots=True)
class Evidence:
    """What was found in a period."""

    since: str
    until: str
    seed: str
    size: int
    """How many records the sample shall have."""
    records: int = 0
    first: Row | None = None
    last: Row | None = None
    gapless: bool = True
    """Each record of the period follows the one before by number."""
    kinds: Counter[str] = dataclasses.field(default_factory=Counter)
    effects: Counter[str] = dataclasses.field(default_factory=Counter)
    revisions: Counter[str] = dataclasses.field(default_factory=Counter)
    reviewers: Counter[str] = dataclasses.field(default_factory=Counter)
    assurances: Counter[str] = dataclasses.field(default_factory=Counter)
    unauthenticated: Counter[str] = dataclasses.field(default_factory=Counter)
    refused_calls: Counter[str] = dataclasses.field(default_factory=Counter)
    permit_keys: set[str] = dataclasses.field(default_factory=set)
    longest_silence_s: int = 0
    """Between two records: while a service runs it writes heartbeats."""
    silence_after: int = -1
    refused: Rows = dataclasses.field(default_factory=Rows)
    changes: Rows = dataclasses.field(default_factory=Rows)
    emergencies: Rows = dataclasses.field(default_factory=Rows)
    acts: int = 0
    sample: list[Row] = dataclasses.field(default_factory=list)
    reconciliation: Reconciliation = dataclasses.field(default_factory=Reconciliation)


def gather(records: Iterable[JsonObject], period: Criteria, *, seed: str, size: int) -> Evidence:
    """Go through a whole log: the period is counted, all of it reconciled."""
    evidence = Evidence(since=period.since, until=period.until, seed=seed, size=size)
    reconciler = Reconciler()
    heap: list[_Drawn] = []
    for record in records:
        reconciler.take(record)
        if period.in_time(record):
            _take(evidence, record, heap)
    drawn = [record for _, _, record in sorted(heap, key=lambda entry: entry[1])]
    evidence.sample = [{**flat(record), "title": tell(record).title} for record in drawn]
    evidence.reconciliation = reconciler.finish()
    return evidence


def _take(evidence: Evidence, record: JsonObject, heap: list[_Drawn]) -> None:
    row = flat(record)
    kind = str(row["kind"] or "unknown")
    _follow(evidence, row)
    evidence.records += 1
    evidence.kinds[kind] += 1
    if kind == "decision":
        evidence.effects[str(row["effect"] or "unknown")] += 1
        evidence.revisions[str(row["policy_revision"] or "none")] += 1
    if kind in ("vote", "break_glass") and row["person"]:
        evidence.reviewers[str(row["person"])] += 1
        evidence.assurances[str(row["assurance"] or "unknown")] += 1
    if kind == "heartbeat":
        change = object_of(record, "change")
        _add(evidence.unauthenticated, change.get("unauthenticated_calls"))
        _add(evidence.refused_calls, change.get("refused_calls"))
    kid = object_of(record, "permit").get("kid")
    if isinstance(kid, str):
        evidence.permit_keys.add(kid)
    for kinds, rows in (
        (_REFUSED, evidence.refused),
        (_CHANGES, evidence.changes),
        (_EMERGENCIES, evidence.emergencies),
    ):
        if kind in kinds:
            rows.add(record)
    if kind in ACTS and isinstance(row["seq"], int):
        evidence.acts += 1
        _draw(evidence, record, row["seq"], heap)


def rank(seed: str, seq: int) -> int:
    """Where a record stands in the draw; the smallest are the sample."""
    digest = hashlib.sha256(
        f"countersign/sample/v1/{seed}/{seq}".encode("utf-8", "replace")
    ).digest()
    return int.from_bytes(digest, "big")


def _draw(evidence: Evidence, record: JsonObject, seq: int, heap: list[_Drawn]) -> None:
    drawn = -rank(evidence.seed, seq)
    if len(heap) < evidence.size:
        heapq.heappush(heap, (drawn, evidence.acts, record))
    elif heap and drawn > heap[0][0]:
        heapq.heapreplace(heap, (drawn, evidence.acts, record))


def _follow(evidence: Evidence, row: Row) -> None:
    """Numbers without gaps, and how long nothing was written."""
    before = evidence.last
    if before is None:
        evidence.first = row
    else:
        follows = isinstance(before["seq"], int) and row["seq"] == before["seq"] + 1
        evidence.gapless = evidence.gapless and follows
        silence_s = _seconds(before["time"], row["time"])
        if silence_s > evidence.longest_silence_s and isinstance(before["seq"], int):
            evidence.longest_silence_s, evidence.silence_after = silence_s, before["seq"]
    evidence.last = row


def _seconds(before: str | int | None, after: str | int | None) -> int:
    try:
        passed = datetime.fromisoformat(str(after)) - datetime.fromisoformat(str(before))
    except (ValueError, TypeError):
        return 0
    return int(passed.total_seconds())


def _add(sums: Counter[str], counts: JsonValue) -> None:
    for code, count in (counts if isinstance(counts, dict) else {}).items():
        if type(count) is int and len(sums) < MAX_ROWS:
            sums[code] += count
