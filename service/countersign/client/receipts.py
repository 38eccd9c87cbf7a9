"""Receipts for records, for whoever wants to prove later that one was left out.

Conversations of the `Trust` service (see `steps`), used by both clients.
"""

from __future__ import annotations

from countersign.client.exchange import Exchange
from countersign.client.steps import Conversation
from countersign.model import RecordRef
from countersign.v1 import context_pb2, trust_pb2


def receipt(exchange: Exchange, record: RecordRef) -> Conversation[bytes]:
    """The signed promise that this record is in the log."""
    asked = context_pb2.RecordRef(log_id=record.log_id, seq=record.seq, leaf_hash=record.leaf_hash)
    answer = yield from exchange.call("GetReceipt", trust_pb2.GetReceiptRequest(record=asked))
    return bytes(answer.note)
