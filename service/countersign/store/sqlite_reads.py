"""Reads of the SQLite backend, shared by transactions and by the store.

On the writer's connection they see a command's own writes, on a reading one
only what is committed. Rows are always fetched to the end: a statement left
half read would hold its snapshot, and the next read would see the past.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from countersign.cards import Address, Card, Endpoint
from countersign.model import (
    SECOND_US,
    CallerId,
    CardId,
    ChannelId,
    DecisionId,
    Delegation,
    DelegationId,
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
from countersign.store import codec
from countersign.store.protocol import Backlog, Decision, LogState, RequestKey, StoredAnswer
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
        return self._count("count_open_reviews", tenant, caller)

    def count_open_reviews_behind(self, tenant: TenantId, requester: PersonId) -> int:
        return self._count("count_open_reviews_behind", tenant, requester)

    def count_open_reviews_of_tenant(self, tenant: TenantId) -> int:
        return self._count("count_open_reviews_of_tenant", tenant)

    def _count(self, query: str, *values: object) -> int:
        count: int = self._rows(query, *values)[0][0]
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

    def after_reviews(self, tenant: TenantId) -> list[Review]:
        return [codec.decode_review(body) for (body,) in self._rows("after_reviews", tenant)]

    def permit(self, tenant: TenantId, id: PermitId) -> PermitClaims | None:
        for (body,) in self._rows("permit", tenant, id):
            return codec.decode_permit(body)
        return None

    def proof_since(self, tenant: TenantId, person: PersonId, proof: str) -> Instant | None:
        for (since,) in self._rows("proof_since", tenant, person, proof):
            return Instant(since)
        return None

    def last_used(self, tenant: TenantId) -> dict[str, Instant]:
        return dict(self._rows("last_used", tenant))

    def note(self, name: str) -> JsonObject | None:
        for (body,) in self._rows("note", name):
            return codec.decode_object(body)
        return None

    def delegation(self, tenant: TenantId, id: DelegationId) -> Delegation | None:
        for delegation in self._delegations("delegation", tenant, id):
            return delegation
        return None

    def delegations_at(self, tenant: TenantId, now: Instant) -> list[Delegation]:
        """Those of a tenant that have not ended at `now`."""
        return self._delegations("delegations", tenant, now)

    def delegations_to_at(
        self, tenant: TenantId, delegate: PersonId, now: Instant
    ) -> list[Delegation]:
        """Delegations to a person in force at `now`."""
        return self._delegations("delegations_to", tenant, delegate, now)

    def _delegations(self, query: str, *values: object) -> list[Delegation]:
        return [codec.decode_delegation(body) for (body,) in self._rows(query, *values)]

    def endpoint(self, tenant: TenantId, channel: ChannelId, address: Address) -> Endpoint | None:
        for (body,) in self._rows("endpoint", tenant, channel, address.issuer, address.subject):
            return codec.decode_endpoint(body)
        return None

    def endpoints(self, tenant: TenantId, channel: ChannelId) -> list[Endpoint]:
        return [codec.decode_endpoint(body) for (body,) in self._rows("endpoints", tenant, channel)]

    def card(self, tenant: TenantId, id: CardId) -> Card | None:
        for (body,) in self._rows("card", tenant, id):
            return codec.decode_card(body)
        return None

    def cards_of(self, tenant: TenantId, review: ReviewId) -> list[Card]:
        return [codec.decode_card(body) for (body,) in self._rows("cards_of", tenant, review)]

    def unplanned(self, tenant: TenantId, limit: int) -> list[Review]:
        return [codec.decode_review(body) for (body,) in self._rows("unplanned", tenant, limit)]

    def deliveries_due(self, tenant: TenantId, channel: ChannelId) -> Instant | None:
        """When a channel has something to do: a due card, or a review not planned (0)."""
        if self._rows("unplanned", tenant, 1):
            return Instant(0)
        instant: Instant | None = self._rows("next_card_due", tenant, channel)[0][0]
        return instant

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

    def backlog(self, tenant: TenantId) -> Backlog:
        ((count, size_bytes, oldest),) = self._rows("backlog", tenant)
        return Backlog(records=count, size_bytes=size_bytes, oldest=oldest)

    def records(self, tenant: TenantId, first: int, limit: int) -> list[StoredRecord]:
        rows = self._rows("records", first, limit, tenant)
        return [StoredRecord(seq=seq, body=body, time=at) for seq, body, at in rows]

    def objects(self, tenant: TenantId, limit: int) -> list[tuple[str, bytes]]:
        return self._rows("objects", tenant, limit)
