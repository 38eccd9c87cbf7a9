"""Which version of policy decides, over real OPA: admitted, refused, tried again, gone back to."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

import realparts
from countersign.errors import ConfigurationError
from countersign.policy.activation import KeeperSettings
from countersign.policy.client import OpaClient
from countersign.policy.snapshot import Snapshot
from countersign.policy.sources.directory import DirectorySource
from countersign.policy.versions import Result
from policy_world import (
    BROKEN,
    ENDLESS_TEST,
    EXPONENTIAL,
    POLICY,
    QUORUM_OF_NOBODY,
    TEST,
    People,
    World,
    eventually,
)

POLLED = KeeperSettings(poll_s=0.05, retry_s=0.05, max_retry_s=0.2)
FAILING = TEST.replace("EFFECT", "deny")
PASSING = TEST.replace("EFFECT", "allow")
SETTINGS_FAILING = "package b\n\ntest_the_settings_are_well_formed if false\n"


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.write()
    return world


@pytest.mark.parametrize(
    ("policy", "tests", "code", "words"),
    [
        (BROKEN, {}, "policy.not_compiled", "rules.rego:"),
        (POLICY, {"a": FAILING}, "policy.tests_failed", "test_an_export_is_allowed: failed"),
        (
            QUORUM_OF_NOBODY,
            {},
            "policy.contract",
            "requirement.stages[0].quorum: 0, must be ≥ 1",
        ),
        (EXPONENTIAL, {}, "policy.too_slow", "no answer in 1 s of its processor"),
        (
            POLICY,
            {"a": FAILING, "b": SETTINGS_FAILING},
            "policy.tests_failed",
            "tests fail: b_test.rego:3 data.b.test_the_settings_are_well_formed: failed; a_test",
        ),
        ("package elsewhere\n", {}, "policy.no_entrypoint", "data.countersign.decision"),
    ],
    ids=["broken", "failing test", "contract", "exponential", "settings first", "no entry point"],
)
async def test_what_is_refused_never_answers_and_a_corrected_one_does_without_a_restart(
    world: World, policy: str, tests: dict[str, str], code: str, words: str
) -> None:
    async with world.keeping() as keeper:
        pid, revision = world.policy.status().pid, world.policy.revision
        world.write(policy, "second", **tests)
        attempt = await keeper.activate("olga")
        assert (attempt.result, attempt.code) == (Result.REFUSED, code)
        assert words in attempt.message
        assert attempt.revision != revision
        assert (world.policy.revision, world.policy.status().pid) == (revision, pid)
        assert await world.answer() == "first"
        assert world.last == attempt
        assert world.results() == [Result.ACTIVATED, Result.REFUSED]
        told = world.changes[-1]
        assert told.active is not None
        assert (told.active.revision, told.attempt.by) == (revision, "olga")

        world.write(tag="third", **dict.fromkeys(tests, PASSING))
        assert (await keeper.activate("olga")).result is Result.ACTIVATED
        assert await world.answer() == "third"
    assert not psutil.pid_exists(pid or 0)


async def test_a_refused_version_is_told_once_and_not_examined_again_until_somebody_asks(
    tmp_path: Path,
) -> None:
    asked = 0

    async def probes(_client: OpaClient) -> Sequence[str]:
        nonlocal asked
        asked += 1
        return ["rules.rego:3 effect: must be given"] if asked > 1 else []

    world = World(tmp_path, settings=POLLED, probes_=probes)
    world.write()
    async with world.keeping() as keeper:
        world.write(tag="second")
        await eventually(lambda: world.last.result is Result.REFUSED)
        looks = len(world.attempts)
        keeper.look()
        await eventually(lambda: len(world.attempts) > looks)
        assert asked == 3
        assert world.results() == [Result.ACTIVATED, Result.REFUSED]
        assert "rules.rego:3 effect: must be given" in world.last.message
        world.write()  # what answers all the time
        await eventually(lambda: world.last.result is Result.UNCHANGED)
        world.write(tag="second")
        await eventually(lambda: world.last.result is Result.REFUSED)
        assert asked == 3


async def test_a_change_is_seen_without_being_asked(tmp_path: Path) -> None:
    world = World(tmp_path, settings=POLLED)
    world.write()
    async with world.keeping():
        world.write(tag="second")
        await eventually(lambda: len(world.changes) == 2)
        assert await world.answer() == "second"


# --- faults of the machine ------------------------------------------------------------


async def test_while_opa_cannot_be_run_it_is_tried_again_by_itself(tmp_path: Path) -> None:
    opa = tmp_path / "opa"
    os.link(realparts.opa(), opa)
    world = World(tmp_path, opa=opa)
    world.write()
    async with world.keeping() as keeper:
        world.write(tag="second")
        opa.rename(tmp_path / "being-replaced")
        attempt = await keeper.activate("olga")
        assert (attempt.result, attempt.code) == (Result.FAILED, "opa.unusable")
        assert attempt.retry_at_s > attempt.at_s
        await eventually(lambda: len(world.attempts) > 3)
        assert await world.answer() == "first"
        assert world.results() == [Result.ACTIVATED]
        (tmp_path / "being-replaced").rename(opa)
        await eventually(lambda: len(world.changes) == 2)
        assert await world.answer() == "second"


async def test_a_second_opa_that_is_slow_to_start_is_tried_again(tmp_path: Path) -> None:
    """As on a machine that is busy: what was not ready in time once was never tried again."""
    real, slow = realparts.opa(), tmp_path / "opa"
    hang = tmp_path / "hang"
    when = f'[ "$1" = run ] && [ -e {hang} ]'
    slow.write_text(f'#!/bin/sh\nif {when}; then exec sleep 600; fi\nexec {real} "$@"\n')
    slow.chmod(0o755)
    world = World(tmp_path, opa=slow)
    world.write()
    async with world.keeping() as keeper:
        world.policy._settings = dataclasses.replace(world.policy._settings, start_timeout_s=0.5)
        hang.touch()
        world.write(tag="second")
        keeper.look()
        await eventually(lambda: world.last.result is Result.FAILED)
        assert world.last.code == "opa.not_started"
        hang.unlink()
        world.policy._settings = dataclasses.replace(world.policy._settings, start_timeout_s=30)
        await eventually(lambda: len(world.changes) == 2)
        assert await world.answer() == "second"


async def test_an_opa_that_is_not_let_run_is_no_slow_policy(tmp_path: Path) -> None:
    stopped: list[psutil.Process] = []

    async def probes(client: OpaClient) -> Sequence[str]:
        if not stopped:
            return []
        candidate = max(psutil.Process().children(), key=lambda child: child.create_time())
        candidate.suspend()
        try:
            await client.decide(b"{}", deadline_s=0.1)
        finally:
            candidate.resume()
        return []

    world = World(tmp_path, probes_=probes)
    world.write()
    async with world.keeping() as keeper:
        stopped.append(psutil.Process())
        world.write(tag="second")
        attempt = await keeper.activate("")
        assert (attempt.result, attempt.code) == (Result.FAILED, "opa.starved")
        stopped.clear()
        await eventually(lambda: len(world.changes) == 2)
        assert await world.answer() == "second"


async def test_tests_that_never_end_are_cut(tmp_path: Path) -> None:
    world = World(tmp_path, test_timeout_s=1.5)
    world.write()
    async with world.keeping() as keeper:
        world.write(tag="second", endless=ENDLESS_TEST)
        attempt = await keeper.activate("")
        assert (attempt.result, attempt.code) == (Result.REFUSED, "policy.tests_failed")
        assert len(psutil.Process().children()) == 1


async def test_tests_that_take_all_memory_are_refused_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.write()
    doubled = "\n".join(f'\tx{n} := concat("", [x{n - 1}, x{n - 1}])' for n in range(1, 11))
    greedy = f"""package greedy_test

test_greedy if {{
\tx0 := concat("", ["{"x" * 1000}" | some _ in numbers.range(1, 1000)])
{doubled}
\tcount(x10) > 0
}}
"""
    async with world.keeping() as keeper:
        world.write(tag="second", greedy=greedy)
        attempt = await keeper.activate("")
        assert (attempt.result, attempt.code) == (Result.REFUSED, "policy.tests_failed")
        assert "they need more memory than tests may have" in attempt.message
        assert await world.answer() == "first"


class Unreachable(DirectorySource):
    """A source that fails until it is mended, and keeps a copy."""

    broken = False
    accepted: Snapshot | None = None

    def fetch(self, known: str) -> Snapshot | None:
        if self.broken:
            raise ConfigurationError("policy.unsigned", "the commit is not signed", advice="Sign.")
        return super().fetch(known)

    def accept(self, snapshot: Snapshot) -> None:
        self.accepted = snapshot

    def kept(self) -> Snapshot | None:
        return self.accepted and dataclasses.replace(self.accepted, version="kept", origin="a copy")


async def test_what_a_source_refuses_is_told_once_and_asked_for_again(tmp_path: Path) -> None:
    source = Unreachable(tmp_path / "policy")
    world = World(tmp_path, source=source, settings=POLLED)
    world.write()
    async with world.keeping():
        source.broken = True
        world.write(tag="second")
        await eventually(lambda: len(world.attempts) > 3)
        assert (world.last.result, world.last.code) == (Result.FAILED, "policy.unsigned")
        assert world.results() == [Result.ACTIVATED, Result.FAILED]
        assert await world.answer() == "first"
        source.broken = False
        await eventually(lambda: world.results()[-1] is Result.ACTIVATED)
        assert await world.answer() == "second"
        await eventually(lambda: world.last.result is Result.ACTIVATED)
        assert source.accepted is not None
        assert source.accepted.revision == world.policy.revision


class Surprising(DirectorySource):
    """A source with a fault that nobody foresaw."""

    surprise = False

    def fetch(self, known: str) -> Snapshot | None:
        if self.surprise:
            raise ValueError("a secret of the source")
        return super().fetch(known)


async def test_a_fault_that_nobody_foresaw_ends_nothing(tmp_path: Path) -> None:
    source = Surprising(tmp_path / "policy")
    world = World(tmp_path, source=source, settings=POLLED)
    world.write()
    async with world.keeping():
        source.surprise = True
        world.write(tag="second")
        await eventually(lambda: world.last.result is Result.FAILED)
        assert (world.last.code, "secret" in world.last.message) == ("policy.keeper_failed", False)
        source.surprise = False
        await eventually(lambda: len(world.changes) == 2)
        assert await world.answer() == "second"


@pytest.mark.parametrize("fault", ["not to be had", "refused"])
async def test_a_start_falls_back_to_the_copy_and_goes_on_looking(
    tmp_path: Path, fault: str
) -> None:
    source = Unreachable(tmp_path / "policy")
    world = World(tmp_path, source=source)
    world.write()
    async with world.keeping():
        pass
    source.broken = fault == "not to be had"
    world.write("" if source.broken else BROKEN, "second")
    async with world.keeping() as keeper:
        assert await world.answer() == "first"
        active = keeper.status().active
        assert active is not None
        assert active.snapshot.origin == "a copy"
        assert world.last.code == ("policy.unsigned" if source.broken else "policy.not_compiled")
        source.broken = False
        world.write(tag="third")
        keeper.look()
        await eventually(lambda: world.last.result is Result.ACTIVATED)
        assert await world.answer() == "third"


async def test_a_start_without_any_policy_that_passes_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.write(EXPONENTIAL)
    with pytest.raises(ConfigurationError) as caught:
        async with world.keeping():
            pass
    assert caught.value.code == "policy.too_slow"
    assert psutil.Process().children() == []


# --- going back -----------------------------------------------------------------------


async def test_going_back_holds_until_the_source_changes_or_somebody_activates(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    world.write(tag="a")
    async with world.keeping() as keeper:
        for tag in ("b", "c"):
            world.write(tag=tag)
            await keeper.activate("olga")
        assert (await keeper.roll_back("", "olga")).result is Result.ROLLED_BACK
        assert await world.answer() == "b"
        assert (await keeper.roll_back("", "mallory")).result is Result.ROLLED_BACK
        assert await world.answer() == "a"
        assert keeper.status().held
        with pytest.raises(LookupError):
            await keeper.roll_back("", "olga")
        await keeper._do(lambda: keeper._follow(asked=False))  # as the clock would
        await keeper._do(lambda: keeper._follow(asked=True))  # as SIGHUP would
        assert await world.answer() == "a"

        assert (await keeper.activate("olga")).result is Result.ACTIVATED
        assert (await world.answer(), keeper.status().held) == ("c", False)
        await keeper.roll_back("", "olga")  # to what answered before: a
        assert await world.answer() == "a"
        world.write(tag="d")
        keeper.look()
        await eventually(lambda: world.last.result is Result.ACTIVATED)
        assert (await world.answer(), keeper.status().held) == ("d", False)
    assert [change.attempt.by for change in world.changes] == [
        *("", "olga", "olga", "olga", "mallory", "olga", "olga", ""),
    ]


async def test_a_kept_version_is_chosen_by_its_name(world: World) -> None:
    async with world.keeping() as keeper:
        first = world.policy.revision
        world.write(tag="second")
        await keeper.activate("olga")
        assert (await keeper.choose(first, "olga")).result is Result.ACTIVATED
        assert await world.answer() == "first"
        assert keeper.status().held
        assert (await keeper.choose(first, "olga")).result is Result.UNCHANGED
        with pytest.raises(LookupError):
            await keeper.choose("sha256:0000000000000000", "olga")


async def test_only_so_many_are_kept(tmp_path: Path) -> None:
    world = World(tmp_path, settings=dataclasses.replace(POLLED, poll_s=0, keep=2))
    world.write(tag="a")
    async with world.keeping() as keeper:
        first = world.policy.revision
        for tag in ("b", "c"):
            world.write(tag=tag)
            await keeper.activate("")
        assert len(keeper.status().kept) == 2
        with pytest.raises(LookupError):
            await keeper.roll_back(first, "olga")


async def test_going_back_waits_for_no_examination(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.write(tag="a")
    async with world.keeping() as keeper:
        world.write(tag="b")
        await keeper.activate("olga")
        world.write(tag="c", endless=ENDLESS_TEST)  # for a minute, by default
        asking = asyncio.create_task(keeper.activate("mallory"))
        await eventually(lambda: len(psutil.Process().children()) == 2)
        assert (await keeper.roll_back("", "olga")).result is Result.ROLLED_BACK
        assert await world.answer() == "a"
        assert (await asking).code == "policy.overtaken"
        await eventually(lambda: len(psutil.Process().children()) == 1)


async def test_going_back_holds_against_what_was_being_examined(tmp_path: Path) -> None:
    waits, goes_on = asyncio.Event(), asyncio.Event()
    asked = 0

    async def probes(_client: OpaClient) -> list[str]:
        nonlocal asked
        asked += 1
        if asked == 3:
            waits.set()
            await goes_on.wait()
        return []

    world = World(tmp_path, probes_=probes)
    world.write(tag="a")
    async with world.keeping() as keeper:
        world.write(tag="b")
        await keeper.activate("olga")
        world.write(tag="c")
        keeper.look()
        await waits.wait()
        assert (await keeper.roll_back("", "olga")).result is Result.ROLLED_BACK
        await keeper._do(lambda: keeper._follow(asked=False))  # as the clock would
        assert (await world.answer(), keeper.status().held) == ("a", True)
        assert (await keeper.activate("olga")).result is Result.ACTIVATED
        assert await world.answer() == "c"


async def test_whoever_hangs_up_leaves_no_half_of_an_activation(world: World) -> None:
    async with world.keeping() as keeper:
        world.write(tag="second")
        asking = asyncio.create_task(keeper.activate("olga"))
        await asyncio.sleep(0)
        asking.cancel()
        await eventually(lambda: world.last.result is Result.ACTIVATED and len(world.changes) == 2)
        assert await world.answer() == "second"


# --- people ---------------------------------------------------------------------------


async def test_what_nobody_approved_does_not_answer(tmp_path: Path) -> None:
    people = People()
    world = World(tmp_path, approver=people)
    world.write()
    async with world.keeping() as keeper:
        world.write(tag="second")
        attempt = await keeper.activate("olga")
        assert (attempt.result, attempt.review) == (Result.PROPOSED, "rev_1")
        keeper.look()
        assert (await keeper.activate("olga")).review == "rev_1"  # the same question
        assert (await keeper.activate("mallory")).review == "rev_2"  # who asks decides nothing
        assert [supersedes for _, supersedes in people.asked] == ["", "rev_1"]
        assert await world.answer() == "first"
        assert not keeper.status().held

        people.says.put_nowait(True)
        await eventually(lambda: world.last.result is Result.ACTIVATED)
        assert await world.answer() == "second"
        assert people.ended == ["rev_2 succeeded"]
        assert world.changes[-1].attempt.review == "rev_2"

        assert (await keeper.roll_back("", "olga")).result is Result.PROPOSED
        assert await world.answer() == "second"
        people.says.put_nowait(False)
        await eventually(lambda: world.last.result is Result.REFUSED)
        assert await world.answer() == "second"


async def test_what_is_broken_is_put_before_nobody(tmp_path: Path) -> None:
    people = People()
    world = World(tmp_path, approver=people)
    world.write()
    async with world.keeping() as keeper:
        world.write(QUORUM_OF_NOBODY)
        assert (await keeper.activate("olga")).code == "policy.contract"
        assert people.asked == []


async def test_an_approval_that_cannot_be_spent_lets_nothing_answer(tmp_path: Path) -> None:
    people = People()
    people.spendable = False
    world = World(tmp_path, approver=people)
    world.write()
    async with world.keeping() as keeper:
        world.write(tag="second")
        await keeper.activate("olga")
        people.says.put_nowait(True)
        await eventually(lambda: world.last.result is not Result.PROPOSED)
        assert (world.last.result, world.last.code) == (Result.REFUSED, "policy.not_approved")
        assert await world.answer() == "first"


async def test_what_the_source_takes_back_is_asked_no_more(tmp_path: Path) -> None:
    people = People()
    world = World(tmp_path, approver=people)
    world.write()
    async with world.keeping() as keeper:
        world.write(tag="second")
        await keeper.activate("olga")
        world.write()
        assert (await keeper.activate("olga")).result is Result.UNCHANGED
        assert people.ended == ["rev_1 withdrawn"]
        people.says.put_nowait(True)
        keeper.look()
        await eventually(lambda: len(world.attempts) > 2)
        assert await world.answer() == "first"


async def test_a_start_serves_nothing_that_nobody_approved(tmp_path: Path) -> None:
    people = People()
    source = Unreachable(tmp_path / "policy")
    world = World(tmp_path, approver=people, source=source)
    world.write()
    async with world.keeping():
        pass
    world.write(tag="second")
    async with world.keeping():  # by the copy of what was approved; and then people are asked
        assert await world.answer() == "first"
        await eventually(lambda: world.last.result is Result.PROPOSED)
    source.accepted = None
    with pytest.raises(ConfigurationError) as caught:
        async with world.keeping():
            pass
    assert caught.value.code == "policy.not_approved"
