"""The published logs of this process, as the edge's `Trust` service sees them."""

from __future__ import annotations

import functools
from collections.abc import Callable

from countersign.audit.merkle import leaf_hash
from countersign.audit.note import Checkpoint, Note, Signer
from countersign.audit.prove import prove, record_at
from countersign.audit.publisher import Publisher
from countersign.audit.sink import Sink
from countersign.model import TenantId


class PublishedLogs:
    """Keys, checkpoints and proofs of what is in the sink."""

    def __init__(
        self, publisher: Publisher, sink: Sink, signer_of: Callable[[TenantId], Signer]
    ) -> None:
        self._publisher = publisher
        self._sink = sink
        self._signer_of = signer_of

    def verifier_key(self, tenant: TenantId) -> str:
        """The key of a tenant's log, as a C2SP signed-note verifier key."""
        return str(self._signer_of(tenant).verifier)

    def checkpoint(self, tenant: TenantId) -> tuple[bytes, int] | None:
        """The newest published checkpoint and its size; None before the first."""
        note = self._publisher.checkpoint(tenant)
        return None if note is None else (note, self._publisher.published_size(tenant))

    def prove(self, tenant: TenantId, seq: int, note: bytes) -> tuple[bytes, tuple[bytes, ...]]:
        """Leaf hash and inclusion path of record `seq`. Blocks on the sink."""
        read = functools.partial(self._sink.read, self._signer_of(tenant).name)
        size = Checkpoint.parse(Note.parse(note).text).size
        return leaf_hash(record_at(seq, size, read)), prove(seq, note, read).path
