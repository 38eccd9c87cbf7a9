"""What people decide: a vote, a broken glass, and what is said of it afterwards.

Invariants 4 (what was on the screen), 6 (who), 7 (how well proven) and 9 (what
cannot be reviewed cannot be approved), for the emergency way as for the other.
"""

from __future__ import annotations

import dataclasses
import hmac

from countersign.model import (
    AfterReview,
    Assurance,
    Choice,
    Instant,
    Reason,
    Review,
    ReviewState,
    Vote,
)
from countersign.review.changes import approved, changed, closed, stale
from countersign.review.events import AfterReviewClosed, GlassBroken, Refusal, VoteCast
from countersign.review.seats import barred, current_stage
from countersign.review.standing import (
    Seat,
    after_reviewers,
    approving_seat,
    cannot_decide,
    denying_seat,
    excluded,
    glass_breakers,
    shared_preview,
    visible_previews,
)


def vote_cast(review: Review, event: VoteCast, now: Instant) -> Review | Refusal:
    """One vote, and what follows from it."""
    seat = _voting_seat(review, event)
    if isinstance(seat, Refusal):
        return seat
    stage = current_stage(review)
    vote = Vote(
        person=event.person,
        choice=event.choice,
        stage=min(stage, len(review.requirement.stages) - 1),
        revision=event.revision,
        profile=event.profile,
        preview_hash=event.preview_hash,
        reason=event.reason,
        assurance=seat.assurance(event.assurance),
        at=now,
        delegated_by=seat.delegated_by,
        channel=event.channel,
        known_to=seat.known_to(event.known_to),
    )
    voted = changed(review, votes=(*review.votes, vote))
    if event.choice is Choice.DENY:
        reason = Reason(code="review.denied", message="an approver denied it")
        return dataclasses.replace(voted, state=ReviewState.DENIED, closed_reasons=(reason,))
    if current_stage(voted) < len(review.requirement.stages):
        return voted
    return approved(voted, now)


def _voting_seat(review: Review, event: VoteCast) -> Seat | Refusal:
    """The seat this vote takes, once everything about it is right."""
    approving = event.choice is Choice.APPROVE
    if not review.state.awaits_votes:
        # Who may not vote learns that first; who may, learns that it is over.
        own = cannot_decide(review, event.person, event.people)
        return own or closed(review)
    if approving:
        seat = approving_seat(review, event.person, event.people, event.assurance, event.known_to)
    else:
        seat = denying_seat(review, event.person, event.people)
    if isinstance(seat, Refusal):
        return seat
    if event.batch and not review.requirement.batch:
        return Refusal(
            code="vote.batch_not_allowed", message="policy wants this review decided by itself"
        )
    refusal = _unseen(review, event, approving=approving)
    if refusal:
        return refusal
    if review.requirement.require_reason and not event.reason.strip():
        return Refusal(code="vote.reason_required", message="this review needs a reason")
    return seat


def _unseen(review: Review, event: VoteCast | GlassBroken, *, approving: bool) -> Refusal | None:
    """Why this was not decided on what the review shows this person now (invariants 4, 9)."""
    outdated = stale(review, event.revision)
    if outdated:
        return outdated
    visible = visible_previews(review, event.person, event.people)
    if isinstance(event, VoteCast) and _in_conversation(review, event):
        # In a conversation everybody sees one body, and may decide on that.
        visible = shared_preview(review) | visible
    shown = visible.get(event.profile)
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
    return None


def _in_conversation(review: Review, event: VoteCast) -> bool:
    """Whether policy brings this review to a conversation of the channel that votes."""
    return event.channel is not None and review.requirement.channel.startswith(f"{event.channel}:")


def break_glass(review: Review, event: GlassBroken, now: Instant) -> Review | Refusal:
    """One person for all stages; everything else a vote needs, and more."""
    refusal = _glass_refusal(review, event)
    if refusal:
        return refusal
    vote = Vote(
        person=event.person,
        choice=Choice.APPROVE,
        stage=current_stage(review),
        revision=event.revision,
        profile=event.profile,
        preview_hash=event.preview_hash,
        reason=event.reason,
        assurance=event.assurance,
        at=now,
        break_glass=True,
    )
    owed = AfterReview(person=event.person, at=now)
    return approved(changed(review, votes=(*review.votes, vote), after_review=owed), now)


def _glass_refusal(review: Review, event: GlassBroken) -> Refusal | None:
    refusal = excluded(review, event.person)
    if refusal:
        return refusal
    if event.person not in glass_breakers(review, event.people):
        return Refusal(
            code="vote.no_break_glass", message="policy lets nobody, or not you, break the glass"
        )
    if not review.state.awaits_votes:
        return closed(review)
    if event.assurance is not Assurance.PERSON:
        return Refusal(
            code="vote.assurance", message="the glass is broken with one's own credential only"
        )
    if not event.reason.strip():
        return Refusal(code="vote.reason_required", message="say why this cannot wait")
    return _unseen(review, event, approving=True)


def close_after_review(review: Review, event: AfterReviewClosed, now: Instant) -> Review | Refusal:
    """The word of somebody else on a broken glass; it stays owed until then."""
    owed = review.after_review
    if owed is None:
        return Refusal(code="after_review.none", message="nobody broke the glass of this review")
    closers = {event.person, *event.known_to}
    if owed.person in closers or not barred(review).isdisjoint(closers):
        return Refusal(
            code="after_review.own",
            message="who broke the glass, or is in the requester chain, cannot close it",
        )
    if event.person not in after_reviewers(review, event.people):
        return Refusal(
            code="vote.not_eligible", message="policy names others for looking at this afterwards"
        )
    if owed.closed_by is not None:
        return Refusal(code="after_review.closed", message="somebody has closed it already")
    if not event.note.strip():
        return Refusal(code="vote.reason_required", message="say what you found")
    closed = dataclasses.replace(
        owed,
        closed_by=event.person,
        closed_at=now,
        justified=event.justified,
        note=event.note,
    )
    return changed(review, after_review=closed)
