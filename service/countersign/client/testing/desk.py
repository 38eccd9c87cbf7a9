"""The people's side of a decision point in memory: what `Reviews` answers.

Speaks the messages of `countersign.v1.Reviews` and refuses what the server
refuses of every review: a vote on what has changed since it was shown, a second
vote, the vote of somebody behind the request, a broken glass or a batch that
the rule does not allow. Previews hold the context unmasked, for there is no
sanitizer here. Everybody sees everything. Used by the fakes and, behind real
gRPC, by the SDK's own tests.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from typing import Any, Final

from google.protobuf.message import Message

from countersign.client.status import CallFailed
from countersign.client.testing.decision_point import DecisionPoint, failure
from countersign.client.testing.rules import HeldReview
from countersign.model import ReviewState, new_id
from countersign.v1 import context_pb2, reviews_pb2

PROFILE: Final = "reviewer"
_NOT_PERMITTED: Final = ("after_review.own", "vote.no_break_glass", "vote.self_approval")


class Desk:
    """Shows and decides the reviews of a decision point. Safe to use from threads."""

    def __init__(
        self, point: DecisionPoint, now: Callable[[], float], *, page_size: int = 50
    ) -> None:
        self.delegations: dict[str, reviews_pb2.Delegation] = {}
        self._point = point
        self._now = now
        self._page_size = page_size
        self._answers: dict[tuple[str, str, str], Message] = {}
        self._lock = threading.RLock()

    def handle(self, method: str, request: Message, person: str) -> Message:
        """Answer one call of a person, the same request id always the same. Raises `CallFailed`."""
        with self._lock:
            key = (person, method, getattr(request, "request_id", ""))
            if key[2] and key in self._answers:
                return self._answers[key]
            try:
                answer = _METHODS[method](self, request, person)
            except ValueError as error:  # what the decision point says to a person
                raise failure("FAILED_PRECONDITION", "review.closed", str(error)) from None
            if key[2]:
                self._answers[key] = answer
            return answer

    def view(self, review_id: str, person: str) -> reviews_pb2.Review:
        """One review, as everybody sees it; what is said of the reader is for this person."""
        held = self._point.held(review_id)
        status = self._point.status(review_id)
        review = reviews_pb2.Review(
            status=status,
            batch=held.rule.batch,
            can_break_glass=person in held.rule.break_glass and _may_vote(held, person),
            cannot_decide=person in held.behind,
            cannot_approve="" if _may_vote(held, person) else "you are behind it, or have voted",
            after_review=held.after_review,
            stages=[
                reviews_pb2.StageProgress(
                    name="test", quorum=held.rule.quorum, approvals=len(held.approvals)
                )
            ],
        )
        shown = f"{review_id}/{status.revision}".encode()
        review.previews[PROFILE].context_json = held.bound
        review.previews[PROFILE].hash = hashlib.sha256(shown + held.bound).digest()
        review.previews[PROFILE].reviewable = True
        return review

    def _list(
        self, request: reviews_pb2.ListReviewsRequest, person: str
    ) -> reviews_pb2.ListReviewsResponse:
        views = [self.view(name, person) for name in self._point.reviews]
        if request.after_reviews:
            owed = [v for v in views if v.HasField("after_review") and not v.after_review.closed_by]
            return reviews_pb2.ListReviewsResponse(reviews=owed)
        wanted = set(request.states) or _OPEN
        names = sorted(v.status.review_id for v in views if v.status.state in wanted)
        start = names.index(request.page_token) if request.page_token else 0
        rest = names[start + self._page_size :]
        return reviews_pb2.ListReviewsResponse(
            reviews=[self.view(name, person) for name in names[start : start + self._page_size]],
            next_page_token=rest[0] if rest else "",
        )

    def _get(self, request: reviews_pb2.GetReviewRequest, person: str) -> reviews_pb2.Review:
        return self.view(request.review_id, person)

    def _decide(self, request: reviews_pb2.DecideRequest, person: str) -> reviews_pb2.Review:
        self._require_shown(request, person)
        self._require_vote(request.review_id, person)
        if request.vote == reviews_pb2.VOTE_APPROVE:
            self._point.approve(request.review_id, person)
        else:
            self._point.deny(request.review_id, person, request.reason)
        return self.view(request.review_id, person)

    def _batch(
        self, request: reviews_pb2.BatchDecideRequest, person: str
    ) -> reviews_pb2.BatchDecideResponse:
        answer = reviews_pb2.BatchDecideResponse()
        for item in request.items:
            result = answer.results.add(review_id=item.review_id)
            try:
                result.review.CopyFrom(self._approve_item(item, person))
            except CallFailed as failed:
                result.refusal.code, result.refusal.message = failed.reason, failed.message
        return answer

    def _approve_item(self, item: reviews_pb2.BatchItem, person: str) -> reviews_pb2.Review:
        self._require_shown(item, person)
        self._require_vote(item.review_id, person)
        if not self._point.held(item.review_id).rule.batch:
            raise _refused("vote.batch_not_allowed", "policy wants this review decided by itself")
        self._point.approve(item.review_id, person)
        return self.view(item.review_id, person)

    def _break_glass(
        self, request: reviews_pb2.BreakGlassRequest, person: str
    ) -> reviews_pb2.Review:
        self._require_shown(request, person)
        if not self.view(request.review_id, person).can_break_glass:
            raise _refused("vote.no_break_glass", "policy lets nobody, or not you, break the glass")
        if not request.reason.strip():
            raise _refused("vote.reason_required", "say why this cannot wait")
        self._point.break_glass(request.review_id, person)
        return self.view(request.review_id, person)

    def _close(
        self, request: reviews_pb2.CloseAfterReviewRequest, person: str
    ) -> reviews_pb2.Review:
        held = self._point.held(request.review_id)
        owed = held.after_review
        if owed is None:
            raise _refused("after_review.none", "nobody broke the glass of this review")
        if person == owed.person_id or person in held.behind:
            raise _refused("after_review.own", "who broke the glass cannot close it")
        if owed.closed_by:
            raise _refused("after_review.closed", "somebody has closed it already")
        if not request.note.strip():
            raise _refused("vote.reason_required", "say what you found")
        owed.closed_by, owed.justified, owed.note = person, request.justified, request.note
        owed.closed_at.FromMicroseconds(int(self._now() * 1e6))
        return self.view(request.review_id, person)

    def _ask(self, request: reviews_pb2.AskInfoRequest, person: str) -> reviews_pb2.Review:
        self._point.ask(request.review_id, person, request.question)
        return self.view(request.review_id, person)

    def _revoke(self, request: reviews_pb2.RevokeRequest, person: str) -> reviews_pb2.Review:
        self._point.revoke(request.review_id, person, request.reason)
        return self.view(request.review_id, person)

    def _delegate(
        self, request: reviews_pb2.DelegateRequest, person: str
    ) -> reviews_pb2.Delegation:
        delegation = reviews_pb2.Delegation(
            delegation_id=new_id("dlg"),
            delegator_id=person,
            delegate_id=request.delegate_id,
            ends_at=request.ends_at,
            reason=request.reason,
            assurance="person",
        )
        if request.HasField("starts_at"):
            delegation.starts_at.CopyFrom(request.starts_at)
        else:
            delegation.starts_at.FromMicroseconds(int(self._now() * 1e6))
        self.delegations[delegation.delegation_id] = delegation
        return delegation

    def _list_delegations(
        self, request: reviews_pb2.ListDelegationsRequest, person: str
    ) -> reviews_pb2.ListDelegationsResponse:
        del request, person
        lasting = [
            given
            for given in self.delegations.values()
            if not given.HasField("ended_at") and given.ends_at.ToMicroseconds() > self._now() * 1e6
        ]
        return reviews_pb2.ListDelegationsResponse(delegations=lasting)

    def _end_delegation(
        self, request: reviews_pb2.EndDelegationRequest, person: str
    ) -> reviews_pb2.Delegation:
        given = self.delegations.get(request.delegation_id)
        if given is None or given.delegator_id != person:
            raise failure("NOT_FOUND", "delegation.not_found", "no such delegation of yours")
        given.ended_at.FromMicroseconds(int(self._now() * 1e6))
        return given

    def _require_shown(self, item: Any, person: str) -> None:
        shown = self.view(item.review_id, person)
        if item.revision != shown.status.revision:
            raise _refused(
                "vote.stale_revision", "the review changed since it was shown", "Look at it again."
            )
        if item.preview_hash != shown.previews[PROFILE].hash or item.profile != PROFILE:
            raise _refused("vote.preview_mismatch", "that is not the preview of this review")

    def _require_vote(self, review_id: str, person: str) -> None:
        held = self._point.held(review_id)
        if person in held.behind:
            raise _refused("vote.self_approval", "you are behind this request")
        if person in held.approvals:
            raise _refused("vote.duplicate", "you have already voted on this revision")
        if not held.state.awaits_votes:
            raise _refused("review.closed", f"the review is {held.state}")


def _may_vote(held: HeldReview, person: str) -> bool:
    return held.state.awaits_votes and person not in {*held.behind, *held.approvals}


def _refused(reason: str, message: str, advice: str = "") -> CallFailed:
    status = "PERMISSION_DENIED" if reason in _NOT_PERMITTED else "FAILED_PRECONDITION"
    refused = failure(status, reason, message)
    refused.advice = advice
    return refused


_OPEN: Final = {
    context_pb2.ReviewState.Value(f"REVIEW_STATE_{state.name}")
    for state in ReviewState
    if state.is_open
}
_METHODS: Final[dict[str, Callable[[Desk, Any, str], Message]]] = {
    "List": Desk._list,  # noqa: SLF001 - its own dispatch table
    "Get": Desk._get,  # noqa: SLF001
    "Decide": Desk._decide,  # noqa: SLF001
    "BatchDecide": Desk._batch,  # noqa: SLF001
    "BreakGlass": Desk._break_glass,  # noqa: SLF001
    "CloseAfterReview": Desk._close,  # noqa: SLF001
    "AskInfo": Desk._ask,  # noqa: SLF001
    "Revoke": Desk._revoke,  # noqa: SLF001
    "Delegate": Desk._delegate,  # noqa: SLF001
    "ListDelegations": Desk._list_delegations,  # noqa: SLF001
    "EndDelegation": Desk._end_delegation,  # noqa: SLF001
}
