"""How fast a log is written down and verified: the records of a real run, many times.

The records that the measured service published are appended again and again, as
they would be, through the real store, publisher and local sink; then the copy
is verified by the code behind `countersign audit verify`.
"""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import gzip
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from countersign.audit.local import LocalSink
from countersign.audit.note import Signer
from countersign.audit.publisher import Publisher, PublisherSettings
from countersign.audit.verify import verify
from countersign.keys import read_key
from countersign.model import JsonObject, TenantId
from countersign.store.protocol import Transaction
from countersign.store.sqlite import SqliteStore

TENANT: Final = TenantId("default")
LOG_ID: Final = "bench.local/default"
_AT_ONCE: Final = 500


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """What was seen."""

    records: int
    bytes_each: float
    publish_us: float
    """CPU per record to publish: segment, tiles, checkpoints."""
    verify_cpu_s: float
    verify_wall_s: float

    @property
    def million_s(self) -> float:
        """CPU seconds for a million records, by proportion."""
        return self.verify_cpu_s / self.records * 1_000_000


def log(home: Path, *, records: int) -> Log:
    """Measure; `home` is that of a service that ended."""
    with tempfile.TemporaryDirectory() as place:
        return asyncio.run(_log(home, Path(place), records))


async def _log(home: Path, place: Path, records: int) -> Log:
    bodies = _published(home)
    signer = Signer(name=LOG_ID, key=read_key("log", home / "keys" / "log.pem"))
    sink = LocalSink(place / "log")
    store = await SqliteStore.open(place / "store.db", log_id_of=lambda _tenant: LOG_ID)
    publisher = Publisher(
        source=store, sink=sink, log_id_of=lambda _tenant: LOG_ID,
        signer_of=lambda _tenant: signer, settings=PublisherSettings(flush_after_s=0.05),
    )  # fmt: skip
    try:
        for first in range(0, records, _AT_ONCE):
            await store.apply(_append(bodies, min(_AT_ONCE, records - first)))
        started = time.process_time()
        await publisher.start()
        await _all_published(store)
        published_s = time.process_time() - started
    finally:
        await publisher.close()
        await store.close()
    wall, cpu = time.perf_counter(), time.process_time()
    result = verify(sink.directory(LOG_ID), str(signer.verifier))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    if not result.ok or result.size != records:
        sys.exit(f"bench: the log does not verify: {result.size} records, {result.findings[:3]}")
    size = sum(len(json.dumps(body, separators=(",", ":"))) for body in bodies) / len(bodies)
    return Log(
        records=records,
        bytes_each=size,
        publish_us=published_s / records * 1e6,
        verify_cpu_s=cpu,
        verify_wall_s=wall,
    )


def _published(home: Path) -> list[JsonObject]:
    """Decision records of the service's first segments."""
    bodies: list[JsonObject] = []
    for segment in sorted((home / "log").rglob("*.jsonl.gz")):
        for line in gzip.decompress(segment.read_bytes()).splitlines():
            body: dict[str, Any] = json.loads(line)
            if body["kind"] == "decision":
                bodies.append(body)
        if len(bodies) >= _AT_ONCE:
            return bodies
    if not bodies:
        sys.exit("bench: the service published no decision")
    return bodies


def _append(bodies: list[JsonObject], count: int) -> Callable[[Transaction], None]:
    def run(tx: Transaction) -> None:
        for index in range(count):
            tx.append(TENANT, copy.copy(bodies[index % len(bodies)]))

    return run


async def _all_published(store: SqliteStore) -> None:
    while True:
        state = await store.log_state(TENANT)
        if state.published == state.size:
            return
        await asyncio.sleep(0.02)
