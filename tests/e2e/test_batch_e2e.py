"""Many Checks in one call, on a real service."""

from __future__ import annotations

import json

from countersign.client import Context, Decision, ReviewState
from countersign.v1 import context_pb2, decisions_pb2
from service import Service, context

SECRET = "lena.vogt@kunde-beispiel.de"


def item(wanted: Context, **options: object) -> decisions_pb2.CheckRequest:
    return decisions_pb2.CheckRequest(context=wanted.to_message(), **options)


def batch(
    service: Service, *items: decisions_pb2.CheckRequest
) -> list[decisions_pb2.BatchCheckResult]:
    request = decisions_pb2.BatchCheckRequest(items=items)
    answer = service.line("agent").call("Decisions.BatchCheck", request, timeout_s=30)
    assert isinstance(answer, decisions_pb2.BatchCheckResponse)
    return list(answer.results)


def test_fifty_at_once_are_fifty_decisions_on_record(running: Service) -> None:
    actions = ["demo.allow", "demo.deny", "demo.exprot", "demo.nonsense", "demo.approve"]
    wanted = [context(actions[n % 5], table=f"t{n}", reason=SECRET) for n in range(50)]
    running.plant(SECRET)
    results = batch(running, *(item(each) for each in wanted))
    assert [result.WhichOneof("outcome") for result in results] == ["answer"] * 50
    answers = [result.answer for result in results]
    allow, deny, needs = (
        context_pb2.EFFECT_ALLOW,
        context_pb2.EFFECT_DENY,
        context_pb2.EFFECT_NEEDS_APPROVAL,
    )
    assert [answer.effect for answer in answers] == [allow, deny, deny, deny, needs] * 10
    codes = [answer.reasons[0].code for answer in answers]
    told = ["demo.rule", "demo.rule", "policy.undefined", "policy.invalid", "demo.rule"]
    assert codes == told * 10
    running.stop()
    _, records = running.verified_log()
    bodies = {
        body["decision"]: body for body in map(json.loads, records) if body["kind"] == "decision"
    }
    for each, answer in zip(wanted, answers, strict=True):
        body = bodies[answer.decision_id]
        assert (body["seq"], body["action"]) == (answer.record.seq, each.action)
        assert body["commitment"] != ""


def test_an_item_and_a_check_alone_are_answered_alike(running: Service) -> None:
    for action in ("demo.allow", "demo.deny", "demo.exprot"):
        (together,) = batch(running, item(context(action)))
        alone = running.line("agent").call("Decisions.Check", item(context(action)), timeout_s=30)
        for answer in (together.answer, alone):
            answer.ClearField("decision_id")
            answer.ClearField("record")
            answer.ClearField("salt")
        assert together.answer == alone


def test_the_sdk_asks_about_many_at_once(running: Service) -> None:
    wanted = [context(action) for action in ("demo.allow", "demo.approve", "demo.deny")]
    allowed, pending, denied = running.client("agent").check_many(wanted)
    assert isinstance(allowed, Decision)
    assert allowed.allowed
    assert isinstance(pending, Decision)
    assert pending.pending is not None
    assert isinstance(denied, Decision)
    assert denied.reasons[0].code == "demo.rule"
    assert running.client("agent").cancel(pending.pending).state is ReviewState.CANCELLED
