"""Move a review inside a transaction: timers first, every change recorded.

The one place where `review.step` meets the store. Called by every verb and by
the sweeper, inside their commands.
"""

from __future__ import annotations

from countersign.errors import (
    NotFoundError,
    NotPermittedError,
    PreconditionError,
    RequestError,
    UnavailableError,
)
from countersign.flow import record
from countersign.flow.filing import file
from countersign.model import JsonValue, PersonId, Review, ReviewId, TenantId
from countersign.review import Event, Refusal, RequesterWidened, TimePassed, step
from countersign.store.protocol import Transaction


def unknown_review() -> NotFoundError:
    """No such review; another tenant's or caller's looks exactly the same."""
    return NotFoundError("review.not_found", "no such review")


def current(tx: Transaction, tenant: TenantId, review_id: ReviewId) -> Review:
    """The review as it is now, with every timer that is due applied and recorded.

    Raises `NotFoundError`.
    """
    review = tx.review(tenant, review_id)
    if review is None:
        raise unknown_review()
    return elapsed(tx, review)


def elapsed(tx: Transaction, review: Review) -> Review:
    """Apply due timers to a review just read."""
    timed = step(review, TimePassed(), tx.now)
    assert not isinstance(timed, Refusal)  # noqa: S101 - time is never refused
    if timed is not review:
        tx.put_review(timed)
        file(tx, timed.tenant, record.of_review(_kind_of_timer(review, timed), timed))
    return timed


def _kind_of_timer(before: Review, after: Review) -> str:
    if after.state is not before.state:
        return "review.closed"
    return "outcome" if after.outcome is not before.outcome else "review.escalated"


def moved(
    tx: Transaction, review: Review, event: Event, kind: str, **fields: JsonValue
) -> Review | Refusal:
    """Apply one event and record it under `kind`; a refusal changes nothing.

    A review that this event ended gets its `review.closed` record as well.
    """
    result = step(review, event, tx.now)
    if isinstance(result, Refusal) or result is review:
        return result
    tx.put_review(result)
    if kind != "review.closed":
        file(tx, result.tenant, record.of_review(kind, result, **fields))
    if kind == "review.closed" or (review.state.is_open and not result.state.is_open):
        extra = fields if kind == "review.closed" else {}
        file(tx, result.tenant, record.of_review("review.closed", result, **extra))
    return result


def widen(tx: Transaction, review: Review, excluded: frozenset[PersonId]) -> Review:
    """Exclude these people as well; the record names who is excluded that was not."""
    fresh = sorted(excluded - frozenset(review.excluded))
    wider = moved(
        tx,
        review,
        RequesterWidened(excluded=excluded),
        "review.updated",
        excluded=list[JsonValue](fresh),
    )
    return review if isinstance(wider, Refusal) else wider


_ADVICE = {
    "vote.self_approval": "Ask another approver; `countersign review show` names who is excluded.",
    "vote.excluded": "Ask another approver.",
    "vote.not_eligible": "The review names the groups and people it asks for.",
    "vote.assurance": "Decide with your own credential: `countersign review approve`.",
    "vote.account_too_new": "Use a way in that you had before, or wait until then.",
    "vote.token_known": "Use another credential of yours, or have a new token made elsewhere.",
    "vote.batch_not_allowed": "Approve it by itself.",
    "vote.no_break_glass": "Ask an approver of the open stage.",
    "after_review.own": "Somebody else has to look at it.",
    "vote.stale_revision": "Read it again with `countersign review show`, then decide.",
    "vote.preview_mismatch": "Read it again with `countersign review show`, then decide.",
    "vote.reason_required": "Give --reason.",
    "review.unreviewable": "Deny it, and ask for a smaller or plainer request.",
}
_NOT_PERMITTED = (
    "after_review.own",
    "vote.account_too_new",
    "vote.assurance",
    "vote.excluded",
    "vote.no_break_glass",
    "vote.not_eligible",
    "vote.self_approval",
    "vote.token_known",
)
_PASSING = ("directory.stale",)


def as_error(refusal: Refusal) -> RequestError:
    """The refusal as the error its sender gets."""
    advice = _ADVICE.get(refusal.code, "")
    if refusal.code in _NOT_PERMITTED:
        return NotPermittedError(refusal.code, refusal.message, advice=advice)
    if refusal.code in _PASSING:
        return UnavailableError(refusal.code, refusal.message, advice=advice)
    return PreconditionError(refusal.code, refusal.message, advice=advice)
