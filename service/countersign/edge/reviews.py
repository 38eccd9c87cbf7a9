"""The `Reviews` service: what people do. Translates, decides nothing."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Final

import grpc

from countersign.edge import decode, encode
from countersign.edge.authentication import as_person
from countersign.edge.rpc import Call, Rpc, Streaming, Unary
from countersign.errors import InvalidRequestError, NotFoundError
from countersign.flow import Flow
from countersign.flow.people import VoteAsk
from countersign.model import Choice, Person, Review, ReviewId, ReviewState
from countersign.v1 import reviews_pb2

_CHOICES: Final = {number: choice for choice, number in encode.CHOICES.items()}
_STATES: Final = {number: state for state, number in encode.STATES.items()}
_OPEN: Final = tuple(state for state in ReviewState if state.is_open)
DEFAULT_PAGE: Final = 50
MAX_PAGE: Final = 200
RENEW_S: Final = 2.0
"""Longest time a Watch goes on without looking at its credential."""
MAX_WATCH_S: Final = 600.0
"""A Watch ends then; the client starts another."""


class Reviews:
    """The verbs of `countersign.v1.Reviews`."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow

    def handlers(self, rpc: Rpc) -> grpc.GenericRpcHandler:
        """The service's gRPC handlers."""
        return rpc.service(
            "countersign.v1.Reviews",
            {
                "List": Unary(
                    request=reviews_pb2.ListReviewsRequest, role=as_person, verb=self.list_open
                ),
                "Get": Unary(request=reviews_pb2.GetReviewRequest, role=as_person, verb=self.get),
                "Watch": Streaming(
                    request=reviews_pb2.WatchReviewsRequest, role=as_person, verb=self.watch
                ),
                "Decide": Unary(
                    request=reviews_pb2.DecideRequest, role=as_person, verb=self.decide
                ),
                "AskInfo": Unary(
                    request=reviews_pb2.AskInfoRequest, role=as_person, verb=self.ask_info
                ),
                "Revoke": Unary(
                    request=reviews_pb2.RevokeRequest, role=as_person, verb=self.revoke
                ),
            },
        )

    def _shown(self, review: Review, reader: Person) -> reviews_pb2.Review:
        return encode.review(review, reader, self._flow.parts.directory())

    async def list_open(
        self, call: Call[Person], message: reviews_pb2.ListReviewsRequest
    ) -> reviews_pb2.ListReviewsResponse:
        """List."""
        if message.page_size > MAX_PAGE:
            raise InvalidRequestError("page_size", f"must be at most {MAX_PAGE}")
        try:
            states = tuple(_STATES[number] for number in message.states) or _OPEN
        except KeyError:
            raise InvalidRequestError("states", "names a state this server does not know") from None
        after = decode.reference("page_token", message.page_token) if message.page_token else ""
        found, token = await self._flow.list_visible(
            call.subject, states, after=after, limit=message.page_size or DEFAULT_PAGE
        )
        return reviews_pb2.ListReviewsResponse(
            reviews=[self._shown(review, call.subject) for review in found], next_page_token=token
        )

    async def get(
        self, call: Call[Person], message: reviews_pb2.GetReviewRequest
    ) -> reviews_pb2.Review:
        """Get."""
        review_id = ReviewId(decode.reference("review_id", message.review_id))
        return self._shown(await self._flow.get(call.subject, review_id), call.subject)

    async def watch(
        self, call: Call[Person], _: reviews_pb2.WatchReviewsRequest
    ) -> AsyncIterator[reviews_pb2.Review]:
        """Watch: open reviews now, then each visible change, for a while.

        The credential is looked at again before anything is sent, and at least
        every `RENEW_S` seconds: a revoked one ends the stream.
        """
        seen: dict[ReviewId, int] = {}
        end_s = time.monotonic() + MAX_WATCH_S
        with self._flow.waiters.watch(call.subject.tenant, call.subject.id) as changed:
            while time.monotonic() < end_s:
                call.still()
                changed.clear()
                for review in await self._news(call.subject, seen):
                    seen[review.id] = review.version
                    yield self._shown(review, call.subject)
                if self._flow.waiters.released():
                    return
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), RENEW_S)

    async def _news(self, reader: Person, seen: dict[ReviewId, int]) -> list[Review]:
        """Visible open reviews, and those shown before that are open no longer."""
        found, token = await self._flow.list_visible(reader, _OPEN, after="", limit=MAX_PAGE)
        now_open = list(found)
        while token:
            found, token = await self._flow.list_visible(reader, _OPEN, after=token, limit=MAX_PAGE)
            now_open += found
        news = [review for review in now_open if seen.get(review.id, 0) < review.version]
        for review_id in seen.keys() - {review.id for review in now_open}:
            try:
                review = await self._flow.get(reader, review_id)
            except NotFoundError:
                del seen[review_id]
                continue
            if review.version > seen[review_id]:
                news.append(review)
        return news

    async def decide(
        self, call: Call[Person], message: reviews_pb2.DecideRequest
    ) -> reviews_pb2.Review:
        """Decide."""
        choice: Choice | None = _CHOICES.get(message.vote)
        if choice is None:
            raise InvalidRequestError("vote", "must be APPROVE or DENY")
        ask = VoteAsk(
            review_id=ReviewId(decode.reference("review_id", message.review_id)),
            revision=message.revision,
            profile=decode.profile("profile", message.profile),
            preview_hash=decode.digest("preview_hash", message.preview_hash),
            choice=choice,
            reason=decode.text("reason", message.reason),
            request_id=decode.request_id(message.request_id, required=True),
        )
        return self._shown(await self._flow.vote(call.subject, ask), call.subject)

    async def ask_info(
        self, call: Call[Person], message: reviews_pb2.AskInfoRequest
    ) -> reviews_pb2.Review:
        """AskInfo."""
        if not message.question.strip():
            raise InvalidRequestError("question", "is missing; say what you need to know")
        review = await self._flow.ask_info(
            call.subject,
            ReviewId(decode.reference("review_id", message.review_id)),
            revision=message.revision,
            question=decode.text("question", message.question),
            request_id=decode.request_id(message.request_id, required=True),
        )
        return self._shown(review, call.subject)

    async def revoke(
        self, call: Call[Person], message: reviews_pb2.RevokeRequest
    ) -> reviews_pb2.Review:
        """Revoke."""
        review = await self._flow.revoke(
            call.subject,
            ReviewId(decode.reference("review_id", message.review_id)),
            reason=decode.text("reason", message.reason),
            request_id=decode.request_id(message.request_id, required=True),
        )
        return self._shown(review, call.subject)
