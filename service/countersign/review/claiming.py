"""Whether an approval may be spent now, by this claimant, for this context.

Invariants 4, 5 and 8: a wrong attempt changes nothing; a right one is judged by
today's policy against the recorded votes, and grants or voids them.
"""

from __future__ import annotations

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
    after,
)
from countersign.review.events import ClaimAttempted, People, Refusal
from countersign.review.seats import approvals, first_unfilled


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
    barred = {*review.excluded, *excluded, *today.exclude}
    good = [
        vote.person
        for vote in approvals(review)
        if vote.person not in barred
        and vote.assurance.meets(today.min_assurance)
        and (vote.reason.strip() or not today.require_reason)
    ]
    eligible = [people.eligible(review.tenant, stage) for stage in today.stages]
    stage = first_unfilled(today.stages, eligible, good)
    if stage is None:
        return ()
    return (_short(f'the votes no longer meet stage "{stage.name}"'),)


def _short(message: str) -> Reason:
    return Reason(code="approval.insufficient", message=message)
