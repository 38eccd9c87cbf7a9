"""The embedded default: one SQLite file, one server process.

Invariants kept: those of `protocol`. Writes go through the group commit's one
thread; point reads run on the event loop over a read-only connection (they
cost microseconds and never wait for the writer, thanks to WAL), reads whose
size the caller chooses run in a thread of their own. `app` opens it; everybody
else knows only `protocol.Store`.

Raw data never comes here (invariant 3); the file still holds salts and the
key, so its mode is 0600.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Self, TypeVar

from countersign.cards import Address, Card, Endpoint
from countersign.model import (
    CallerId,
    CardId,
    ChannelId,
    DecisionId,
    Delegation,
    Effect,
    Instant,
    JsonObject,
    PermitClaims,
    PermitId,
    PersonId,
    Review,
    ReviewId,
    ReviewState,
    StoredRecord,
    TenantId,
)
from countersign.store import sqlite_file
from countersign.store.clock import StoreClock, wall_clock
from countersign.store.group_commit import Effects, GroupCommit
from countersign.store.protocol import (
    Backlog,
    Change,
    Command,
    Decision,
    LogState,
    RequestKey,
    StoredAnswer,
)
from countersign.store.queries import migrations
from countersign.store.recent import DAY_MINUTES, MINUTE_US, RecentCounts
from countersign.store.sqlite_engine import SqliteEngine
from countersign.store.sqlite_reads import SQL, SqliteReads
from countersign.store.sqlite_writes import SqliteTransaction

T = TypeVar("T")

KEY_BYTES: Final = 32
MAX_NOTED: Final = 500
"""Uses noted in one command: no decision waits long behind them."""


class SqliteStore:
    """`protocol.Store` over one SQLite file. Make it with `open`."""

    def __init__(
        self,
        path: Path,
        lock: int,
        connection: sqlite3.Connection,
        *,
        log_id_of: Callable[[TenantId], str],
        clock: Callable[[], Instant],
        steady: Callable[[], int],
        reached: Callable[[str], None],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._lock = lock
        key, last = connection.execute(SQL["read_store"]).fetchone()
        self._key: bytes = key
        self._clock = StoreClock(clock, last, steady)
        self._recent = _restored(connection, self._clock.now())
        self._listeners: list[Callable[[Sequence[Change]], None]] = []
        self._reading = sqlite_file.connect_reading(path)
        self._reads = SqliteReads(self._reading)
        self._bulk_reading = sqlite_file.connect_reading(path)
        self._bulk = SqliteReads(self._bulk_reading)
        self._bulk_thread = ThreadPoolExecutor(1, thread_name_prefix="countersign-store-read")
        self._commits: GroupCommit[SqliteTransaction] = GroupCommit(
            SqliteEngine(connection, self._clock, log_id_of),
            on_commit=self._committed,
            on_failure=on_failure,
            reached=reached,
        )

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        log_id_of: Callable[[TenantId], str],
        clock: Callable[[], Instant] = wall_clock,
        steady: Callable[[], int] | None = None,
        reached: Callable[[str], None] = lambda _point: None,
        on_failure: Callable[[BaseException], None] = lambda _error: None,
    ) -> Self:
        """Lock, create or migrate, and open the store at `path`.

        `log_id_of` names the log of a tenant at its first record. `clock` may be
        set back; time then goes on by `steady`, in nanoseconds. Left out it is the
        machine's, or stands still beside a clock that is not the machine's. `reached` is
        told when a commit passes a point where a crash must do no harm.
        `on_failure` is called on the event loop when a commit failed: nothing
        can be decided any more and the process should end. Raises
        `ConfigurationError` with codes `store.locked`, `store.newer` and
        `store.unusable`.
        """
        with sqlite_file.opening(path):
            lock = sqlite_file.lock(path)
            try:
                connection = await asyncio.to_thread(_prepared, path)
                return cls(
                    path,
                    lock,
                    connection,
                    log_id_of=log_id_of,
                    clock=clock,
                    steady=steady or _steady_beside(clock),
                    reached=reached,
                    on_failure=on_failure,
                )
            except BaseException:
                os.close(lock)
                raise

    @property
    def key(self) -> bytes:
        return self._key

    @property
    def failed(self) -> bool:
        """Whether a commit failed: nothing can be written any more."""
        return self._commits.failed

    async def apply(self, command: Command[T]) -> T:
        return await self._commits.apply(command)

    def subscribe(self, listener: Callable[[Sequence[Change]], None]) -> None:
        self._listeners.append(listener)

    def now(self) -> Instant:
        return self._clock.now()

    def _committed(self, effects: Effects) -> None:
        for decision in effects.decided:
            self._recent.add(
                decision.tenant,
                decision.caller,
                decision.action,
                method=decision.method,
                effect=decision.effect,
                minute=decision.at // MINUTE_US,
                rows=decision.rows,
                amount=decision.amount,
            )
        for listener in self._listeners:
            listener(effects.changes)

    # --- point reads, on the event loop ---

    async def answer(self, key: RequestKey) -> StoredAnswer | None:
        return self._reads.answer_at(key, self.now())

    async def decision(self, tenant: TenantId, id: DecisionId) -> Decision | None:
        return self._reads.decision(tenant, id)

    async def review(self, tenant: TenantId, id: ReviewId) -> Review | None:
        return self._reads.review(tenant, id)

    async def card(self, tenant: TenantId, id: CardId) -> Card | None:
        return self._reads.card(tenant, id)

    async def cards_of(self, tenant: TenantId, review: ReviewId) -> Sequence[Card]:
        return self._reads.cards_of(tenant, review)

    async def endpoint(
        self, tenant: TenantId, channel: ChannelId, address: Address
    ) -> Endpoint | None:
        return self._reads.endpoint(tenant, channel, address)

    async def deliveries_due(self, tenant: TenantId, channel: ChannelId) -> Instant | None:
        return self._reads.deliveries_due(tenant, channel)

    async def permit(self, tenant: TenantId, id: PermitId) -> PermitClaims | None:
        return self._reads.permit(tenant, id)

    async def due(self, now: Instant, limit: int) -> Sequence[tuple[TenantId, ReviewId]]:
        return self._reads.due(now, limit)

    async def next_due(self) -> Instant | None:
        return self._reads.next_due()

    async def recent(
        self, tenant: TenantId, caller: CallerId, action: str
    ) -> Mapping[str, Mapping[str, int]]:
        return self._recent.read(tenant, caller, action, self.now())

    async def tenants(self) -> Sequence[TenantId]:
        return self._reads.tenants()

    async def log_state(self, tenant: TenantId) -> LogState:
        return self._reads.log_state(tenant)

    # --- bulk reads, in their own thread ---

    async def reviews(
        self, tenant: TenantId, states: Sequence[ReviewState], *, after: str, limit: int
    ) -> Sequence[Review]:
        return await self._in_thread(lambda: self._bulk.reviews(tenant, states, after, limit))

    async def endpoints(self, tenant: TenantId, channel: ChannelId) -> Sequence[Endpoint]:
        return await self._in_thread(lambda: self._bulk.endpoints(tenant, channel))

    async def after_reviews(self, tenant: TenantId) -> Sequence[Review]:
        return await self._in_thread(lambda: self._bulk.after_reviews(tenant))

    async def delegations_to(self, tenant: TenantId, delegate: PersonId) -> Sequence[Delegation]:
        return self._reads.delegations_to_at(tenant, delegate, self.now())

    async def delegations(self, tenant: TenantId) -> Sequence[Delegation]:
        now = self.now()
        return await self._in_thread(lambda: self._bulk.delegations_at(tenant, now))

    async def last_used(self, tenant: TenantId) -> Mapping[str, Instant]:
        return await self._in_thread(lambda: self._bulk.last_used(tenant))

    async def backlog(self, tenant: TenantId) -> Backlog:
        return await self._in_thread(lambda: self._bulk.backlog(tenant))

    async def records(self, tenant: TenantId, first: int, limit: int) -> Sequence[StoredRecord]:
        return await self._in_thread(lambda: self._bulk.records(tenant, first, limit))

    async def objects(self, tenant: TenantId, limit: int) -> Sequence[tuple[str, bytes]]:
        return await self._in_thread(lambda: self._bulk.objects(tenant, limit))

    async def _in_thread(self, read: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._bulk_thread, read)

    # --- upkeep ---

    async def note_used(self, used: Mapping[tuple[TenantId, str], Instant]) -> None:
        rows = [(tenant, proof, at) for (tenant, proof), at in used.items()]
        for first in range(0, len(rows), MAX_NOTED):
            await self._note_used(rows[first : first + MAX_NOTED])

    async def _note_used(self, rows: Sequence[tuple[TenantId, str, Instant]]) -> None:
        await self._commits.apply(lambda tx: tx.note_used(rows))

    async def note(self, name: str) -> JsonObject | None:
        return self._reads.note(name)

    async def put_note(self, name: str, body: JsonObject) -> None:
        await self._commits.apply(lambda tx: tx.put_note(name, body))

    async def mark_published(
        self, tenant: TenantId, size: int, frontier: Sequence[bytes], objects: Sequence[str]
    ) -> None:
        roots = tuple(frontier)
        await self._commits.apply(lambda tx: tx.mark_published(tenant, size, roots, objects))

    async def sweep(self, now: Instant) -> None:
        """Delete what its term has passed, a few hundred rows a commit.

        Idempotent answers after 24 h; closed reviews that owe no after-review after
        30 days and record bytes after 37, both only once published; delegations 30
        days after their end.
        """
        self._recent.forget_idle(now)
        while await self._commits.apply(lambda tx: tx.sweep_answers(now)):
            pass
        while await self._commits.apply(lambda tx: tx.sweep_reviews(now)):
            pass
        for tenant in await self.tenants():
            while await self._sweep_records(tenant, now):
                pass
            while await self._sweep_delegations(tenant, now):
                pass

    async def _sweep_records(self, tenant: TenantId, now: Instant) -> bool:
        return await self._commits.apply(lambda tx: tx.sweep_records(tenant, now))

    async def _sweep_delegations(self, tenant: TenantId, now: Instant) -> bool:
        return await self._commits.apply(lambda tx: tx.sweep_delegations(tenant, now))

    async def close(self) -> None:
        await self._commits.close()
        await asyncio.to_thread(self._bulk_thread.shutdown)
        self._reading.close()
        self._bulk_reading.close()
        os.close(self._lock)


def _steady_beside(clock: Callable[[], Instant]) -> Callable[[], int]:
    return time.monotonic_ns if clock is wall_clock else lambda: 0


def _prepared(path: Path) -> sqlite3.Connection:
    connection = sqlite_file.connect(path)
    try:
        sqlite_file.migrate(connection, migrations("sqlite"))
        if connection.execute(SQL["read_store"]).fetchone() is None:
            connection.execute(SQL["create_store"], (secrets.token_bytes(KEY_BYTES), 0))
    except BaseException:
        connection.close()
        raise
    return connection


def _restored(connection: sqlite3.Connection, now: Instant) -> RecentCounts:
    recent = RecentCounts()
    since = (now // MINUTE_US - DAY_MINUTES) * MINUTE_US
    rows = connection.execute(SQL["decisions_since"], (since,)).fetchall()
    for tenant, caller, action, method, effect, minute, count, touched, moved in rows:
        recent.add(
            tenant,
            caller,
            action,
            method=method,
            effect=Effect(effect),
            minute=minute,
            count=count,
            rows=int(touched),
            amount=int(moved),
        )
    return recent
