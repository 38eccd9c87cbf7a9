"""The log writer: publishes each tenant's new records to the sink.

One asyncio task a process, started and closed by the composition root, woken
by `notify` after a commit; it gives each log that has something new a turn of its
own, some at once. Invariant 11: the records of a log are published in order,
without holes, once; what a segment holds is fixed before its first byte is
written, so that a retry, in this process or the next, writes the same bytes.

A passing fault (disk full, store busy) is retried with back-off and visible in
`failures`; a sink that answers nobody is found out once, for all logs (`outage`). A
log that does not hold together is frozen: nothing more of it is published until
somebody has looked, whoever waits for it is told, and nothing more is let through.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import logging
from collections.abc import Callable, Mapping, Sequence

from countersign.audit.backlog import Bounds, Room
from countersign.audit.logkeys import Keys
from countersign.audit.note import Signature, Signer
from countersign.audit.outage import Outage
from countersign.audit.sink import OutageError, RecordSource, Sink
from countersign.audit.tenant_log import PASSING, TenantLog
from countersign.audit.witness.asking import Asking
from countersign.errors import CountersignError, LogError
from countersign.model import TenantId
from countersign.signing import SigningError

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PublisherSettings:
    """When to publish, and how much at once."""

    flush_after_s: float = 1.0
    """How long a record waits for company."""
    max_segment_records: int = 1_000
    max_segment_bytes: int = 256 * 1024
    """Of uncompressed lines; a single larger record is a segment of its own."""
    max_logs_at_once: int = 8
    poll_after_s: float = 5.0
    """Look for records without being told: `notify` is a hint, and hints get lost."""
    retry_first_s: float = 0.1
    retry_max_s: float = 30.0
    close_within_s: float = 10.0
    """What all logs together have at the end; what is left is published at the next start."""
    bounds: Bounds = dataclasses.field(default_factory=Bounds)
    """Of what may wait while the sink does not answer."""


def _nothing(_: str) -> None:
    """No fault is injected."""


class Publisher:
    """Publishes records of all tenants; see the module's text.

    `signer_of` gives the key of a tenant's log; its name is the log's id and
    the origin of its checkpoints. `keys_of` gives the keys that may have signed what is
    published already, where that is not this one alone. `reached` is told the named points
    `log.planned`, `log.fenced`, `log.segment_written`, `log.checkpoint_written`,
    `log.pointed` and `log.marked`, so that a test can stop the process there.
    `witnesses` are asked at the start what they have of a log.
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
        self._keys_of = keys_of or (lambda tenant: signer_of(tenant).verifier)
        self._settings = settings or PublisherSettings()
        self._reached = reached
        self._witnesses = tuple(witnesses)
        self._subscribers: list[Callable[[TenantId], None]] = []
        self._logs: dict[TenantId, TenantLog] = {}
        self._turns: dict[TenantId, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(self._settings.max_logs_at_once)
        self._outage = Outage(
            first_s=self._settings.retry_first_s, max_s=self._settings.retry_max_s
        )
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
        opening = [
            asyncio.create_task(self._open(self._log(tenant)))
            for tenant in await self._source.tenants()
            if self._log(tenant).tail is None
        ]
        try:
            await asyncio.gather(*opening)
        finally:
            for task in opening:
                task.cancel()

    async def start(self) -> None:
        """Publish in the background. Opens what is not open yet, as `open` does."""
        await self.open()
        self._task = asyncio.create_task(self._run(), name="audit publisher")
        self._wake(hurry=True)

    async def close(self) -> None:
        """Publish what is there, within `close_within_s`, then stop.

        What is cut short then is picked up by the next process, as after a crash.
        """
        self._closing = True
        self._wake(hurry=True)
        task, self._task = self._task, None
        try:
            if task is not None:
                await self._ended(task)
        finally:
            for each in self._logs.values():
                each.cancel()

    async def _ended(self, task: asyncio.Task[None]) -> None:
        _, late = await asyncio.wait({task}, timeout=self._settings.close_within_s)
        if late:
            log.warning("not everything could be published; the rest waits in the store")
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        else:
            task.result()

    def notify(self, records: int = 1) -> None:
        """Say that so many records were committed. Never blocks."""
        self._notified += records
        self._wake(hurry=self._notified >= self._settings.max_segment_records)

    def subscribe(self, told: Callable[[TenantId], None]) -> None:
        """Have it told of each new checkpoint, and of the newest at the start. Must not block."""
        self._subscribers.append(told)

    def published_size(self, tenant: TenantId) -> int:
        """How many records the newest published checkpoint covers."""
        found = self._logs.get(tenant)
        return found.tail.size if found is not None and found.tail is not None else 0

    def checkpoint(self, tenant: TenantId) -> bytes | None:
        """The newest published checkpoint, a signed note."""
        found = self._logs.get(tenant)
        return found.note if found is not None else None

    async def add_signature(self, tenant: TenantId, text: str, line: Signature) -> None:
        """Let the pointer hold a cosignature too, if its checkpoint is still that text."""
        await self._log(tenant).add_signature(text, line)

    def freeze(self, tenant: TenantId, error: LogError) -> None:
        """Publish no more of this log: somebody outside remembers another one (invariant 11)."""
        self._log(tenant).failure = error
        self._log(tenant).release()

    async def published(self, tenant: TenantId, seq: int) -> None:
        """Return once record `seq` is published; does not wait for company.

        Raises the `LogError` of a frozen log. The caller sets the deadline.
        """
        future = self._log(tenant).wait_for(seq)
        if not future.done():
            self._wake(hurry=True)
        await future

    def has_room(self, tenant: TenantId, *, essential: bool) -> bool:
        """Whether more may be recorded, as of the last look; `essential`: a denial, an outcome."""
        found = self._logs.get(tenant)
        if found is None:
            return True
        if found.frozen and not essential:
            return False
        return found.room is Room.FREE or (essential and found.room is Room.DENIALS)

    @property
    def failures(self) -> Mapping[TenantId, LogError]:
        """Logs whose last publication failed, and why."""
        return {
            tenant: each.failure for tenant, each in self._logs.items() if each.failure is not None
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

    def _log(self, tenant: TenantId) -> TenantLog:
        if tenant not in self._logs:
            self._logs[tenant] = TenantLog(
                tenant,
                self._signer_of(tenant),
                keys_of=self._keys_of,
                source=self._source,
                sink=self._sink,
                max_segment_records=self._settings.max_segment_records,
                max_segment_bytes=self._settings.max_segment_bytes,
                reached=self._reached,
                on_published=self._published,
                witnesses=self._witnesses,
            )
        return self._logs[tenant]

    async def _open(self, which: TenantLog) -> None:
        self._check_name(which)
        async with self._slots:
            await which.open()

    def _check_name(self, which: TenantLog) -> None:
        if which.signer.name != self._log_id_of(which.tenant):
            raise LogError("log.key_invalid", "the log's key is not named like the log")

    def _published(self, tenant: TenantId) -> None:
        """A log was published, or read: the sink answers."""
        if self._outage.answered(asyncio.get_running_loop().time()):
            for each in self._logs.values():
                each.retry_at = 0.0 if not each.frozen else each.retry_at
            self._wake(hurry=True)
        for told in self._subscribers:
            told(tenant)

    async def _run(self) -> None:
        try:
            while not self._closing:
                await self._until_due()
                await self._begin_turns()
            await self._last_turns()
        finally:
            for turn in self._turns.values():
                turn.cancel()

    async def _until_due(self) -> None:
        """Wait for a record and then for its company, or for a retry or a look."""
        now = asyncio.get_running_loop().time()
        retries = [
            each.retry_at
            for tenant, each in self._logs.items()
            if each.retry_s and not each.frozen and tenant not in self._turns
        ]
        patience = max(0.0, min([now + self._settings.poll_after_s, *retries]) - now)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._woken.wait()
                async with asyncio.timeout(self._settings.flush_after_s):
                    await self._hurry.wait()
        self._woken.clear()
        self._hurry.clear()
        self._notified = 0

    async def _last_turns(self) -> None:
        """What was committed while others had their turn, and what an outage held back."""
        for _ in range(2):
            await self._settled()
            away = self._outage.error is not None
            await self._begin_turns()
            await self._settled()
            if not away or self._outage.error is not None:
                return

    async def _settled(self) -> None:
        if self._turns:
            await asyncio.wait(self._turns.values())
        self._reap()

    def _reap(self) -> None:
        """Let go of turns that are over; what went wrong unexpectedly ends the publisher."""
        for tenant, turn in list(self._turns.items()):
            if turn.done():
                del self._turns[tenant]
                turn.result()

    async def _begin_turns(self) -> None:
        """Give each log that has something new its turn, whoever waited longest first."""
        self._reap()
        now = asyncio.get_running_loop().time()
        try:
            tenants = await self._source.tenants()
        except CountersignError:
            tenants = tuple(self._logs)
        for which in sorted(map(self._log, tenants), key=lambda each: each.tried_at):
            if which.tenant in self._turns:
                which.again = True
                continue
            due = not which.frozen and (which.retry_at <= now or self._closing)
            if which.failure is not None or (due and await self._has_more(which)):
                turn = asyncio.create_task(self._turn(which, due=due))
                self._turns[which.tenant] = turn
                turn.add_done_callback(functools.partial(self._turn_ended, which))

    async def _has_more(self, which: TenantLog) -> bool:
        try:
            return await which.has_more()
        except CountersignError:
            return True  # its turn will say what is wrong

    def _turn_ended(self, which: TenantLog, turn: asyncio.Task[None]) -> None:
        unexpected = not turn.cancelled() and turn.exception() is not None
        if which.again or unexpected:
            which.again = False
            self._wake(hurry=True)

    async def _turn(self, which: TenantLog, *, due: bool) -> None:
        if due:
            async with self._slots:
                await self._try(which)
        if which.failure is not None:
            await self._look_at_backlog(which)

    async def _try(self, which: TenantLog) -> None:
        now = asyncio.get_running_loop().time()
        if not self._outage.lets(which, now, last=self._closing):
            self._held(which, now)
            return
        which.tried_at = now
        try:
            if which.tail is None:
                self._check_name(which)
            await which.publish()
        except CountersignError as error:
            self._failed(which, error)
        else:
            if not which.frozen:  # by somebody else meanwhile
                which.failure, which.retry_s, which.retry_at = None, 0.0, 0.0
                which.room = Room.FREE
        finally:
            self._outage.tried(which)
        which.release()

    def _held(self, which: TenantLog, now: float) -> None:
        """It need not find out for itself that nobody is answered."""
        which.failure = self._outage.error
        which.retry_s = self._settings.retry_first_s
        due = self._outage.retry_at
        which.retry_at = due if due > now else now + self._settings.poll_after_s  # one asks now

    async def _look_at_backlog(self, which: TenantLog) -> None:
        """How much waits. A store that cannot be read takes no records either."""
        with contextlib.suppress(CountersignError):
            backlog = await self._source.backlog(which.tenant)
            which.room = self._settings.bounds.room(backlog, self._source.now())

    def _failed(self, which: TenantLog, error: CountersignError) -> None:
        if isinstance(error, SigningError):
            error = LogError(error.code, error.message, advice=error.advice)
        elif not isinstance(error, LogError):
            error = LogError(PASSING, f"the store cannot be read: {error.message}")
        now = asyncio.get_running_loop().time()
        if isinstance(error, OutageError):
            self._outage.found(error, began=which.tried_at, now=now)
            for each in self._logs.values():
                if each.failure is not None and not each.frozen:
                    each.retry_at = self._outage.retry_at  # the next one to ask is another
        elif TenantLog.freezes(error):
            log.critical("log %s is frozen: %s", which.tenant, error)
        if not which.frozen:
            which.failure = error
        settings = self._settings
        which.retry_s = min(max(which.retry_s * 2, settings.retry_first_s), settings.retry_max_s)
        which.retry_at = now + which.retry_s
