"""`countersign exec` against the real service: permission, once, for exactly this command."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from countersign.client import Denied, NotFound, Outcome, Resource, ReviewState
from countersign.credentials import write_credential
from countersign.executor import Asked, Wanted
from countersign.executor.resolve import resolve
from countersign.model import Choice
from service import PATIENCE_S, Service, eventually

POLICY = """
package countersign

decision := {"effect": "allow", "reasons": [reason]} if input.context.action == "run.allow"

decision := {"effect": "deny", "reasons": [reason]} if input.context.action == "run.deny"

decision := {"effect": "needs_approval", "reasons": [reason], "requirement": demand} if {
	special[input.context.action]
}

reason := {"code": "run.rule", "message": "a rule of the stories"}

demand := object.union(
	{"stages": [stage], "must_show": ["/arguments/argv", "/arguments/program"]},
	object.get(special, input.context.action, {}),
)

special := {
	"run.approve": {},
	"run.quick": {"approve_within_s": 1},
	"run.guarded": {"claim_by": ["exec"]},
	"run.watched": {"report_within_s": 1},
}

stage := {"name": "approvers", "approvers": {"groups": ["approvers"]}, "quorum": 1}
"""
TOKEN = "gh-7Hq2Lw9Zr4Tn8Vx3Kp6Yd1"
SH = f"{os.path.realpath('/bin')}/sh"


class Started:
    """One `countersign exec` process."""

    def __init__(self, process: subprocess.Popen[str], status: int) -> None:
        self.process = process
        self._status = status
        self.err = ""

    def review(self) -> str:
        """The review it waits for."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.err += line
            if found := re.search(r"waiting for a person to decide on (rev_\w+)", line):
                return found[1]
        raise AssertionError(self.err)

    def ends(self) -> tuple[int, dict[str, Any]]:
        """Its exit code and what its status line says."""
        out, err = self.process.communicate(timeout=PATIENCE_S)
        self.out, self.err = out, self.err + err
        with os.fdopen(self._status) as status:
            said = status.read()
        assert "Traceback" not in self.err, self.err
        return self.process.returncode, json.loads(said) if said else {}


class Desk:
    """A host on which commands run through exec only."""

    def __init__(self, service: Service, place: Path) -> None:
        self.service = service
        self.place = place
        for subject in ("exec", "agent"):
            write_credential(place / f"{subject}.credential", service.credential(subject))

    def starts(
        self,
        *command: str,
        action: str = "run.approve",
        options: tuple[str, ...] = (),
        own: dict[str, str] | None = None,
    ) -> Started:
        reader, writer = os.pipe()
        process = subprocess.Popen(
            [
                *(Path(sys.executable).parent / "countersign", "exec"),
                *("--credential", self.place / "exec.credential", "--status-fd", str(writer)),
                *("--action", action, "--resource", "table:shop", "--environment", "production"),
                *("--reason", "the stories", "--cwd", str(self.place), *options, "--", *command),
            ],
            env=own or {},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=(writer,),
        )
        os.close(writer)
        return Started(process, reader)

    def runs(self, *command: str, **more: Any) -> tuple[int, dict[str, Any]]:
        return self.starts(*command, **more).ends()

    def asks(self, *command: str, **more: Any) -> str:
        """Ask without waiting; the review that is open then."""
        code, said = self.runs(*command, **{"options": ("--wait", "0"), **more})
        assert (code, said["ran"]) == (122, False), said
        return str(said["review"])

    def approves(self, review: str) -> None:
        bob = self.service.reviewer("bob")
        bob.decide(bob.get(review), Choice.APPROVE)

    def state(self, review: str) -> ReviewState:
        return self.service.client("exec").wait(review, timeout_s=0).state

    @property
    def ran(self) -> list[str]:
        """What commands wrote into `ran`, a line each."""
        file = self.place / "ran"
        return file.read_text().splitlines() if file.exists() else []


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    base = tmp_path_factory.mktemp("exec")
    (base / "policy").mkdir()
    (base / "policy" / "policy.rego").write_text(POLICY)
    with Service(base / "countersign", policy=base / "policy") as service:
        service.person("alice", "approvers")
        service.person("bob", "approvers")
        service.caller("exec", "alice", audience="exec")
        service.caller("agent", "alice")
        service.plant(TOKEN)
        yield service.start()


@pytest.fixture
def desk(running: Service, tmp_path: Path) -> Desk:
    tmp_path.chmod(0o700)
    return Desk(running, tmp_path.resolve())


def writing(line: str) -> tuple[str, ...]:
    """A command that leaves this line behind, each time it runs."""
    return (SH, "-c", 'echo "$0" >> ran', line)


def test_an_approved_command_runs_once_exactly_as_approved(desk: Desk) -> None:
    look = 'printf "%s|" "$0" "$@"; tr "\\0" ";" < /proc/$$/environ; echo ran >> ran'
    command = (SH, "-c", look, "two words", "", "$HOME", "*")
    options = ("--pass-env", "DEPLOY_TOKEN", "--env", "REGION=eu", "--on-behalf-of", "person:alice")
    own = {"DEPLOY_TOKEN": TOKEN, "HOME": "/nowhere", "LD_DEBUG": "", "NOT_PASSED": "x"}
    started = desk.starts(*command, options=options, own=own)
    review = started.review()

    shown = desk.service.reviewer("bob").get(review)
    assert TOKEN.encode() not in shown.SerializeToString()
    arguments = json.loads(shown.previews["reviewer"].context_json)["arguments"]
    assert arguments["argv"] == list(command)
    assert arguments["env"] == {"DEPLOY_TOKEN": "[SECRET]", "REGION": "eu"}
    assert arguments["cwd"] == str(desk.place)
    assert shown.previews["reviewer"].reviewable
    assert desk.ran == []

    desk.approves(review)
    code, said = started.ends()
    assert (code, said["outcome"], said["reported"]) == (0, "succeeded", True)
    assert (said["review"], said["ended"]) == (review, {"exit_code": 0})
    assert started.out == f"two words||$HOME|*|DEPLOY_TOKEN={TOKEN};REGION=eu;"
    assert desk.ran == ["ran"]
    status = desk.service.client("exec").wait(review, timeout_s=0)
    assert (status.state, status.outcome) == (ReviewState.CLAIMED, Outcome.SUCCEEDED)
    eventually(lambda: kinds(desk.service, said["permit"]) == ["claim", "outcome"])


def kinds(service: Service, permit: str) -> list[str]:
    """What the log tells of a permit."""
    _, records = service.verified_log()
    told = [json.loads(record) for record in records if permit.encode() in record]
    return [record["kind"] for record in told]


def test_a_second_try_is_a_new_review_and_not_the_old_approval(desk: Desk) -> None:
    first = desk.asks(*writing("once"))
    desk.approves(first)
    assert desk.runs(*writing("once"))[0] == 0
    second = desk.asks(*writing("once"))
    assert second != first
    assert desk.ran == ["once"]


def test_a_changed_argument_is_another_action(desk: Desk) -> None:
    review = desk.asks(*writing("small"))
    desk.approves(review)
    for change in (
        {"command": writing("large")},
        {"options": ("--wait", "0", "--env", "A=b")},
        {"options": ("--wait", "0", "--cwd", "/")},
    ):
        command = change.pop("command", writing("small"))
        code, said = desk.runs(*command, **{"options": ("--wait", "0"), **change})
        assert (code, said["ran"]) == (125 if "--cwd" in str(change) else 122, False)
        assert said["review"] != review
    assert desk.state(review) is ReviewState.APPROVED
    assert desk.runs(*writing("small"))[0] == 0
    assert desk.ran == ["small"]


def test_a_program_swapped_while_people_decide_is_refused(desk: Desk) -> None:
    tool, evil = desk.place / "tool", desk.place / "evil"
    tool.write_text("#!/bin/sh\necho good >> ran\n")
    evil.write_text("#!/bin/sh\necho evil >> ran\n")
    for file in (tool, evil):
        file.chmod(0o755)
    shutil.copy2(tool, desk.place / "kept")
    started = desk.starts("./tool")
    review = started.review()
    evil.rename(tool)
    desk.approves(review)
    code, said = started.ends()
    assert (code, said["code"], said["permit"]) == (125, "exec.changed", "")
    assert "the program changed" in started.err
    assert desk.ran == []
    assert desk.state(review) is ReviewState.APPROVED, "nothing was spent"

    (desk.place / "kept").rename(tool)
    assert desk.runs("./tool")[0] == 0
    assert desk.ran == ["good"]


def test_without_an_approval_in_time_nothing_runs(desk: Desk) -> None:
    code, said = desk.runs(*writing("late"), action="run.quick")
    assert (code, said["code"], said["ran"]) == (121, "review.expired", False)
    assert desk.ran == []


def test_a_signal_ends_the_wait_and_the_review_stays(desk: Desk) -> None:
    started = desk.starts(*writing("stopped"))
    review = started.review()
    started.process.terminate()
    code, said = started.ends()
    assert (code, said["code"], said["ran"]) == (143, "exec.stopped", False)
    assert desk.asks(*writing("stopped")) == review
    assert desk.ran == []


def test_what_is_denied_does_not_run(desk: Desk) -> None:
    code, said = desk.runs(*writing("no"), action="run.deny")
    assert (code, said["effect"], said["code"]) == (121, "deny", "run.rule")
    started = desk.starts(*writing("no"))
    bob = desk.service.reviewer("bob")
    bob.decide(bob.get(started.review()), Choice.DENY, reason="no")
    code, said = started.ends()
    assert (code, said["code"], said["ran"]) == (121, "review.denied", False)
    assert desk.ran == []


def test_what_policy_allows_runs_at_once_and_reports_its_failure(desk: Desk) -> None:
    code, said = desk.runs(SH, "-c", "echo told; exit 7", action="run.allow")
    assert (code, said["effect"], said["outcome"]) == (7, "allow", "failed")
    assert said["reported"]


@pytest.mark.skipif(os.geteuid() != 0, reason="running as somebody else needs root")
def test_it_runs_as_an_account_that_cannot_read_the_credential(desk: Desk) -> None:
    started = desk.starts(
        *(SH, "-c", "id -un; cat exec.credential"), action="run.allow", options=("--user", "nobody")
    )
    code, said = started.ends()
    assert (code, said["outcome"], started.out) == (1, "failed", "nobody\n")
    assert started.err.splitlines() == ["cat: exec.credential: Permission denied"]


def test_the_agent_cannot_claim_for_itself(desk: Desk) -> None:
    command = writing("guarded")
    with resolve(Wanted(argv=command, cwd=str(desk.place))) as found:
        asked = Asked(
            action="run.guarded",
            resource=Resource("table", "shop"),
            environment="production",
            actor="agent",
            reason="the stories",
        )
        own = asked.context(found.command)
    agent = desk.service.client("agent")
    pending = agent.check(own).pending
    assert pending is not None
    desk.approves(pending.review_id)
    with pytest.raises(Denied) as wrong:
        agent.claim(pending, own)
    assert wrong.value.code == "claim.wrong_claimant"

    review = desk.asks(*command, action="run.guarded")
    desk.approves(review)
    with pytest.raises(NotFound):
        agent.claim(review, own)
    assert desk.runs(*command, action="run.guarded")[0] == 0
    assert desk.ran == ["guarded"]


def test_killed_between_start_and_report_it_ends_ambiguous_and_is_not_retried_blindly(
    desk: Desk,
) -> None:
    (desk.place / "state").mkdir(mode=0o700)
    for name in ("began", "go"):
        os.mkfifo(desk.place / name)
    command = (SH, "-c", "echo ran >> ran; echo > began; cat go")
    options = ("--state", str(desk.place / "state"))
    started = desk.starts(*command, action="run.watched", options=options)
    review = started.review()
    desk.approves(review)
    (desk.place / "began").read_text()
    started.process.kill()
    started.process.wait(PATIENCE_S)
    (desk.place / "go").write_text("")  # lets the orphan end
    code, said = started.ends()
    assert (code, said) == (-9, {})

    client = desk.service.client("exec")
    eventually(lambda: client.wait(review, timeout_s=0).outcome is Outcome.AMBIGUOUS)
    eventually(lambda: "ambiguous" in outcomes(desk.service, review))

    code, said = desk.runs(*command, action="run.watched", options=options)
    assert (code, said["code"], said["review"]) == (123, "exec.may_have_run", "")
    again = (*options, "--again", "--wait", "0")
    new = desk.asks(*command, action="run.watched", options=again)
    without = desk.asks(*command, action="run.watched")
    assert len({review, new, without}) == 3, "never the old approval"
    shown = desk.service.reviewer("bob").get(new)
    told = json.loads(shown.previews["reviewer"].context_json)["arguments"]["again_after"]
    assert re.fullmatch(r"pmt_[0-9a-f]{32}", told)
    assert desk.ran == ["ran"]


def outcomes(service: Service, review: str) -> list[str]:
    """The outcomes on record of a review."""
    _, records = service.verified_log()
    told = [json.loads(record) for record in records if review.encode() in record]
    return [record["review_state"].get("outcome") for record in told if record["kind"] == "outcome"]


def test_a_service_that_goes_away_lets_nothing_run(tmp_path: Path) -> None:
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / "policy.rego").write_text(POLICY)
    with Service(tmp_path / "countersign", policy=tmp_path / "policy") as service:
        service.person("alice", "approvers")
        service.person("bob", "approvers")
        service.caller("exec", "alice", audience="exec")
        service.caller("agent", "alice")
        desk = Desk(service.start(), tmp_path.resolve())
        started = desk.starts(*writing("away"), options=("--wait", "1s"))
        started.review()
        service.kill()
        code, said = started.ends()
    # Undecided, or unavailable, as far as it had come when the service died.
    assert code in {122, 125}
    assert not said["ran"]
    assert desk.ran == []


def test_the_module_is_the_command_without_the_rest(desk: Desk) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-I", "-m", "countersign.cli.exec", "--json"),
            *("--action", "run.allow", "--resource", "table:shop", "--environment", "production"),
            *("--cwd", desk.place, "--stdin", "--", "/bin/cat"),
        ],
        env={"COUNTERSIGN_CREDENTIAL": str(desk.place / "exec.credential")},
        input=b"bytes \xff in",
        capture_output=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert (done.returncode, done.stdout) == (0, b"bytes \xff in")
    assert json.loads(done.stderr)["outcome"] == "succeeded"
