"""Thousands of Awaits at once: memory of each, and how soon a vote releases one.

One process of clients over several channels. Most waiters share some reviews,
as ballast; each vote that is timed settles a review of its own with one waiter,
while all others keep waiting. The time runs from sending the vote, and once
more from its answer, to the moment when the waiter has the news.
"""

from __future__ import annotations

import asyncio
import dataclasses
import resource
import sys
import time
from typing import Any, Final

import bench_contexts
import grpc
from bench_load import CHECK, percentile
from bench_service import Service
from google.protobuf.duration_pb2 import Duration

from countersign.v1 import context_pb2, decisions_pb2, reviews_pb2, reviews_pb2_grpc
from countersign.v1.decisions_pb2_grpc import DecisionsStub

CHANNELS: Final = 20
BALLAST_REVIEWS: Final = 50
WAVE: Final = 400
"""Waiters sent at once: gRPC refuses calls beyond some 1,000 that the server has not begun."""
WAIT_S: Final = 600
REGISTERED_S: Final = 120


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What was seen."""

    waiters: int
    bytes_each: float
    """Resident memory of the service per waiter."""
    registered_per_s: float
    votes: int
    vote_to_release_p50_ms: float
    vote_to_release_p99_ms: float
    answer_to_release_p99_ms: float
    """From the answer to the vote; negative when the waiter heard first."""
    release_all_s: float
    """From one vote on a shared review to the last of its waiters."""
    shared_by: int


def waiting(service: Service, *, waiters: int, votes: int) -> Waiting:
    """Measure; the service must be fresh, so that its memory is comparable."""
    _allow_open_files()
    return asyncio.run(_Run(service, waiters, votes).measure())


def _allow_open_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65_536), hard))


class _Run:
    def __init__(self, service: Service, waiters: int, votes: int) -> None:
        self._service = service
        self._waiters = waiters
        self._votes = votes
        self._as_caller = (("authorization", f"Bearer {service.caller}"),)
        self._as_person = (("authorization", f"Bearer {service.person}"),)

    async def measure(self) -> Waiting:
        channels = [
            grpc.aio.insecure_channel(
                self._service.endpoint, options=(("grpc.use_local_subchannel_pool", 1),)
            )
            for _ in range(CHANNELS)
        ]
        self._stubs: list[Any] = [DecisionsStub(channel) for channel in channels]
        self._check = channels[0].unary_unary(CHECK)
        self._reviews: Any = reviews_pb2_grpc.ReviewsStub(channels[0])
        try:
            return await self._story()
        finally:
            await asyncio.gather(*(channel.close() for channel in channels))

    async def _story(self) -> Waiting:
        shared = [await self._open(number) for number in range(BALLAST_REVIEWS)]
        own = [await self._open(BALLAST_REVIEWS + number) for number in range(self._votes)]
        await asyncio.gather(
            *(stub.Await(self._once(shared[0]), metadata=self._as_caller) for stub in self._stubs)
        )  # connect every channel first
        before = self._service.rss_bytes()
        started = time.perf_counter()
        alone = [self._wait(index, review) for index, review in enumerate(own)]
        crowd: list[asyncio.Task[float]] = []
        while len(alone) + len(crowd) < self._waiters:
            await self._registered(alone + crowd)
            wave = min(WAVE, self._waiters - len(alone) - len(crowd))
            crowd += [
                self._wait(index, shared[index % BALLAST_REVIEWS])
                for index in range(len(crowd), len(crowd) + wave)
            ]
        await self._registered(alone + crowd)
        registered_s = time.perf_counter() - started
        each = (self._service.rss_bytes() - before) / self._waiters
        times = [await self._vote(review, task) for review, task in zip(own, alone, strict=True)]
        together = [task for index, task in enumerate(crowd) if index % BALLAST_REVIEWS == 0]
        voted = time.perf_counter()
        await self._decide(shared[0], "together")
        all_s = max(await asyncio.gather(*together)) - voted
        for task in crowd:
            task.cancel()
        await asyncio.gather(*crowd, return_exceptions=True)
        from_vote = sorted(released - sent for sent, _, released in times)
        from_answer = sorted(released - answered for _, answered, released in times)
        return Waiting(
            waiters=self._waiters,
            bytes_each=each,
            registered_per_s=self._waiters / registered_s,
            votes=self._votes,
            vote_to_release_p50_ms=percentile(from_vote, 50) * 1000,
            vote_to_release_p99_ms=percentile(from_vote, 99) * 1000,
            answer_to_release_p99_ms=percentile(from_answer, 99) * 1000,
            release_all_s=all_s,
            shared_by=len(together),
        )

    async def _open(self, number: int) -> Any:
        """A pending review."""
        body = bench_contexts.check(bench_contexts.needs_approval(number))
        answer = decisions_pb2.CheckResponse.FromString(
            await self._check(body, metadata=self._as_caller)
        )
        if answer.effect != context_pb2.EFFECT_NEEDS_APPROVAL or not answer.review.review_id:
            sys.exit("bench: policy did not ask for an approval")
        return answer.review

    def _once(self, review: Any) -> decisions_pb2.AwaitRequest:
        return decisions_pb2.AwaitRequest(review_id=review.review_id)

    def _wait(self, index: int, review: Any) -> asyncio.Task[float]:
        """One waiter; its result is when it was released."""
        request = decisions_pb2.AwaitRequest(
            review_id=review.review_id, after=review.cursor, max_wait=Duration(seconds=WAIT_S)
        )
        stub = self._stubs[index % CHANNELS]

        async def wait() -> float:
            answer = await stub.Await(request, metadata=self._as_caller, timeout=WAIT_S + 10)
            if not answer.changed:
                sys.exit("bench: a waiter was released without news")
            return time.perf_counter()

        return asyncio.create_task(wait())

    async def _registered(self, tasks: list[asyncio.Task[float]]) -> None:
        """Wait until the service has all of them waiting."""
        deadline = time.monotonic() + REGISTERED_S
        while await asyncio.to_thread(self._service.waiters) < len(tasks):
            for task in tasks:
                if task.done():
                    task.result()
            if time.monotonic() > deadline:
                sys.exit(f"bench: not all of {len(tasks)} waiters registered in time")
            await asyncio.sleep(0.02)

    async def _vote(self, review: Any, task: asyncio.Task[float]) -> tuple[float, float, float]:
        """When the vote was sent, when it was answered, when the waiter knew."""
        seen = await self._seen(review)
        sent = time.perf_counter()
        await self._reviews.Decide(seen, metadata=self._as_person)
        answered = time.perf_counter()
        return sent, answered, await task

    async def _decide(self, review: Any, request_id: str) -> None:
        vote = await self._seen(review)
        vote.request_id = request_id
        await self._reviews.Decide(vote, metadata=self._as_person)

    async def _seen(self, review: Any) -> reviews_pb2.DecideRequest:
        """The vote of somebody who has looked at the review."""
        shown = await self._reviews.Get(
            reviews_pb2.GetReviewRequest(review_id=review.review_id), metadata=self._as_person
        )
        profile, preview = next(iter(shown.previews.items()))
        return reviews_pb2.DecideRequest(
            review_id=review.review_id,
            revision=shown.status.revision,
            profile=profile,
            preview_hash=preview.hash,
            vote=reviews_pb2.VOTE_APPROVE,
            request_id=review.review_id,
        )
