"""The log writer: publishes each tenant's new records to the sink.

One asyncio task a process, started and closed by the composition root, woken
by `notify` after a commit. Invariant 11: records are published in order,
without holes, once; what a segment holds is fixed before its first byte is
written, so that a retry, in this process or the next, writes the same bytes.

A passing fault (disk full, store busy) is retried with back-off and visible in
`failures`. A log that does not hold together is frozen: nothing more of it is
published until somebody has looked, and whoever waits for it is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from countersign.audit.backlog import Bounds, Room
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
from countersign.errors import CountersignError, LogError
from countersign.model import StoredRecord, TenantId
from countersign.signing import SigningError

_OBJECTS_AT_ONCE: Final = 32
_PASSING: Final = "log.sink_unavailable"
_MENDED_ELSEWHERE: Final = frozenset({_PASSING, "keys.unavailable", "keys.signature_invalid"})
"""What passes without anybody looking at the log."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PublisherSettings:
    """When to publish, and how much at once."""

    flush_after_s: float = 1.0
    """How long a record waits for company."""
    max_segment_records: int = 1_000
    max_segment_bytes: int = 256 * 1024
    """Of uncompressed lines; a single larger record is a segment of its own."""
    poll_after_s: float = 5.0
    """Look for records without being told: `notify` is a hint, and hints get lost."""
    retry_first_s: float = 0.1
    retry_max_s: float = 30.0
    bounds: Bounds = dataclasses.field(default_factory=Bounds)
    """Of what may wait while the sink does not answer."""


class _Log:
    """One tenant's log as this process publishes it."""

    __slots__ = (
        *("failure", "note", "pointed", "pointing", "retry_at", "retry_s", "room"),
        *("signer", "tail", "waiting", "written"),
    )

    def __init__(self, signer: Signer) -> None:
        self.signer = signer
        self.tail: Tail | None = None
        """None until the store and the sink were compared."""
        self.note: bytes | None = None
        self.pointed: bytes | None = None
        """What the pointer holds: at times a step ahead of `note`."""
        self.pointing = asyncio.Lock()
        """Held to write the pointer, so that it never goes back."""
        self.written: int | None = None
        """Last record of a segment that may be in the sink already."""
        self.waiting: list[tuple[int, asyncio.Future[None]]] = []
        self.failure: LogError | None = None
        self.retry_s = 0.0
        self.retry_at = 0.0
        self.room = Room.FREE

    @property
    def frozen(self) -> bool:
        return self.failure is not None and self.failure.code not in _MENDED_ELSEWHERE

    def release(self) -> None:
        """Answer those whose record is published, or all if it never will be."""
        still = []
        for seq, future in self.waiting:
            if future.done():
                continue
            if self.frozen and self.failure is not None:
                future.set_exception(self.failure)
            elif self.tail is not None and seq < self.tail.size:
                future.set_result(None)
            else:
                still.append((seq, future))
        self.waiting = still


def _nothing(_: str) -> None:
    """No fault is injected."""


class Publisher:
    """Publishes records of all tenants; see the module's text.

    `signer_of` gives the key of a tenant's log; its name is the log's id and
    the origin of its checkpoints. `keys_of` gives the keys that may have signed what is
    published already, where that is not this one alone. `reached` is told the named points
    `log.segment_written`, `log.checkpoint_written` and `log.marked`, so that a
    test can stop the process there. `witnesses` are asked at the start what they have
    of a log.
    """

    def __init__(
        self,
        *,
        source: RecordSource,
        sink: Sink,
        log_id_of: Callable[[TenantId], str],
        signer_of: Callable[[TenantId], Signer],
        keys_of: Callable[[TenantId], Keys] | None = None,
        settings: PublisherSettings | None = None,
        reached: Callable[[str], None] = _nothing,
        witnesses: Sequence[Asking] = (),
    ) -> None:
        self._source = source
        self._sink = sink
        self._log_id_of = log_id_of
        self._signer_of = signer_of
        self._keys_of = keys_of
        self._settings = settings or PublisherSettings()
        self._reached = reached
        self._witnesses = tuple(witnesses)
        self._subscribers: list[Callable[[TenantId], None]] = []
        self._logs: dict[TenantId, _Log] = {}
        self._woken = asyncio.Event()
        self._hurry = asyncio.Event()
        self._notified = 0
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    # --- what others ask ---

    async def open(self) -> None:
        """Compare every log with the sink; nothing is published yet.

        Raises `LogError` when a store does not extend its published log, or
        when the sink cannot be read: the process should not start.
        """
        for tenant in await self._source.tenants():
            await self._open(tenant, self._log(tenant))

    async def start(self) -> None:
        """Publish in the background. Opens what is not open yet, as `open` does."""
        for tenant in await self._source.tenants():
            if self._log(tenant).tail is None:
                await self._open(tenant, self._log(tenant))
        self._task = asyncio.create_task(self._run(), name="audit publisher")
        self._wake(hurry=True)

    async def close(self) -> None:
        """Publish what is there, then stop. Never cuts a publication short."""
        self._closing = True
        self._wake(hurry=True)
        if self._task is not None:
            await self._task
            self._task = None
        for log in self._logs.values():
            for _, future in log.waiting:
                future.cancel()

    def notify(self, records: int = 1) -> None:
        """Say that so many records were committed. Never blocks."""
        self._notified += records
        self._wake(hurry=self._notified >= self._settings.max_segment_records)

    def subscribe(self, told: Callable[[TenantId], None]) -> None:
        """Have it told of each new checkpoint, and of the newest at the start. Must not block."""
        self._subscribers.append(told)

    def published_size(self, tenant: TenantId) -> int:
        """How many records the newest published checkpoint covers."""
        log = self._logs.get(tenant)
        return log.tail.size if log is not None and log.tail is not None else 0

    def checkpoint(self, tenant: TenantId) -> bytes | None:
        """The newest published checkpoint, a signed note."""
        log = self._logs.get(tenant)
        return log.note if log is not None else None

    async def add_signature(self, tenant: TenantId, text: str, line: Signature) -> None:
        """Let the pointer hold a cosignature too, if its checkpoint is still that text."""
        log = self._log(tenant)
        async with log.pointing:
            was = None if log.pointed is None else Note.parse(log.pointed)
            if was is None or was.text != text:
                return
            data = Note(text=text, signatures=(*was.signatures, line)).encode()
            pointer = File(name=POINTER, data=data, keep=Keep.POINTER)
            await asyncio.to_thread(self._sink.write, log.signer.name, (pointer,))
            if log.note == log.pointed:
                log.note = data
            log.pointed = data

    def freeze(self, tenant: TenantId, error: LogError) -> None:
        """Publish no more of this log: somebody outside remembers another one (invariant 11)."""
        log = self._log(tenant)
        log.failure = error
        log.release()

    async def published(self, tenant: TenantId, seq: int) -> None:
        """Return once record `seq` is published; does not wait for company.

        Raises the `LogError` of a frozen log. The caller sets the deadline.
        """
        log = self._log(tenant)
        future = asyncio.get_running_loop().create_future()
        log.waiting.append((seq, future))
        log.release()
        if not future.done():
            self._wake(hurry=True)
        await future

    def has_room(self, tenant: TenantId, *, essential: bool) -> bool:
        """Whether more may be recorded, as of the last look; `essential`: a denial, an outcome."""
        log = self._logs.get(tenant)
        room = log.room if log is not None else Room.FREE
        return room is Room.FREE or (essential and room is Room.DENIALS)

    @property
    def failures(self) -> Mapping[TenantId, LogError]:
        """Logs whose last publication failed, and why."""
        return {
            tenant: log.failure for tenant, log in self._logs.items() if log.failure is not None
        }

    @property
    def stopped(self) -> Mapping[TenantId, LogError]:
        """Logs that nothing can be let through for: frozen, or without room.

        While there is room, a sink that is away keeps nobody from deciding.
        """
        return {
            tenant: failure
            for tenant, failure in self.failures.items()
            if self._logs[tenant].frozen or self._logs[tenant].room is not Room.FREE
        }

    @property
    def running(self) -> bool:
        """Whether there is somebody who publishes at all."""
        return self._task is not None and not self._task.done()

    @property
    def ready(self) -> bool:
        """Running, and nothing has failed since it last succeeded."""
        return self.running and not self.failures

    # --- the task ---

    def _wake(self, *, hurry: bool) -> None:
        self._woken.set()
        if hurry:
            self._hurry.set()

    def _log(self, tenant: TenantId) -> _Log:
        if tenant not in self._logs:
            self._logs[tenant] = _Log(self._signer_of(tenant))
        return self._logs[tenant]

    def _tell(self, tenant: TenantId) -> None:
        for told in self._subscribers:
            told(tenant)

    async def _run(self) -> None:
        while not self._closing:
            await self._until_due()
            await self._publish_all()
        await self._publish_all()

    async def _until_due(self) -> None:
        """Wait for a record and then for its company, or for a retry or a look."""
        now = asyncio.get_running_loop().time()
        retries = [log.retry_at for log in self._logs.values() if log.retry_s and not log.frozen]
        patience = max(0.0, min([now + self._settings.poll_after_s, *retries]) - now)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._woken.wait()
                async with asyncio.timeout(self._settings.flush_after_s):
                    await self._hurry.wait()
        self._woken.clear()
        self._hurry.clear()
        self._notified = 0

    async def _publish_all(self) -> None:
        now = asyncio.get_running_loop().time()
        try:
            tenants = await self._source.tenants()
        except CountersignError:
            tenants = tuple(self._logs)
        for tenant in tenants:
            log = self._log(tenant)
            if not log.frozen and (log.retry_at <= now or self._closing):
                await self._try(tenant, log)
            if log.failure is not None:
                await self._look_at_backlog(tenant, log)

    async def _try(self, tenant: TenantId, log: _Log) -> None:
        try:
            await self._publish(tenant, log)
        except CountersignError as error:
            self._failed(log, error)
        else:
            log.failure, log.retry_s, log.retry_at = None, 0.0, 0.0
            log.room = Room.FREE
        log.release()

    async def _look_at_backlog(self, tenant: TenantId, log: _Log) -> None:
        """How much waits. A store that cannot be read takes no records either."""
        with contextlib.suppress(CountersignError):
            backlog = await self._source.backlog(tenant)
            log.room = self._settings.bounds.room(backlog, self._source.now())

    def _failed(self, log: _Log, error: CountersignError) -> None:
        if isinstance(error, SigningError):
            error = LogError(error.code, error.message, advice=error.advice)
        elif not isinstance(error, LogError):
            error = LogError(_PASSING, f"the store cannot be read: {error.message}")
        log.failure = error
        settings = self._settings
        log.retry_s = min(max(log.retry_s * 2, settings.retry_first_s), settings.retry_max_s)
        log.retry_at = asyncio.get_running_loop().time() + log.retry_s

    async def _open(self, tenant: TenantId, log: _Log) -> Tail:
        if log.signer.name != self._log_id_of(tenant):
            raise LogError("log.key_invalid", "the log's key is not named like the log")
        opened = await check_extends(
            tenant,
            source=self._source,
            sink=self._sink,
            signer=log.signer,
            keys=self._keys_of(tenant) if self._keys_of else log.signer.verifier,
            witnesses=self._witnesses,
        )
        log.tail, log.note, log.written = opened.tail, opened.note, opened.resume_last
        log.pointed = opened.note
        self._tell(tenant)
        return opened.tail

    # --- one log ---

    async def _publish(self, tenant: TenantId, log: _Log) -> None:
        """Publish all records that were committed when this began."""
        tail = log.tail if log.tail is not None else await self._open(tenant, log)
        size = (await self._source.log_state(tenant)).size
        while tail.size < size:
            records = await self._batch(tenant, log, tail, size)
            await self._publish_objects(tenant, log, tail)
            tail = await self._publish_segment(tenant, log, tail, records)
            log.release()

    async def _batch(
        self, tenant: TenantId, log: _Log, tail: Tail, size: int
    ) -> Sequence[StoredRecord]:
        """The next segment's records. Once it may be in the sink, always the same."""
        fixed = log.written
        last = size - 1 if fixed is None else fixed
        limit = last - tail.size + 1
        if fixed is None:
            limit = min(limit, self._settings.max_segment_records)
        records = await self._source.records(tenant, tail.size, limit)
        if not records or (fixed is not None and len(records) < limit):
            raise LogError(
                "log.gap",
                f"the store has lost records after {tail.size + len(records) - 1}",
                advice="Records were removed from the store; restore it from a backup.",
            )
        if fixed is not None:
            return records
        return records[: _fitting(records, self._settings.max_segment_bytes)]

    async def _publish_objects(self, tenant: TenantId, log: _Log, tail: Tail) -> None:
        """What records name by hash goes out before the records do."""
        while objects := await self._source.objects(tenant, _OBJECTS_AT_ONCE):
            files = [object_file(name, data) for name, data in objects]
            await asyncio.to_thread(self._sink.write, log.signer.name, files)
            names = [name for name, _ in objects]
            await self._source.mark_published(tenant, tail.size, tail.frontier().hashes, names)

    async def _publish_segment(
        self, tenant: TenantId, log: _Log, tail: Tail, records: Sequence[StoredRecord]
    ) -> Tail:
        log_id, write = log.signer.name, self._sink.write
        publication = await asyncio.to_thread(plan, tail, records, log.signer)
        await asyncio.to_thread(self._write_segment, log, publication, records)
        self._reached("log.segment_written")
        await asyncio.to_thread(write, log_id, (*publication.tiles, publication.checkpoint))
        self._reached("log.checkpoint_written")
        async with log.pointing:
            await asyncio.to_thread(write, log_id, (publication.pointer,))
            log.pointed = publication.pointer.data
        await asyncio.to_thread(self._sink.prune, log_id, publication.obsolete)
        grown = publication.tail
        await self._source.mark_published(tenant, grown.size, grown.frontier().hashes, ())
        log.tail, log.note, log.written = grown, log.pointed, None
        self._tell(tenant)
        self._reached("log.marked")
        return grown

    def _write_segment(
        self, log: _Log, publication: Publication, records: Sequence[StoredRecord]
    ) -> None:
        """Write the segment, or recognise the one an earlier attempt wrote.

        Another build of zlib may compress the same lines to other bytes: the
        lines are what counts.
        """
        log_id, segment = log.signer.name, publication.segment
        if log.written is not None:
            lines = lines_of(records)
            found = self._sink.read(log_id, segment.name)
            if found is not None and decompress(found, len(lines) + 1) == lines:
                return
        log.written = records[-1].seq
        self._sink.write(log_id, (segment,))


def _fitting(records: Sequence[StoredRecord], max_bytes: int) -> int:
    """How many records fit into that many bytes of lines; at least one."""
    total = 0
    for count, record in enumerate(records):
        total += len(record.body) + 1
        if total > max_bytes and count:
            return count
    return len(records)
