"""Agents and reviewers that never stop asking, whoever is killed meanwhile.

Each worker tells one story after the other: Checks, votes, questions, Claims (two at
once for one approval), Reports. A call that is cut off is made again with the same
request id until it is answered, as the SDK does it. What is answered is told to the
ledger. Used by `soak`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import random
from typing import Any, Final

import grpc
import grpc.aio
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from soak_ledger import Ledger

from countersign.v1 import context_pb2, decisions_pb2, reviews_pb2
from service import _SERVICES, context

CALL_S: Final = 30.0
AGAIN_S: Final = 0.02
PAUSE_S: Final = 0.05
"""Longest pause of a worker between two stories."""
_PASSING: Final = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.UNKNOWN,
}
_OPTIONS: Final = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 20),
    ("grpc.min_reconnect_backoff_ms", 20),
    ("grpc.max_reconnect_backoff_ms", 50),
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """Who acts in one tenant: an agent and its reviewer."""

    agent: str
    agent_token: str
    reviewer_token: str


class Load:
    """So many workers over one connection."""

    def __init__(
        self, port: int, casts: list[Cast], ledger: Ledger, chance: random.Random, workers: int
    ) -> None:
        self._target = f"127.0.0.1:{port}"
        self._casts, self._ledger, self._chance = casts, ledger, chance
        self._workers = workers
        self._tasks: list[asyncio.Task[None]] = []
        self._ending = False
        self._tables, self._requests = itertools.count(), itertools.count()
        self.favourite = ""
        """The story that is told most now, so that its fault point is met soon."""

    async def start(self) -> None:
        self._channel = grpc.aio.insecure_channel(self._target, options=_OPTIONS)
        self._tasks = [
            asyncio.create_task(self._work(self._casts[n % len(self._casts)]))
            for n in range(self._workers)
        ]

    async def stop(self) -> None:
        """Every story is told to its end first."""
        self._ending = True
        await asyncio.gather(*self._tasks)
        await self._channel.close()

    def failed(self) -> None:
        """Raise what ended a worker before its time."""
        for task in self._tasks:
            if task.done() and not self._ending:
                task.result()
                raise AssertionError("a worker stopped")

    async def _work(self, cast: Cast) -> None:
        stories = {
            "allow": self._allow,
            "claim": self._claim,
            "answer": self._answer,
            "revoke": self._revoke,
            "cancel": self._cancel,
        }
        while not self._ending:
            name = self._chance.choice(["allow", "allow", "claim", "claim", *stories])
            if self.favourite in stories and self._chance.random() < 0.6:
                name = self.favourite
            await stories[name](cast)
            await asyncio.sleep(self._chance.random() * PAUSE_S)

    def _new_id(self) -> str:
        """A request's: of few digits, so that no record shows it masked as some number."""
        return f"soak-{next(self._requests)}"

    # --- the stories ---

    async def _allow(self, cast: Cast) -> None:
        await self._check(cast, "demo.allow")

    async def _claim(self, cast: Cast) -> None:
        wanted, review = await self._approved(cast)
        claims = await asyncio.gather(
            *(
                self._call(
                    cast.agent_token,
                    "Decisions.Claim",
                    decisions_pb2.ClaimRequest(
                        review_id=review, context=wanted, request_id=self._new_id()
                    ),
                )
                for _ in range(2)
            )
        )
        for answer in claims:
            self._ledger.acknowledged(answer.record)
        granted = [each for each in claims if each.effect == context_pb2.EFFECT_ALLOW]
        self._ledger.granted(review, [each.permit.permit_id for each in granted])
        if not granted:
            return  # the ledger has told
        report = decisions_pb2.ReportRequest(
            permit_id=granted[0].permit.permit_id,
            outcome=context_pb2.OUTCOME_SUCCEEDED,
            request_id=self._new_id(),
        )
        answer = await self._call(cast.agent_token, "Decisions.Report", report)
        self._ledger.acknowledged(answer.record)

    async def _answer(self, cast: Cast) -> None:
        _, review = await self._pending(cast)
        shown = await self._seen(cast, review)
        asked = await self._call(
            cast.reviewer_token,
            "Reviews.AskInfo",
            reviews_pb2.AskInfoRequest(
                review_id=review,
                revision=shown.status.revision,
                question="Why now?",
                request_id=self._new_id(),
            ),
        )
        (question,) = asked.status.open_questions
        await self._call(
            cast.agent_token,
            "Decisions.Answer",
            decisions_pb2.AnswerRequest(
                review_id=review,
                question_id=question.question_id,
                text="Because.",
                request_id=self._new_id(),
            ),
        )
        await self._cancelled(cast, review)

    async def _revoke(self, cast: Cast) -> None:
        _, review = await self._approved(cast)
        request = reviews_pb2.RevokeRequest(
            review_id=review, reason="no", request_id=self._new_id()
        )
        await self._call(cast.reviewer_token, "Reviews.Revoke", request)

    async def _cancel(self, cast: Cast) -> None:
        _, review = await self._pending(cast)
        await self._cancelled(cast, review)

    # --- their steps ---

    async def _check(self, cast: Cast, action: str) -> tuple[Any, Any]:
        wanted = context(action, f"t{next(self._tables)}", actor=cast.agent).to_message()
        request = decisions_pb2.CheckRequest(context=wanted, request_id=self._new_id())
        answer = await self._call(cast.agent_token, "Decisions.Check", request)
        self._ledger.acknowledged(answer.record)
        return wanted, answer

    async def _pending(self, cast: Cast) -> tuple[Any, str]:
        wanted, answer = await self._check(cast, "demo.approve")
        assert answer.review.review_id, answer.reasons
        return wanted, str(answer.review.review_id)

    async def _seen(self, cast: Cast, review: str) -> Any:
        request = reviews_pb2.GetReviewRequest(review_id=review)
        return await self._call(cast.reviewer_token, "Reviews.Get", request)

    async def _approved(self, cast: Cast) -> tuple[Any, str]:
        wanted, review = await self._pending(cast)
        shown = await self._seen(cast, review)
        vote = reviews_pb2.DecideRequest(
            review_id=review,
            revision=shown.status.revision,
            vote=reviews_pb2.VOTE_APPROVE,
            profile="reviewer",
            preview_hash=shown.previews["reviewer"].hash,
            request_id=self._new_id(),
        )
        await self._call(cast.reviewer_token, "Reviews.Decide", vote)
        return wanted, review

    async def _cancelled(self, cast: Cast, review: str) -> None:
        request = decisions_pb2.CancelRequest(
            review_id=review, reason="no", request_id=self._new_id()
        )
        await self._call(cast.agent_token, "Decisions.Cancel", request)

    async def _call(self, token: str, method: str, request: Message) -> Any:
        """The one answer, however often the service dies over it."""
        service, _, name = method.partition(".")
        answer = GetMessageClass(_SERVICES[service].methods_by_name[name].output_type)
        call = self._channel.unary_unary(
            f"/countersign.v1.{service}/{name}",
            request_serializer=None,
            response_deserializer=answer.FromString,
        )
        data = request.SerializeToString()
        metadata = (("authorization", f"Bearer {token}"),)
        while True:
            try:
                found = await call(data, timeout=CALL_S, metadata=metadata, wait_for_ready=True)
            except grpc.aio.AioRpcError as error:
                if error.code() not in _PASSING:
                    raise
            else:
                if not getattr(found, "retryable", False):
                    return found
                self._ledger.acknowledged(found.record)  # a denial, because OPA was late
            await asyncio.sleep(AGAIN_S)
