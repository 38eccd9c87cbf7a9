"""Many logs, one real store, and a day on which it takes every request and answers none."""

import asyncio
import time

import pytest

from countersign.audit.s3 import client as s3_client
from countersign.audit.s3.calls import Calls
from countersign.audit.s3.retention import Retention
from countersign.audit.s3.sink import S3Sink
from many_logs import PROMPT, ManySource, many
from s3_faults import Fault, Proxy
from s3_server import running

NAMES = [f"t{number:02}" for number in range(20)]
PATIENCE_S = 1.0


@pytest.fixture
def proxy(tmp_path, monkeypatch):
    monkeypatch.setattr(s3_client, "READ_TIMEOUT_S", PATIENCE_S)
    with running(tmp_path / "s3") as server, Proxy(server.endpoint).running() as started:
        started.server = server
        yield started


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - a state, not an event
            await asyncio.sleep(0.01)


async def test_a_store_that_hangs_is_known_to_all_logs_after_one_patience(proxy):
    records, tiles = proxy.server.buckets()
    sink = S3Sink(
        proxy.server.shared(proxy.endpoint),
        records_bucket=records,
        tiles_bucket=tiles,
        retention=Retention(days=1, max_days=2),
        calls=Calls(patience_s=PATIENCE_S),
    )
    source = ManySource(NAMES)
    writer = many(source, sink)
    await writer.start()
    await until(lambda: all(log.published == 1 for log in source.logs.values()))
    proxy.seen.clear()
    proxy.choose = lambda _method, _path: Fault.HANG
    source.add()
    began = time.monotonic()
    writer.notify()
    await until(lambda: len(writer.failures) == len(NAMES))
    took_s = time.monotonic() - began
    # One log after the other, each by its own patience, would be twenty of them.
    assert took_s < 8 * PATIENCE_S
    asked = {path.split("/")[3] for _, path, _ in proxy.seen}
    assert len(asked) <= PROMPT.max_logs_at_once + 2
    proxy.choose = lambda _method, _path: Fault.NONE
    await until(lambda: all(log.published == 2 for log in source.logs.values()))
    await until(lambda: writer.ready)
    await writer.close()
