"""The group commit over a simulated engine that fails when told to."""

from __future__ import annotations

import asyncio
import threading

import pytest

from countersign.errors import UnavailableError
from countersign.store.group_commit import MAX_BATCH, Effects, GroupCommit


class DiskError(Exception):
    """What the simulated disk says."""


class SimulatedEngine:
    """Keeps what is committed in a list; its disk can be slow or broken."""

    def __init__(self) -> None:
        self.committed: list[int] = []
        self.batches: list[int] = []
        self.closed = False
        self.broken_at = ""
        self.disk = threading.Event()
        self.disk.set()
        self.flushing = threading.Event()
        self._open: list[int] = []
        self._threads: set[int] = set()

    def begin(self):
        self._may_break("begin")
        self._open = []
        self._threads.add(threading.get_ident())

    def run(self, command):
        self._may_break("run")
        before = len(self._open)
        try:
            return command(self._open), None
        except (ValueError, TypeError) as error:
            del self._open[before:]
            return None, error

    def flush(self):
        self._may_break("flush")
        return Effects(changes=[("acme", "rev", n) for n in self._open], decided=())

    def commit(self):
        self.flushing.set()
        self.disk.wait(timeout=10)
        self._may_break("commit")
        self.committed += self._open
        self.batches.append(len(self._open))

    def close(self):
        self.closed = True
        assert len(self._threads) <= 1

    def _may_break(self, where):
        if self.broken_at == where:
            raise DiskError(where)


class Listening:
    """Collects what the event loop is told."""

    def __init__(self) -> None:
        self.changes: list[int] = []
        self.failures: list[BaseException] = []

    def on_commit(self, effects):
        self.changes += [version for _, _, version in effects.changes]

    def on_failure(self, error):
        self.failures.append(error)


@pytest.fixture
def engine():
    return SimulatedEngine()


@pytest.fixture
def listening():
    return Listening()


@pytest.fixture
async def commits(engine, listening):
    commits = GroupCommit(
        engine,
        on_commit=listening.on_commit,
        on_failure=listening.on_failure,
        reached=lambda point: None,
    )
    yield commits
    engine.disk.set()
    await commits.close()
    assert engine.closed


def adding(n):
    def command(rows):
        rows.append(n)
        return n * 10

    return command


def failing(rows):
    rows.append(-1)
    raise ValueError


async def test_what_queues_behind_a_slow_flush_shares_the_next(engine, commits):
    engine.disk.clear()
    first = asyncio.create_task(commits.apply(adding(0)))
    await asyncio.to_thread(engine.flushing.wait, 10)
    rest = [asyncio.create_task(commits.apply(adding(n))) for n in range(1, 40)]
    await asyncio.sleep(0)
    assert not first.done(), "nothing is answered before it is durable"
    engine.disk.set()
    assert await asyncio.gather(first, *rest) == [n * 10 for n in range(40)]
    assert engine.batches == [1, 39]
    assert engine.committed == list(range(40)), "commands run in the order they came"


async def test_a_batch_is_bounded(engine, commits):
    engine.disk.clear()
    tasks = [asyncio.create_task(commits.apply(adding(n))) for n in range(MAX_BATCH * 3)]
    await asyncio.sleep(0)
    engine.disk.set()
    await asyncio.gather(*tasks)
    assert max(engine.batches) <= MAX_BATCH
    assert sum(engine.batches) == MAX_BATCH * 3


async def test_a_command_that_raises_fails_alone(engine, commits, listening):
    outcomes = await asyncio.gather(
        commits.apply(adding(1)),
        commits.apply(failing),
        commits.apply(adding(2)),
        return_exceptions=True,
    )
    assert outcomes[0::2] == [10, 20]
    assert isinstance(outcomes[1], ValueError)
    assert engine.committed == listening.changes == [1, 2]
    assert not commits.failed


@pytest.mark.parametrize("where", ["begin", "run", "flush", "commit"])
async def test_a_failed_commit_fails_all_its_commands_and_every_later_one(
    engine, commits, listening, where
):
    await commits.apply(adding(1))
    engine.broken_at = where
    outcomes = await asyncio.gather(
        *(commits.apply(adding(n)) for n in range(5)), return_exceptions=True
    )
    assert {type(outcome) for outcome in outcomes} == {UnavailableError}
    assert {outcome.code for outcome in outcomes} == {"audit.unavailable"}
    assert len(set(map(id, outcomes))) == 5, "each caller has an error of its own"
    assert commits.failed
    engine.broken_at = ""
    with pytest.raises(UnavailableError):
        await commits.apply(adding(9))
    await asyncio.sleep(0)
    assert [str(error) for error in listening.failures] == [where]
    assert engine.committed == listening.changes == [1]


async def test_commands_queued_behind_a_failing_commit_fail_too(engine, commits, listening):
    engine.disk.clear()
    engine.broken_at = "commit"
    first = asyncio.create_task(commits.apply(adding(1)))
    await asyncio.to_thread(engine.flushing.wait, 10)
    second = asyncio.create_task(commits.apply(adding(2)))
    await asyncio.sleep(0)
    engine.disk.set()
    for task in (first, second):
        with pytest.raises(UnavailableError):
            await task
    assert engine.committed == []
    assert len(listening.failures) == 1


async def test_a_whole_batch_wakes_the_event_loop_once(engine, commits, monkeypatch):
    loop = asyncio.get_running_loop()
    wakes = []
    real = loop.call_soon_threadsafe

    def counting(callback, *args, **kwargs):
        wakes.append(callback)
        return real(callback, *args, **kwargs)

    monkeypatch.setattr(loop, "call_soon_threadsafe", counting)
    engine.disk.clear()
    tasks = [asyncio.create_task(commits.apply(adding(n))) for n in range(50)]
    await asyncio.sleep(0)
    engine.disk.set()
    await asyncio.gather(*tasks)
    assert len(wakes) == len(engine.batches)


async def test_closing_twice_is_closing_once(commits):
    await commits.apply(adding(1))
    await asyncio.gather(commits.close(), commits.close())
    with pytest.raises(UnavailableError):
        await commits.apply(adding(2))
