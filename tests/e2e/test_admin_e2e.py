"""Operators at work on a real service, and one who wants to approve her own action."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from countersign.client import (
    Client,
    Effect,
    NotPermitted,
    PreconditionFailed,
    ReviewsClient,
    Unauthenticated,
)
from countersign.client.admin import AdminClient
from countersign.client.context import Workload
from countersign.credentials import Credential, SubjectKind, token_hash
from countersign.model import Choice
from countersign.v1 import admin_pb2 as pb
from service import TIMING, Service, context, eventually

POLICY = Path(__file__).with_name("policy")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """mallory and olga are operators; mallory is an approver too, like bob and alice."""
    with Service(tmp_path / "countersign", policy=POLICY) as found:
        found.configure({"admin.groups": ["operators"]})
        found.person("mallory", "operators", "approvers")
        found.person("olga", "operators")
        found.person("alice", "approvers")
        found.person("bob", "approvers")
        found.caller("agent", "mallory")
        yield found.start()


def credential(service: Service, token: str) -> Credential:
    return Credential(endpoint=f"127.0.0.1:{service.port}", token=token)


def admin(service: Service, who: str) -> AdminClient:
    return service._closing.enter_context(AdminClient(service.credential(who), timing=TIMING))


def entry(id: str, owner: str, *, actors: tuple[str, ...] = ("agent",)) -> pb.CallerEntry:
    return pb.CallerEntry(
        id=id,
        actors=(id, *actors),
        environments=["production"],
        resources=["table:*"],
        owners=[owner],
    )


def changes(service: Service) -> list[dict[str, Any]]:
    """What is recorded of the registers, once it is published."""
    service.stop()
    records = map(json.loads, service.verified_log()[1])
    return [record["change"] for record in records if record["kind"] == "directory.changed"]


def test_a_caller_registered_by_call_asks_at_once_and_the_log_says_who_did_it(
    service: Service,
) -> None:
    olga = admin(service, "olga")
    token = olga.put(entry("fresh", "alice"))
    service.plant(token)
    service.tokens["fresh"] = token
    wanted = context("demo.approve")
    pending = service.client("fresh").check(wanted).pending
    assert pending
    bob = service.reviewer("bob")
    bob.decide(bob.get(pending.review_id), Choice.APPROVE)
    assert service.client("fresh").claim(pending.review_id, wanted).permit

    second = olga.rotate(SubjectKind.CALLER, "fresh")
    service.plant(second)
    assert olga.revoke(SubjectKind.CALLER, "fresh") == [token_hash(token)[:12]]
    with pytest.raises(Unauthenticated):
        service.client("fresh").check(wanted)
    olga.remove(SubjectKind.CALLER, "fresh")
    with pytest.raises(Unauthenticated), Client(credential(service, second)) as gone:
        gone.check(wanted)

    told = changes(service)
    assert [change["by"] for change in told] == ["olga"] * 4
    assert told[0]["callers"]["added"] == ["fresh"]
    assert told[3]["callers"]["removed"] == ["fresh"]


def test_nothing_stops_while_a_token_is_rotated(service: Service) -> None:
    old, done, seen = service.client("agent"), threading.Event(), list[Effect]()

    def ask() -> None:
        while not done.is_set():
            seen.append(old.check(context("demo.allow")).effect)

    asking = threading.Thread(target=ask)
    asking.start()
    olga = admin(service, "olga")
    for _ in range(3):
        service.tokens["agent"] = olga.rotate(SubjectKind.CALLER, "agent")
        assert service.client("agent").check(context("demo.allow")).effect is Effect.ALLOW
    done.set()
    asking.join()
    assert seen
    assert set(seen) == {Effect.ALLOW}


def test_a_list_tells_when_a_credential_was_last_used(service: Service) -> None:
    service.client("agent").check(context("demo.allow"))
    olga = admin(service, "olga")

    def used() -> bool:
        (agent,) = olga.entries(SubjectKind.CALLER)
        return agent.credentials[0].HasField("last_used_at")

    eventually(used)


def test_a_change_survives_a_restart(service: Service) -> None:
    token = admin(service, "olga").put(entry("fresh", "alice"))
    service.kill()
    service.start()
    with Client(credential(service, token)) as fresh:
        assert fresh.check(context("demo.allow")).effect is Effect.ALLOW


# --- mallory ---


def pending_of(client: Client) -> str:
    decision = client.check(context("demo.approve"))
    assert decision.pending, decision.reasons
    return decision.pending.review_id


def assert_cannot_approve(reviewer: ReviewsClient, review_id: str, code: str) -> None:
    with pytest.raises((PreconditionFailed, NotPermitted)) as refused:
        reviewer.decide(reviewer.get(review_id), Choice.APPROVE)
    assert refused.value.code == code


def test_mallory_cannot_leave_the_chain_of_her_agent(service: Service) -> None:
    mallory = admin(service, "mallory")
    review_id = pending_of(service.client("agent"))
    for attempt in (
        lambda: mallory.put(entry("agent", "alice", actors=())),
        lambda: mallory.remove(SubjectKind.CALLER, "agent"),
        lambda: mallory.put(pb.PersonEntry(id="olga", name="Mine", groups=["operators"])),
        lambda: mallory.rotate(SubjectKind.PERSON, "olga"),
        lambda: mallory.put(pb.PersonEntry(id="zed", name="Z", groups=["operators"])),
    ):
        with pytest.raises(NotPermitted):
            attempt()
    assert_cannot_approve(service.reviewer("mallory"), review_id, "vote.self_approval")
    service.stop()
    kept_out = [
        record["change"]
        for record in map(json.loads, service.verified_log()[1])
        if record["kind"] == "admin.refused"
    ]
    assert {each["by"] for each in kept_out} == {"mallory"}
    codes = [each["code"] for each in kept_out]
    assert codes == ["admin.own_subject"] * 2 + ["admin.operators_fixed"] * 3


def test_mallory_cannot_approve_what_a_caller_asks_whose_token_she_saw(service: Service) -> None:
    token = admin(service, "mallory").put(entry("front", "alice", actors=()))
    wanted = dataclasses.replace(context("demo.approve"), actor=Workload("front"))
    with Client(credential(service, token)) as front:
        decision = front.check(wanted)
    assert decision.pending, decision.reasons
    review_id = decision.pending.review_id
    assert_cannot_approve(service.reviewer("mallory"), review_id, "vote.self_approval")


def test_mallory_cannot_approve_as_somebody_whose_token_she_made(service: Service) -> None:
    mallory = admin(service, "mallory")
    review_id = pending_of(service.client("agent"))
    bobs = mallory.rotate(SubjectKind.PERSON, "bob")
    second_self = mallory.put(pb.PersonEntry(id="zed", name="Zed", groups=["approvers"]))
    for token in (bobs, second_self):
        with ReviewsClient(credential(service, token)) as voter:
            assert_cannot_approve(voter, review_id, "vote.token_known")
    bob = service.reviewer("bob")
    bob.decide(bob.get(review_id), Choice.APPROVE)


def test_mallory_cannot_let_somebody_be_proven_behind_what_she_asks(service: Service) -> None:
    service.caller("shared", "alice", users=("mallory", "bob"))
    mallory = admin(service, "mallory")
    theirs = pb.PersonEntry(
        id="bob",
        name="Bob",
        groups=["approvers"],
        accounts=[pb.Account(issuer="https://idp.example", subject="mallorys-other")],
    )
    with pytest.raises(NotPermitted, match=r"admin\.own_subject"):
        mallory.put(theirs)


def test_mallory_cannot_make_herself_a_channel(service: Service) -> None:
    with pytest.raises(NotPermitted, match=r"admin\.own_subject"):
        admin(service, "mallory").put(pb.ChannelEntry(id="mine", issuers=["teams:t"]))


def test_without_the_setting_nobody_administers(tmp_path: Path) -> None:
    with Service(tmp_path / "countersign", policy=POLICY) as plain:
        plain.person("olga", "operators")
        plain.start()
        with pytest.raises(NotPermitted, match=r"admin\.disabled"):
            admin(plain, "olga").entries(SubjectKind.CALLER)
