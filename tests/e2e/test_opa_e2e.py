"""OPA dies, hangs or is told nonsense: everything is denied, nothing is lost.

And what is changed while it runs takes effect, whole or not at all.
"""

from __future__ import annotations

import json
import time

import grpc
import psutil
import pytest

from countersign.client import Denied, Unauthenticated
from countersign.model import Choice
from countersign.v1 import context_pb2, decisions_pb2, reviews_pb2
from service import Service, context, eventually

DEADLINE_S = 5.0


def check(service: Service, action: str, **more: object) -> decisions_pb2.CheckResponse:
    """One attempt, without the SDK's patience."""
    request = decisions_pb2.CheckRequest(
        context=context(action, **more).to_message(),
        request_id=str(more.get("request_id", "")),
    )
    answer = service.line("agent").call("Decisions.Check", request, timeout_s=DEADLINE_S)
    assert isinstance(answer, decisions_pb2.CheckResponse)
    return answer


def code(answer: decisions_pb2.CheckResponse | decisions_pb2.ClaimResponse) -> str:
    (reason,) = answer.reasons
    return reason.code


def is_ready(service: Service) -> bool:
    """Both faces of readiness, when they agree."""
    page, _ = service.status("/readyz")
    return page == 200 and service.health() == "SERVING"


def is_down(service: Service) -> bool:
    page, said = service.status("/readyz")
    return page == 503 and "policy" in said and service.health() == "NOT_SERVING"


def test_while_opa_is_hung_everything_is_denied_and_may_be_asked_again(running: Service) -> None:
    service = running
    assert is_ready(service)
    opa = service.opa()
    opa.suspend()
    try:
        began = time.monotonic()
        answer = check(service, "demo.allow")
        assert time.monotonic() - began < DEADLINE_S
        assert (answer.effect, code(answer)) == (
            context_pb2.EFFECT_DENY,
            "policy.unavailable",
        )
        assert answer.retryable
        assert answer.record.log_id
        eventually(lambda: is_down(service))
        assert service.status("/livez")[0] == 200
    finally:
        if opa.is_running():
            opa.resume()
    eventually(lambda: is_ready(service))
    assert check(service, "demo.allow").effect == context_pb2.EFFECT_ALLOW


def test_opa_is_killed_and_comes_back_by_itself(running: Service) -> None:
    service = running
    process = service.process
    opa = service.opa()
    opa.kill()
    psutil.wait_procs([opa], timeout=10)
    answer = check(service, "demo.allow")
    if answer.effect == context_pb2.EFFECT_DENY:  # else another was up already
        assert code(answer) == "policy.unavailable"
        assert answer.retryable
    decision = service.client("agent").check(context("demo.allow"))
    assert decision.allowed
    eventually(lambda: is_ready(service))
    assert service.opa().pid != opa.pid
    assert service.process is process
    assert service.metric("countersign_opa_restarts") == 1


def test_no_opa_for_a_while(running: Service) -> None:
    """Every OPA that is started is killed, until we let one live."""
    service = running
    denied = False
    while not denied:
        for child in psutil.Process(service.process.pid if service.process else 0).children():
            child.kill()
        answer = check(service, "demo.allow")
        denied = answer.effect == context_pb2.EFFECT_DENY
    assert code(answer) == "policy.unavailable"
    assert answer.retryable
    eventually(lambda: is_ready(service))


def test_a_fault_at_the_claim_spends_nothing(running: Service) -> None:
    service = running
    client, bob = service.client("agent"), service.reviewer("bob")
    pending = client.check(context("demo.approve")).pending
    assert pending
    bob.decide(bob.get(pending.review_id), Choice.APPROVE)
    claim = decisions_pb2.ClaimRequest(
        review_id=pending.review_id,
        context=context("demo.approve").to_message(),
        request_id="the-claim",
    )
    opa = service.opa()
    opa.suspend()
    try:
        answer = service.line("agent").call("Decisions.Claim", claim, timeout_s=DEADLINE_S)
        assert code(answer) == "policy.unavailable"
        assert answer.retryable
        assert answer.review.state == context_pb2.REVIEW_STATE_APPROVED
    finally:
        if opa.is_running():
            opa.resume()
    eventually(lambda: is_ready(service))
    # The retryable denial is not bound: the same request fares better now.
    again = service.line("agent").call("Decisions.Claim", claim)
    assert again.effect == context_pb2.EFFECT_ALLOW
    assert not again.replayed


def test_nonsense_is_denied_and_named_to_the_author_alone(shared: Service) -> None:
    service = shared
    secret = "sk_live_51HxQ2eLkD93JfmZpVwTnYbRa"
    service.plant(secret)
    answer = check(service, "demo.nonsense", reason=secret)
    assert (answer.effect, code(answer)) == (context_pb2.EFFECT_DENY, "policy.invalid")
    assert not answer.retryable
    assert "requirement.stages[0].quorum: 0, must be ≥ 1" in service.said
    assert "quorum" not in answer.reasons[0].message


def test_an_action_no_rule_knows_is_denied(shared: Service) -> None:
    answer = check(shared, "demo.unheard_of")
    assert (answer.effect, code(answer)) == (context_pb2.EFFECT_DENY, "policy.undefined")
    assert not answer.retryable


@pytest.mark.parametrize("action", ["demo.nonsense", "demo.unheard_of"])
def test_what_policy_cannot_say_opens_no_review(shared: Service, action: str) -> None:
    client = shared.client("agent")
    assert client.check(context(action, "nobody")).pending is None
    with pytest.raises(Denied):
        client.authorize(context(action, "nobody"), timeout_s=1)


def test_a_new_policy_is_activated_and_a_broken_one_is_not(running: Service) -> None:
    service = running
    rules = service.directory / "policy" / "decision.rego"
    before = check(service, "demo.deny")
    assert before.effect == context_pb2.EFFECT_DENY
    text = rules.read_text()

    rules.write_text(text + "\nallow if {")
    service.reload()
    eventually(lambda: "policy not activated, the old one stays" in service.said)
    assert check(service, "demo.deny").policy_revision == before.policy_revision
    assert is_ready(service)

    rules.write_text(text.replace('"effect": "deny"', '"effect": "allow"'))
    service.reload()
    eventually(lambda: check(service, "demo.deny").effect == context_pb2.EFFECT_ALLOW)
    assert check(service, "demo.deny").policy_revision != before.policy_revision
    assert service.stop() == 0
    _, records = service.verified_log()
    changes = [body for body in map(json.loads, records) if body["kind"] == "policy.changed"]
    assert len({body["change"]["revision"] for body in changes}) == 2


def test_whoever_is_registered_while_it_runs_is_known_soon(running: Service) -> None:
    service = running
    pending = service.client("agent").check(context("demo.approve")).pending
    assert pending
    service.person("grace", "approvers")
    get = reviews_pb2.GetReviewRequest(review_id=pending.review_id)

    def is_known() -> bool:
        try:
            service.line("grace").call("Reviews.Get", get)
        except grpc.RpcError:
            return False
        return True

    eventually(is_known)
    grace = service.reviewer("grace")
    grace.decide(grace.get(pending.review_id), Choice.APPROVE)
    service.stop()
    _, records = service.verified_log()
    (change,) = [body for body in map(json.loads, records) if body["kind"] == "directory.changed"]
    assert change["change"]["people"]["added"] == ["grace"]


def test_a_revoked_credential_ends_the_watch_it_opened(running: Service) -> None:
    service = running
    people = service.directory / "people.toml"
    watching = service.reviewer("carol").watch()
    service.client("agent").check(context("demo.approve"))
    assert next(watching).status.state == context_pb2.REVIEW_STATE_PENDING
    kept = [
        table for table in people.read_text().split("[[people]]") if 'id = "carol"' not in table
    ]
    people.write_text("[[people]]".join(kept))
    with pytest.raises(Unauthenticated):
        next(watching)
