"""Where a log is published to, and the record source it is read from.

A sink keeps files under names (see `plan`) for each log; it decides nothing.
Its methods block: the publisher calls them from a thread.

Invariants every sink keeps: a LOCKED or REBUILDABLE file is created once and
never changed (the same bytes again are success, other bytes are `LogError`
`log.conflict`); when `write` returns, the files are durable; a reader never
sees part of a file. Any other fault is `LogError` `log.sink_unavailable`, and an
`OutageError` where every other log would meet it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from countersign.audit.plan import File
from countersign.errors import LogError
from countersign.model import Instant, StoredRecord, TenantId


class OutageError(LogError):
    """The sink answers nobody: it is no trouble of one log alone."""


class Sink(Protocol):
    """A place for published logs."""

    @property
    def enforcing(self) -> bool:
        """Whether nobody, the operator included, can delete a LOCKED file.

        False means tamper-evident only: changes are found, not prevented.
        """

    def check(self) -> None:
        """Look, at the start, whether it is there and as it must be.

        Raises `ConfigurationError`.
        """

    def write(self, log_id: str, files: Sequence[File]) -> None:
        """Write the files in that order."""

    def read(self, log_id: str, name: str) -> bytes | None:
        """The bytes of a file, or None if there is none."""

    def names(self, log_id: str, prefix: str, *, after: str = "") -> Sequence[str]:
        """All names that start with `prefix` and sort after `after`, sorted.

        As in a bucket: directories are only part of names.
        """

    def prune(self, log_id: str, directories: Sequence[str]) -> None:
        """Remove directories of partial tiles that are full now."""


class LogState(Protocol):
    """How far a log has come in the store: `store.protocol.LogState`."""

    @property
    def size(self) -> int: ...

    @property
    def published(self) -> int: ...

    @property
    def frontier(self) -> tuple[bytes, ...]: ...


class Backlog(Protocol):
    """What waits to be published: `store.protocol.Backlog`."""

    @property
    def size_bytes(self) -> int: ...

    @property
    def oldest(self) -> Instant | None: ...


class RecordSource(Protocol):
    """The part of `store.protocol.Store` that the publisher needs."""

    async def tenants(self) -> Sequence[TenantId]: ...

    async def log_state(self, tenant: TenantId) -> LogState: ...

    async def backlog(self, tenant: TenantId) -> Backlog: ...

    def now(self) -> Instant: ...

    async def records(self, tenant: TenantId, first: int, limit: int) -> Sequence[StoredRecord]: ...

    async def objects(self, tenant: TenantId, limit: int) -> Sequence[tuple[str, bytes]]: ...

    async def mark_published(
        self, tenant: TenantId, size: int, frontier: Sequence[bytes], objects: Sequence[str]
    ) -> None: ...
