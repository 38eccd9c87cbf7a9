"""The transaction that commands see, over SQLite's one writing connection.

Invariants kept here: 5 (a review changes by one conditional statement), 11 (no
holes) and 12 (every key carries its tenant). Records are held back
until the end of the batch, because no command reads them: the counter row is
then read and written once a batch, and a command that fails gives its sequence
numbers back by having its records dropped from the list. A savepoint is set
only once a command writes. Used by `sqlite_engine` and, for its own commands, by
`sqlite`; runs in the writer thread.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, NamedTuple

from countersign import canonical
from countersign.cards import Address, Card, Endpoint
from countersign.errors import LogError
from countersign.model import (
    SECOND_US,
    ChannelId,
    Delegation,
    Instant,
    JsonObject,
    PermitClaims,
    PersonId,
    RecordRef,
    Review,
    ReviewId,
    TenantId,
    rfc3339,
)
from countersign.store import codec
from countersign.store.group_commit import Effects
from countersign.store.protocol import (
    MAX_RECORD_BYTES,
    AlreadyExistsError,
    Change,
    Decision,
    RecordTooLargeError,
    RequestKey,
    StaleReviewError,
    StoredAnswer,
)
from countersign.store.sqlite_reads import ANSWER_TERM_US, SQL, SqliteReads

CLOSED_REVIEW_TERM_US: Final = 30 * 24 * 3600 * SECOND_US
RECORD_TERM_US: Final = CLOSED_REVIEW_TERM_US + 7 * 24 * 3600 * SECOND_US
DELEGATION_TERM_US: Final = CLOSED_REVIEW_TERM_US
"""Counted from its end."""
SWEEP_ROWS: Final = 500
_LOG_SHIFT: Final = 40
"""Key of a record: number of its log, then 40 bits of sequence."""


class _TakenError(Exception):
    """A unique index says that there is such a row."""


class _Log(NamedTuple):
    """One tenant's log as this batch sees it."""

    n: int | None
    """Its row; None until its first record is written."""
    log_id: str
    size: int


class SqliteTransaction(SqliteReads):
    """What one command may do; the same object serves a batch, one by one."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        log_id_of: Callable[[TenantId], str],
    ) -> None:
        super().__init__(connection)
        self._log_id_of = log_id_of
        self._now = Instant(0)
        self._time = ""
        self._logs: dict[TenantId, _Log] = {}
        self._records: list[tuple[TenantId, int, bytes]] = []
        self._changes: list[Change] = []
        self._decided: list[Decision] = []
        self._mark: tuple[dict[TenantId, _Log], int, int, int] = ({}, 0, 0, 0)
        self._saved = False

    # --- for the engine ---

    def begin_batch(self, now: Instant) -> None:
        """Forget the batch before; every command of this one sees `now`."""
        self._now = now
        self._time = rfc3339(now)
        self._logs, self._records, self._changes, self._decided = {}, [], [], []

    def begin_command(self) -> None:
        """Remember where the command starts."""
        self._mark = (
            self._logs.copy(),
            len(self._records),
            len(self._changes),
            len(self._decided),
        )
        self._saved = False

    def keep(self) -> None:
        """The command returned."""
        if self._saved:
            self._cursor.execute("RELEASE command")

    def undo(self) -> None:
        """The command raised: as if it had never run, its numbers included."""
        if self._saved:
            self._cursor.execute("ROLLBACK TO command")
            self._cursor.execute("RELEASE command")
        self._logs, records, changes, decided = self._mark
        del self._records[records:], self._changes[changes:], self._decided[decided:]

    def flush(self) -> Effects:
        """Write the counters and the records that were held back."""
        first_keys: dict[TenantId, int] = {}
        for tenant in dict.fromkeys(tenant for tenant, _, _ in self._records):
            n, log_id, size = self._logs[tenant]
            if n is None:
                n = self._rows("create_log", tenant, log_id, size)[0][0]
            else:
                self._cursor.execute(SQL["set_log_size"], (size, n))
            first_keys[tenant] = n << _LOG_SHIFT
        now = self._now
        self._cursor.executemany(
            SQL["append_record"],
            [(first_keys[tenant] | seq, now, body) for tenant, seq, body in self._records],
        )
        return Effects(changes=self._changes, decided=self._decided)

    def _save(self) -> None:
        if not self._saved:
            self._cursor.execute("SAVEPOINT command")
            self._saved = True

    def _write_all(self, query: str, rows: Sequence[Sequence[object]]) -> None:
        if rows:
            self._save()
            self._cursor.executemany(SQL[query], rows)

    def _write(self, query: str, values: Sequence[object]) -> int:
        self._save()
        try:
            return self._cursor.execute(SQL[query], values).rowcount
        except sqlite3.IntegrityError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_CONSTRAINT_UNIQUE:
                raise _TakenError from None
            raise

    # --- for commands, see `protocol.Transaction` ---

    @property
    def now(self) -> Instant:
        return self._now

    def answer(self, key: RequestKey) -> StoredAnswer | None:
        return self.answer_at(key, self._now)

    def remember(self, key: RequestKey, answer: StoredAnswer) -> None:
        names = (key.tenant, key.subject, key.method, key.request_id)
        row = (*names, self._now, answer.content_mac, codec.encode_object(answer.body))
        try:
            self._write("remember", row)
        except _TakenError:
            if not self._write("forget_expired", (*names, self._now - ANSWER_TERM_US)):
                raise AlreadyExistsError("request_id") from None
            self._write("remember", row)

    def put_decision(self, decision: Decision) -> None:
        row = codec.encode_decision(decision)
        try:
            self._write("put_decision", row)
        except _TakenError:
            self._write("replace_decision", row)
        else:
            self._decided.append(decision)

    def put_review(self, review: Review) -> None:
        owed = review.after_review
        row = (
            review.tenant,
            review.id,
            review.caller,
            review.base_fingerprint,
            review.state.value,
            review.version,
            review.due_at,
            self._now,
            codec.encode_review(review),
            review.requester,
            owed.at if owed is not None and owed.closed_at is None else None,
        )
        query = "insert_review" if review.version == 1 else "replace_review"
        try:
            changed = self._write(query, row)
        except _TakenError:
            changed = 0
        if not changed:
            raise StaleReviewError(review.id)
        self._changes.append((review.tenant, review.id, review.version))

    def put_permit(self, permit: PermitClaims) -> None:
        try:
            self._write("put_permit", (permit.tenant, permit.id, codec.encode_permit(permit)))
        except _TakenError:
            raise AlreadyExistsError("permit") from None

    def put_proofs(self, tenant: TenantId, proofs: Mapping[PersonId, Collection[str]]) -> None:
        told = {(person, proof) for person, theirs in proofs.items() for proof in theirs}
        kept = set(self._rows("proofs", tenant))
        gone, new = sorted(kept - told), sorted(told - kept)
        # The book stays open when everybody has left: who comes back is new.
        first = self._write("open_book", (tenant,))
        since = Instant(0) if first else self._now
        self._write_all("forget_proof", [(tenant, person, proof) for person, proof in gone])
        self._write_all("add_proof", [(tenant, person, proof, since) for person, proof in new])

    def put_delegation(self, delegation: Delegation) -> None:
        ends_at, ended_at = delegation.ends_at, delegation.ended_at
        row = (
            delegation.tenant,
            delegation.id,
            delegation.delegator,
            delegation.delegate,
            delegation.starts_at,
            ends_at if ended_at is None else min(ended_at, ends_at),
            codec.encode_delegation(delegation),
        )
        self._write("put_delegation", row)

    def delegations_to(self, tenant: TenantId, delegate: PersonId) -> Sequence[Delegation]:
        return self.delegations_to_at(tenant, delegate, self._now)

    def count_delegations(self, tenant: TenantId, delegator: PersonId) -> int:
        return self._count("count_delegations", tenant, delegator, self._now)

    def put_endpoint(self, endpoint: Endpoint) -> None:
        address = endpoint.address
        key = (endpoint.tenant, endpoint.channel, address.issuer, address.subject)
        self._write("put_endpoint", (*key, codec.encode_endpoint(endpoint)))

    def put_card(self, card: Card) -> None:
        row = (
            card.tenant,
            card.id,
            card.review,
            card.channel,
            card.address.issuer,
            card.address.subject,
            card.due_at,
            codec.encode_card(card),
        )
        try:
            self._write("put_card", row)
        except _TakenError:
            raise AlreadyExistsError("card") from None

    def due_cards(self, tenant: TenantId, channel: ChannelId, limit: int) -> Sequence[Card]:
        rows = self._rows("due_cards", tenant, channel, self._now, limit)
        return [codec.decode_card(body) for (body,) in rows]

    def planned(self, review: Review) -> None:
        self._write("planned", (review.tenant, review.id, review.version))

    def replan(self, tenant: TenantId) -> None:
        if self._write("replan", (tenant,)):
            self._changes.append((tenant, ReviewId(""), 0))

    def replan_waiting(self, tenant: TenantId, channel: ChannelId, address: Address) -> None:
        if self._write(
            "replan_waiting", (tenant, tenant, channel, address.issuer, address.subject)
        ):
            self._changes.append((tenant, ReviewId(""), 0))

    def next_record(self, tenant: TenantId) -> tuple[str, int]:
        log = self._log(tenant)
        return log.log_id, log.size

    def append(self, tenant: TenantId, body: JsonObject) -> RecordRef:
        log = self._log(tenant)
        body["log_id"] = log.log_id
        body["seq"] = log.size
        body["time"] = self._time
        data = canonical.encode(body)
        if len(data) > MAX_RECORD_BYTES:
            raise RecordTooLargeError(len(data))
        self._records.append((tenant, log.size, data))
        self._logs[tenant] = _Log(log.n, log.log_id, log.size + 1)
        leaf_hash = hashlib.sha256(b"\x00" + data).digest()
        return RecordRef(log_id=log.log_id, seq=log.size, leaf_hash=leaf_hash)

    def put_object(self, tenant: TenantId, sha256_hex: str, data: bytes) -> None:
        self._write("put_object", (tenant, sha256_hex, data))

    def _log(self, tenant: TenantId) -> _Log:
        log = self._logs.get(tenant)
        if log is None:
            rows = self._rows("log", tenant)
            log = _Log(*rows[0]) if rows else _Log(None, self._log_id_of(tenant), 0)
            self._logs[tenant] = log
        return log

    # --- for the store's own commands ---

    def mark_published(
        self, tenant: TenantId, size: int, frontier: tuple[bytes, ...], objects: Sequence[str]
    ) -> None:
        """See `Store.mark_published`."""
        moved = len(frontier) == size.bit_count() and self._write(
            "mark_published", (size, codec.encode_frontier(frontier), tenant)
        )
        if not moved:
            raise LogError(
                "log.not_forward",
                "a checkpoint must cover no less than the one before, no more than what is"
                " committed, and bring one subtree root for each bit of its size",
                advice="Compare the store with its published log; one of them was rolled back.",
            )
        for name in objects:
            self._write("delete_object", (tenant, name))

    def note_used(self, rows: Sequence[tuple[TenantId, str, Instant]]) -> None:
        """See `Store.note_used`."""
        self._write_all("note_used", rows)

    def put_note(self, name: str, body: JsonObject) -> None:
        """See `Store.put_note`."""
        self._write("put_note", (name, codec.encode_object(body)))

    def sweep_answers(self, now: Instant) -> bool:
        """Delete some expired answers; whether there may be more."""
        return self._write("sweep_answers", (SWEEP_ROWS, now - ANSWER_TERM_US)) == SWEEP_ROWS

    def sweep_reviews(self, now: Instant) -> bool:
        """Delete some reviews closed long ago; whether there may be more."""
        return self._write("sweep_reviews", (now - CLOSED_REVIEW_TERM_US, SWEEP_ROWS)) == SWEEP_ROWS

    def sweep_delegations(self, tenant: TenantId, now: Instant) -> bool:
        """Delete some delegations that ended long ago; whether there may be more."""
        row = (tenant, now - DELEGATION_TERM_US, SWEEP_ROWS)
        return self._write("sweep_delegations", row) == SWEEP_ROWS

    def sweep_records(self, tenant: TenantId, now: Instant) -> bool:
        """Delete some published record bytes; whether there may be more."""
        row = (tenant, now - RECORD_TERM_US, SWEEP_ROWS)
        return self._write("sweep_records", row) == SWEEP_ROWS
