"""The `Reviews` service: what people do. Translates, decides nothing."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from typing import Final, Protocol, TypeAlias

import grpc

from countersign.edge import decode, encode
from countersign.edge.authentication import Authenticated, as_person, as_reader
from countersign.edge.metrics import Metrics
from countersign.edge.rpc import Call, Rpc, Streaming, Unary
from countersign.edge.voter import voter
from countersign.errors import InvalidRequestError, NotFoundError
from countersign.flow import Flow
from countersign.flow.delegating import DelegateAsk
from countersign.flow.gate import assurance, seen_by
from countersign.flow.people import BatchAnswer, VoteAsk
from countersign.flow.voter import Voter
from countersign.model import (
    Channel,
    Choice,
    DelegationId,
    Person,
    PersonId,
    Review,
    ReviewId,
    ReviewState,
)
from countersign.v1 import context_pb2, reviews_pb2

_CHOICES: Final = {number: choice for choice, number in encode.CHOICES.items()}
_STATES: Final = {number: state for state, number in encode.STATES.items()}
_OPEN: Final = tuple(state for state in ReviewState if state.is_open)
DEFAULT_PAGE: Final = 50
MAX_PAGE: Final = 200
RENEW_S: Final = 2.0
"""Longest time a Watch goes on without looking at its credential."""
MAX_WATCH_S: Final = 600.0
"""A Watch ends then; the client starts another."""

Reader: TypeAlias = Person | Channel


class _Asserting(Protocol):
    """A request in which a channel says who acts."""

    @property
    def person(self) -> reviews_pb2.PersonAssertion: ...


class Reviews:
    """The verbs of `countersign.v1.Reviews`."""

    def __init__(self, flow: Flow, metrics: Metrics, *, max_assertion_age_s: float) -> None:
        self._flow = flow
        self._metrics = metrics
        self._max_assertion_age_s = max_assertion_age_s

    def handlers(self, rpc: Rpc) -> grpc.GenericRpcHandler:
        """The service's gRPC handlers."""
        return rpc.service(
            "countersign.v1.Reviews",
            {
                "List": Unary(
                    request=reviews_pb2.ListReviewsRequest, role=as_reader, verb=self.list_open
                ),
                "Get": Unary(request=reviews_pb2.GetReviewRequest, role=as_reader, verb=self.get),
                "Watch": Streaming(
                    request=reviews_pb2.WatchReviewsRequest, role=as_reader, verb=self.watch
                ),
                "Decide": Unary(
                    request=reviews_pb2.DecideRequest, role=as_reader, verb=self.decide
                ),
                "BatchDecide": Unary(
                    request=reviews_pb2.BatchDecideRequest, role=as_reader, verb=self.batch_decide
                ),
                "BreakGlass": Unary(
                    request=reviews_pb2.BreakGlassRequest, role=as_person, verb=self.break_glass
                ),
                "CloseAfterReview": Unary(
                    request=reviews_pb2.CloseAfterReviewRequest,
                    role=as_reader,
                    verb=self.close_after_review,
                ),
                "AskInfo": Unary(
                    request=reviews_pb2.AskInfoRequest, role=as_reader, verb=self.ask_info
                ),
                "Revoke": Unary(
                    request=reviews_pb2.RevokeRequest, role=as_reader, verb=self.revoke
                ),
                "Delegate": Unary(
                    request=reviews_pb2.DelegateRequest, role=as_reader, verb=self.delegate
                ),
                "ListDelegations": Unary(
                    request=reviews_pb2.ListDelegationsRequest,
                    role=as_reader,
                    verb=self.list_delegations,
                ),
                "EndDelegation": Unary(
                    request=reviews_pb2.EndDelegationRequest,
                    role=as_reader,
                    verb=self.end_delegation,
                ),
            },
        )

    def _voter(self, call: Call[Reader], message: _Asserting) -> Voter:
        """Who acts: the credential's own person, or the one its channel asserts."""
        parts = self._flow.parts
        return voter(
            Authenticated(subject=call.subject, proof=call.proof, made_by=call.made_by),
            message.person if message.HasField("person") else None,  # type: ignore[attr-defined]
            parts.directory(),
            now=parts.store.now(),
            max_age_s=self._max_assertion_age_s,
        )

    async def _shown(self, review: Review, reader: Voter) -> reviews_pb2.Review:
        return (await self._all_shown([review], reader))[0]

    async def _all_shown(
        self, reviews: Sequence[Review], reader: Voter
    ) -> list[reviews_pb2.Review]:
        people = await self._flow.staff(reader.person)
        known_to = seen_by(self._flow.parts, reader)
        proven = assurance(self._flow.parts, reader)
        return [
            encode.review(review, reader.person, people, proven, known_to) for review in reviews
        ]

    # --- reading ---

    async def list_open(
        self, call: Call[Reader], message: reviews_pb2.ListReviewsRequest
    ) -> reviews_pb2.ListReviewsResponse:
        """List."""
        reader = self._voter(call, message)
        if message.page_size > MAX_PAGE:
            raise InvalidRequestError("page_size", f"must be at most {MAX_PAGE}")
        try:
            states = tuple(_STATES[number] for number in message.states) or _OPEN
        except KeyError:
            raise InvalidRequestError("states", "names a state this server does not know") from None
        after = decode.reference("page_token", message.page_token) if message.page_token else ""
        if message.after_reviews:
            found, token = await self._flow.after_reviews(reader.person), ""
        else:
            found, token = await self._flow.list_visible(
                reader.person, states, after=after, limit=message.page_size or DEFAULT_PAGE
            )
        return reviews_pb2.ListReviewsResponse(
            reviews=await self._all_shown(found, reader), next_page_token=token
        )

    async def get(
        self, call: Call[Reader], message: reviews_pb2.GetReviewRequest
    ) -> reviews_pb2.Review:
        """Get."""
        reader = self._voter(call, message)
        review_id = ReviewId(decode.reference("review_id", message.review_id))
        review = await self._flow.get(reader.person, review_id)
        shown = await self._shown(review, reader)
        shown.unreached.extend(await self._flow.unreached(review))
        return shown

    async def watch(
        self, call: Call[Reader], message: reviews_pb2.WatchReviewsRequest
    ) -> AsyncIterator[reviews_pb2.Review]:
        """Watch: open reviews now, then each visible change, for a while.

        The credential is looked at again before anything is sent, and at least
        every `RENEW_S` seconds: a revoked one ends the stream.
        """
        reader = self._voter(call, message)
        person = reader.person
        seen: dict[ReviewId, int] = {}
        end_s = time.monotonic() + MAX_WATCH_S
        with self._flow.waiters.watch(person.tenant, person.id) as changed:
            while time.monotonic() < end_s:
                await call.still()
                changed.clear()
                news = await self._news(person, seen)
                for review, shown in zip(news, await self._all_shown(news, reader), strict=True):
                    seen[review.id] = review.version
                    yield shown
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

    # --- deciding ---

    async def decide(
        self, call: Call[Reader], message: reviews_pb2.DecideRequest
    ) -> reviews_pb2.Review:
        """Decide."""
        reader = self._voter(call, message)
        choice: Choice | None = _CHOICES.get(message.vote)
        if choice is None:
            raise InvalidRequestError("vote", "must be APPROVE or DENY")
        ask = _vote_ask(message, "", choice, message.reason, message.request_id)
        return await self._shown(await self._flow.vote(reader, ask), reader)

    async def batch_decide(
        self, call: Call[Reader], message: reviews_pb2.BatchDecideRequest
    ) -> reviews_pb2.BatchDecideResponse:
        """BatchDecide."""
        reader = self._voter(call, message)
        asks = [
            _vote_ask(item, f"items[{index}].", Choice.APPROVE, message.reason, message.request_id)
            for index, item in enumerate(message.items)
        ]
        answers = await self._flow.batch(reader, asks)
        return reviews_pb2.BatchDecideResponse(
            results=[await self._of_batch(answer, reader) for answer in answers]
        )

    async def _of_batch(self, answer: BatchAnswer, reader: Voter) -> reviews_pb2.BatchResult:
        if isinstance(answer.outcome, Review):
            shown = await self._shown(answer.outcome, reader)
            return reviews_pb2.BatchResult(review_id=answer.review_id, review=shown)
        reason = context_pb2.Reason(code=answer.outcome.code, message=answer.outcome.message)
        return reviews_pb2.BatchResult(review_id=answer.review_id, refusal=reason)

    async def break_glass(
        self, call: Call[Person], message: reviews_pb2.BreakGlassRequest
    ) -> reviews_pb2.Review:
        """BreakGlass."""
        parts = self._flow.parts
        reader = voter(
            Authenticated(subject=call.subject, proof=call.proof, made_by=call.made_by),
            None,
            parts.directory(),
            now=parts.store.now(),
            max_age_s=self._max_assertion_age_s,
        )
        ask = _vote_ask(message, "", Choice.APPROVE, message.reason, message.request_id)
        broken = await self._flow.break_glass(reader, ask)
        if not broken.replayed:
            self._metrics.glass("broken", reader.person.tenant)
        return await self._shown(broken.review, reader)

    async def close_after_review(
        self, call: Call[Reader], message: reviews_pb2.CloseAfterReviewRequest
    ) -> reviews_pb2.Review:
        """CloseAfterReview."""
        reader = self._voter(call, message)
        review = await self._flow.close_after_review(
            reader,
            ReviewId(decode.reference("review_id", message.review_id)),
            justified=message.justified,
            note=decode.text("note", message.note),
            request_id=decode.request_id(message.request_id, required=True),
        )
        self._metrics.glass("closed", reader.person.tenant)
        return await self._shown(review, reader)

    async def ask_info(
        self, call: Call[Reader], message: reviews_pb2.AskInfoRequest
    ) -> reviews_pb2.Review:
        """AskInfo."""
        reader = self._voter(call, message)
        if not message.question.strip():
            raise InvalidRequestError("question", "is missing; say what you need to know")
        review = await self._flow.ask_info(
            reader,
            ReviewId(decode.reference("review_id", message.review_id)),
            revision=message.revision,
            question=decode.text("question", message.question),
            request_id=decode.request_id(message.request_id, required=True),
        )
        return await self._shown(review, reader)

    async def revoke(
        self, call: Call[Reader], message: reviews_pb2.RevokeRequest
    ) -> reviews_pb2.Review:
        """Revoke."""
        reader = self._voter(call, message)
        review = await self._flow.revoke(
            reader,
            ReviewId(decode.reference("review_id", message.review_id)),
            reason=decode.text("reason", message.reason),
            request_id=decode.request_id(message.request_id, required=True),
        )
        return await self._shown(review, reader)

    # --- standing lent ---

    async def delegate(
        self, call: Call[Reader], message: reviews_pb2.DelegateRequest
    ) -> reviews_pb2.Delegation:
        """Delegate."""
        reader = self._voter(call, message)
        if not message.HasField("ends_at"):
            raise InvalidRequestError("ends_at", "is missing; a delegation is for a time")
        starts = message.HasField("starts_at")
        ask = DelegateAsk(
            delegate=PersonId(decode.reference("delegate_id", message.delegate_id)),
            starts_at=decode.instant("starts_at", message.starts_at) if starts else None,
            ends_at=decode.instant("ends_at", message.ends_at),
            reason=decode.text("reason", message.reason),
            request_id=decode.request_id(message.request_id, required=True),
        )
        return encode.delegation(await self._flow.delegate(reader, ask))

    async def list_delegations(
        self, call: Call[Reader], message: reviews_pb2.ListDelegationsRequest
    ) -> reviews_pb2.ListDelegationsResponse:
        """ListDelegations."""
        reader = self._voter(call, message)
        found = await self._flow.delegations(reader.person)
        return reviews_pb2.ListDelegationsResponse(
            delegations=[encode.delegation(each) for each in found]
        )

    async def end_delegation(
        self, call: Call[Reader], message: reviews_pb2.EndDelegationRequest
    ) -> reviews_pb2.Delegation:
        """EndDelegation."""
        reader = self._voter(call, message)
        ended = await self._flow.end_delegation(
            reader,
            DelegationId(decode.reference("delegation_id", message.delegation_id)),
            request_id=decode.request_id(message.request_id, required=True),
        )
        return encode.delegation(ended)


def _vote_ask(
    shown: reviews_pb2.DecideRequest | reviews_pb2.BatchItem | reviews_pb2.BreakGlassRequest,
    place: str,
    choice: Choice,
    reason: str,
    request_id: str,
) -> VoteAsk:
    """What was on the screen, and what is said to it. `place` begins the names of its fields."""
    return VoteAsk(
        review_id=ReviewId(decode.reference(f"{place}review_id", shown.review_id)),
        revision=shown.revision,
        profile=decode.profile(f"{place}profile", shown.profile),
        preview_hash=decode.digest(f"{place}preview_hash", shown.preview_hash),
        choice=choice,
        reason=decode.text("reason", reason),
        request_id=decode.request_id(request_id, required=True),
    )
