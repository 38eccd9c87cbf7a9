"""Waiting for people: long polls that survive restarts of the server.

Each poll carries its own deadline, so a connection that died without a word
costs one poll. Whoever wants to be asked (`answering`) is asked each question
of a reviewer once.
"""

from __future__ import annotations

import dataclasses
import math

from google.protobuf.duration_pb2 import Duration

from countersign.client.errors import NotFound, PreconditionFailed, ProtocolError
from countersign.client.exchange import Exchange
from countersign.client.pending import Pending
from countersign.client.principals import Person, message_of_person
from countersign.client.status import CallFailed, error_of
from countersign.client.steps import Ask, Call, Conversation, Sleep
from countersign.client.values import ReviewStatus, status_of
from countersign.model import Withheld, new_id
from countersign.v1 import decisions_pb2


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Answer(Withheld):
    """What `on_question` may return when it knows who answered, and can prove it."""

    text: str
    _: dataclasses.KW_ONLY
    answered_by: Person | None = None


class Waiting(Exchange):
    """Waits, and answers questions meanwhile."""

    def wait(
        self,
        review: Pending | str,
        *,
        timeout_s: float | None = None,
        answering: bool = False,
    ) -> Conversation[ReviewStatus]:
        """Wait until people have decided, or `timeout_s` is over: the newest snapshot."""
        review_id = review if isinstance(review, str) else review.review_id
        deadline = math.inf if timeout_s is None else self._clock() + timeout_s
        status: ReviewStatus | None = None
        heard_s = self._clock()
        asked: set[str] = set()
        attempt = 0
        while True:
            began_s = self._clock()
            left_s = max(deadline - began_s, 0.0)
            if left_s <= 0 and status is not None:
                return status
            request, longest_s = self._await_request(review_id, status, left_s)
            try:
                answer = yield Call(method="Await", request=request, timeout_s=longest_s)
            except CallFailed as error:
                give_up_s = heard_s + self._timing.max_outage_s
                if status is None:
                    give_up_s = min(give_up_s, deadline)
                pause_s = self._pause(error, attempt, give_up_s)
                yield Sleep(seconds=min(pause_s, left_s))
                attempt += 1
                continue
            attempt, heard_s = 0, self._clock()
            known, status = status, self._seen(answer, review, status)
            if status is not None and status.decided:
                return status
            if status is not None and answering:
                yield from self._answer_questions(status, asked)
            if answer.reconnect:
                yield Sleep(seconds=min(self._chance() * self._timing.reconnect_s, left_s))
            elif known is not None and not answer.changed and heard_s - began_s < 1:
                # A server that does not hold the call must not be hammered.
                yield Sleep(seconds=min(1.0, left_s))

    def _pause(self, error: CallFailed, attempt: int, give_up_s: float) -> float:
        """How long to leave a server alone that is away, or the error when that is enough."""
        pause_s = self.backoff_s(attempt)
        if not error.passing or self._clock() + pause_s >= give_up_s:
            raise error_of(error) from error
        return pause_s

    def _await_request(
        self, review_id: str, status: ReviewStatus | None, left_s: float
    ) -> tuple[decisions_pb2.AwaitRequest, float]:
        """The next long poll and its own deadline. Without a snapshot it returns at once."""
        hold_s = min(self._timing.long_poll_s, left_s)
        wait = Duration()
        wait.FromMilliseconds(int(hold_s * 1000))
        after = "" if status is None else status.cursor
        request = decisions_pb2.AwaitRequest(review_id=review_id, after=after, max_wait=wait)
        return request, hold_s + self._timing.attempt_s

    def _seen(
        self,
        answer: decisions_pb2.AwaitResponse,
        review: Pending | str,
        status: ReviewStatus | None,
    ) -> ReviewStatus | None:
        if answer.HasField("review"):
            status = status_of(answer.review)
            if isinstance(review, Pending):
                review.status = status
        elif not answer.reconnect:
            raise ProtocolError("protocol.review", "the server answered a wait without a review")
        return status

    def _answer_questions(self, status: ReviewStatus, asked: set[str]) -> Conversation[None]:
        for question in status.questions:
            if question.id in asked:
                continue
            asked.add(question.id)
            said: Answer | str | None = yield Ask(question=question)
            if not said:
                continue
            told = Answer(said) if isinstance(said, str) else said
            try:
                yield from self.answer(
                    status.review_id, question.id, told.text, answered_by=told.answered_by
                )
            except (PreconditionFailed, NotFound):
                # It was decided, or answered elsewhere, meanwhile: the next snapshot tells.
                continue

    def answer(
        self, review_id: str, question_id: str, text: str, *, answered_by: Person | None = None
    ) -> Conversation[ReviewStatus]:
        """Answer a reviewer's question."""
        request = decisions_pb2.AnswerRequest(
            review_id=review_id, question_id=question_id, text=text, request_id=new_id("ans")
        )
        if answered_by is not None:
            request.answered_by.CopyFrom(message_of_person("answered_by", answered_by))
        answer = yield from self.call("Answer", request)
        return status_of(answer)
