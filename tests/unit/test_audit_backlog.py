"""How much may wait for a sink that does not answer."""

import asyncio

import pytest

from audit_world import LOG_ID, TENANT, MemorySource, publisher
from countersign.audit.backlog import Bounds, Room
from countersign.audit.local import LocalSink
from countersign.audit.publisher import PublisherSettings
from countersign.errors import LogError
from countersign.model import SECOND_US
from countersign.store.protocol import Backlog

BOUNDS = Bounds(max_bytes=1000, max_age_s=60, head_room=0.25)
NOW = 1_000_000 * SECOND_US


@pytest.mark.parametrize(
    ("size_bytes", "age_s", "room"),
    [
        (0, None, Room.FREE),
        (999, 59, Room.FREE),
        (1000, 0, Room.DENIALS),
        (10, 60, Room.DENIALS),
        (1249, 10**6, Room.DENIALS),
        (1250, 0, Room.NONE),
    ],
)
def test_bytes_and_age_are_bounded_and_denials_have_more(size_bytes, age_s, room):
    oldest = None if age_s is None else NOW - age_s * SECOND_US
    backlog = Backlog(records=1, size_bytes=size_bytes, oldest=oldest)
    assert BOUNDS.room(backlog, NOW) is room


class Away:
    """A sink that does not answer until it is told to."""

    enforcing = False

    def __init__(self, sink):
        self.sink, self.away = sink, False

    def __getattr__(self, name):
        if self.away:
            raise LogError("log.sink_unavailable", "away")
        return getattr(self.sink, name)


async def test_the_publisher_says_when_there_is_no_room_and_when_there_is_again(tmp_path):
    source, sink = MemorySource(3), Away(LocalSink(tmp_path))
    settings = PublisherSettings(
        flush_after_s=0.0,
        retry_first_s=0.001,
        retry_max_s=0.001,
        bounds=Bounds(max_bytes=2000, max_age_s=10**6),
    )
    writer = publisher(source, tmp_path, settings=settings, sink=sink)
    await writer.start()
    await writer.published(TENANT, 2)
    assert writer.has_room(TENANT, essential=False)
    sink.away = True
    source.add(1)
    await _until(writer, lambda: writer.failures)
    assert writer.stopped == {}  # there is room: decisions go on
    source.add(14)
    await _until(writer, lambda: not writer.has_room(TENANT, essential=False))
    assert list(writer.stopped) == [TENANT]
    source.add(20)
    await _until(writer, lambda: not writer.has_room(TENANT, essential=True))
    sink.away = False
    await writer.published(TENANT, 37)
    assert writer.has_room(TENANT, essential=False)
    assert writer.stopped == writer.failures == {}
    await writer.close()
    assert (tmp_path / LOG_ID / "checkpoint").exists()


async def _until(writer, true):
    async with asyncio.timeout(10):
        while not true():
            writer.notify()
            await asyncio.sleep(0.001)
