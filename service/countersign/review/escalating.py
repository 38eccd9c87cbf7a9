"""Escalation: a stage that stays open asks more people, and nobody less.

Its time counts from when the stage opened. Invariant 10: an escalation is a
transition like any other, and never an approval.
"""

from __future__ import annotations

import dataclasses

from countersign.model import Instant, Review, after
from countersign.review.changes import changed
from countersign.review.seats import approvals, current_stage, level


def scheduled(review: Review) -> Review:
    """The review with its next escalation's time, as its votes now stand."""
    escalate_at = _escalate_at(review)
    if escalate_at == review.escalate_at:
        return review
    return dataclasses.replace(review, escalate_at=escalate_at)


def escalated(review: Review, now: Instant) -> Review:
    """The open stage asks more people: every level whose time has come."""
    index = current_stage(review)
    levels = [level(review, at) for at in range(len(review.requirement.stages))]
    moved = changed(review)
    while moved.escalate_at is not None and moved.escalate_at <= now:
        levels[index] += 1
        moved = scheduled(dataclasses.replace(moved, escalated=tuple(levels)))
    return moved


def _escalate_at(review: Review) -> Instant | None:
    """When the open stage asks more people, counted from when it opened."""
    index = current_stage(review)
    if not review.state.awaits_votes or index >= len(review.requirement.stages):
        return None
    steps = review.requirement.stages[index].escalate[level(review, index) :]
    if not steps:
        return None
    earlier = [vote.at for vote in approvals(review) if vote.stage < index]
    return after(max(earlier, default=review.created_at), steps[0].after_s)
