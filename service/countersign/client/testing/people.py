"""A `ReviewsClient` without a server: for tests of bots and of tools for reviewers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from google.protobuf.message import Message

from countersign.client.exchange import Exchange, Timing
from countersign.client.line import Line
from countersign.client.reviews import ReviewsClient, ReviewsView
from countersign.client.steps import Call
from countersign.client.sync import carry_out, closed
from countersign.v1 import reviews_pb2

Answering: TypeAlias = Callable[[str, Message], Message]
"""Answers one call of people. Raises `CallFailed`."""


class FakeReviewsClient(ReviewsClient):
    """What `FakeClient.reviewer` and `FakeClient.channel` return."""

    def __init__(
        self, answering: Answering, *, wall: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        ReviewsView.__init__(self, _FakeLine(answering, wall, sleep))


class _FakeLine(Line):
    """The real patience, without a network and without waiting."""

    def __init__(
        self, answering: Answering, wall: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        self._answering = answering
        self._sleep = sleep
        self._exchange = Exchange(Timing(), clock=wall, wall=wall, chance=lambda: 0.5)
        self._is_closed = False

    def close(self) -> None:
        self._is_closed = True

    def call(self, method: str, request: Message) -> Any:
        return carry_out(
            self._exchange.call(method, request), invoke=self._invoke, sleep=self._sleep
        )

    def watch(self, request: reviews_pb2.WatchReviewsRequest) -> Iterator[reviews_pb2.Review]:
        """Every review as it is. Then it ends, since nothing changes while a test looks on."""
        listing = reviews_pb2.ListReviewsRequest(page_size=200)
        if request.HasField("person"):
            listing.person.CopyFrom(request.person)
        yield from self.call("List", listing).reviews

    def _invoke(self, call: Call) -> object:
        if self._is_closed:
            raise closed()
        return self._answering(call.method, call.request)
