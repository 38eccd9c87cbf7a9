"""The published logs of this process, as the edge's `Trust` service sees them."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

from countersign.audit.blocking import blocking
from countersign.audit.merkle import leaf_hash
from countersign.audit.note import MAX_LOG_SIZE, Checkpoint, Note, Signer
from countersign.audit.prove import prove, record_at
from countersign.audit.publisher import Publisher
from countersign.audit.receipt import Receipt, key_name
from countersign.audit.sink import RecordSource, Sink
from countersign.model import SECOND_US, RecordRef, TenantId
from countersign.signing import SigningKey, in_process


class PublishedLogs:
    """Keys, checkpoints and proofs of what is in the sink."""

    def __init__(
        self,
        publisher: Publisher,
        sink: Sink,
        source: RecordSource,
        signer_of: Callable[[TenantId], Signer],
        *,
        receipt_key: SigningKey,
        include_within_s: float,
    ) -> None:
        self._publisher = publisher
        self._sink = sink
        self._source = source
        self._signer_of = signer_of
        self._receipt_key = receipt_key
        self._include_within_s = include_within_s

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

    def receipt_key(self, tenant: TenantId) -> str:
        """The key of a tenant's receipts, as a signed-note verifier key."""
        return str(self._receipt_signer(tenant).verifier)

    async def receipt(self, tenant: TenantId, record: RecordRef) -> bytes | None:
        """A receipt for a record that is committed; None for any other."""
        log_id = self._signer_of(tenant).name
        leaf = await self._leaf(tenant, record.seq)
        if record.log_id != log_id or leaf is None or leaf != record.leaf_hash:
            return None
        now_s = self._source.now() / SECOND_US
        promise = Receipt(
            log_id=log_id,
            seq=record.seq,
            leaf_hash=leaf,
            include_by_s=math.ceil(now_s + self._include_within_s),
        )
        signer = self._receipt_signer(tenant)
        if in_process(signer.key):
            return promise.sign(signer)
        return await blocking(promise.sign, signer)

    def _receipt_signer(self, tenant: TenantId) -> Signer:
        return Signer(name=key_name(self._signer_of(tenant).name), key=self._receipt_key)

    async def _leaf(self, tenant: TenantId, seq: int) -> bytes | None:
        """From the store, or from the log once the store has let go of it."""
        if not 0 <= seq <= MAX_LOG_SIZE:
            return None
        for stored in await self._source.records(tenant, seq, 1):
            return leaf_hash(stored.body)
        size = self._publisher.published_size(tenant)
        if seq >= size:
            return None
        read = functools.partial(self._sink.read, self._signer_of(tenant).name)
        return leaf_hash(await blocking(record_at, seq, size, read))
