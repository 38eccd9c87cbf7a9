"""An approval is spent once, whoever claims, however often and however many at a time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

import grpc

from countersign.model import Choice
from countersign.v1 import context_pb2, decisions_pb2
from service import Line, Service, context

CROWD = 1000
CHANNELS = 8
ALLOWED = context_pb2.EFFECT_ALLOW


def approved(service: Service, table: str) -> str:
    """The id of an approved review of `demo.approve` on that table."""
    pending = service.client("agent").check(context("demo.approve", table)).pending
    assert pending
    bob = service.reviewer("bob")
    bob.decide(bob.get(pending.review_id), Choice.APPROVE)
    return pending.review_id


def claim(review_id: str, table: str, request_id: str, **more: Any) -> decisions_pb2.ClaimRequest:
    return decisions_pb2.ClaimRequest(
        review_id=review_id,
        context=context("demo.approve", table, **more).to_message(),
        request_id=request_id,
    )


def lines(service: Service) -> list[Line]:
    return [service.line("agent") for _ in range(CHANNELS)]


def all_at_once(lines: list[Line], requests: Iterable[decisions_pb2.ClaimRequest]) -> list[Any]:
    """The answers to claims that are all under way before the first is read."""
    calls = [
        lines[number % len(lines)].begin("Decisions.Claim", request, timeout_s=60)
        for number, request in enumerate(requests)
    ]
    return [call.result() for call in calls]


def test_of_a_thousand_claims_one_gets_the_permit(running: Service) -> None:
    review_id = approved(running, "crowd")
    answers = all_at_once(
        lines(running), (claim(review_id, "crowd", f"claim-{n}") for n in range(CROWD))
    )
    (granted,) = [answer for answer in answers if answer.effect == ALLOWED]
    assert granted.permit.token
    assert not granted.replayed
    losers = [answer for answer in answers if answer is not granted]
    assert Counter(reason.code for answer in losers for reason in answer.reasons) == {
        "claim.spent": CROWD - 1
    }
    for answer in losers:
        assert answer.effect == context_pb2.EFFECT_DENY
        assert not answer.HasField("permit")
        assert not answer.retryable

    running.stop()
    _, records = running.verified_log()
    claims = [body for body in map(json.loads, records) if body["kind"] == "claim"]
    assert Counter(body["request"]["id"] for body in claims) == {
        f"claim-{n}": 1 for n in range(CROWD)
    }
    (permit,) = [body["permit"] for body in claims if body.get("permit")]
    assert permit["jti"] == granted.permit.permit_id


def test_claims_of_something_else_among_them_spend_nothing(shared: Service) -> None:
    review_id = approved(shared, "mixed")
    wrong = (claim(review_id, "mixed", f"wrong-{n}", reason=f"other {n}") for n in range(100))
    first, *others = lines(shared)
    before = all_at_once([first, *others], wrong)
    assert {reason.code for answer in before for reason in answer.reasons} == {"claim.mismatch"}

    requests = []
    for n in range(100):
        more = {} if n % 10 == 9 else {"arguments": {"n": n}}
        requests.append(claim(review_id, "mixed", f"mixed-{n}", **more))
    answers = all_at_once(lines(shared), requests)
    (granted,) = [n for n, answer in enumerate(answers) if answer.effect == ALLOWED]
    assert granted % 10 == 9
    assert {
        reason.code for n, answer in enumerate(answers) for reason in answer.reasons if n % 10 != 9
    } <= {"claim.mismatch", "claim.spent"}


def test_the_same_request_a_hundred_times_is_one_claim(shared: Service) -> None:
    review_id = approved(shared, "again")
    answers = all_at_once(
        lines(shared), (claim(review_id, "again", "the-claim") for _ in range(100))
    )
    assert {answer.effect for answer in answers} == {ALLOWED}
    assert len({answer.permit.token for answer in answers}) == 1
    assert len({answer.record.seq for answer in answers}) == 1
    assert Counter(answer.replayed for answer in answers) == {False: 1, True: 99}


def test_a_request_id_is_not_used_for_something_else(shared: Service) -> None:
    review_id = approved(shared, "reused")
    line = shared.line("agent")
    mismatch = claim(review_id, "reused", "one-id", reason="other")
    assert line.call("Decisions.Claim", mismatch).effect == context_pb2.EFFECT_DENY
    reused = line.refused("Decisions.Claim", claim(review_id, "reused", "one-id"))
    assert reused.code is grpc.StatusCode.FAILED_PRECONDITION
    assert reused.reason == "request_id.reused"
    assert line.call("Decisions.Claim", claim(review_id, "reused", "two")).effect == ALLOWED

    def check(table: str, **more: Any) -> decisions_pb2.CheckRequest:
        wanted = context("demo.allow", table).to_message()
        return decisions_pb2.CheckRequest(context=wanted, request_id="check-id", **more)

    assert not line.call("Decisions.Check", check("reused")).replayed
    assert line.call("Decisions.Check", check("reused")).replayed
    for other in (
        check("else"),
        check("reused", permit_audience="x"),
        check("reused", labels={"a": "b"}),
    ):
        assert line.refused("Decisions.Check", other).reason == "request_id.reused"
    # Another caller's ids are its own.
    mine = decisions_pb2.CheckRequest(
        context=context("demo.allow", "mine").to_message(), request_id="check-id"
    )
    assert not shared.line("stranger").call("Decisions.Check", mine).replayed


def test_one_review_for_a_crowd_that_asks_for_the_same(shared: Service) -> None:
    request = decisions_pb2.CheckRequest(context=context("demo.approve", "same").to_message())
    calls = [line.begin("Decisions.Check", request) for line in lines(shared) for _ in range(25)]
    answers = [call.result() for call in calls]
    assert len({answer.review.review_id for answer in answers}) == 1
    assert Counter(answer.review_reused for answer in answers) == {False: 1, True: len(calls) - 1}
