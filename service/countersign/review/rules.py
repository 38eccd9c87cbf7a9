"""`step`: one event applied to a review, at one moment.

Deadlines come first: what is late meets a review that time has ended.
"""

from __future__ import annotations

import dataclasses
import hmac
from typing import Final

from countersign.model import (
    Choice,
    Exchange,
    Instant,
    Outcome,
    Reason,
    Review,
    ReviewState,
    Vote,
    after,
)
from countersign.review.claiming import claim_refusal, voided
from countersign.review.events import (
    ApprovalRevoked,
    ClaimAttempted,
    Event,
    OutcomeReported,
    QuestionAnswered,
    QuestionAsked,
    Refusal,
    RequesterWidened,
    TimePassed,
    VoteCast,
    Withdrawn,
)
from countersign.review.seats import current_stage
from countersign.review.standing import cannot_approve, cannot_decide, visible_previews

MAX_QUESTIONS: Final = 50
"""Questions one review holds; then somebody has to decide."""


def step(review: Review, event: Event, now: Instant) -> Review | Refusal:
    """Apply one event. Deadlines come first: what is late meets an ended review."""
    due = _timers(review, now)
    if isinstance(event, TimePassed):
        return due or review
    review = due or review
    match event:
        case VoteCast():
            result = _vote(review, event, now)
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
            result = _report(review, event)
    return result


def _next(review: Review, **changes: object) -> Review:
    return dataclasses.replace(review, version=review.version + 1, **changes)  # type: ignore[arg-type]


def _timers(review: Review, now: Instant) -> Review | None:
    due = review.due_at
    if due is None or now < due:
        return None
    if review.state.awaits_votes:
        reason = Reason(code="review.expired", message="nobody decided in time")
        return _next(review, state=ReviewState.EXPIRED, closed_reasons=(reason,))
    if review.state is ReviewState.APPROVED:
        reason = Reason(code="review.lapsed", message="the approval was not used in time")
        return _next(review, state=ReviewState.LAPSED, closed_reasons=(reason,))
    return _next(review, outcome=Outcome.AMBIGUOUS)


def _vote(review: Review, event: VoteCast, now: Instant) -> Review | Refusal:
    refusal = _vote_refusal(review, event)
    if refusal:
        return refusal
    stage = current_stage(review)
    vote = Vote(
        person=event.person,
        choice=event.choice,
        stage=min(stage, len(review.requirement.stages) - 1),
        revision=event.revision,
        profile=event.profile,
        preview_hash=event.preview_hash,
        reason=event.reason,
        assurance=event.assurance,
        at=now,
    )
    voted = _next(review, votes=(*review.votes, vote))
    if event.choice is Choice.DENY:
        reason = Reason(code="review.denied", message="an approver denied it")
        return dataclasses.replace(voted, state=ReviewState.DENIED, closed_reasons=(reason,))
    if current_stage(voted) < len(review.requirement.stages):
        return voted
    return dataclasses.replace(
        voted,
        state=ReviewState.APPROVED,
        approved_at=now,
        use_by=after(now, review.requirement.use_within_s),
    )


def _vote_refusal(review: Review, event: VoteCast) -> Refusal | None:
    approving = event.choice is Choice.APPROVE
    if approving:
        barred = cannot_approve(review, event.person, event.people, event.assurance)
    else:
        barred = cannot_decide(review, event.person, event.people)
    if not review.state.awaits_votes:
        # Who may not vote learns that first; who may, learns that it is over.
        own = cannot_decide(review, event.person, event.people)
        return own or _closed(review)
    if barred:
        return barred
    stale = _stale(review, event.revision)
    if stale:
        return stale
    shown = visible_previews(review, event.person, event.people).get(event.profile)
    if shown is None or not hmac.compare_digest(shown.hash, event.preview_hash):
        return Refusal(
            code="vote.preview_mismatch",
            message="the vote names another preview than the one this review shows you",
        )
    if approving and not shown.reviewable:
        return Refusal(
            code="review.unreviewable",
            message="what policy says must be seen is cut, masked or unreadable; "
            "it can be denied, not approved",
        )
    if review.requirement.require_reason and not event.reason.strip():
        return Refusal(code="vote.reason_required", message="this review needs a reason")
    return None


def _closed(review: Review) -> Refusal:
    return Refusal(
        code="review.closed",
        message=f"the review is {review.state.value.replace('_', ' ')}; it takes no decision",
    )


def _stale(review: Review, revision: int) -> Refusal | None:
    if revision == review.revision:
        return None
    return Refusal(
        code="vote.stale_revision",
        message="the review has changed since it was shown to you; read it again",
    )


def _ask(review: Review, event: QuestionAsked, now: Instant) -> Review | Refusal:
    refusal = cannot_decide(review, event.person, event.people)
    if refusal:
        return refusal
    if not review.state.awaits_votes:
        return _closed(review)
    stale = _stale(review, event.revision)
    if stale:
        return stale
    if len(review.thread) >= MAX_QUESTIONS:
        return Refusal(code="review.too_many_questions", message="no more questions fit; decide")
    asked = Exchange(id=event.id, asked_by=event.person, question=event.question, asked_at=now)
    return _next(review, state=ReviewState.INFO_REQUESTED, thread=(*review.thread, asked))


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
    return _next(
        review,
        state=ReviewState.INFO_REQUESTED if still_open else ReviewState.PENDING,
        revision=review.revision + 1,
        thread=tuple(thread),
    )


def _withdraw(review: Review, event: Withdrawn) -> Review | Refusal:
    if not review.state.is_open:
        return _closed(review)
    return _next(
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
    return _next(review, state=ReviewState.REVOKED, closed_reasons=(reason,))


def _widen(review: Review, event: RequesterWidened) -> Review | Refusal:
    if not review.state.is_open:
        return _closed(review)
    wider = frozenset(review.excluded) | event.excluded
    if len(wider) == len(review.excluded):
        return review
    return _next(review, excluded=tuple(sorted(wider)))


def _claim(review: Review, event: ClaimAttempted, now: Instant) -> Review | Refusal:
    refusal = claim_refusal(review, event)
    if refusal:
        return refusal
    void = voided(review, event, now)
    if void:
        return _next(review, state=ReviewState.REVOKED, closed_reasons=void)
    demanded = event.policy.requirement or review.requirement
    return _next(
        review,
        state=ReviewState.CLAIMED,
        claimant=event.claimant,
        permit=event.permit,
        report_by=after(now, demanded.report_within_s),
    )


def _report(review: Review, event: OutcomeReported) -> Review | Refusal:
    if review.state is not ReviewState.CLAIMED:
        return Refusal(code="outcome.not_claimed", message="nothing was claimed, so nothing ran")
    if review.outcome not in (None, Outcome.AMBIGUOUS):
        return Refusal(
            code="outcome.settled", message="another outcome has been reported and recorded"
        )
    return _next(review, outcome=event.outcome)
