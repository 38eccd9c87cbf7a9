"""Claims against outcomes: whether everything that was granted is accounted for.

Pure. Goes through records once, in order, and names what does not add up:

    claim.unreported        spent, and nobody said in time how it ended
    claim.without_decision  for a review that no decision opened
    claim.without_vote      granted though nobody approved, and policy did not allow it
    claim.twice             one approval spent twice
    claim.other_context     granted for another commitment than was decided on
    outcome.without_claim   a report on something that was never granted
    outcome.late            reported after its time
    outcome.ambiguous       nobody knows whether it happened
    glass.open              an emergency that nobody has looked at since

What was never recorded it cannot know: compare with the executors' own logs. It
reads; `verify` proves. Called by the command line and the evidence pack.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from countersign.audit.sentences import object_of, text_of
from countersign.model import JsonObject, JsonValue


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Discrepancy:
    """One thing that does not add up."""

    code: str
    seq: int
    message: str
    about: str
    """The review or decision."""


@dataclasses.dataclass(slots=True)
class _Affair:
    """What is known of one review, or of one decision that policy allowed at once."""

    seq: int
    commitment: JsonValue = None
    report_within_s: int | None = None
    approved: bool = False
    claimed: int | None = None
    claim_time: str = ""
    overdue: bool = False
    ended: str = ""
    ended_seq: int = 0
    glass: int | None = None


@dataclasses.dataclass(slots=True)
class Reconciliation:
    """The sums, and what is left over."""

    claims: int = 0
    reported: int = 0
    allowed: int = 0
    """Decisions that policy allowed at once: nobody has to report on them."""
    allowed_reported: int = 0
    open: int = 0
    """Claims whose time to report is not over yet."""
    found: list[Discrepancy] = dataclasses.field(default_factory=list)


def reconcile(records: Iterable[JsonObject]) -> Reconciliation:
    """Reconcile the records of a whole log."""
    run = Reconciler()
    for record in records:
        run.take(record)
    return run.finish()


class Reconciler:
    """One pass, record by record."""

    def __init__(self) -> None:
        self._reviews: dict[str, _Affair] = {}
        self._granted: dict[str, _Affair] = {}
        """What may be reported on, by the id of the decision that granted it."""
        self._sums = Reconciliation()
        self._now = ""

    def take(self, record: JsonObject) -> None:
        """The next record."""
        self._now = max(self._now, text_of(record, "time"))
        kind = text_of(record, "kind")
        if kind == "decision":
            self._decided(record)
        elif kind == "claim" and record.get("effect") == "allow":
            self._claimed(record)
        elif kind == "outcome":
            self._ended(record)
        elif kind in ("review.created", "vote", "break_glass", "after_review.closed"):
            self._reviewed(kind, record)

    def _decided(self, record: JsonObject) -> None:
        review = text_of(record, "review")
        affair = _Affair(seq=_seq(record), commitment=record.get("commitment"))
        if review:
            self._reviews.setdefault(review, affair)
        elif record.get("effect") == "allow":
            self._sums.allowed += 1
            affair.claim_time = text_of(record, "time")
            self._granted[text_of(record, "decision")] = affair

    def _reviewed(self, kind: str, record: JsonObject) -> None:
        affair = self._reviews.get(text_of(record, "review"))
        if affair is None:
            return
        if kind == "review.created":
            within = object_of(record, "requirement").get("report_within_s")
            affair.report_within_s = within if type(within) is int else None
        elif kind == "after_review.closed":
            affair.glass = None
        elif object_of(record, "vote").get("choice", "approve") == "approve":
            affair.approved = True
            affair.glass = _seq(record) if kind == "break_glass" else affair.glass

    def _claimed(self, record: JsonObject) -> None:
        self._sums.claims += 1
        review = text_of(record, "review")
        affair = self._reviews.get(review)
        if affair is None:
            self._name("claim.without_decision", record, "no decision opened its review")
            affair = self._reviews[review] = _Affair(seq=_seq(record), approved=True)
        elif affair.commitment != record.get("commitment"):
            self._name("claim.other_context", record, "granted for another context than decided on")
        if affair.claimed is not None:
            self._name("claim.twice", record, f"spent already by record {affair.claimed}")
        if not affair.approved and object_of(record, "policy").get("effect") != "allow":
            self._name("claim.without_vote", record, "granted, and nobody approved it")
        affair.claimed, affair.claim_time = _seq(record), text_of(record, "time")
        self._granted[text_of(record, "decision")] = affair

    def _ended(self, record: JsonObject) -> None:
        report = object_of(record, "outcome")
        if not report:  # the service says that no report came in time
            affair = self._reviews.get(text_of(record, "review"))
            if affair is not None:
                affair.overdue = True
            return
        affair = self._granted.get(text_of(record, "decision"))
        if affair is None:
            self._name("outcome.without_claim", record, "reports on what was never granted")
            return
        if not affair.ended:
            if affair.claimed is None:
                self._sums.allowed_reported += 1
            else:
                self._sums.reported += 1
            if affair.overdue or _is_late(affair, text_of(record, "time")):
                self._name("outcome.late", record, "reported after its time")
        affair.ended, affair.ended_seq = text_of(report, "outcome"), _seq(record)

    def finish(self) -> Reconciliation:
        """What is left when the log ends."""
        for review, affair in self._reviews.items():
            for code, seq, message in self._left(affair):
                self._sums.found.append(
                    Discrepancy(code=code, seq=seq, message=message, about=review)
                )
        self._sums.found.sort(key=lambda item: (item.seq, item.code))
        return self._sums

    def _left(self, affair: _Affair) -> Iterator[tuple[str, int, str]]:
        if affair.glass is not None:
            yield "glass.open", affair.glass, "nobody has looked at this emergency"
        if affair.ended == "ambiguous":
            yield "outcome.ambiguous", affair.ended_seq, "nobody knows whether it happened"
        if affair.claimed is not None and not affair.ended:
            if affair.overdue or _is_late(affair, self._now):
                yield "claim.unreported", affair.claimed, "nobody said how it ended"
            else:
                self._sums.open += 1

    def _name(self, code: str, record: JsonObject, message: str) -> None:
        about = text_of(record, "review") or text_of(record, "decision")
        self._sums.found.append(
            Discrepancy(code=code, seq=_seq(record), message=message, about=about)
        )


def _is_late(affair: _Affair, time: str) -> bool:
    if affair.report_within_s is None:
        return False
    try:
        due = datetime.fromisoformat(affair.claim_time) + timedelta(seconds=affair.report_within_s)
        return datetime.fromisoformat(time) > due
    except (ValueError, OverflowError, TypeError):
        return False


def _seq(record: JsonObject) -> int:
    seq = record.get("seq")
    return seq if type(seq) is int else -1
