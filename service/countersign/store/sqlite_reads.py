"""Reads of the SQLite backend, shared by transactions and by the store.

On the writer's connection they see a command's own writes, on a reading one
only what is committed. Rows are always fetched to the end: a statement left
half read would hold its snapshot, and the next read would see the past.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from countersign.model import (
    SECOND_US,
    CallerId,
    DecisionId,
    Instant,
    PermitClaims,
    PermitId,
    Review,
    ReviewId,
    ReviewState,
    StoredRecord,
    TenantId,
)
from countersign.store import codec
from countersign.store.protocol import Decision, LogState, RequestKey, StoredAnswer
from countersign.store.queries import named_queries

SQL: Final = named_queries("sqlite")
ANSWER_TERM_US: Final = 24 * 3600 * SECOND_US


class SqliteReads:
    """Point and range reads over one connection, from one thread at a time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._cursor = connection.cursor()

    def _rows(self, query: str, *values: object) -> list[Any]:
        return self._cursor.execute(SQL[query], values).fetchall()

    def answer_at(self, key: RequestKey, now: Instant) -> StoredAnswer | None:
        """The answer filed in the 24 hours before `now`."""
        rows = self._rows(
            "answer", key.tenant, key.subject, key.method, key.request_id, now - ANSWER_TERM_US
        )
        for content_mac, body in rows:
            return StoredAnswer(content_mac=content_mac, body=codec.decode_object(body))
        return None

    def decision(self, tenant: TenantId, id: DecisionId) -> Decision | None:
        for row in self._rows("decision", tenant, id):
            return codec.decode_decision(row)
        return None

    def review(self, tenant: TenantId, id: ReviewId) -> Review | None:
        return self._one_review("review", tenant, id)

    def open_review(
        self, tenant: TenantId, caller: CallerId, base_fingerprint: str
    ) -> Review | None:
        return self._one_review("open_review", tenant, caller, base_fingerprint)

    def count_open_reviews(self, tenant: TenantId, caller: CallerId) -> int:
        count: int = self._rows("count_open_reviews", tenant, caller)[0][0]
        return count

    def last_denied(
        self, tenant: TenantId, caller: CallerId, base_fingerprint: str
    ) -> Review | None:
        return self._one_review("last_denied", tenant, caller, base_fingerprint)

    def _one_review(self, query: str, *values: object) -> Review | None:
        for (body,) in self._rows(query, *values):
            return codec.decode_review(body)
        return None

    def reviews(
        self, tenant: TenantId, states: Sequence[ReviewState], after: str, limit: int
    ) -> list[Review]:
        names = codec.encode_names(states)
        if after:
            rows = self._rows("reviews_after", tenant, names, after, limit)
        else:
            rows = self._rows("reviews_first", tenant, names, limit)
        return [codec.decode_review(body) for (body,) in rows]

    def permit(self, tenant: TenantId, id: PermitId) -> PermitClaims | None:
        for (body,) in self._rows("permit", tenant, id):
            return codec.decode_permit(body)
        return None

    def due(self, now: Instant, limit: int) -> list[tuple[TenantId, ReviewId]]:
        return self._rows("due", now, limit)

    def next_due(self) -> Instant | None:
        instant: Instant | None = self._rows("next_due")[0][0]
        return instant

    def tenants(self) -> list[TenantId]:
        return [tenant for (tenant,) in self._rows("tenants")]

    def log_state(self, tenant: TenantId) -> LogState:
        for size, published, frontier in self._rows("log_state", tenant):
            return LogState(
                size=size, published=published, frontier=codec.decode_frontier(frontier)
            )
        return LogState(size=0, published=0, frontier=())

    def records(self, tenant: TenantId, first: int, limit: int) -> list[StoredRecord]:
        rows = self._rows("records", first, limit, tenant)
        return [StoredRecord(seq=seq, body=body, time=at) for seq, body, at in rows]

    def objects(self, tenant: TenantId, limit: int) -> list[tuple[str, bytes]]:
        return self._rows("objects", tenant, limit)
