"""Policy that people approve before it answers: nobody changes the rules alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from countersign.client import NotPermitted, PreconditionFailed
from countersign.model import Choice
from service import Service, context, eventually

POLICY = Path(__file__).with_name("policy")
RULE = '"countersign.policy.activate": {"must_show": ["/arguments/from", "/arguments/to"]},'


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """olga is an operator and an approver, alice an approver; hans runs the host."""
    with Service(tmp_path / "countersign", policy=POLICY) as found:
        found.configure(
            {"admin.groups": ["operators"], "policy.poll_s": 0.2, "policy.approval": True}
        )
        found.person("olga", "operators", "approvers")
        found.person("alice", "approvers")
        found.person("hans", "approvers")
        found.caller("agent", "hans")
        found.caller("countersign-policy", "hans", resources=("policy:*",))
        rules(found).write_text(
            rules(found).read_text().replace('"demo.approve": {},', f'"demo.approve": {{}}, {RULE}')
        )
        yield found


def rules(service: Service) -> Path:
    return service.directory / "policy" / "decision.rego"


def allow_more(service: Service) -> None:
    """What somebody would like to be the rule."""
    rules(service).write_text(
        rules(service).read_text().replace('"effect": "deny"', '"effect": "allow"')
    )


def last(service: Service) -> dict[str, Any]:
    done = service.types("policy", "status", "--json", as_="olga")
    told: dict[str, Any] = json.loads(done.stdout)
    attempt: dict[str, Any] = told["last_attempt"]
    return attempt


def is_denied(service: Service) -> bool:
    return not service.client("agent").check(context("demo.deny", "other")).allowed


def vote(service: Service, who: str, review_id: str, choice: Choice) -> None:
    reviewer = service.reviewer(who)
    reviewer.decide(reviewer.get(review_id), choice)


def policy_records(service: Service) -> list[dict[str, Any]]:
    records = map(json.loads, service.verified_log()[1])
    return [record["change"] for record in records if record["kind"] == "policy.changed"]


def test_an_operator_proposes_and_another_person_lets_it_answer(service: Service) -> None:
    service.configure({"policy.poll_s": 0})
    service.start()
    assert is_denied(service)
    allow_more(service)
    done = service.types("policy", "activate", as_="olga")
    assert done.returncode == 4, done
    review_id = last(service)["review"]
    assert review_id in done.stdout
    assert is_denied(service)
    for behind in ("olga", "hans"):  # who asked, and who owns the caller that does
        with pytest.raises((NotPermitted, PreconditionFailed)) as caught:
            vote(service, behind, review_id, Choice.APPROVE)
        assert caught.value.code == "vote.self_approval"
    shown = service.types("review", "show", review_id, as_="alice").stdout
    assert last(service)["revision"] in shown
    assert "decision.rego" in shown

    vote(service, "alice", review_id, Choice.APPROVE)
    eventually(lambda: not is_denied(service))
    eventually(lambda: last(service)["result"] == "activated")
    assert service.types("policy", "rollback", as_="olga").returncode == 4
    assert not is_denied(service)
    vote(service, "alice", last(service)["review"], Choice.APPROVE)
    eventually(lambda: is_denied(service))
    eventually(lambda: last(service)["result"] == "rolled back")
    assert service.stop() == 0
    changes = policy_records(service)
    assert [change["result"] for change in changes] == [
        *("activated", "proposed", "activated", "proposed", "rolled_back"),
    ]
    assert [change.get("by") for change in changes[1:]] == ["olga"] * 4
    assert changes[1]["review"] == changes[2]["review"] == review_id
    assert changes[1]["revision"] == changes[0]["revision"]


def test_what_people_deny_never_answers_and_no_restart_brings_it(service: Service) -> None:
    service.start()
    allow_more(service)
    eventually(lambda: last(service)["result"] == "proposed")
    review_id = last(service)["review"]
    service.stop()
    service.start()  # what is in the directory was approved by nobody
    assert is_denied(service)
    active = json.loads(service.types("policy", "status", "--json", as_="olga").stdout)["active"]
    assert "last accepted on disk" in active["origin"]
    eventually(lambda: last(service)["result"] == "proposed")
    assert last(service)["review"] == review_id
    vote(service, "alice", review_id, Choice.DENY)
    eventually(lambda: last(service)["code"] == "policy.not_approved")
    assert last(service)["result"] == "refused"
    assert is_denied(service)


def test_a_policy_without_a_rule_for_it_lets_no_other_take_its_place(service: Service) -> None:
    rules(service).write_text(rules(service).read_text().replace(RULE, ""))
    service.start()
    allow_more(service)
    eventually(lambda: last(service)["code"] == "policy.not_approved")
    assert "[policy.undefined]" in last(service)["message"]
    assert is_denied(service)


def test_a_policy_that_would_let_it_happen_without_a_person_does_not(service: Service) -> None:
    text = rules(service).read_text().replace(RULE, "")
    rules(service).write_text(
        text.replace(
            'input.context.action == "demo.allow"',
            'input.context.action in {"demo.allow", "countersign.policy.activate"}',
        )
    )
    service.start()
    allow_more(service)
    eventually(lambda: last(service)["code"] == "policy.not_approved")
    assert "asks nobody" in last(service)["message"]
    assert is_denied(service)


def test_what_the_host_has_answer_in_an_emergency_counts_as_approved(service: Service) -> None:
    """Policy that lets nobody approve its successor would come back with every start."""
    service.start()
    assert service.stop() == 0
    allow_more(service)
    service.configure({"policy.approval": False})
    service.start()
    assert not is_denied(service)
    assert service.stop() == 0
    service.configure({"policy.approval": True})
    service.start()
    assert not is_denied(service)
    assert last(service)["result"] == "activated"
