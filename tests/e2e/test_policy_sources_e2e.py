"""A real service whose policy is served elsewhere: whose it takes, and what it starts with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from policy_places import Git, Web, allowed, bundle, keys, ssh_key
from service import Service, context

POLICY = (Path(__file__).parent / "policy" / "decision.rego").read_text()
CHANGED = POLICY.replace('"effect": "deny"', '"effect": "allow"')


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """olga is an operator; the settings name no source yet, and nobody looks unasked."""
    with Service(tmp_path / "countersign") as found:
        found.configure({"admin.groups": ["operators"], "policy.poll_s": 0})
        found.person("olga", "operators")
        found.caller("agent", "olga")
        path = found.directory / "countersign.toml"
        path.write_text(path.read_text().replace('directory = "policy"\n', "", 1))
        yield found


def answers(service: Service, revision: str) -> bool:
    """Whether it is what decides."""
    return service.client("agent").check(context("demo.allow")).policy_revision == revision


def activate(service: Service) -> str:
    """Look at the source now; what was wrong with what is there."""
    done = service.types("policy", "activate", as_="olga")
    assert (done.returncode == 0) == (not done.stderr)
    return done.stderr


def active(service: Service) -> dict[str, Any]:
    told = json.loads(service.types("policy", "status", "--json", as_="olga").stdout)
    found: dict[str, Any] = told["active"]
    return found


def records(service: Service) -> list[dict[str, Any]]:
    """What the log has of policy."""
    found = map(json.loads, service.verified_log("default")[1])
    return [record["change"] for record in found if record["kind"] == "policy.changed"]


def test_only_signed_bundles_answer_and_the_last_one_after_a_start_alone(
    service: Service, tmp_path: Path
) -> None:
    private, public = keys(tmp_path)
    other, _ = keys(tmp_path, "other")
    policy = tmp_path / "policy"
    policy.mkdir()
    with Web().running() as web:
        service.append_settings(
            f'\n[policy.bundle]\nurl = "{web.url}/b.tar.gz"\nverification_key = "{public}"\n'
        )

        def publish(text: str, name: str, key: Path | None) -> None:
            (policy / "decision.rego").write_text(text)
            signing = ["--signing-key", str(key)] if key else []
            made = bundle(policy, tmp_path / "b.tar.gz", *signing, revision=name)
            web.body, web.tag = made.read_bytes(), f'"{name}"'

        publish(POLICY, "first", private)
        service.start()
        assert answers(service, "first")
        publish(CHANGED, "second", None)
        assert "[policy.signature_invalid]" in activate(service)
        publish(CHANGED, "third", other)
        assert "[policy.signature_invalid]" in activate(service)
        assert answers(service, "first")
        publish(CHANGED, "fourth", private)
        assert activate(service) == ""
        assert answers(service, "fourth")
        assert service.stop() == 0

        web.answer = lambda request: request.send_error(503)
        service.start()
        assert answers(service, "fourth")
        assert "last accepted on disk" in active(service)["origin"]
        assert "[policy.unreachable]" in activate(service)
        assert answers(service, "fourth")
        publish(POLICY, "fifth", private)
        web.answer = web.serve
        assert activate(service) == ""
        assert answers(service, "fifth")
        assert active(service)["origin"] == f"bundle {web.url}/b.tar.gz"
        assert service.stop() == 0
    told = records(service)
    assert [change["revision"] for change in told if change["result"] == "activated"] == [
        *("first", "fourth", "fourth", "fifth")
    ]
    codes = [change["refused"]["code"] for change in told if "refused" in change]
    assert "policy.signature_invalid" in codes


def test_a_branch_answers_once_it_is_signed_and_never_goes_back(
    service: Service, tmp_path: Path
) -> None:
    git, key = Git(tmp_path / "repo"), ssh_key(tmp_path, "ann")
    signers = allowed(tmp_path / "signers", ann=key)
    service.append_settings(f'\n[policy.git]\nurl = "{git.path}"\nsigners = "{signers}"\n')
    git.key = key
    first = git.commit(main_rego=POLICY)
    service.start()
    assert answers(service, first)
    git.key = None
    unsigned = git.commit(main_rego=CHANGED)
    said = activate(service)
    assert "[policy.signature_invalid]" in said
    assert unsigned in said
    assert answers(service, first)
    git.key = key
    second = git.commit("signed")
    assert activate(service) == ""
    assert answers(service, second)
    assert active(service)["signed_by"].startswith("ann@example.test")
    git("reset", "--quiet", "--hard", first)
    assert "[policy.history_rewritten]" in activate(service)
    assert answers(service, second)
    assert service.stop() == 0
    service.start()
    assert answers(service, second)
    assert service.stop() == 0
