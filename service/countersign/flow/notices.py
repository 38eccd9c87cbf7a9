"""Records about the service itself: who is registered, what policy is active.

Every change that bears on a decision stands in the same log as the decisions,
before it takes effect (directory) or as it does (policy, start).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from countersign import canonical
from countersign.flow.record import MAX_INLINE_BYTES, record
from countersign.flow.request import Named
from countersign.model import JsonObject, TenantId
from countersign.store.protocol import Store, Transaction


async def notice(
    store: Store,
    kind: str,
    changes: Mapping[TenantId, JsonObject],
    *,
    bundle: tuple[str, bytes] | None = None,
) -> None:
    """Record one change in the log of each tenant it concerns.

    `bundle` is a policy bundle to keep beside the log, by its hex SHA-256, so
    that a decision can be replayed years later.
    """

    def run(tx: Transaction) -> None:
        for tenant, change in changes.items():
            if bundle:
                tx.put_object(tenant, *bundle)
            data = canonical.encode(change)
            if len(data) > MAX_INLINE_BYTES:
                digest = hashlib.sha256(data).hexdigest()
                tx.put_object(tenant, digest, data)
                change = {"object": digest}  # noqa: PLW2901 - what the record says instead
            tx.append(tenant, record(kind, tenant, change=change))

    if changes:
        await store.apply(Named(name="notice", run=run))


def to_all(tenants: Iterable[TenantId], change: JsonObject) -> dict[TenantId, JsonObject]:
    """The same change for every tenant."""
    return {tenant: dict(change) for tenant in tenants}
