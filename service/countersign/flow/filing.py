"""File a record in the log, whatever its size.

A record is bounded so that logs stay readable and segments small; what people
and policy may say is not bounded by that. Every record of the flow is appended
here: the parts that make one too large become objects, which the record names
by hash (invariant 1: what cannot be recorded cannot be decided).
"""

from __future__ import annotations

import hashlib
from typing import Final

from countersign import canonical
from countersign.model import JsonObject, RecordRef, TenantId
from countersign.store.protocol import MAX_RECORD_BYTES, RecordTooLargeError, Transaction

_HEAD_BYTES: Final = 1024
"""Room for what the store adds."""


def file(tx: Transaction, tenant: TenantId, body: JsonObject) -> RecordRef:
    """Append a record. Its state and outcome always stay readable in it."""
    try:
        return tx.append(tenant, dict(body))
    except RecordTooLargeError:
        return tx.append(tenant, _slim(tx, tenant, body))


def _slim(tx: Transaction, tenant: TenantId, body: JsonObject) -> JsonObject:
    """The record with its largest parts kept as objects, as few as will do."""
    slim: JsonObject = {
        name: dict(field) if isinstance(field, dict) else field for name, field in body.items()
    }
    parts = [
        (canonical.encode(value), holder, name)
        for holder in slim.values()
        if isinstance(holder, dict)
        for name, value in holder.items()
        if isinstance(value, dict | list)
    ]
    over = len(canonical.encode(slim)) - (MAX_RECORD_BYTES - _HEAD_BYTES)
    for data, holder, name in sorted(parts, key=lambda part: len(part[0]), reverse=True):
        if over <= 0:
            break
        digest = hashlib.sha256(data).hexdigest()
        tx.put_object(tenant, digest, data)
        holder[name] = {"object": digest}
        over -= len(data) - len(canonical.encode(holder[name]))
    return slim
