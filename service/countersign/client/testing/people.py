"""A `ReviewsClient` without a server: for tests of bots and of tools for reviewers."""

from __future__ import annotations

from collections.abc import Callable

from countersign.client.aio_reviews import AsyncReviewsClient, AsyncReviewsView
from countersign.client.deciding import Deciding
from countersign.client.exchange import Timing
from countersign.client.reviews import ReviewsClient, ReviewsView
from countersign.client.steps import Telling
from countersign.client.testing.lines import FakeAioLine, FakeLine
from countersign.v1 import reviews_pb2


class FakeReviewsClient(ReviewsClient):
    """What `FakeClient.reviewer` and `FakeClient.channel` return."""

    def __init__(self, line: FakeLine, *, wall: Callable[[], float]) -> None:
        ReviewsView.__init__(self, line, FakeDeciding(wall))


class FakeAsyncReviewsClient(AsyncReviewsClient):
    """What `FakeClient.async_reviewer` and `FakeClient.async_channel` return."""

    def __init__(self, line: FakeAioLine, *, wall: Callable[[], float]) -> None:
        AsyncReviewsView.__init__(self, line, FakeDeciding(wall))


class FakeDeciding(Deciding):
    """The real patience, by the clock of the test."""

    def __init__(self, wall: Callable[[], float]) -> None:
        super().__init__(Timing(), clock=wall, wall=wall, chance=lambda: 0.5)

    def watch(self) -> Telling[reviews_pb2.Review]:
        """Every review as it is. Then it ends, since nothing changes while a test looks on."""
        return self.list(())
