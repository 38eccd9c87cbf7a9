"""An agent that may do all its own OS user may, and still cannot approve what it asks.

Service, reviewer and agent are three users of one host, as the guides have it:
the service's directory is its user's, each credential file its owner's. Ids are
used that nobody has, so nothing is added to the host and nothing has to be taken
away. Whatever the agent's user can read is tried as a credential, piece by piece.
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import grp
import gzip
import json
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest

import countersign
from countersign.credentials import write_credential
from countersign.model import new_id
from countersign.v1 import context_pb2, decisions_pb2, reviews_pb2
from service import PATIENCE_S, Line, Service, context, refused

POLICY = Path(__file__).with_name("policy")
PATHS = [path for path in sys.path if Path(path).name == "site-packages"]
PATHS.append(str(Path(countersign.__file__).parents[1]))
COMMAND = (
    f"import sys; sys.path[:0] = {PATHS!r}; from countersign.cli import main; sys.exit(main())"
)
WAITING = "import sys; print('here', flush=True); sys.stdin.read()"
LOOKING = Path(__file__).with_name("looking_around.py").read_text()
MAX_PIECE_CHARS = 8_000
_WORD = re.compile(r"[^\s\"'`,;=()\[\]{}<>\x00]{16,}")
_TOKEN = re.compile(r"cs[a-z]_[A-Za-z0-9_-]+")


@functools.cache
def python_for_all() -> str:
    """A Python that other users can run with everything the service needs."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to run processes as three users")
    (uid,) = unused_ids(1)
    beside = f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, beside):
        try:
            seen = run_as(uid, python, "-I", "-c", COMMAND, "--help")
        except OSError:
            continue
        if seen.returncode == 0:
            return python
    pytest.skip(f"no Python that others may run: neither {sys.executable} nor {beside}")


def unused_ids(count: int) -> list[int]:
    """Ids of no user, group or process here."""
    taken = {user.pw_uid for user in pwd.getpwall()} | {group.gr_gid for group in grp.getgrall()}
    for process in psutil.process_iter():
        try:
            taken.update((*process.uids(), *process.gids()))
        except psutil.Error:
            continue
    free = [number for number in range(52_000, 53_000) if number not in taken]
    return free[:count]


def run_as(uid: int, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a program as that user, of no group but its own, and with an empty environment."""
    return subprocess.run(
        words,
        user=uid,
        group=uid,
        extra_groups=(),
        env=options.pop("env", {"COLUMNS": "200"}),
        cwd=options.pop("cwd", "/"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        **options,
    )


@dataclasses.dataclass
class Host:
    """Three users, what belongs to them, and the processes that run as them."""

    base: Path
    service: Service
    python: str
    agent: int
    reviewer: int
    desk: subprocess.Popen[str]
    """A process of the reviewer's, who is at work."""
    review_id: str = ""

    def types(self, uid: int, *words: str) -> subprocess.CompletedProcess[str]:
        """The command, as that user."""
        return run_as(uid, self.python, "-I", "-c", COMMAND, *words)

    @property
    def opa_home(self) -> Path:
        """Where OPA's socket and bundle are."""
        home = Path(self.service.opa().cwd())
        assert (home / "s").is_socket()
        return home

    def look_around(self, uid: int) -> dict[str, Any]:
        """All that this user can read and do, of everything here."""
        assert self.service.process is not None
        processes = [self.service.process.pid, self.service.opa().pid, self.desk.pid]
        told = {
            "places": [str(self.base), str(self.opa_home)],
            "processes": processes,
            "sockets": [str(self.opa_home / "s")],
            "pages": [
                f"http://127.0.0.1:{self.service.status_port}{page}"
                for page in ("/metrics", "/livez", "/readyz")
            ],
        }
        done = run_as(uid, self.python, "-I", "-c", LOOKING, json.dumps(told))
        assert done.returncode == 0, done.stderr
        seen: dict[str, Any] = json.loads(done.stdout)
        return seen


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    python = python_for_all()
    serving, agent, reviewer = unused_ids(3)
    base = Path(tempfile.mkdtemp(prefix="countersign-users-"))
    base.chmod(0o755)
    homes = {}
    for name, uid in (("agent", agent), ("reviewer", reviewer)):
        homes[name] = base / name
        homes[name].mkdir()
        os.chown(homes[name], uid, uid)
    try:
        with Service(base / "service", policy=POLICY) as service:
            service.person("alice", "approvers")
            service.person("bob", "approvers")
            service.caller("agent", "alice")
            for name, subject, uid in (("agent", "agent", agent), ("reviewer", "bob", reviewer)):
                file = homes[name] / "countersign.credential"
                write_credential(file, service.credential(subject))
                os.chown(file, uid, uid)
            for path in (service.directory, *service.directory.rglob("*")):
                os.chown(path, serving, serving)
            service.uid, service.command = serving, (python, "-I", "-c", COMMAND)
            service.start()
            desk = subprocess.Popen(
                [python, "-I", "-c", WAITING],
                user=reviewer,
                group=reviewer,
                extra_groups=(),
                env={"COUNTERSIGN_TOKEN_OF_BOB": service.tokens["bob"]},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            made = Host(base, service, python, agent, reviewer, desk)
            try:
                assert desk.stdout is not None
                assert desk.stdout.readline() == "here\n"
                wanted = context("demo.approve").to_message()
                answer = service.line("agent").call(
                    "Decisions.Check", decisions_pb2.CheckRequest(context=wanted)
                )
                made.review_id = answer.review.review_id
                yield made
            finally:
                desk.communicate()
                ended = service.stop()
            assert ended == 0
    finally:
        shutil.rmtree(base)


# --- what can be read -------------------------------------------------------------------


def pieces(seen: dict[str, Any]) -> set[str]:
    """Everything in what was read that could be sent as a credential."""
    found: set[str] = set()
    for name, encoded in seen["read"].items():
        data = base64.b64decode(encoded)
        if name.endswith(".gz"):
            data = gzip.decompress(data)
        text = data.decode("utf-8", "replace")
        found.update(_WORD.findall(text), _TOKEN.findall(text), [text.strip(), text])
    found.update(seen["read"])
    return {each for each in found if 0 < len(each) <= MAX_PIECE_CHARS and each.isprintable()}


def deciding(host: Host) -> reviews_pb2.DecideRequest:
    """The vote that the agent would like to cast."""
    review = host.service.line("bob").call(
        "Reviews.Get", reviews_pb2.GetReviewRequest(review_id=host.review_id)
    )
    ((profile, preview),) = review.previews.items()
    return reviews_pb2.DecideRequest(
        review_id=host.review_id,
        revision=review.status.revision,
        profile=profile,
        preview_hash=preview.hash,
        vote=reviews_pb2.VOTE_APPROVE,
        request_id=new_id("req"),
    )


def test_nothing_that_the_agents_user_can_read_lets_it_approve(host: Host) -> None:
    seen = host.look_around(host.agent)
    tried = pieces(seen)
    own = host.service.tokens["agent"]
    assert own in tried, "it can read its own credential at least"
    assert len(tried) > 100, "it can read the log and the policy"
    assert host.service.tokens["bob"] not in tried
    channel, vote = host.service.channel(), deciding(host)
    told: dict[str, set[str]] = {}
    for piece in tried:
        for header in {piece, f"Bearer {piece}"}:
            metadata = ("authorization", header)
            if not header.isascii():
                continue
            try:
                Line(channel, None, metadata).call("Reviews.Decide", vote)
            except grpc.RpcError as error:
                told.setdefault(refused(error).reason, set()).add(header)
            else:
                raise AssertionError(f"something in what it read decides: {header[:4]}…")
    assert told.pop("caller.not_a_person") == {f"Bearer {own}"}
    assert set(told) == {"credential.unknown"}
    asked = decisions_pb2.AwaitRequest(review_id=host.review_id)
    state = host.service.line("agent").call("Decisions.Await", asked).review.state
    assert state == context_pb2.REVIEW_STATE_PENDING


def test_the_same_search_finds_the_credential_of_whoever_owns_one(host: Host) -> None:
    """Or that it found nothing would say nothing."""
    seen = host.look_around(host.reviewer)
    assert host.service.tokens["bob"] in pieces(seen)
    assert f"/proc/{host.desk.pid}/environ" in seen["read"]
    assert seen["signalled"] == [host.desk.pid]
    seen = host.look_around(0)
    for name in ("service/keys/permit.pem", "service/people.toml", "service/state/countersign.db"):
        assert str(host.base / name) in seen["read"], name
    assert len(seen["signalled"]) == 3
    assert seen["connected"] == [str(host.opa_home / "s")]


def test_what_would_let_it_is_closed_to_the_agents_user(host: Host) -> None:
    seen = host.look_around(host.agent)
    assert host.service.process is not None
    secret = [
        *(host.service.directory / name for name in ("callers.toml", "people.toml", "keys")),
        host.service.directory / "state",
        host.base / "reviewer" / "countersign.credential",
        host.opa_home,
    ]
    for process in (host.service.process.pid, host.service.opa().pid, host.desk.pid):
        secret += [Path(f"/proc/{process}/{name}") for name in ("environ", "mem", "maps", "fd")]
    closed = set(seen["closed"])
    for path in secret:
        assert str(path) in closed, path
        assert not any(name.startswith(str(path)) for name in seen["read"]), path


def test_the_agents_user_can_change_nothing_and_end_nobody(host: Host) -> None:
    seen = host.look_around(host.agent)
    own = str(host.base / "agent")
    assert {Path(name).parent for name in seen["writable"]} <= {host.base, host.base / "agent"}
    assert all(name.startswith(own) for name in seen["writable"])
    assert seen["writable"], "its own home it can write"
    assert seen["signalled"] == []
    assert seen["connected"] == []


# --- by the command -----------------------------------------------------------------------


def test_with_its_own_credential_it_is_no_person_and_the_reviewers_it_cannot_open(
    host: Host,
) -> None:
    preview = deciding(host).preview_hash.hex()
    words = ("review", "approve", host.review_id, "--preview", preview, "--credential")
    own = host.types(host.agent, *words, str(host.base / "agent" / "countersign.credential"))
    assert own.returncode == 1, own
    assert "[caller.not_a_person]" in own.stderr
    theirs = str(host.base / "reviewer" / "countersign.credential")
    foreign = host.types(host.agent, *words, theirs)
    assert foreign.returncode == 2, foreign
    assert "is not readable" in foreign.stderr
    operating = ("person", "add", "mallory", "--name", "Mallory", "--group", "approvers")
    config = str(host.service.directory / "countersign.toml")
    added = host.types(host.agent, *operating, "--config", config)
    assert added.returncode != 0, added
    approved = host.types(host.reviewer, *words, theirs)
    assert approved.returncode == 0, approved
    assert "The review is APPROVED." in approved.stdout
