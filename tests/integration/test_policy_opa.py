"""The policy point over real OPA: answers, faults, death and replacement."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import signal
import socket
import stat
import sys
import tempfile
from pathlib import Path

import psutil
import pytest
import uvloop

import realparts
from countersign.errors import ConfigurationError, PolicyError
from countersign.model import Effect
from countersign.policy.bundle import Bundle
from countersign.policy.child import OpaSettings
from countersign.policy.opa import OpaPolicy, OpaState
from countersign.policy.protocol import PolicyPoint

SERVICE = Path(__file__).resolve().parents[2] / "service"
SECRET = "kim@example.org"
WATCHFUL = OpaSettings(probe_interval_s=0.05, probe_timeout_s=0.5, max_failed_probes=2)
POLICY = """
package countersign

ok := {"effect": "allow", "reasons": [{"code": "all.good", "message": "TAG"}]}

decision := ok if input.ask == "allow"

no(code, message) := {"effect": "deny", "reasons": [{"code": code, "message": message}]}

decision := no("no.way", "no") if input.ask == "deny"

decision := {"effect": input.who, "mask": [], "stagez": 1} if input.ask == "invalid"

decision := {"effect": "allow", "mask": [p | some i in large; p := sprintf("/a/%d", [i])]} if {
	input.ask == "large"
}

large := numbers.range(1, 200)

decision := no("one", input.who) if input.ask == "conflict"

decision := no("two", input.who) if input.ask == "conflict"

many := numbers.range(1, 100000)

decision := ok if {
	input.ask == "endless"
	count([1 | some i in many; some j in many; i == -j]) == 0
}

decision := ok if {
	print("SAID", input.who)
	input.ask == "print"
}
"""


def write(directory: Path, tag: str = "a", policy: str = POLICY) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / "policy.rego").write_text(policy.replace("TAG", tag), encoding="utf-8")
    return directory


def asking(question: str) -> bytes:
    return f'{{"ask":"{question}","who":"{SECRET}"}}'.encode()


async def eventually(condition) -> None:
    """Wait for what another process brings about."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - it happens outside of this process
            await asyncio.sleep(0.01)


async def hang(pid: int) -> None:
    """Stop a process; the kernel stops its threads one by one, later than `kill` returns."""
    os.kill(pid, signal.SIGSTOP)
    tasks = Path(f"/proc/{pid}/task")
    await eventually(lambda: all(") T " in (task / "stat").read_text() for task in tasks.iterdir()))


async def refusal(policy: PolicyPoint, question: str, deadline_s: float = 10) -> PolicyError:
    with pytest.raises(PolicyError) as caught:
        await policy.decide(asking(question), deadline_s=deadline_s)
    assert SECRET not in f"{caught.value!r} {caught.value} {caught.value.detail}"
    return caught.value


@contextlib.asynccontextmanager
async def running(directory: Path, **options):
    policy = OpaPolicy(realparts.opa(), directory, **options)
    await policy.start()
    try:
        yield policy
    finally:
        pid = policy.status().pid
        await policy.stop()
        assert pid is None or not psutil.pid_exists(pid)


@pytest.fixture
async def policy(tmp_path):
    async with running(write(tmp_path / "policy")) as running_policy:
        yield running_policy


async def test_policy_decides_and_names_its_revision(policy):
    allowed = await policy.decide(asking("allow"), deadline_s=10)
    denied = await policy.decide(asking("deny"), deadline_s=10)
    assert (allowed.effect, denied.effect) == (Effect.ALLOW, Effect.DENY)
    assert allowed.revision == denied.revision == policy.revision
    assert policy.revision.startswith("sha256:")
    assert policy.ready


async def test_no_rule_is_undefined(policy):
    error = await refusal(policy, "nothing")
    assert (error.code, error.retryable) == ("policy.undefined", False)


async def test_a_broken_contract_names_every_breach(policy):
    error = await refusal(policy, "invalid")
    assert (error.code, error.retryable) == ("policy.invalid", False)
    assert error.detail.splitlines() == [
        "effect: must be allow, deny or needs_approval",
        "stagez: unknown key",
    ]


async def test_a_conflict_is_invalid_and_names_the_place_only(policy):
    error = await refusal(policy, "conflict")
    assert (error.code, error.retryable) == ("policy.invalid", False)
    place, _, rest = error.detail.partition(": ")
    assert place.startswith("policy.rego:")
    assert rest == "eval_conflict_error: two rules gave different values"


async def test_a_large_answer_comes_in_chunks(policy):
    decision = await policy.decide(asking("large"), deadline_s=10)
    assert len(decision.mask) == 200


async def test_many_decide_at_once_over_few_connections(tmp_path):
    few = OpaSettings(max_connections=3)
    async with running(write(tmp_path / "policy"), settings=few) as policy:
        effects = await asyncio.gather(
            *(policy.decide(asking(["allow", "deny"][n % 2]), deadline_s=10) for n in range(64))
        )
        held = psutil.Process(policy.status().pid).net_connections("unix")
        to_opa = [connection for connection in held if connection.laddr == _socket(policy)]
    assert [e.effect for e in effects] == [Effect.ALLOW, Effect.DENY] * 32
    # The listening socket, the one for probes, and at least one that was used.
    assert 3 <= len(to_opa) <= 2 + few.max_connections


def _socket(policy: OpaPolicy) -> str:
    command = psutil.Process(policy.status().pid).cmdline()
    return command[command.index("--addr") + 1].removeprefix("unix://")


async def test_a_deadline_stops_the_evaluation(policy):
    error = await refusal(policy, "endless", deadline_s=0.1)
    assert (error.code, error.retryable) == ("policy.unavailable", True)
    opa = psutil.Process(policy.status().pid)

    def resting() -> bool:
        return opa.cpu_percent(interval=0.2) < 30

    await asyncio.to_thread(resting)
    await eventually(resting)


async def test_killed_opa_is_unavailable_then_comes_back(policy):
    before = policy.status()
    os.kill(before.pid, signal.SIGKILL)
    error = await refusal(policy, "allow", deadline_s=5)
    assert (error.code, error.retryable) == ("policy.unavailable", True)
    await eventually(lambda: policy.status().restarts == 1)
    assert policy.ready
    assert (await policy.decide(asking("allow"), deadline_s=10)).effect is Effect.ALLOW
    after = policy.status()
    assert after.pid != before.pid
    assert (after.restarts, after.revision) == (1, before.revision)


async def test_while_opa_is_down_questions_are_refused_at_once(tmp_path):
    slow = OpaSettings(restart_delay_s=600, max_restart_delay_s=600)
    async with running(write(tmp_path / "first"), settings=slow) as policy:
        os.kill(policy.status().pid, signal.SIGKILL)
        await eventually(lambda: policy.status().state is OpaState.RESTARTING)
        assert not policy.ready
        error = await refusal(policy, "allow", deadline_s=600)
        assert (error.code, error.detail) == ("policy.unavailable", "OPA is not running")
        await policy.activate(write(tmp_path / "second", "second"))  # does not wait for the restart
        assert (await policy.decide(asking("allow"), deadline_s=10)).effect is Effect.ALLOW


async def test_hung_opa_is_late_then_replaced(tmp_path):
    async with running(write(tmp_path / "policy"), settings=WATCHFUL) as policy:
        hung = policy.status().pid
        await hang(hung)
        started = asyncio.get_running_loop().time()
        error = await refusal(policy, "allow", deadline_s=0.3)
        assert asyncio.get_running_loop().time() - started < 3
        assert (error.code, error.retryable) == ("policy.unavailable", True)
        await eventually(lambda: policy.ready and policy.status().pid != hung)
        assert not psutil.pid_exists(hung)
        assert (await policy.decide(asking("allow"), deadline_s=10)).effect is Effect.ALLOW


async def test_readiness_follows_health(tmp_path):
    patient = OpaSettings(probe_interval_s=0.02, probe_timeout_s=0.1, max_failed_probes=10_000)
    async with running(write(tmp_path / "policy"), settings=patient) as policy:
        await hang(policy.status().pid)
        await eventually(lambda: not policy.ready)
        assert policy.status().state is OpaState.UNHEALTHY
        os.kill(policy.status().pid, signal.SIGCONT)
        await eventually(lambda: policy.ready)
        assert policy.status().restarts == 0


async def test_activation_under_load_fails_nothing_and_mixes_nothing(tmp_path):
    first, second = write(tmp_path / "first", "first"), write(tmp_path / "second", "second")
    changes: list[Bundle] = []
    async with running(first, on_change=changes.append) as policy:
        revisions = {policy.revision: "first"}
        seen, done = [], asyncio.Event()

        async def load() -> None:
            while not done.is_set():
                decision = await policy.decide(asking("allow"), deadline_s=10)
                seen.append((decision.revision, decision.reasons[0].message))

        async with asyncio.TaskGroup() as group:
            for _ in range(16):
                group.create_task(load())
            await eventually(lambda: len(seen) > 100)
            revisions[(await policy.activate(second)).revision] = "second"
            at_swap = len(seen)
            await eventually(lambda: len(seen) > at_swap + 100)
            done.set()
        assert {revisions[revision] for revision, _ in seen} == {"first", "second"}
        assert all(revisions[revision] == tag for revision, tag in seen)
        assert [bundle.revision for bundle in changes] == list(revisions)
        assert policy.status().revision == changes[-1].revision
        await policy.activate_bundle(changes[0])  # roll-back is the same act
        assert policy.revision == changes[0].revision


async def test_a_question_put_before_activation_is_answered_by_whom_it_was_put_to(tmp_path):
    slow = POLICY.replace("100000", "800")
    first = write(tmp_path / "first", "first", slow)
    async with running(first, settings=OpaSettings(drain_timeout_s=60)) as policy:
        before, old_pid = policy.revision, policy.status().pid
        asked = asyncio.create_task(policy.decide(asking("endless"), deadline_s=60))
        await asyncio.sleep(0)  # the question is on its way
        await policy.activate(write(tmp_path / "second", "second"))
        assert (await asked).revision == before != policy.revision
        assert not psutil.pid_exists(old_pid)


async def test_a_failed_activation_changes_nothing(policy, tmp_path):
    before = policy.status()
    with pytest.raises(ConfigurationError, match=r"policy\.rego:2"):
        await policy.activate(
            write(tmp_path / "broken", policy="package countersign\ndecision := foo(1)\n")
        )
    assert policy.status() == before
    assert (await policy.decide(asking("allow"), deadline_s=10)).effect is Effect.ALLOW


async def test_a_bundle_that_opa_does_not_take_leaves_no_process_and_no_directory(policy):
    before, homes = policy.status(), _homes()
    children = len(psutil.Process().children())
    broken = Bundle(revision="r", archive=b"no archive", sha256="")
    with pytest.raises(ConfigurationError, match="OPA ended with exit status 1; it said:"):
        await policy.activate_bundle(broken)
    assert policy.status() == before
    assert _homes() == homes
    assert len(psutil.Process().children()) == children


def _homes() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("countersign-opa-*"))


async def test_a_process_that_serves_another_revision_is_not_trusted(policy):
    bundle = policy._bundle
    mislabelled = Bundle(revision="other", archive=bundle.archive, sha256=bundle.sha256)
    with pytest.raises(ConfigurationError, match="another revision"):
        await policy.activate_bundle(mislabelled)
    assert policy.revision == bundle.revision


async def test_before_start_and_after_stop_nothing_is_decided(tmp_path):
    policy = OpaPolicy(realparts.opa(), write(tmp_path / "policy"))
    assert (await refusal(policy, "allow")).code == "policy.unavailable"
    assert (policy.ready, policy.status().state) == (False, OpaState.STOPPED)
    await policy.start()
    home = Path(_socket(policy)).parent
    await policy.stop()
    assert not home.exists()
    assert (await refusal(policy, "allow")).code == "policy.unavailable"
    assert policy.status().state is OpaState.STOPPED


async def test_nobody_else_can_reach_or_change_opa(policy):
    path = Path(_socket(policy))
    assert _modes_and_names(path) == (0o600, 0o700, ["s"])
    for target in ("/v1/policies/x", "/v1/data/countersign"):
        assert await asyncio.to_thread(_put, path, target) == 400
    assert (await policy.decide(asking("allow"), deadline_s=10)).effect is Effect.ALLOW


def _modes_and_names(path: Path) -> tuple[int, int, list[str]]:
    home = path.parent
    names = [entry.name for entry in home.iterdir()]
    return stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(home.stat().st_mode), names


def _put(path: Path, target: str) -> int:
    connection = http.client.HTTPConnection("opa")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(path))
    connection.request("PUT", target, body=b"{}" if "data" in target else b"package x")
    with contextlib.closing(connection):
        return connection.getresponse().status


async def test_opa_inherits_nothing(policy, monkeypatch):
    opa = psutil.Process(policy.status().pid)
    assert opa.environ() == {"GOGC": "400", "GOMEMLIMIT": "536870912B"}
    assert os.getpgid(opa.pid) != os.getpgid(0), "Ctrl-C must not reach OPA before us"


async def test_nothing_opa_prints_after_its_start_is_kept(policy, caplog, capfd):
    await policy.decide(asking("print"), deadline_s=10)
    command = psutil.Process(policy.status().pid).cmdline()
    assert command[command.index("--log-level") + 1] == "error"  # the level below has prints
    assert policy._active._output is None
    os.kill(policy.status().pid, signal.SIGKILL)
    await eventually(lambda: policy.status().restarts == 1)
    assert SECRET not in caplog.text + "".join(capfd.readouterr())
    assert "was ended by signal 9" in caplog.text


ORPHAN_MAKER = """
import asyncio, pathlib, sys
from countersign.policy.opa import OpaPolicy

async def main():
    policy = OpaPolicy(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
    await policy.start()
    print(policy.status().pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
async def test_opa_ends_with_a_server_that_is_killed(tmp_path):
    command = [sys.executable, "-c", ORPHAN_MAKER, realparts.opa(), write(tmp_path / "policy")]
    environment = {"PYTHONPATH": str(SERVICE), "TMPDIR": str(tmp_path)}
    server = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, env=environment
    )
    orphan = int(await server.stdout.readline())
    assert _runs(orphan)
    server.kill()
    await server.wait()
    await eventually(lambda: not _runs(orphan))


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_the_story_is_the_same_under_uvloop(tmp_path):
    async def story() -> None:
        async with running(write(tmp_path / "first")) as policy:
            before = await policy.decide(asking("allow"), deadline_s=10)
            assert (await refusal(policy, "endless", deadline_s=0.1)).code == "policy.unavailable"
            os.kill(policy.status().pid, signal.SIGKILL)
            await eventually(lambda: policy.status().restarts == 1)
            assert await policy.decide(asking("allow"), deadline_s=10) == before
            await policy.activate(write(tmp_path / "second", "second"))
            assert (await policy.decide(asking("allow"), deadline_s=10)) != before

    uvloop.run(story())


async def test_a_temporary_directory_too_deep_for_a_socket_is_refused(tmp_path, monkeypatch):
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    policy = OpaPolicy(realparts.opa(), write(tmp_path / "policy"))
    with pytest.raises(ConfigurationError, match="107 bytes"):
        await policy.start()
    assert not any(deep.iterdir())
