"""What people do with reviews, once for both clients: what is sent, and what it means.

Every method is a generator of steps (see `steps`). A channel's requests say each
time who acts. A vote names exactly what was shown (invariant 4), so it takes the
review as it was on the screen. Patience with the server is `Exchange`'s.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Self

from countersign.client.assertion import PersonAssertion, timestamp
from countersign.client.exchange import Exchange
from countersign.client.shown import Shown, batch_request, batch_results, shown_in
from countersign.client.status import CallFailed, error_of
from countersign.client.steps import Conversation, Hear, Sleep, Tell, Telling
from countersign.model import Choice, Reason, ReviewState, new_id
from countersign.v1 import context_pb2, reviews_pb2

_VOTES: Final = {
    Choice.APPROVE: reviews_pb2.VOTE_APPROVE,
    Choice.DENY: reviews_pb2.VOTE_DENY,
}
_PAGE: Final = 200


class Deciding(Exchange):
    """Makes the conversations of one credential, or of one person it speaks for."""

    _person: PersonAssertion | None = None

    def for_person(self, person: PersonAssertion) -> Self:
        """The same, as somebody a channel vouches for."""
        theirs = copy.copy(self)
        theirs._person = person  # noqa: SLF001 - one of the same class
        return theirs

    def list(self, states: Sequence[ReviewState]) -> Telling[reviews_pb2.Review]:
        """Page after page."""
        request = reviews_pb2.ListReviewsRequest(
            states=[_state(state) for state in states], page_size=_PAGE
        )
        while True:
            page: reviews_pb2.ListReviewsResponse = yield from self._said("List", request)
            for review in page.reviews:
                yield Tell(review)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def watch(self) -> Telling[reviews_pb2.Review]:
        """One stream after the other; raises when the server stays away for too long."""
        request = reviews_pb2.WatchReviewsRequest()
        self._say_who(request)
        attempt, heard_s = 0, self._clock()
        while True:
            try:
                review = yield Hear(method="Watch", request=request)
            except CallFailed as failed:
                away_s = self._clock() - heard_s
                if not failed.passing or away_s >= self._timing.max_outage_s:
                    raise error_of(failed) from failed
                review = None
            if review is None:
                yield Sleep(seconds=self.backoff_s(attempt))
                attempt += 1
            else:
                attempt, heard_s = 0, self._clock()
                yield Tell(review)

    def get(self, review_id: str) -> Conversation[reviews_pb2.Review]:
        """One review."""
        return self._said("Get", reviews_pb2.GetReviewRequest(review_id=review_id))

    def decide(
        self, review: reviews_pb2.Review, choice: Choice, profile: str, reason: str
    ) -> Conversation[reviews_pb2.Review]:
        """One vote."""
        shown = shown_in((review, profile))
        request = reviews_pb2.DecideRequest(
            review_id=shown.review_id,
            revision=shown.revision,
            profile=shown.profile,
            preview_hash=shown.preview_hash,
            vote=_VOTES[Choice(choice)],
            reason=reason,
            request_id=new_id("vot"),
        )
        return self._said("Decide", request)

    def batch_approve(
        self, items: Sequence[Shown], reason: str
    ) -> Conversation[Sequence[reviews_pb2.Review | Reason]]:
        """Many votes in one act."""
        request = batch_request(items, reason)
        answer = yield from self._said("BatchDecide", request)
        return batch_results(answer, request)

    def ask(self, review: reviews_pb2.Review, question: str) -> Conversation[reviews_pb2.Review]:
        """One question to the requester."""
        request = reviews_pb2.AskInfoRequest(
            review_id=review.status.review_id,
            revision=review.status.revision,
            question=question,
            request_id=new_id("ask"),
        )
        return self._said("AskInfo", request)

    def revoke(self, review_id: str, reason: str) -> Conversation[reviews_pb2.Review]:
        """Take an approval back."""
        request = reviews_pb2.RevokeRequest(
            review_id=review_id, reason=reason, request_id=new_id("rvk")
        )
        return self._said("Revoke", request)

    def break_glass(
        self, review: reviews_pb2.Review, reason: str, profile: str
    ) -> Conversation[reviews_pb2.Review]:
        """Approve alone. No channel says this for anybody."""
        shown = shown_in((review, profile))
        request = reviews_pb2.BreakGlassRequest(
            review_id=shown.review_id,
            revision=shown.revision,
            profile=shown.profile,
            preview_hash=shown.preview_hash,
            reason=reason,
            request_id=new_id("glass"),
        )
        return self._said("BreakGlass", request)

    def after_reviews(self) -> Conversation[Sequence[reviews_pb2.Review]]:
        """What is still to be looked at after emergencies."""
        request = reviews_pb2.ListReviewsRequest(after_reviews=True)
        page: reviews_pb2.ListReviewsResponse = yield from self._said("List", request)
        return tuple(page.reviews)

    def close_after_review(
        self, review: reviews_pb2.Review, *, justified: bool, note: str
    ) -> Conversation[reviews_pb2.Review]:
        """Say whether an emergency was one."""
        request = reviews_pb2.CloseAfterReviewRequest(
            review_id=review.status.review_id,
            justified=justified,
            note=note,
            request_id=new_id("aft"),
        )
        return self._said("CloseAfterReview", request)

    def delegate(
        self, to: str, until: datetime, starts: datetime | None, reason: str
    ) -> Conversation[reviews_pb2.Delegation]:
        """Let somebody decide in one's place."""
        request = reviews_pb2.DelegateRequest(
            delegate_id=to,
            starts_at=timestamp("starts", starts) if starts is not None else None,
            ends_at=timestamp("until", until),
            reason=reason,
            request_id=new_id("dlg"),
        )
        return self._said("Delegate", request)

    def delegations(self) -> Conversation[Sequence[reviews_pb2.Delegation]]:
        """All that have not ended."""
        request = reviews_pb2.ListDelegationsRequest()
        answer: reviews_pb2.ListDelegationsResponse = yield from self._said(
            "ListDelegations", request
        )
        return tuple(answer.delegations)

    def end_delegation(self, delegation_id: str) -> Conversation[reviews_pb2.Delegation]:
        """Take one's own back."""
        request = reviews_pb2.EndDelegationRequest(
            delegation_id=delegation_id, request_id=new_id("end")
        )
        return self._said("EndDelegation", request)

    def _said(self, method: str, request: Any) -> Conversation[Any]:
        self._say_who(request)
        return self.call(method, request)

    def _say_who(self, request: Any) -> None:
        if self._person is not None:
            request.person.CopyFrom(self._person.to_message())


def _state(state: ReviewState) -> context_pb2.ReviewState.ValueType:
    return context_pb2.ReviewState.Value(f"REVIEW_STATE_{ReviewState(state).name}")
