"""A store in memory that speaks the publisher's protocol, and logs made with it.

Stands in for the store in tests of the audit log: strict where the real one
is (order, one size, published never shrinks), and willing to lose its memory
where a story needs that.
"""

import asyncio
import dataclasses
import json
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from countersign.audit.local import LocalSink
from countersign.audit.note import Signer
from countersign.audit.publisher import Publisher, PublisherSettings
from countersign.errors import UnavailableError
from countersign.model import SECOND_US, Instant, StoredRecord, TenantId, rfc3339
from countersign.store.protocol import Backlog

TENANT = TenantId("acme")
LOG_ID = "log.example/acme"
SIGNER = Signer(name=LOG_ID, key=Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
VKEY = str(SIGNER.verifier)
START_US = 1_795_000_000_000_000
PROMPT = PublisherSettings(flush_after_s=0.0, retry_first_s=0.001, retry_max_s=0.001)


def record(seq, *, log_id=LOG_ID, start_us=START_US, step_us=1_000_000, **more):
    """A stored record like the core writes, canonical."""
    time = Instant(start_us + seq * step_us)
    body = {
        "schema": "countersign/record/v1",
        "log_id": log_id,
        "seq": seq,
        "time": rfc3339(time),
        "kind": "heartbeat",
        "tenant": "acme",
        **more,
    }
    data = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    return StoredRecord(seq=seq, body=data, time=time)


@dataclasses.dataclass(frozen=True)
class State:
    size: int
    published: int
    frontier: tuple[bytes, ...]


class MemorySource:
    """The records of one tenant."""

    def __init__(self, count=0, **more):
        self.rows = [record(seq, **more) for seq in range(count)]
        self.kept = {}
        self.published = 0
        self.frontier = ()
        self.down = False

    def add(self, count=1, **more):
        self.rows += [record(seq, **more) for seq in range(len(self.rows), len(self.rows) + count)]

    def _check(self):
        if self.down:
            raise UnavailableError("store.unavailable", "the store is away")

    async def tenants(self):
        return (TENANT,)

    async def log_state(self, _tenant):
        self._check()
        return State(len(self.rows), self.published, tuple(self.frontier))

    async def backlog(self, _tenant):
        self._check()
        waiting = self.rows[self.published :]
        oldest = waiting[0].time if waiting else None
        return Backlog(
            records=len(waiting), size_bytes=sum(len(r.body) for r in waiting), oldest=oldest
        )

    def now(self):
        return Instant(START_US + 3600 * SECOND_US)

    async def records(self, _tenant, first, limit):
        self._check()
        return tuple(self.rows[first : first + limit])

    async def objects(self, _tenant, limit):
        self._check()
        return tuple(self.kept.items())[:limit]

    async def mark_published(self, _tenant, size, frontier, objects):
        self._check()
        assert self.published <= size <= len(self.rows)
        self.published, self.frontier = size, tuple(frontier)
        for name in objects:
            del self.kept[name]


def publisher(
    source, root: Path, *, settings=PROMPT, sink=None, reached=None, signer=SIGNER, keys=None
):
    more = {"reached": reached} if reached else {}
    more |= {"keys_of": lambda _: keys} if keys else {}
    return Publisher(
        source=source,
        sink=sink or LocalSink(root),
        log_id_of=lambda tenant: f"log.example/{tenant}",
        signer_of=lambda _: signer,
        settings=settings,
        **more,
    )


async def publish(source, root: Path, *, settings=PROMPT, signer=SIGNER):
    """Publish all there is, as one process that starts and stops."""
    writer = publisher(source, root, settings=settings, signer=signer)
    await writer.start()
    await writer.close()
    return root / LOG_ID


def written(root: Path, *batches, **more):
    """The directory of a log published in those batches, a checkpoint each."""
    source = MemorySource()
    for count in batches:
        source.add(count, **more)
        asyncio.run(publish(source, root))
    return root / LOG_ID
