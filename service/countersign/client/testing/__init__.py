"""Fakes for your unit tests: the real SDK against a scripted decision point.

    fake = FakeClient()
    fake.allow("db.read")
    fake.needs_approval("db.export").ask_by("bob", "how many rows?").approve_by("bob")

    run_my_agent(fake)

    assert [context.action for context in fake.checked] == ["db.read", "db.export"]
    assert fake.reported == [(Outcome.SUCCEEDED, {}), (Outcome.SUCCEEDED, {"rows": 120})]

Only the network and the clock are replaced: what the SDK refuses in production
(a second claim, another context, a passed deadline) it refuses here, and
nothing ever sleeps. What no rule is about is denied. `fake.reviewer("bob")` and
`fake.channel(accounts)` are the other side of it, a `ReviewsClient`, for tests
of bots and of tools for reviewers; `async_reviewer` and `async_channel` for asyncio.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, TypeAlias

import grpc

from countersign import canonical
from countersign.client.aio import AsyncClient
from countersign.client.context import Context
from countersign.client.conversation import Conversations
from countersign.client.exchange import Timing
from countersign.client.principals import Person
from countersign.client.status import CallFailed
from countersign.client.steps import Call
from countersign.client.sync import Client
from countersign.client.testing.activity import content_of
from countersign.client.testing.decision_point import DecisionPoint, failure
from countersign.client.testing.desk import Desk
from countersign.client.testing.lines import FakeAioLine, FakeLine
from countersign.client.testing.people import FakeAsyncReviewsClient, FakeReviewsClient
from countersign.client.testing.rules import Rule
from countersign.client.waiting import Answer
from countersign.model import Effect, JsonObject, JsonValue, Outcome, Reason
from countersign.v1 import context_pb2, decisions_pb2

__all__ = [
    "DecisionPoint",
    "Desk",
    "FakeAsyncClient",
    "FakeAsyncReviewsClient",
    "FakeClient",
    "FakeReviewsClient",
    "Rule",
    "Script",
]


Who: TypeAlias = Callable[[Any], str]
"""Which person a request is of. Raises `CallFailed`."""


class Script:
    """What both fakes can be told, and what they remember. The newest rule wins."""

    def _reset(self, timing: Timing | None) -> None:
        self.point = DecisionPoint(self._wall)
        self.desk = Desk(self.point, self._wall)
        self.checked: list[Context] = []
        """Every context asked about, in order."""
        self._passed_s = 0.0
        self._failures: list[str] = []
        self._endpoint = "nowhere"
        self._conversations = Conversations(
            timing or Timing(), clock=self._wall, wall=self._wall, chance=lambda: 0.5
        )

    def allow(self, action: str, *, times: int | None = None) -> Rule:
        """Allow an action; `*` in the name matches anything."""
        return self._add(Rule(pattern=action, effect=Effect.ALLOW, times=times))

    def deny(
        self,
        action: str,
        *,
        code: str = "test.denied",
        message: str = "denied by the test",
        retryable: bool = False,
        times: int | None = None,
    ) -> Rule:
        """Deny an action, for a passing reason when `retryable`."""
        return self._add(
            Rule(
                pattern=action,
                effect=Effect.DENY,
                reasons=(Reason(code=code, message=message),),
                retryable=retryable,
                times=times,
            )
        )

    def needs_approval(
        self,
        action: str,
        *,
        quorum: int = 1,
        approve_within_s: float = 3600,
        use_within_s: float = 300,
        batch: bool = False,
        break_glass: Sequence[str] = (),
    ) -> Rule:
        """Ask people; script them on the rule: `.approve_by("bob")`. Else it expires.

        `batch` lets them approve it together with others, `break_glass` names
        who may approve it alone in an emergency.
        """
        return self._add(
            Rule(
                pattern=action,
                effect=Effect.NEEDS_APPROVAL,
                reasons=(Reason(code="test.review", message="a person must look at it"),),
                quorum=quorum,
                approve_within_s=approve_within_s,
                use_within_s=use_within_s,
                batch=batch,
                break_glass=tuple(break_glass),
            )
        )

    def reviewer(self, person: str) -> FakeReviewsClient:
        """The same reviews as a person with their own credential sees them."""
        return self._people(_as_person(person))

    def async_reviewer(self, person: str) -> FakeAsyncReviewsClient:
        """What `reviewer` returns, for asyncio."""
        return self._async_people(_as_person(person))

    def channel(self, accounts: Mapping[tuple[str, str], str]) -> FakeReviewsClient:
        """The same as a channel sees them; `accounts` says who is who.

        `{("teams:contoso", "object-id"): "bob"}`: issuer and subject to person.
        """
        return self._people(_as_channel(accounts))

    def async_channel(self, accounts: Mapping[tuple[str, str], str]) -> FakeAsyncReviewsClient:
        """What `channel` returns, for asyncio."""
        return self._async_people(_as_channel(accounts))

    def unavailable(self, method: str, *, times: int = 1) -> None:
        """Let the next calls of one method ("Check", "Claim", …) find no server."""
        self._failures.extend([method] * times)

    def available(self) -> None:
        """Forget the failures still to come."""
        self._failures.clear()

    def pass_time(self, seconds: float) -> None:
        """Let time pass for reviews and permits."""
        self._passed_s += seconds

    @property
    def reported(self) -> list[tuple[Outcome, JsonObject]]:
        """Every outcome reported, with its detail, in order."""
        return [
            (_OUTCOMES[report.outcome], canonical.parse_object(report.detail_json))
            for report in self.point.reports
        ]

    @property
    def answered(self) -> list[Answer]:
        """Every answer to a reviewer's question, in order."""
        return [
            Answer(
                given.text,
                answered_by=Person(given.answered_by.id, evidence=given.answered_by.evidence)
                if given.HasField("answered_by")
                else None,
            )
            for given in self.point.answered
        ]

    @property
    def logged(self) -> list[tuple[str, JsonValue]]:
        """Every activity put on record, by type, in order."""
        return [(request.type, content_of(request)) for request in self.point.logged]

    def _add(self, rule: Rule) -> Rule:
        self.point.rules.append(rule)
        return rule

    def _wall(self) -> float:
        return time.time() + self._passed_s

    def _people(self, who: Who) -> FakeReviewsClient:
        line = FakeLine(self._answering_people(who), self.pass_time)
        return FakeReviewsClient(line, wall=self._wall)

    def _async_people(self, who: Who) -> FakeAsyncReviewsClient:
        line = FakeAioLine(self._answering_people(who), self.pass_time)
        return FakeAsyncReviewsClient(line, wall=self._wall)

    def _answering_people(self, who: Who) -> Callable[[Call], object]:
        def answering(call: Call) -> object:
            self._fail(call.method)
            return self.desk.handle(call.method, call.request, who(call.request))

        return answering

    def _fail(self, method: str) -> None:
        if method in self._failures:
            self._failures.remove(method)
            raise CallFailed(code=grpc.StatusCode.UNAVAILABLE, message="made unavailable")

    def _reply(self, call: Call) -> object:
        self._fail(call.method)
        answer = self.point.handle(call.method, call.request)
        if isinstance(call.request, decisions_pb2.CheckRequest) and not answer.replayed:  # type: ignore[attr-defined]
            self.checked.append(Context.from_message(call.request.context))
        if isinstance(answer, decisions_pb2.AwaitResponse) and not answer.changed:
            if not self.point.act(answer.review.review_id):
                self.pass_time(call.request.max_wait.ToTimedelta().total_seconds())  # type: ignore[attr-defined]
            answer = self.point.handle(call.method, call.request)
        return answer


class FakeClient(Script, Client):
    """A `Client` without a server. Give it to the code under test."""

    def __init__(self, *, timing: Timing | None = None) -> None:
        self._reset(timing)
        self._line = FakeLine(self._reply, self.pass_time)

    @classmethod
    def from_credential(cls, path: str | os.PathLike[str], *, timing: Timing | None = None) -> Self:
        """A fake. The file is not read."""
        del path
        return cls(timing=timing)


class FakeAsyncClient(Script, AsyncClient):
    """An `AsyncClient` without a server. Give it to the code under test."""

    def __init__(self, *, timing: Timing | None = None) -> None:
        self._reset(timing)
        self._line = FakeAioLine(self._reply, self.pass_time)

    @classmethod
    def from_credential(cls, path: str | os.PathLike[str], *, timing: Timing | None = None) -> Self:
        """A fake. The file is not read."""
        del path
        return cls(timing=timing)


_OUTCOMES = {
    context_pb2.OUTCOME_SUCCEEDED: Outcome.SUCCEEDED,
    context_pb2.OUTCOME_FAILED: Outcome.FAILED,
    context_pb2.OUTCOME_AMBIGUOUS: Outcome.AMBIGUOUS,
}


def _as_person(person: str) -> Who:
    def who(request: Any) -> str:
        if "person" in request.DESCRIPTOR.fields_by_name and request.HasField("person"):
            words = "is for channels; your own credential says who you are"
            raise failure("INVALID_ARGUMENT", "request.invalid", words, "person")
        return person

    return who


def _as_channel(accounts: Mapping[tuple[str, str], str]) -> Who:
    def who(request: Any) -> str:
        if "person" not in request.DESCRIPTOR.fields_by_name:
            raise failure("PERMISSION_DENIED", "channel.not_a_person", "a person must do this")
        if not request.HasField("person"):
            raise failure("INVALID_ARGUMENT", "request.invalid", "is missing", "person")
        try:
            return accounts[request.person.issuer, request.person.subject]
        except KeyError:
            words = "person.subject: is no account of a registered person"
            raise failure("PERMISSION_DENIED", "channel.unknown_account", words) from None

    return who
