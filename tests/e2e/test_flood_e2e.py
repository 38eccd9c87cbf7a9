"""Many requests where one would do: one review, sums that add up, and limits that hold.

Nobody wears reviewers out with the same thing in other words, gets a large
thing by many small ones, or more by going through several callers.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import jwt
import psutil
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from jwt.algorithms import OKPAlgorithm

from clocked import DAY_S, HOUR_S, Clocked
from countersign.client import Context, Decision, Effect, Person, Resource
from countersign.model import Account, Choice
from countersign.v1 import context_pb2, decisions_pb2
from service import Service, context, refused

CROWD = 1000
CHANNELS = 8
DENY = context_pb2.EFFECT_DENY
NEEDS_APPROVAL = context_pb2.EFFECT_NEEDS_APPROVAL
MAX_MEMORY = 64 * 2**20
"""What a thousand refusals may leave in memory; they leave far less."""
MAX_CPU_S = 20
"""What a thousand refusals may cost, on a slow machine with all it runs."""
ISSUER = "https://login.example"
KEY = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


@pytest.fixture
def clocked(tmp_path: Path) -> Iterator[Clocked]:
    """The stories' policy, and a clock that can be set."""
    with Clocked(tmp_path / "countersign", policy=Path(__file__).with_name("policy")) as service:
        yield populated(service)


@pytest.fixture
def examples(tmp_path: Path) -> Iterator[Clocked]:
    """The example policies, and a clock that can be set."""
    with Clocked(tmp_path / "countersign") as service:
        yield populated(service)


def populated(service: Clocked) -> Clocked:
    service.person("alice", "approvers", "data-owners")
    service.person("bob", "approvers", "data-owners")
    service.caller("agent", "alice")
    service.caller("cousin", "alice", actors=("agent",))
    return service


def codes(decision: Any) -> list[str]:
    return [reason.code for reason in decision.reasons]


def check(table: str, request_id: str, **more: Any) -> decisions_pb2.CheckRequest:
    wanted = context("demo.approve", table, **more).to_message()
    return decisions_pb2.CheckRequest(context=wanted, request_id=request_id)


def all_at_once(service: Service, requests: list[decisions_pb2.CheckRequest]) -> list[Any]:
    """The answers to Checks that are all under way before the first is read."""
    lines = [service.line("agent") for _ in range(CHANNELS)]
    calls = [
        lines[number % CHANNELS].begin("Decisions.Check", request, timeout_s=60)
        for number, request in enumerate(requests)
    ]
    return [call.result() for call in calls]


def recorded(service: Service) -> Counter[str]:
    """How many records there are of each kind, once it has ended well."""
    assert service.stop() == 0
    _, records = service.verified_log()
    return Counter(json.loads(record)["kind"] for record in records)


# --- the same thing over and over ---


def test_a_thousand_ways_to_word_it_are_one_review(running: Service) -> None:
    """Memory and processor time are looked at too: a flood of refusals is cheap to refuse."""
    assert running.process is not None
    process = psutil.Process(running.process.pid)
    all_at_once(running, [check("warm", f"warm-{n}", reason=f"w{n}") for n in range(50)])
    memory, cpu = process.memory_info().rss, sum(process.cpu_times()[:2])
    answers = all_at_once(
        running,
        [
            check("crowd", f"check-{n}", reason=f"reason {n}", session=f"session-{n % 7}")
            for n in range(CROWD)
        ],
    )
    assert process.memory_info().rss - memory < MAX_MEMORY
    assert sum(process.cpu_times()[:2]) - cpu < MAX_CPU_S

    (first,) = [answer for answer in answers if answer.effect == NEEDS_APPROVAL]
    others = [answer for answer in answers if answer is not first]
    assert {answer.effect for answer in others} == {DENY}
    assert {code for answer in others for code in codes(answer)} == {"review.duplicate"}
    assert all(first.review.review_id in answer.reasons[0].message for answer in others)
    assert not any(answer.HasField("review") for answer in others)
    open_ones = [r.status.review_id for r in running.reviewer("bob").list()]
    assert len(open_ones) == 2, "the one of the warming up, and this one"
    assert first.review.review_id in open_ones

    kinds = recorded(running)
    assert (kinds["decision"], kinds["review.created"]) == (50 + CROWD, 2)
    _, records = running.verified_log()
    asked = [body["request"]["id"] for body in map(json.loads, records) if "effect" in body]
    assert Counter(name for name in asked if name.startswith("check-")) == {
        f"check-{n}": 1 for n in range(CROWD)
    }


def test_a_thousand_requests_for_the_same_are_one_review_and_each_is_answered(
    running: Service,
) -> None:
    answers = all_at_once(running, [check("same", f"same-{n}") for n in range(CROWD)])
    assert {answer.effect for answer in answers} == {NEEDS_APPROVAL}
    assert len({answer.review.review_id for answer in answers}) == 1
    assert len({answer.salt for answer in answers}) == 1
    assert Counter(answer.review_reused for answer in answers) == {False: 1, True: CROWD - 1}
    assert not any(answer.replayed for answer in answers)
    kinds = recorded(running)
    assert (kinds["decision"], kinds["review.created"]) == (CROWD, 1)


def test_what_was_denied_is_not_asked_again_in_other_words_until_it_cooled_down(
    clocked: Clocked,
) -> None:
    service = clocked.start()
    client, bob = service.client("agent"), service.reviewer("bob")
    pending = client.check(context("demo.approve", "cooling")).pending
    assert pending
    bob.decide(bob.get(pending.review_id), Choice.DENY, reason="no")
    flood = [check("cooling", f"again-{n}", reason=f"please {n}") for n in range(100)]
    answers = all_at_once(service, flood)
    assert {answer.effect for answer in answers} == {DENY}
    assert {code for answer in answers for code in codes(answer)} == {"review.cooling_down"}
    assert all(pending.review_id in answer.reasons[0].message for answer in answers)
    assert not list(bob.list())

    clocked.set_clock(61)
    again = client.check(context("demo.approve", "cooling", reason="once more")).pending
    assert again
    assert again.review_id != pending.review_id


# --- many small ones ---


def export(number: int, **more: Any) -> Context:
    """A small export that the example policies allow by itself."""
    arguments = {
        "table": "crm.orders",
        "columns": ["plan", "created_at"],
        "format": "csv",
        "destination": f"s3://analytics-exports/orders-{number}.csv",
        "row_count": 50,
    }
    return Context(
        action="db.export",
        actor="agent",
        environment="production",
        resource=Resource("table", "crm.orders", owner="data-owners"),
        arguments=arguments | more,
    )


def test_the_hundred_and_first_small_export_of_a_day_asks(examples: Clocked) -> None:
    """Twenty an hour, as the examples allow; half-way the service is killed and comes back."""
    service = examples.start()
    client = service.client("agent")
    for hour in range(5):
        service.set_clock(hour * (HOUR_S + 120))
        for number in range(20):
            decision = client.check(export(20 * hour + number))
            assert decision.effect is Effect.ALLOW, (hour, number, decision.reasons)
        if hour == 2:
            service.kill()
            service.start()
    service.set_clock(5 * (HOUR_S + 120))
    last = client.check(export(100))
    assert (last.effect, codes(last)) == (Effect.NEEDS_APPROVAL, ["export.many_today"])
    assert client.check(export(0)).effect is Effect.NEEDS_APPROVAL, "not even one of those again"

    # What people approve is let through, and counts from then on.
    assert last.pending
    bob = service.reviewer("bob")
    bob.decide(bob.get(last.pending.review_id), Choice.APPROVE)
    assert client.claim(last.pending, export(100)).permit

    service.set_clock(DAY_S + 6 * HOUR_S)
    assert client.check(export(101)).effect is Effect.ALLOW, "a day later it is another day"


def test_rows_of_small_exports_add_up_over_a_restart(examples: Clocked) -> None:
    """Ten exports of 24,900 rows each are fewer than 250,000; one small one more is not."""
    service = examples.start()
    client = service.client("agent")
    for number in range(10):
        if number == 5:
            assert service.stop() == 0
            service.start()
        decision = client.check(export(number, row_count=24_900))
        assert decision.effect is Effect.ALLOW, (number, decision.reasons)
    assert client.check(export(10, row_count=999)).effect is Effect.ALLOW
    more = client.check(export(11, row_count=10))
    assert (more.effect, codes(more)) == (Effect.NEEDS_APPROVAL, ["export.adds_up"])
    input_recent = policy_inputs(service)[-1]["recent"]["day"]
    assert (input_recent["allow"], input_recent["rows"]) == (11, 249_999)


def policy_inputs(service: Service) -> list[dict[str, Any]]:
    """What policy was asked besides the context, as the decisions on record say."""
    assert service.stop() == 0
    _, records = service.verified_log()
    bodies = map(json.loads, records)
    return [body["policy"] for body in bodies if body["kind"] == "decision"]


def test_small_exports_that_are_sent_at_once_add_up_as_well(examples: Clocked) -> None:
    """None of them waits for another, and still policy is told of those before it."""
    service = examples.start()
    wanted = (export(number, row_count=24_900).to_message() for number in range(100))
    requests = [decisions_pb2.CheckRequest(context=each, create_review=False) for each in wanted]
    answers = all_at_once(service, requests)
    effects = Counter(answer.effect for answer in answers)
    assert 1 <= effects[context_pb2.EFFECT_ALLOW] <= 10
    assert effects[NEEDS_APPROVAL] == 100 - effects[context_pb2.EFFECT_ALLOW]
    asked = [inputs["recent"]["day"] for inputs in policy_inputs(service)]
    assert len(asked) == 100
    assert max(each["rows"] for each in asked) >= 10 * 24_900


def test_other_callers_and_actions_have_counts_of_their_own(examples: Clocked) -> None:
    service = examples.start()
    client = service.client("agent")
    for number in range(20):
        assert client.check(export(number)).effect is Effect.ALLOW
    assert codes(client.check(export(20))) == ["export.many"]
    cousin = service.client("cousin").check(export(20))
    assert cousin.effect is Effect.ALLOW


# --- limits ---


def token(subject: str, client: str) -> str:
    """What an identity provider issues to one of the callers' clients."""
    now = int(time.time())
    claims = {"iss": ISSUER, "sub": subject, "aud": "evidence", "azp": client}
    return jwt.encode(claims | {"iat": now, "exp": now + 300}, KEY, "EdDSA", {"kid": "key"})


def limited(service: Service, settings: dict[str, Any], quotas: str = "") -> Service:
    """Start it with two callers that mallory drives, and with limits."""
    jwks = {"keys": [OKPAlgorithm.to_jwk(KEY.public_key(), as_dict=True) | {"kid": "key"}]}
    (service.directory / "jwks.json").write_text(json.dumps(jwks))
    service.person("mallory", accounts=(Account(issuer=ISSUER, subject="sub-mallory"),))
    for name in ("one", "two"):
        service.caller(name, "alice", users=("mallory", "erin"), clients=(f"{name}-app",))
    service.configure(settings)
    service.append_settings(
        f'[[issuers]]\nissuer = "{ISSUER}"\njwks_file = "jwks.json"\n'
        f'evidence_audience = "evidence"\n{quotas}'
    )
    return service.start()


def by_mallory(service: Service, caller: str, table: str, *, proven: bool = True) -> Decision:
    wanted = Context(
        action="demo.approve",
        actor=caller,
        environment="production",
        resource=Resource("table", table),
        on_behalf_of=[Person("mallory")],
    )
    evidence = token("sub-mallory", f"{caller}-app") if proven else ""
    return service.client(caller).check(wanted, evidence=evidence)


def test_a_caller_a_person_and_a_tenant_have_so_many_open_reviews(prepared: Service) -> None:
    service = limited(
        prepared,
        {"limits.max_open_reviews": 4, "limits.max_open_reviews_behind": 3},
        "[quotas.default]\nmax_open_reviews = 6\n",
    )

    def refusal(decision: Decision) -> str:
        assert codes(decision) == ["review.too_many_open"], decision.reasons
        return decision.reasons[0].message

    for caller, table in (("one", "p1"), ("two", "p2"), ("one", "p3")):
        assert by_mallory(service, caller, table).pending
    for caller in ("one", "two"):
        assert refusal(by_mallory(service, caller, "p4")).startswith("the person behind it")
    # Without proof it is nobody's in particular, and everybody who could be behind it is excluded.
    assert by_mallory(service, "one", "p4", proven=False).pending
    assert by_mallory(service, "one", "p5", proven=False).pending
    assert refusal(by_mallory(service, "one", "p6", proven=False)).startswith("this caller")
    agent = service.client("agent")
    first = agent.check(context("demo.approve", "q1")).pending
    assert first
    assert refusal(agent.check(context("demo.approve", "q2"))).startswith("this tenant")
    assert service.client("stranger").check(context("demo.approve", "q3")).pending
    agent.cancel(first, reason="no need")
    assert agent.check(context("demo.approve", "q2")).pending, "what is settled counts no more"


def asks(service: Service, caller: str, *, proven: bool = False) -> str:
    """Send one Check; empty when it was answered, else why there were too many."""
    wanted = context("demo.allow").to_message()
    wanted.actor.id = caller
    if proven:
        evidence = token("sub-mallory", f"{caller}-app")
        wanted.on_behalf_of.add(type="person", id="mallory", evidence=evidence)
    request = decisions_pb2.CheckRequest(context=wanted)
    call = service.line(caller).begin("Decisions.Check", request)
    if call.exception() is None:
        assert call.result().effect == context_pb2.EFFECT_ALLOW, call.result()
        return ""
    seen = refused(call.exception())
    assert seen.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    return seen.reason


SLOWLY = 0.001
"""Requests a second: within a test nothing comes back."""


def test_a_caller_sends_so_many_requests_and_no_other_pays_for_it(prepared: Service) -> None:
    settings = {"server.requests_per_s": SLOWLY, "server.requests_burst": 5}
    service = limited(prepared, settings)
    assert [asks(service, "one") for _ in range(5)] == [""] * 5
    assert asks(service, "one") == "caller.rate"
    assert asks(service, "two") == ""


def test_a_person_sends_so_many_requests_through_whichever_caller(prepared: Service) -> None:
    settings = {"limits.requests_per_s_behind": SLOWLY, "limits.requests_burst_behind": 4}
    service = limited(prepared, settings)
    assert [asks(service, name, proven=True) for name in ("one", "two") * 2] == [""] * 4
    assert asks(service, "one", proven=True) == "person.rate"
    assert asks(service, "two", proven=True) == "person.rate"
    assert asks(service, "one") == "", "whoever else is behind it asks on"


def test_a_tenant_sends_so_many_requests_and_no_other_pays_for_it(prepared: Service) -> None:
    quota = f"[quotas.default]\nrequests_per_s = {SLOWLY}\nrequests_burst = 4\n"
    service = limited(prepared, {}, quota)
    assert [asks(service, name) for name in ("one", "two") * 2] == [""] * 4
    assert asks(service, "one") == "tenant.rate"
    assert asks(service, "two") == "tenant.rate"
    assert asks(service, "agent") == "tenant.rate"
    assert asks(service, "stranger") == ""
