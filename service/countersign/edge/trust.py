"""The `Trust` service: what an outsider needs to check us."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

import grpc

from countersign import canonical
from countersign.edge.authentication import Subject
from countersign.edge.rpc import Call, Rpc, Unary
from countersign.errors import NotFoundError, UnavailableError
from countersign.model import JsonObject, RecordRef, TenantId
from countersign.signing import SigningError
from countersign.v1 import trust_pb2

log = logging.getLogger(__name__)


class Published(Protocol):
    """What the edge needs of the audit log."""

    def verifier_key(self, tenant: TenantId) -> str:
        """The key of a tenant's log, as a signed-note verifier key."""

    def checkpoint(self, tenant: TenantId) -> tuple[bytes, int] | None:
        """The newest published checkpoint and its size."""

    def prove(self, tenant: TenantId, seq: int, note: bytes) -> tuple[bytes, tuple[bytes, ...]]:
        """Leaf hash and inclusion path of a record. Reads files: call it in a thread."""

    def receipt_key(self, tenant: TenantId) -> str:
        """The key of receipts, as a signed-note verifier key."""

    async def receipt(self, tenant: TenantId, record: RecordRef) -> bytes | None:
        """A receipt for a record of the tenant's log; None when there is no such record."""


def _anybody(subject: Subject) -> Subject:
    return subject


class Trust:
    """The verbs of `countersign.v1.Trust`."""

    def __init__(self, published: Published, jwks: Callable[[], JsonObject]) -> None:
        self._published = published
        self._jwks = jwks

    def handlers(self, rpc: Rpc) -> grpc.GenericRpcHandler:
        """The service's gRPC handlers."""
        return rpc.service(
            "countersign.v1.Trust",
            {
                "GetKeys": Unary(
                    request=trust_pb2.GetKeysRequest, role=_anybody, verb=self.get_keys
                ),
                "GetCheckpoint": Unary(
                    request=trust_pb2.GetCheckpointRequest, role=_anybody, verb=self.get_checkpoint
                ),
                "Prove": Unary(request=trust_pb2.ProveRequest, role=_anybody, verb=self.prove),
                "GetReceipt": Unary(
                    request=trust_pb2.GetReceiptRequest, role=_anybody, verb=self.get_receipt
                ),
            },
        )

    async def get_keys(
        self, call: Call[Subject], _: trust_pb2.GetKeysRequest
    ) -> trust_pb2.GetKeysResponse:
        """GetKeys."""
        return trust_pb2.GetKeysResponse(
            jwks_json=canonical.encode(self._jwks()),
            log_verifier_key=self._published.verifier_key(call.subject.tenant),
            receipt_verifier_key=self._published.receipt_key(call.subject.tenant),
        )

    async def get_checkpoint(
        self, call: Call[Subject], _: trust_pb2.GetCheckpointRequest
    ) -> trust_pb2.Checkpoint:
        """GetCheckpoint."""
        note, size = self._newest(call.subject.tenant)
        return trust_pb2.Checkpoint(note=note, tree_size=size)

    async def prove(self, call: Call[Subject], message: trust_pb2.ProveRequest) -> trust_pb2.Proof:
        """Prove."""
        note, size = self._newest(call.subject.tenant)
        if not 0 <= message.seq < size:
            raise NotFoundError(
                "log.not_published",
                "seq: no checkpoint covers this record yet",
                advice="Records are published within a second or two; try again.",
            )
        leaf, path = await asyncio.to_thread(
            self._published.prove, call.subject.tenant, message.seq, note
        )
        return trust_pb2.Proof(
            checkpoint=trust_pb2.Checkpoint(note=note, tree_size=size),
            seq=message.seq,
            hashes=path,
            leaf_hash=leaf,
        )

    async def get_receipt(
        self, call: Call[Subject], message: trust_pb2.GetReceiptRequest
    ) -> trust_pb2.Receipt:
        """GetReceipt."""
        asked = message.record
        record = RecordRef(log_id=asked.log_id, seq=asked.seq, leaf_hash=asked.leaf_hash)
        try:
            note = await self._published.receipt(call.subject.tenant, record)
        except SigningError as error:
            log.error("no receipt was signed: %s", error)
            raise UnavailableError(error.code, "the receipt cannot be signed now") from None
        if note is None:
            raise NotFoundError(
                "log.unknown_record",
                "record: no such record in this log",
                advice="Send log_id, seq and leaf_hash as an answer named them.",
            )
        return trust_pb2.Receipt(note=note)

    def _newest(self, tenant: TenantId) -> tuple[bytes, int]:
        found = self._published.checkpoint(tenant)
        if found is None:
            raise NotFoundError("log.empty", "nothing has been published in this log yet")
        return found
