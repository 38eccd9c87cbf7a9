"""What every rule makes of a review: its next version, or a word about why not."""

from __future__ import annotations

import dataclasses

from countersign.model import Instant, Review, ReviewState, after
from countersign.review.events import Refusal


def changed(review: Review, **changes: object) -> Review:
    """The next version of a review."""
    return dataclasses.replace(review, version=review.version + 1, **changes)  # type: ignore[arg-type]


def approved(review: Review, now: Instant) -> Review:
    """A review whose votes suffice: it can be claimed from now on, for a while."""
    return dataclasses.replace(
        review,
        state=ReviewState.APPROVED,
        approved_at=now,
        use_by=after(now, review.requirement.use_within_s),
    )


def closed(review: Review) -> Refusal:
    """It takes no decision any more."""
    return Refusal(
        code="review.closed",
        message=f"the review is {review.state.value.replace('_', ' ')}; it takes no decision",
    )


def stale(review: Review, revision: int) -> Refusal | None:
    """Why a decision on that revision comes too late."""
    if revision == review.revision:
        return None
    return Refusal(
        code="vote.stale_revision",
        message="the review has changed since it was shown to you; read it again",
    )
