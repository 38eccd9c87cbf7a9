"""Many tenants, one publisher: what befalls one log or the sink, and what others see of it."""

import asyncio
import dataclasses
import time
from collections import Counter

import pytest

from countersign.audit.plan import FENCES, File, Keep, fence_name
from countersign.model import TenantId
from many_logs import PROMPT, HangingSink, ManySource, many

NAMES = [f"t{number:02}" for number in range(50)]


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - a state, not an event
            await asyncio.sleep(0.005)


@pytest.fixture
def sink(tmp_path):
    made = HangingSink(tmp_path)
    yield made
    made.let.set()


@pytest.fixture
async def published(sink):
    """Fifty tenants whose first record is published, and one more is waiting to be."""
    source = ManySource(NAMES)
    writer = many(source, sink)
    await writer.start()
    await until(lambda: all(log.published == 1 for log in source.logs.values()))
    sink.asked.clear()
    yield source, writer
    sink.away = False
    sink.let.set()
    await writer.close()


async def test_all_are_published_some_at_once_each_in_order(sink):
    source = ManySource(NAMES)
    writer = many(source, sink)
    await writer.start()
    source.add(3)
    writer.notify()
    await until(lambda: all(log.published == 4 for log in source.logs.values()))
    assert 1 < sink.most_at_once <= PROMPT.max_logs_at_once
    await writer.close()
    for name in NAMES:
        fences = [int(each[len(FENCES) :]) for each in sink.names(f"log.example/{name}", FENCES)]
        assert fences[0] == 0
        assert fences == sorted(fences)


async def test_all_learn_of_an_outage_within_one_patience(sink, published):
    source, writer = published
    sink.away = True
    source.add()
    began = time.monotonic()
    writer.notify()
    await until(lambda: len(writer.failures) == len(NAMES))
    took_s = time.monotonic() - began
    # Those that were asked at once, and at most two more that asked again meanwhile.
    assert len(sink.asked) <= PROMPT.max_logs_at_once + 2
    assert took_s < 3 * sink.patience_s
    assert {error.code for error in writer.failures.values()} == {"log.sink_unavailable"}
    sink.away = False
    await until(lambda: writer.ready)
    assert all(log.published == 2 for log in source.logs.values())


async def test_in_an_outage_one_asks_at_a_time(sink, published):
    source, writer = published
    sink.away, sink.patience_s = True, 0.05
    source.add()
    writer.notify()
    await until(lambda: len(writer.failures) == len(NAMES))
    sink.asked.clear()
    sink.most_at_once = 0
    await until(lambda: len(sink.asked) >= 5)
    assert sink.most_at_once == 1
    assert len(Counter(sink.asked)) == len(sink.asked)  # another one each time


async def test_a_log_that_is_stuck_holds_no_other(sink, published):
    source, writer = published
    sink.stuck.add("log.example/t00")
    for _ in range(3):
        source.add()
        writer.notify()
        size = len(source.logs[TenantId("t01")].rows)
        await until(
            lambda size=size: all(
                log.published == size for name, log in source.logs.items() if name != "t00"
            )
        )
    assert source.logs[TenantId("t00")].published == 1
    sink.let.set()
    await until(lambda: source.logs[TenantId("t00")].published == 4)


async def test_a_log_that_is_frozen_holds_no_other_and_lets_nothing_through(sink, published):
    source, writer = published
    other = File(name=fence_name(1), data=b"another writer's", keep=Keep.REBUILDABLE)
    sink.write("log.example/t00", (other,))
    source.add()
    writer.notify()
    await until(
        lambda: all(log.published == 2 for name, log in source.logs.items() if name != "t00")
    )
    await until(lambda: set(writer.stopped) == {"t00"})
    assert writer.stopped[TenantId("t00")].code == "log.fenced"
    assert not writer.has_room(TenantId("t00"), essential=False)
    assert writer.has_room(TenantId("t01"), essential=False)


async def test_the_end_is_bounded_for_all_logs_together(sink):
    source = ManySource(NAMES)
    settings = dataclasses.replace(PROMPT, close_within_s=0.5)
    writer = many(source, sink, settings)
    await writer.start()
    await until(lambda: all(log.published == 1 for log in source.logs.values()))
    sink.stuck.update(f"log.example/{name}" for name in NAMES)
    source.add()
    waiting = asyncio.create_task(writer.published(TenantId("t49"), 1))
    await until(lambda: len(sink.asked) > 0)
    began = time.monotonic()
    await writer.close()
    assert time.monotonic() - began < 5
    with pytest.raises(asyncio.CancelledError):
        await waiting
    sink.let.set()
    sink.stuck.clear()
    again = many(source, HangingSink(sink.directory("x").parent))
    await again.start()
    await again.close()
    assert all(log.published == 2 for log in source.logs.values())


async def test_an_end_in_an_outage_asks_once_more_and_no_more(sink, published):
    source, writer = published
    sink.away, sink.patience_s = True, 0.2
    source.add()
    writer.notify()
    await until(lambda: len(writer.failures) == len(NAMES))
    sink.asked.clear()
    began = time.monotonic()
    await writer.close()
    assert time.monotonic() - began < 2
    assert len(sink.asked) <= 2
