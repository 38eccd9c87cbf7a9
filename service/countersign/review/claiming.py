"""Whether an approval may be spent now, by this claimant, for this context.

Invariants 4, 5 and 8: a wrong attempt changes nothing; a right one is judged by
today's policy against the recorded votes, and grants or voids them.
"""

from __future__ import annotations

import dataclasses
import hmac

from countersign.model import (
    CallerId,
    Effect,
    Instant,
    PersonId,
    Reason,
    Requirement,
    Review,
    ReviewState,
    Vote,
    after,
)
from countersign.review.events import ClaimAttempted, People, Refusal
from countersign.review.seats import approvals, asked_by_approval, first_unfilled, seat_of
from countersign.review.standing import glass_breakers


def claim_refusal(review: Review, event: ClaimAttempted) -> Refusal | None:
    """Why this attempt spends nothing and changes nothing."""
    if review.state is ReviewState.CLAIMED:
        return Refusal(code="claim.spent", message="this approval has been claimed already")
    if review.state.awaits_votes:
        return Refusal(code="claim.not_approved", message="nobody has approved this yet")
    if review.state is not ReviewState.APPROVED:
        why = review.closed_reasons[0].message if review.closed_reasons else review.state.value
        return Refusal(code=f"review.{review.state.value}", message=why)
    today = event.policy.requirement
    if not may_claim(review.requirement, review.caller, event.claimant, event.audience) or (
        today is not None and not may_claim(today, review.caller, event.claimant, event.audience)
    ):
        return Refusal(
            code="claim.wrong_claimant", message="policy lets somebody else execute this action"
        )
    if not hmac.compare_digest(review.commitment, event.commitment):
        return Refusal(
            code="claim.mismatch",
            message="this is not the context that was approved; nothing was spent",
        )
    return None


def may_claim(
    requirement: Requirement, requester: CallerId, claimant: CallerId, audience: str
) -> bool:
    """Whether policy lets this caller execute: the requester, unless it names others."""
    if not requirement.claim_by:
        return claimant == requester
    return bool(audience) and audience in requirement.claim_by


def voided(review: Review, event: ClaimAttempted, now: Instant) -> tuple[Reason, ...]:
    """Why today's policy no longer grants what was approved; empty when it does."""
    if event.policy.effect is Effect.ALLOW:
        return ()
    if event.policy.effect is Effect.DENY:
        return event.policy.reasons
    today = event.policy.requirement
    if today is None:
        return (Reason(code="policy.invalid", message="policy states no requirement"),)
    return insufficient(review, today, event.excluded, event.people, now)


def insufficient(
    review: Review,
    today: Requirement,
    excluded: frozenset[PersonId],
    people: People,
    now: Instant,
) -> tuple[Reason, ...]:
    """Why the recorded votes do not meet today's requirement; empty when they do."""
    if review.approved_at is None or now >= after(review.approved_at, today.use_within_s):
        return (_short("the approval is older than policy now allows"),)
    if not set(today.must_show) <= set(review.requirement.must_show):
        return (_short("policy now demands to see what the approvers were not shown"),)
    good = _good_votes(review, today, excluded, people)
    if review.after_review is not None:
        return _glass_insufficient(review, today, good, people)
    stages = asked_by_approval(review, today.stages)
    eligible = [people.eligible(review.tenant, stage) for stage in stages]
    stage = first_unfilled(stages, eligible, [seat_of(vote) for vote in good])
    if stage is None:
        return ()
    return (_short(f'the votes no longer meet stage "{stage.name}"'),)


def _good_votes(
    review: Review, today: Requirement, excluded: frozenset[PersonId], people: People
) -> list[Vote]:
    """Recorded approvals that today's requirement and directory still take."""
    barred = {*review.excluded, *excluded, *today.exclude}
    return [
        vote
        for vote in approvals(review)
        if barred.isdisjoint((vote.person, seat_of(vote), *vote.known_to))
        and people.groups_of(review.tenant, vote.person) is not None
        and vote.assurance.meets(today.min_assurance)
        and (vote.reason.strip() or not today.require_reason)
    ]


def _glass_insufficient(
    review: Review, today: Requirement, good: list[Vote], people: People
) -> tuple[Reason, ...]:
    """Whether the one who broke the glass could still break it today."""
    judged_today = dataclasses.replace(review, requirement=today)
    may_break = glass_breakers(judged_today, people)
    if any(vote.break_glass and vote.person in may_break for vote in good):
        return ()
    return (_short("policy no longer lets the one who broke the glass break it"),)


def _short(message: str) -> Reason:
    return Reason(code="approval.insufficient", message=message)
