"""Records about the service itself: who is registered, what policy is active.

Every change that bears on a decision stands in the same log as the decisions,
before it takes effect (directory) or as it does (policy, start).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from countersign import canonical
from countersign.directory import Directory
from countersign.flow.record import MAX_INLINE_BYTES, record, sorted_list
from countersign.flow.request import Named
from countersign.model import JsonObject, TenantId
from countersign.store.protocol import Store, Transaction


async def notice(
    store: Store,
    kind: str,
    changes: Mapping[TenantId, JsonObject],
    *,
    attached: Iterable[bytes] = (),
) -> None:
    """Record one change in the log of each tenant it concerns.

    `attached` bytes, such as a policy bundle, are kept beside the log under
    their SHA-256, so that a decision can be replayed years later.
    """

    def run(tx: Transaction) -> None:
        for tenant, change in changes.items():
            for data in attached:
                tx.put_object(tenant, hashlib.sha256(data).hexdigest(), data)
            tx.append(tenant, record(kind, tenant, change=_inline(tx, tenant, change)))

    if changes:
        await store.apply(Named(name="notice", run=run))


def _listing(directory: Directory, tenant: TenantId) -> JsonObject:
    """Who is registered and for what: no names, accounts or credentials."""
    return {
        "callers": {
            caller.id: {
                "actors": sorted_list(caller.actors),
                "audience": caller.audience,
                "environments": sorted_list(caller.environments),
                "owners": sorted_list(caller.owners),
                "parent": caller.parent,
                "resources": sorted_list(caller.resources),
                "users": sorted_list(caller.users),
            }
            for caller in directory.callers(tenant)
        },
        "people": {
            person.id: {"groups": sorted_list(person.groups)} for person in directory.people(tenant)
        },
    }


async def started(
    store: Store, directory: Directory, change: JsonObject, settings: JsonObject
) -> None:
    """Record a start: what runs, under which settings, and who is registered.

    Settings and registers are named by the hash of their content, which is kept
    beside the log: a change made while the service was down shows.
    """
    effective = canonical.encode(settings)
    for tenant in sorted(directory.tenants):
        listing = canonical.encode(_listing(directory, tenant))
        told: JsonObject = {
            **change,
            "directory": hashlib.sha256(listing).hexdigest(),
            "settings": hashlib.sha256(effective).hexdigest(),
        }
        await notice(store, "config.changed", {tenant: told}, attached=[listing, effective])


def _inline(tx: Transaction, tenant: TenantId, change: JsonObject) -> JsonObject:
    """The change itself, or the object that holds it when it is large."""
    data = canonical.encode(change)
    if len(data) <= MAX_INLINE_BYTES:
        return change
    digest = hashlib.sha256(data).hexdigest()
    tx.put_object(tenant, digest, data)
    return {"object": digest}


def to_all(tenants: Iterable[TenantId], change: JsonObject) -> dict[TenantId, JsonObject]:
    """The same change for every tenant."""
    return {tenant: dict(change) for tenant in tenants}
