"""The decision surface for a person's own credential. Used by the command line.

Answers are the protocol's own messages (`countersign.v1.reviews_pb2.Review`),
since whoever shows a review to a person shows all of it. A machine's credential
is refused by the server: there is no verb here for it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import grpc
from google.protobuf.message import Message

from countersign.client.channel import metadata, open_channel
from countersign.client.errors import InvalidRequest
from countersign.client.exchange import Exchange, Timing
from countersign.client.status import CallFailed, error_of
from countersign.client.sync import carry_out, closed, invoke
from countersign.credentials import Credential, read_credential
from countersign.model import Choice, ReviewState, new_id
from countersign.v1 import context_pb2, reviews_pb2
from countersign.v1.reviews_pb2_grpc import ReviewsStub

_VOTES: Final = {
    Choice.APPROVE: reviews_pb2.VOTE_APPROVE,
    Choice.DENY: reviews_pb2.VOTE_DENY,
}
_PAGE: Final = 200


class ReviewsClient:
    """Lists, shows and decides reviews as the person whose credential it has."""

    def __init__(self, credential: Credential, *, timing: Timing | None = None) -> None:
        self._metadata = metadata(credential)
        self._channel = open_channel(credential)
        self._stub = ReviewsStub(self._channel)
        self._timing = timing or Timing()
        self._exchange = Exchange(self._timing)

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
        self._channel.close()

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

    def decide(
        self, review: reviews_pb2.Review, choice: Choice, *, profile: str = "", reason: str = ""
    ) -> reviews_pb2.Review:
        """Vote on a review as it was shown.

        `review` is the message that was on the screen and `profile` the preview
        of it (may be left out when there is one): the vote names its revision
        and preview hash, so it cannot count for anything that was not seen.
        """
        if not profile and len(review.previews) == 1:
            profile = next(iter(review.previews))
        if profile not in review.previews:
            raise InvalidRequest("profile", "must name the preview that was shown")
        request = reviews_pb2.DecideRequest(
            review_id=review.status.review_id,
            revision=review.status.revision,
            profile=profile,
            preview_hash=review.previews[profile].hash,
            vote=_VOTES[Choice(choice)],
            reason=reason,
            request_id=new_id("vot"),
        )
        return self._review("Decide", request)

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

    def watch(self) -> Iterator[reviews_pb2.Review]:
        """Every visible review as it is, then each change; survives restarts.

        After a restart of the server the snapshots come again. Raises when the
        server stays away for longer than `Timing.max_outage_s`.
        """
        attempt, heard_s = 0, time.monotonic()
        while True:
            try:
                stream = self._stub.Watch(
                    reviews_pb2.WatchReviewsRequest(), metadata=self._metadata
                )
            except ValueError as error:  # what grpc says of a closed channel
                raise closed() from error
            try:
                for review in stream:
                    attempt, heard_s = 0, time.monotonic()
                    yield review
            except grpc.RpcError as error:
                failed = CallFailed.of(error)
                if not failed.passing or time.monotonic() - heard_s >= self._timing.max_outage_s:
                    raise error_of(failed) from error
            finally:
                stream.cancel()
            time.sleep(self._exchange.backoff_s(attempt))
            attempt += 1

    def _review(self, method: str, request: Message) -> reviews_pb2.Review:
        review: reviews_pb2.Review = self._call(method, request)
        return review

    def _call(self, method: str, request: Message) -> Any:
        return carry_out(
            self._exchange.call(method, request),
            invoke=lambda call: invoke(self._stub, call, self._metadata),
        )


def _state(state: ReviewState) -> context_pb2.ReviewState.ValueType:
    return context_pb2.ReviewState.Value(f"REVIEW_STATE_{ReviewState(state).name}")
