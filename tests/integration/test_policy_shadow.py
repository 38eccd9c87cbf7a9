"""A candidate beside the policy in force, both in real OPA: tried, and believed nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from pathlib import Path

import psutil
import pytest

import realparts
from countersign.errors import PolicyError
from countersign.model import DecisionId, Effect, TenantId
from countersign.policy.opa import OpaPolicy
from countersign.policy.protocol import ShadowDifference, Trial
from countersign.policy.shadow import Result, Shadow, ShadowSettings
from countersign.policy.sources.directory import DirectorySource

SECRET = "kim@example.org"
EAGER = ShadowSettings(deadline_s=20, max_share=1, poll_s=0.05, restart_delay_s=0.01)
LIVE = """
package countersign

said(effect) := {"effect": effect, "reasons": [{"code": "the.rule", "message": input.who}]}

decision := said(input.ask) if input.ask in {"allow", "deny"}
"""
STRICTER = (
    LIVE
    + """
decision := said("deny") if input.ask == "undefined"
"""
)
CONFLICT = (
    LIVE
    + """
decision := said("needs") if input.ask == "allow"
"""
)
BREACH = LIVE.replace('"effect": effect', '"effect": effect, "more": input.who')
EXPONENTIAL = """
package countersign

many := numbers.range(1, 100000)

decision := {"effect": "allow", "reasons": []} if {
	count([1 | some i in many; some j in many; i == -j]) == 0
	input.ask
}
"""
BROKEN = "package countersign\n\ndecision := {"


def asking(ask: str) -> bytes:
    return json.dumps({"ask": ask, "who": SECRET}).encode()


def written(directory: Path, text: str) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / "policy.rego").write_text(text, encoding="utf-8")
    return directory


async def eventually(condition) -> None:
    """Wait for what another process brings about."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - it happens outside of this process
            await asyncio.sleep(0.01)


def first_to_go(pid: int) -> str:
    return Path(f"/proc/{pid}/oom_score_adj").read_text(encoding="ascii").strip()


class Stage:
    """The policy in force, a candidate, and what was told of it."""

    def __init__(self, live: OpaPolicy, directory: Path, settings: ShadowSettings) -> None:
        self.live = live
        self.results: list[Result] = []
        self.told: list[ShadowDifference] = []
        self.shadow = Shadow(
            realparts.opa(),
            DirectorySource(directory),
            settings=settings,
            on_result=self.results.append,
            on_difference=self.record,
        )
        self._count = 0

    async def record(self, found: ShadowDifference) -> bool:
        self.told.append(found)
        return True

    async def decided(self, ask: str) -> DecisionId:
        """Decide by the policy in force, and offer that to the candidate."""
        self._count += 1
        decision = DecisionId(f"dec_{self._count}")
        try:
            said = await self.live.decide(asking(ask), deadline_s=20)
        except PolicyError as error:
            said = error
        self.shadow.offer(
            Trial(
                tenant=TenantId("acme"),
                decision=decision,
                input_json=asking(ask),
                said=said,
                revision=self.live.revision,
            )
        )
        return decision

    async def tried(self, ask: str) -> Result:
        """What comes of one decision, once the candidate has had its time."""
        before = len(self.results)
        await self.decided(ask)
        await eventually(lambda: len(self.results) > before)
        if self.shadow._asking:
            await asyncio.wait({self.shadow._asking})
        return self.results[-1]


@pytest.fixture
async def live(tmp_path):
    policy = OpaPolicy(realparts.opa(), written(tmp_path / "live", LIVE))
    await policy.start()
    yield policy
    await policy.stop()


@pytest.fixture
def beside(live, tmp_path):
    @contextlib.asynccontextmanager
    async def start(text: str, settings: ShadowSettings = EAGER, *, ready: bool = True):
        stage = Stage(live, written(tmp_path / "candidate", text), settings)
        running = asyncio.create_task(stage.shadow.run())
        try:
            await eventually(lambda: stage.shadow.ready if ready else stage.shadow.status().error)
            yield stage
        finally:
            pid = stage.shadow._child and stage.shadow._child.pid
            running.cancel()
            await asyncio.wait({running})
            assert not pid or not psutil.pid_exists(pid)

    return start


async def test_what_it_would_have_said_is_compared_and_told_without_input(beside):
    async with beside(STRICTER) as stage:
        assert await stage.tried("allow") is Result.SAME
        assert await stage.tried("deny") is Result.SAME
        assert stage.told == []
        assert await stage.tried("undefined") is Result.DIFFERENT
        (found,) = stage.told
        assert found.decision == "dec_3"
        assert (found.live.effect, found.live.codes) == (Effect.DENY, ("policy.undefined",))
        assert (found.candidate.effect, found.candidate.codes) == (Effect.DENY, ("the.rule",))
        assert found.changed == ("reasons",)
        assert found.live.revision == stage.live.revision
        assert found.candidate.revision == stage.shadow.status().revision
        assert found.live.revision != found.candidate.revision
        assert SECRET not in repr(stage.told)
        status = stage.shadow.status()
        assert status.results == {Result.SAME: 2, Result.DIFFERENT: 1}
        assert status.effects == {(Effect.DENY, Effect.DENY): 1}


@pytest.mark.parametrize("text", [CONFLICT, BREACH], ids=["conflict", "breach"])
async def test_a_candidate_that_breaks_the_contract_would_have_denied(beside, text):
    async with beside(text) as stage:
        assert await stage.tried("allow") is Result.DIFFERENT
        (found,) = stage.told
        assert found.candidate.codes == ("policy.invalid",)
        assert found.changed == ("effect", "reasons")
        assert SECRET not in repr(found)


async def test_nothing_is_asked_of_a_candidate_that_does_not_compile_until_it_does(
    beside, tmp_path
):
    async with beside(BROKEN, ready=False) as stage:
        assert await stage.tried("allow") is Result.DROPPED
        assert "does not compile" in stage.shadow.status().error
        written(tmp_path / "candidate", STRICTER)
        await eventually(lambda: stage.shadow.ready)
        assert stage.shadow.status().error == ""
        assert await stage.tried("allow") is Result.SAME
        written(tmp_path / "candidate", BROKEN)
        await eventually(lambda: stage.shadow.status().error)
        assert await stage.tried("allow") is Result.SAME  # the last that could be run


async def test_another_candidate_takes_over_and_is_counted_anew(beside, tmp_path):
    async with beside(LIVE) as stage:
        assert await stage.tried("undefined") is Result.SAME
        first = stage.shadow.status().revision
        written(tmp_path / "candidate", STRICTER)
        await eventually(lambda: stage.shadow.status().revision != first)
        assert stage.shadow.status().results == {}
        assert await stage.tried("undefined") is Result.DIFFERENT


async def test_an_exponential_candidate_is_cut_off_and_holds_up_nobody(beside):
    settings = ShadowSettings(deadline_s=0.2, max_share=1, poll_s=60)
    async with beside(EXPONENTIAL, settings) as stage:
        await stage.decided("allow")
        while not stage.results:
            said = await stage.live.decide(asking("allow"), deadline_s=20)
            assert said.effect is Effect.ALLOW
        assert stage.results == [Result.LATE]
        child = psutil.Process(stage.shadow._child.pid)

        async def quiet() -> bool:
            before = sum(child.cpu_times()[:2])
            await asyncio.sleep(0.3)
            return sum(child.cpu_times()[:2]) - before < 0.1

        async with asyncio.timeout(20):
            while not await quiet():
                pass
        assert stage.told == []


async def test_it_is_asked_one_at_a_time_and_rests_in_proportion(beside):
    settings = ShadowSettings(deadline_s=0.5, max_share=0.1, poll_s=60)
    async with beside(EXPONENTIAL, settings) as stage:
        await stage.decided("allow")
        asking_one = stage.shadow._asking
        await stage.decided("allow")
        assert stage.results == [Result.DROPPED]
        assert stage.shadow._asking is asking_one
        await asyncio.wait({asking_one})
        loop = asyncio.get_running_loop()
        assert stage.shadow._rest_until - loop.time() > 3
        await stage.decided("allow")
        assert stage.results == [Result.DROPPED, Result.LATE, Result.DROPPED]


async def test_it_yields_to_everything_else_and_lives_no_longer_than_we_do(beside):
    async with beside(LIVE) as stage:
        child = psutil.Process(stage.shadow._child.pid)
        assert child.nice() == 19
        assert first_to_go(child.pid) == "1000"
        assert child.environ()["GOMAXPROCS"] == "1"
        assert psutil.Process(stage.live.status().pid).nice() == psutil.Process().nice()


async def test_a_candidate_that_is_killed_or_hangs_is_started_again(beside):
    async with beside(STRICTER) as stage:
        for harm in (signal.SIGKILL, signal.SIGSTOP):
            child = stage.shadow._child
            os.kill(child.pid, harm)
            allowed = await stage.live.decide(asking("allow"), deadline_s=20)
            assert allowed.effect is Effect.ALLOW
            await eventually(lambda gone=child: stage.shadow._child not in (gone, None))
            await eventually(lambda: stage.shadow.ready)
            assert await stage.tried("undefined") is Result.DIFFERENT


async def test_differences_beyond_the_pace_or_that_fail_to_be_kept_are_counted(beside):
    few = ShadowSettings(deadline_s=20, max_share=1, poll_s=60, max_records_per_minute=2)
    async with beside(STRICTER, few) as stage:
        for _ in range(5):
            assert await stage.tried("undefined") is Result.DIFFERENT
        assert len(stage.told) == 2
        assert stage.shadow.status().unrecorded == 3

    async def full(_: ShadowDifference) -> bool:
        raise OSError("no room")

    async with beside(STRICTER) as stage:
        stage.shadow._on_difference = full
        assert await stage.tried("undefined") is Result.DIFFERENT
        assert stage.shadow.status().unrecorded == 1


async def test_a_sample_of_nothing_is_offered_nothing(beside):
    async with beside(STRICTER, ShadowSettings(sample=0, poll_s=60)) as stage:
        await stage.decided("undefined")
        assert stage.results == []
        assert stage.shadow._asking is None
