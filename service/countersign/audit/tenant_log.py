"""One tenant's log as this process publishes it: its next segment, in its order.

What a segment holds is fixed, and fenced, before its first byte is written: the
fence is the text of the checkpoint that is to come, created under the position where
its records begin; unsigned, so that a change of keys in between changes nothing. Of two
writers that go on from one record (a copied store, a restored machine) exactly one
creates it, so the other is stopped before anything of it is beside the evidence. Whoever
died after the fence finds its own again, because the same records have the same
checkpoint, and goes on. Used by `publisher`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from countersign.audit.backlog import Room
from countersign.audit.blocking import blocking
from countersign.audit.logkeys import Keys
from countersign.audit.note import Note, Signature, Signer
from countersign.audit.opening import check_extends
from countersign.audit.plan import (
    POINTER,
    File,
    Keep,
    Publication,
    decompress,
    lines_of,
    object_file,
    plan,
)
from countersign.audit.sink import RecordSource, Sink
from countersign.audit.tiles import Tail
from countersign.audit.witness.asking import Asking
from countersign.errors import LogError
from countersign.model import StoredRecord, TenantId

PASSING: Final = "log.sink_unavailable"
"""The code of what may go away by itself."""
_MENDED_ELSEWHERE: Final = frozenset({PASSING, "keys.unavailable", "keys.signature_invalid"})
"""What passes without anybody looking at the log."""
_OBJECTS_AT_ONCE: Final = 32


class TenantLog:
    """The newest state of one log, who waits for it, and how it goes on."""

    def __init__(
        self,
        tenant: TenantId,
        signer: Signer,
        *,
        keys_of: Callable[[TenantId], Keys],
        source: RecordSource,
        sink: Sink,
        max_segment_records: int,
        max_segment_bytes: int,
        reached: Callable[[str], None],
        on_published: Callable[[TenantId], None],
        witnesses: Sequence[Asking] = (),
    ) -> None:
        """`keys_of` gives the keys that may have signed what is published already.

        `on_published` is told of each new checkpoint, and of the newest at the start.
        """
        self.tenant, self.signer = tenant, signer
        self.tail: Tail | None = None
        """None until the store and the sink were compared."""
        self.note: bytes | None = None
        """The newest published checkpoint."""
        self.failure: LogError | None = None
        self.retry_s = 0.0
        self.retry_at = 0.0
        self.tried_at = 0.0
        self.again = False
        """Whether there may be more than the attempt in progress will publish."""
        self.room = Room.FREE
        self._keys_of = keys_of
        self._source, self._sink = source, sink
        self._max_records, self._max_bytes = max_segment_records, max_segment_bytes
        self._reached, self._on_published = reached, on_published
        self._witnesses = witnesses
        self._pointed: bytes | None = None
        """What the pointer holds: at times a step ahead of `note`."""
        self._pointing = asyncio.Lock()
        """Held to write the pointer, so that it never goes back."""
        self._written: int | None = None
        """Last record of a segment that may be in the sink already."""
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    # --- those who wait ---

    @property
    def frozen(self) -> bool:
        """Whether nothing more is published until somebody has looked."""
        return self.failure is not None and self.freezes(self.failure)

    @staticmethod
    def freezes(error: LogError) -> bool:
        """Whether it does not pass without anybody looking at the log."""
        return error.code not in _MENDED_ELSEWHERE

    def wait_for(self, seq: int) -> asyncio.Future[None]:
        """Done once record `seq` is published; holds the error of a frozen log."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((seq, future))
        self.release()
        return future

    def release(self) -> None:
        """Answer those whose record is published, or all if it never will be."""
        still = []
        for seq, future in self._waiting:
            if future.done():
                continue
            if self.frozen and self.failure is not None:
                future.set_exception(self.failure)
            elif self.tail is not None and seq < self.tail.size:
                future.set_result(None)
            else:
                still.append((seq, future))
        self._waiting = still

    def cancel(self) -> None:
        """Let everybody go: nobody publishes any more."""
        for _, future in self._waiting:
            future.cancel()

    # --- publishing ---

    async def open(self) -> Tail:
        """Compare the store with the sink; see `opening.check_extends`."""
        opened = await check_extends(
            self.tenant,
            source=self._source,
            sink=self._sink,
            signer=self.signer,
            keys=self._keys_of(self.tenant),
            witnesses=self._witnesses,
        )
        self.tail, self.note, self._written = opened.tail, opened.note, opened.resume_last
        self._pointed = opened.note
        self._on_published(self.tenant)
        return opened.tail

    async def has_more(self) -> bool:
        """Whether there is anything to be done for it."""
        if self.tail is None:
            return True
        return (await self._source.log_state(self.tenant)).size > self.tail.size

    async def publish(self) -> None:
        """Publish all records that were committed when this began."""
        tail = self.tail if self.tail is not None else await self.open()
        size = (await self._source.log_state(self.tenant)).size
        while tail.size < size and not self.frozen:
            records = await self._batch(tail, size)
            await self._publish_objects(tail)
            tail = await self._publish_segment(tail, records)
            self.release()

    async def add_signature(self, text: str, line: Signature) -> None:
        """Let the pointer hold a cosignature too, if its checkpoint is still that text."""
        async with self._pointing:
            was = None if self._pointed is None else Note.parse(self._pointed)
            if was is None or was.text != text:
                return
            data = Note(text=text, signatures=(*was.signatures, line)).encode()
            pointer = File(name=POINTER, data=data, keep=Keep.POINTER)
            await blocking(self._sink.write, self.signer.name, (pointer,))
            if self.note == self._pointed:
                self.note = data
            self._pointed = data

    async def _batch(self, tail: Tail, size: int) -> Sequence[StoredRecord]:
        """The next segment's records. Once it may be in the sink, always the same."""
        fixed = self._written
        last = size - 1 if fixed is None else fixed
        limit = last - tail.size + 1
        if fixed is None:
            limit = min(limit, self._max_records)
        records = await self._source.records(self.tenant, tail.size, limit)
        if not records or (fixed is not None and len(records) < limit):
            raise LogError(
                "log.gap",
                f"the store has lost records after {tail.size + len(records) - 1}",
                advice="Records were removed from the store; restore it from a backup.",
            )
        if fixed is not None:
            return records
        return records[: _fitting(records, self._max_bytes)]

    async def _publish_objects(self, tail: Tail) -> None:
        """What records name by hash goes out before the records do."""
        while objects := await self._source.objects(self.tenant, _OBJECTS_AT_ONCE):
            files = [object_file(name, data) for name, data in objects]
            await blocking(self._sink.write, self.signer.name, files)
            names = [name for name, _ in objects]
            await self._source.mark_published(self.tenant, tail.size, tail.frontier().hashes, names)

    async def _publish_segment(self, tail: Tail, records: Sequence[StoredRecord]) -> Tail:
        log_id, write = self.signer.name, self._sink.write
        publication = await blocking(plan, tail, records, self.signer)
        self._reached("log.planned")
        await blocking(self._write_segment, publication, records)
        self._reached("log.segment_written")
        await blocking(write, log_id, (*publication.tiles, publication.checkpoint))
        self._reached("log.checkpoint_written")
        async with self._pointing:
            await blocking(write, log_id, (publication.pointer,))
            self._pointed = publication.pointer.data
        self._reached("log.pointed")
        await blocking(self._sink.prune, log_id, publication.obsolete)
        grown = publication.tail
        await self._source.mark_published(self.tenant, grown.size, grown.frontier().hashes, ())
        self.tail, self.note, self._written = grown, self._pointed, None
        self._on_published(self.tenant)
        self._reached("log.marked")
        return grown

    def _write_segment(self, publication: Publication, records: Sequence[StoredRecord]) -> None:
        """Write the segment, or recognise the one an earlier attempt wrote.

        Another build of zlib may compress the same lines to other bytes: the
        lines are what counts.
        """
        log_id, segment = self.signer.name, publication.segment
        again, self._written = self._written is not None, records[-1].seq
        self._fence(publication)
        self._reached("log.fenced")
        if again:
            lines = lines_of(records)
            found = self._sink.read(log_id, segment.name)
            if found is not None and decompress(found, len(lines) + 1) == lines:
                return
        self._sink.write(log_id, (segment,))

    def _fence(self, publication: Publication) -> None:
        """Have this position, or see who else has it."""
        try:
            self._sink.write(self.signer.name, (publication.fence,))
        except LogError as error:
            if error.code != "log.conflict":
                raise
            raise LogError(
                "log.fenced",
                f"{publication.fence.name}: another writer goes on from there with other records",
                advice="Two services publish this log, each from its own copy of the store. The "
                "other one has gone on; stop this one for good and keep its store: it holds the "
                "records that only it knows. Let people be served by the other, or give this one "
                "a log.name of its own.",
            ) from error


def _fitting(records: Sequence[StoredRecord], max_bytes: int) -> int:
    """How many records fit into that many bytes of lines; at least one."""
    total = 0
    for count, record in enumerate(records):
        total += len(record.body) + 1
        if total > max_bytes and count:
            return count
    return len(records)
