"""`step`: one event applied to a review, at one moment.

Deadlines come first: what is late meets a review that time has ended.
"""

from __future__ import annotations

import dataclasses
from typing import Final

from countersign.model import (
    Exchange,
    Instant,
    Outcome,
    Reason,
    Review,
    ReviewState,
    after,
)
from countersign.review.changes import changed, closed, stale
from countersign.review.claiming import claim_refusal, voided
from countersign.review.escalating import escalated, scheduled
from countersign.review.events import (
    AfterReviewClosed,
    ApprovalRevoked,
    ClaimAttempted,
    Event,
    GlassBroken,
    OutcomeReported,
    QuestionAnswered,
    QuestionAsked,
    Refusal,
    RequesterWidened,
    TimePassed,
    VoteCast,
    Withdrawn,
)
from countersign.review.standing import cannot_decide
from countersign.review.voting import break_glass, close_after_review, vote_cast

MAX_QUESTIONS: Final = 50
"""Questions one review holds; then somebody has to decide."""


def step(review: Review, event: Event, now: Instant) -> Review | Refusal:
    """Apply one event. Deadlines come first: what is late meets an ended review."""
    due = _timers(review, now)
    if isinstance(event, TimePassed):
        return due or review
    result = _applied(due or review, event, now)
    return result if isinstance(result, Refusal) else scheduled(result)


def _applied(  # noqa: C901 - one line an event
    review: Review, event: Event, now: Instant
) -> Review | Refusal:
    match event:
        case VoteCast():
            result = vote_cast(review, event, now)
        case GlassBroken():
            result = break_glass(review, event, now)
        case AfterReviewClosed():
            result = close_after_review(review, event, now)
        case QuestionAsked():
            result = _ask(review, event, now)
        case QuestionAnswered():
            result = _answer(review, event, now)
        case Withdrawn():
            result = _withdraw(review, event)
        case ApprovalRevoked():
            result = _revoke(review, event)
        case RequesterWidened():
            result = _widen(review, event)
        case ClaimAttempted():
            result = _claim(review, event, now)
        case OutcomeReported():
            result = _report(review, event, now)
        case TimePassed():
            result = review
    return result


def _timers(review: Review, now: Instant) -> Review | None:
    due = review.due_at
    if due is None or now < due:
        return None
    if review.state.awaits_votes and now < review.approve_by:
        return escalated(review, now)
    if review.state.awaits_votes:
        reason = Reason(code="review.expired", message="nobody decided in time")
        return changed(review, state=ReviewState.EXPIRED, closed_reasons=(reason,))
    if review.state is ReviewState.APPROVED:
        reason = Reason(code="review.lapsed", message="the approval was not used in time")
        return changed(review, state=ReviewState.LAPSED, closed_reasons=(reason,))
    return changed(review, outcome=Outcome.AMBIGUOUS, ended_at=now)


def _ask(review: Review, event: QuestionAsked, now: Instant) -> Review | Refusal:
    refusal = cannot_decide(review, event.person, event.people)
    if refusal:
        return refusal
    if not review.state.awaits_votes:
        return closed(review)
    outdated = stale(review, event.revision)
    if outdated:
        return outdated
    if len(review.thread) >= MAX_QUESTIONS:
        return Refusal(code="review.too_many_questions", message="no more questions fit; decide")
    asked = Exchange(id=event.id, asked_by=event.person, question=event.question, asked_at=now)
    return changed(review, state=ReviewState.INFO_REQUESTED, thread=(*review.thread, asked))


def _answer(review: Review, event: QuestionAnswered, now: Instant) -> Review | Refusal:
    if review.state is not ReviewState.INFO_REQUESTED:
        return Refusal(code="answer.nothing_asked", message="no question of this review is open")
    thread = list(review.thread)
    for index, exchange in enumerate(thread):
        if exchange.id == event.id and exchange.answer is None:
            thread[index] = dataclasses.replace(exchange, answer=event.text, answered_at=now)
            break
    else:
        return Refusal(code="answer.unknown_question", message="no such question is open")
    still_open = any(exchange.answer is None for exchange in thread)
    return changed(
        review,
        state=ReviewState.INFO_REQUESTED if still_open else ReviewState.PENDING,
        revision=review.revision + 1,
        thread=tuple(thread),
    )


def _withdraw(review: Review, event: Withdrawn) -> Review | Refusal:
    if not review.state.is_open:
        return closed(review)
    return changed(
        review,
        state=ReviewState.CANCELLED,
        closed_reasons=(event.reason,),
        superseded_by=event.superseded_by,
    )


def _revoke(review: Review, event: ApprovalRevoked) -> Review | Refusal:
    refusal = cannot_decide(review, event.person, event.people)
    if refusal:
        return refusal
    if review.state is not ReviewState.APPROVED:
        return Refusal(
            code="review.not_approved",
            message=f"only an approval can be revoked; the review is {review.state.value}",
        )
    words = f"revoked by {event.person}" + (f": {event.reason}" if event.reason else "")
    reason = Reason(code="review.revoked", message=words)
    return changed(review, state=ReviewState.REVOKED, closed_reasons=(reason,))


def _widen(review: Review, event: RequesterWidened) -> Review | Refusal:
    if not review.state.is_open:
        return closed(review)
    wider = frozenset(review.excluded) | event.excluded
    if len(wider) == len(review.excluded):
        return review
    return changed(review, excluded=tuple(sorted(wider)))


def _claim(review: Review, event: ClaimAttempted, now: Instant) -> Review | Refusal:
    refusal = claim_refusal(review, event)
    if refusal:
        return refusal
    void = voided(review, event, now)
    if void:
        return changed(review, state=ReviewState.REVOKED, closed_reasons=void)
    demanded = event.policy.requirement or review.requirement
    return changed(
        review,
        state=ReviewState.CLAIMED,
        claimant=event.claimant,
        claimed_at=now,
        permit=event.permit,
        report_by=after(now, demanded.report_within_s),
    )


def _report(review: Review, event: OutcomeReported, now: Instant) -> Review | Refusal:
    if review.state is not ReviewState.CLAIMED:
        return Refusal(code="outcome.not_claimed", message="nothing was claimed, so nothing ran")
    if review.outcome not in (None, Outcome.AMBIGUOUS):
        return Refusal(
            code="outcome.settled", message="another outcome has been reported and recorded"
        )
    return changed(
        review,
        outcome=event.outcome,
        ended_at=now,
        outcome_detail=event.detail,
        outcome_seq=event.seq,
    )
