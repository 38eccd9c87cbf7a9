"""The decision surface for people. Used by the command line and by channels.

Answers are the protocol's own messages (`countersign.v1.reviews_pb2.Review`),
since whoever shows a review to a person shows all of it. A vote names what was
on the screen, so the verbs that approve take the review as it was shown. A
caller's credential is refused by the server: there is no verb here for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from countersign.client.assertion import PersonAssertion, timestamp
from countersign.client.exchange import Timing
from countersign.client.line import Line
from countersign.client.shown import Shown, batch_request, batch_results, shown_in
from countersign.credentials import Credential, read_credential
from countersign.model import Choice, Reason, ReviewState, new_id
from countersign.v1 import context_pb2, reviews_pb2

_VOTES: Final = {
    Choice.APPROVE: reviews_pb2.VOTE_APPROVE,
    Choice.DENY: reviews_pb2.VOTE_DENY,
}
_PAGE: Final = 200


class ReviewsView:
    """Reviews as one person sees and decides them. `ReviewsClient` makes them."""

    def __init__(self, line: Line, person: PersonAssertion | None = None) -> None:
        self._line = line
        self._person = person

    def list(self, states: Sequence[ReviewState] = ()) -> Iterator[reviews_pb2.Review]:
        """Reviews this person may see, newest first; the open ones by default."""
        request = reviews_pb2.ListReviewsRequest(
            states=[_state(state) for state in states], page_size=_PAGE
        )
        while True:
            page: reviews_pb2.ListReviewsResponse = self._call("List", request)
            yield from page.reviews
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def get(self, review_id: str) -> reviews_pb2.Review:
        """One review. Raises `NotFound`."""
        return self._review("Get", reviews_pb2.GetReviewRequest(review_id=review_id))

    def watch(self) -> Iterator[reviews_pb2.Review]:
        """Every visible review as it is, then each change; survives restarts.

        After a restart of the server the snapshots come again. Raises when the
        server stays away for longer than `Timing.max_outage_s`.
        """
        request = reviews_pb2.WatchReviewsRequest()
        self._say_who(request)
        return self._line.watch(request)

    def decide(
        self, review: reviews_pb2.Review, choice: Choice, *, profile: str = "", reason: str = ""
    ) -> reviews_pb2.Review:
        """Vote on a review as it was shown.

        `review` is the message that was on the screen and `profile` the preview
        of it (may be left out when there is one): the vote names its revision
        and preview hash, so it cannot count for anything that was not seen.
        """
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
        return self._review("Decide", request)

    def batch_approve(
        self, items: Sequence[Shown], *, reason: str = ""
    ) -> Sequence[reviews_pb2.Review | Reason]:
        """Approve up to 25 reviews in one act, each as it was shown.

        An item is a review, or a pair of review and profile where it has more
        than one preview. What comes back is in the order of the items: the
        review where the vote was taken, the reason where it was refused.
        """
        request = batch_request(items, reason)
        return batch_results(self._call("BatchDecide", request), request)

    def ask(self, review: reviews_pb2.Review, question: str) -> reviews_pb2.Review:
        """Ask the requester something; the review waits for the answer."""
        request = reviews_pb2.AskInfoRequest(
            review_id=review.status.review_id,
            revision=review.status.revision,
            question=question,
            request_id=new_id("ask"),
        )
        return self._review("AskInfo", request)

    def revoke(self, review_id: str, *, reason: str = "") -> reviews_pb2.Review:
        """Take an approval back, until it is claimed."""
        request = reviews_pb2.RevokeRequest(
            review_id=review_id, reason=reason, request_id=new_id("rvk")
        )
        return self._review("Revoke", request)

    def after_reviews(self) -> Sequence[reviews_pb2.Review]:
        """Reviews whose glass was broken and that nobody has looked at yet, oldest first."""
        request = reviews_pb2.ListReviewsRequest(after_reviews=True)
        page: reviews_pb2.ListReviewsResponse = self._call("List", request)
        return tuple(page.reviews)

    def close_after_review(
        self, review: reviews_pb2.Review, *, justified: bool, note: str
    ) -> reviews_pb2.Review:
        """Say whether breaking the glass was right. Never for who broke it."""
        request = reviews_pb2.CloseAfterReviewRequest(
            review_id=review.status.review_id,
            justified=justified,
            note=note,
            request_id=new_id("aft"),
        )
        return self._review("CloseAfterReview", request)

    def delegate(
        self, to: str, until: datetime, *, starts: datetime | None = None, reason: str = ""
    ) -> reviews_pb2.Delegation:
        """Let the person with the id `to` decide in one's place, from `starts` (now) on."""
        request = reviews_pb2.DelegateRequest(
            delegate_id=to,
            starts_at=timestamp("starts", starts) if starts is not None else None,
            ends_at=timestamp("until", until),
            reason=reason,
            request_id=new_id("dlg"),
        )
        delegation: reviews_pb2.Delegation = self._call("Delegate", request)
        return delegation

    def delegations(self) -> Sequence[reviews_pb2.Delegation]:
        """Every delegation of the tenant that has not ended."""
        request = reviews_pb2.ListDelegationsRequest()
        answer: reviews_pb2.ListDelegationsResponse = self._call("ListDelegations", request)
        return tuple(answer.delegations)

    def end_delegation(self, delegation_id: str) -> reviews_pb2.Delegation:
        """Take one's own delegation back."""
        request = reviews_pb2.EndDelegationRequest(
            delegation_id=delegation_id, request_id=new_id("end")
        )
        delegation: reviews_pb2.Delegation = self._call("EndDelegation", request)
        return delegation

    def _review(self, method: str, request: Any) -> reviews_pb2.Review:
        review: reviews_pb2.Review = self._call(method, request)
        return review

    def _call(self, method: str, request: Any) -> Any:
        self._say_who(request)
        return self._line.call(method, request)

    def _say_who(self, request: Any) -> None:
        if self._person is not None:
            request.person.CopyFrom(self._person.to_message())


class ReviewsClient(ReviewsView):
    """Lists, shows and decides reviews with one credential.

    A person's own acts as that person:

        with ReviewsClient.from_credential("bob.credential") as bob:
            bob.decide(bob.get(review_id), Choice.APPROVE)

    A channel's says who acts, each time somebody does:

        with ReviewsClient.from_credential("bot.credential") as channel:
            bob = channel.for_person(PersonAssertion(issuer=…, subject=…, authenticated_at=…))
            bob.decide(bob.get(review_id), Choice.APPROVE)
    """

    def __init__(self, credential: Credential, *, timing: Timing | None = None) -> None:
        super().__init__(Line(credential, timing or Timing()))

    @classmethod
    def from_credential(cls, path: str | os.PathLike[str], *, timing: Timing | None = None) -> Self:
        """A client with the credential in a file. Raises `ConfigurationError`."""
        return cls(read_credential(Path(path)), timing=timing)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection. Calls that still run fail."""
        self._line.close()

    def for_person(self, person: PersonAssertion) -> ReviewsView:
        """The same as somebody a channel vouches for, over the same connection.

        Made anew for each act, because the proof grows old. Nobody breaks the
        glass through a channel, so that verb is not there.
        """
        return ReviewsView(self._line, person)

    def break_glass(
        self, review: reviews_pb2.Review, reason: str, *, profile: str = ""
    ) -> reviews_pb2.Review:
        """Approve alone in an emergency, as it was shown; somebody else looks at it afterwards."""
        shown = shown_in((review, profile))
        request = reviews_pb2.BreakGlassRequest(
            review_id=shown.review_id,
            revision=shown.revision,
            profile=shown.profile,
            preview_hash=shown.preview_hash,
            reason=reason,
            request_id=new_id("glass"),
        )
        return self._review("BreakGlass", request)


def _state(state: ReviewState) -> context_pb2.ReviewState.ValueType:
    return context_pb2.ReviewState.Value(f"REVIEW_STATE_{ReviewState(state).name}")
