"""Policy that changes under a real service: told by the operator's commands, metrics and log."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from countersign.client import Effect, NotPermitted
from countersign.client.admin import AdminClient
from countersign.v1 import context_pb2, decisions_pb2
from service import TIMING, Service, context, eventually

POLICY = Path(__file__).with_name("policy")
SLOW = """
many := numbers.range(1, 1000000)

decision := {"effect": "allow"} if {
	input.context.action == concat(".", ["demo", "slow"])
	count([1 | some i in many; some j in many; i == -j]) == 0
}
"""
EXPONENTIAL = SLOW.replace('input.context.action == concat(".", ["demo", "slow"])', "true")
NONSENSE = """
decision := {"effect": "perhaps"} if startswith(input.context.action, "no.")
"""
FAILING = "package countersign_test\n\ntest_nothing_is_allowed if false\n"
ROUNDS = 20
"""Activations and roll-backs under load; `make bench-policy` makes a hundred."""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """olga is an operator, bob is not; oscar is one of another tenant."""
    with Service(tmp_path / "countersign", policy=POLICY) as found:
        found.configure({"admin.groups": ["operators"], "policy.poll_s": 0.2})
        found.person("olga", "operators")
        found.person("bob", "approvers")
        found.person("oscar", "operators", tenant="other")
        found.caller("agent", "bob")
        yield found.start()


def admin(service: Service, who: str) -> AdminClient:
    return service._closing.enter_context(AdminClient(service.credential(who), timing=TIMING))


def rules(service: Service) -> Path:
    return service.directory / "policy" / "decision.rego"


def policy_types(service: Service, *words: str) -> subprocess.CompletedProcess[str]:
    return service.types("policy", *words, as_="olga")


def status(service: Service) -> dict[str, Any]:
    done = policy_types(service, "status", "--json")
    told: dict[str, Any] = json.loads(done.stdout)
    last = (told["last_attempt"] or {}).get("result")
    assert done.returncode == (1 if last in ("refused", "failed") else 0)
    return told


def policy_records(service: Service, tenant: str = "default") -> list[dict[str, Any]]:
    records = map(json.loads, service.verified_log(tenant)[1])
    return [record["change"] for record in records if record["kind"] == "policy.changed"]


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("decision.rego", "\nallow if {", "policy.not_compiled"),
        ("decision.rego", NONSENSE, "policy.contract"),
        ("decision.rego", EXPONENTIAL, "policy.too_slow"),
        ("decision_test.rego", FAILING, "policy.tests_failed"),
    ],
)
def test_what_is_refused_never_answers_and_everybody_is_told_why(
    service: Service, name: str, text: str, code: str
) -> None:
    before = service.client("agent").check(context("demo.allow"))
    path = service.directory / "policy" / name
    old = path.read_text() if path.exists() else ""
    path.write_text(old + text)
    eventually(lambda: status(service)["last_attempt"]["code"] == code)
    told = status(service)
    assert told["active"]["revision"] == before.policy_revision
    assert told["last_attempt"]["result"] == "refused"
    tests_alone = name == "decision_test.rego"  # no part of what is compiled
    assert (told["last_attempt"]["revision"] == before.policy_revision) == tests_alone
    assert f"[{code}]" in policy_types(service, "status").stdout
    assert service.metric("countersign_policy_in_sync") == 0
    metrics = service.status("/metrics")[1]
    assert f'countersign_policy_refusals_total{{code="{code}"}} 1.0' in metrics
    assert f'countersign_policy_info{{revision="{before.policy_revision}"}} 1.0' in metrics
    assert service.status("/readyz")[0] == 200

    refused = policy_types(service, "activate")
    assert refused.returncode == 1
    assert f"[{code}]" in refused.stderr
    assert service.client("agent").check(context("demo.allow")).allowed

    path.write_text(old + "\n# corrected\n" if old else FAILING.replace("false", "true"))
    eventually(lambda: not status(service)["last_attempt"]["code"])
    assert (status(service)["active"]["revision"] == before.policy_revision) == tests_alone
    assert service.metric("countersign_policy_in_sync") == 1
    assert service.stop() == 0
    changes = policy_records(service)
    results = ["activated", "refused", *([] if tests_alone else ["activated"])]
    assert [change["result"] for change in changes] == results
    assert changes[1]["revision"] == before.policy_revision
    assert changes[1]["refused"]["code"] == code
    assert changes[1]["refused"]["message"] in told["last_attempt"]["message"]
    assert tests_alone or changes[2]["before"] == before.policy_revision
    for change in policy_records(service, "other"):  # whose operators do not see to policy
        assert {"origin", "by", "signed_by"}.isdisjoint(change)
        assert "message" not in change.get("refused", {})


def test_an_operator_goes_back_and_on_again_and_the_log_says_who_did(service: Service) -> None:
    first = service.client("agent").check(context("demo.deny")).policy_revision
    rules(service).write_text(
        rules(service).read_text().replace('"effect": "deny"', '"effect": "allow"')
    )
    done = policy_types(service, "activate")
    assert done.returncode == 0, done.stderr
    second = status(service)["active"]["revision"]
    assert done.stdout == f"{second} answers.\n" or "is what answers already" in done.stdout
    assert service.client("agent").check(context("demo.deny")).allowed

    assert policy_types(service, "rollback").stdout == f"{first} answers again.\n"
    assert service.client("agent").check(context("demo.deny")).effect is Effect.DENY
    told = status(service)
    assert told["held"]
    assert [version["revision"] for version in told["kept"]] == [first, second]
    service.reload()  # SIGHUP looks, and leaves it be
    service.person("grace", "approvers")  # whoever knows her has looked
    eventually(lambda: service.types("review", "list", as_="grace").returncode == 0)
    assert status(service)["active"]["revision"] == first
    nowhere = policy_types(service, "rollback", "sha256:0000000000000000")
    assert (nowhere.returncode, "[policy.not_kept]" in nowhere.stderr) == (1, True)

    assert policy_types(service, "activate", second).returncode == 0
    assert policy_types(service, "rollback", first).returncode == 0
    assert json.loads(policy_types(service, "activate", "--json").stdout)["active"]["revision"] == (
        second
    )
    assert service.client("agent").check(context("demo.deny")).allowed
    assert service.stop() == 0
    changes = policy_records(service)
    assert [change["result"] for change in changes] == [
        *("activated", "activated", "rolled_back", "activated", "rolled_back", "activated"),
    ]
    assert [change.get("by") for change in changes[2:]] == ["olga"] * 4
    assert [change["revision"] for change in changes] == [
        *(first, second, first, second, first, second),
    ]


@pytest.mark.parametrize(
    ("who", "code"), [("bob", "admin.not_operator"), ("oscar", "policy.other_tenant")]
)
def test_policy_is_for_the_operators_of_one_tenant(service: Service, who: str, code: str) -> None:
    client = admin(service, who)
    for ask in (client.policy_status, client.activate_policy, client.roll_back_policy):
        with pytest.raises(NotPermitted) as caught:
            ask()
        assert caught.value.code == code


def test_what_was_asked_while_it_was_activated_is_answered_by_one_revision_without_an_error(
    service: Service,
) -> None:
    """No wrong-revision answer and no error while policy changes again and again."""
    texts = {}
    seen: list[tuple[str, str]] = []
    failed: list[Exception] = []
    done = threading.Event()
    text = rules(service).read_text()
    operator = admin(service, "olga")

    def ask(number: int) -> None:
        client = service.client("agent")
        while not done.is_set():
            try:
                answer = client.check(context("demo.allow", f"t{number}"))
            except Exception as error:  # noqa: BLE001 - told by the test
                failed.append(error)
                return
            seen.append((answer.policy_revision, answer.reasons[0].message))

    asking = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in asking:
        thread.start()
    try:
        for number in range(ROUNDS):
            if number % 2:
                before = len(seen)
                revision = operator.roll_back_policy().active.revision
                words = texts[revision]
            else:
                words = f"round {number}"
                rules(service).write_text(text.replace("a rule of the stories", words))
                before = len(seen)
                revision = operator.activate_policy().active.revision
                texts[revision] = words
                if not number:
                    texts |= {
                        version.revision: "a rule of the stories"
                        for version in operator.policy_status().kept
                        if version.revision != revision
                    }
            eventually(lambda: (revision, words) in seen[before:] or bool(failed))  # noqa: B023
    finally:
        done.set()
        for thread in asking:
            thread.join()
    assert failed == []
    wrong = [(revision, words) for revision, words in seen if texts[revision] != words]
    assert wrong == []
    assert len({revision for revision, _ in seen}) > ROUNDS // 2


def test_a_policy_that_takes_seconds_is_cut_and_disturbs_nobody(service: Service) -> None:
    """It passes every probe: it is slow for one action alone, which it names in no one word."""
    rules(service).write_text(rules(service).read_text() + SLOW)
    eventually(lambda: status(service)["last_attempt"]["result"] == "activated")
    eventually(lambda: len(status(service)["kept"]) == 2)
    answers: list[Any] = []

    def ask_slowly() -> None:
        request = decisions_pb2.CheckRequest(context=context("demo.slow").to_message())
        answers.append(service.line("agent").call("Decisions.Check", request))

    slow = threading.Thread(target=ask_slowly)
    slow.start()
    others = 0
    while slow.is_alive():
        assert service.client("agent").check(context("demo.allow")).allowed
        others += 1
    slow.join()
    assert others
    (answer,) = answers
    assert answer.effect == context_pb2.EFFECT_DENY
    assert (answer.reasons[0].code, answer.retryable) == ("policy.unavailable", True)
    opa: psutil.Process = service.opa()

    def is_quiet() -> bool:
        return opa.cpu_percent(interval=0.5) < 30

    is_quiet()  # the first figure is since ever
    eventually(is_quiet)
