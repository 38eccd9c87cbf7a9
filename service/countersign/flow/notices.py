"""Records about the service itself: who is registered, what policy is active.

Every change that bears on a decision stands in the same log as the decisions,
before it takes effect (directory) or as it does (policy, start).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final

from countersign import canonical
from countersign.credentials import SubjectKind
from countersign.directory import Directory, diff
from countersign.flow.gate import channel_holder
from countersign.flow.record import MAX_INLINE_BYTES, record, sorted_list
from countersign.flow.request import Named
from countersign.model import JsonObject, JsonValue, PersonId, TenantId
from countersign.store.protocol import Store, Transaction

MAX_BRIEF: Final = 50
"""Ids of each sort that a large change names in its record."""


async def notice(
    store: Store,
    kind: str,
    changes: Mapping[TenantId, JsonObject],
    *,
    attached: Iterable[bytes] = (),
    proofs: Mapping[TenantId, Mapping[PersonId, frozenset[str]]] | None = None,
    always: Mapping[str, JsonValue] = MappingProxyType({}),
) -> None:
    """Record one change in the log of each tenant it concerns.

    `attached` bytes, such as a policy bundle, are kept beside the log under
    their SHA-256, so that a decision can be replayed years later. `proofs` are
    all proofs of the people of those tenants as they are from now on. `always` is
    said in the record itself, however large the change.
    """

    def run(tx: Transaction) -> None:
        for tenant, of_people in (proofs or {}).items():
            tx.put_proofs(tenant, of_people)
        for tenant, change in changes.items():
            for data in attached:
                tx.put_object(tenant, hashlib.sha256(data).hexdigest(), data)
            told = {**_inline(tx, tenant, change), **always}
            tx.append(tenant, record(kind, tenant, change=told))

    if changes:
        await store.apply(Named(name="notice", run=run))


async def directory_changed(
    store: Store, old: Directory, new: Directory, by: PersonId | None
) -> None:
    """Record who is registered from now on, by whose doing, and since when each proof counts."""
    changes = diff(old, new)
    maker: JsonObject = {} if by is None else {"by": by}
    proofs = {tenant: _proofs(new, tenant) for tenant in changes}
    await notice(store, "directory.changed", changes, proofs=proofs, always=maker)


def _proofs(directory: Directory, tenant: TenantId) -> dict[PersonId, frozenset[str]]:
    """All proofs by which somebody could decide: of people, and of who speaks for them."""
    of_channels = {
        channel_holder(channel.id): frozenset(
            known.proof for known in directory.credentials(tenant, SubjectKind.CHANNEL, channel.id)
        )
        for channel in directory.channels(tenant)
    }
    return {**directory.proofs(tenant), **of_channels}


def _listing(directory: Directory, tenant: TenantId) -> JsonObject:
    """Who is registered and for what: no names, accounts or credentials."""
    return {
        "callers": {
            caller.id: {
                "actors": sorted_list(caller.actors),
                "audience": caller.audience,
                "clients": sorted_list(caller.clients),
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
        "channels": {
            channel.id: {
                "conversations": {each.name: each.id for each in channel.conversations},
                "issuers": sorted_list(channel.issuers),
            }
            for channel in directory.channels(tenant)
        },
        "groups": {
            group.id: {"includes": sorted_list(group.includes)}
            for group in directory.groups(tenant)
        },
    }


async def started(
    store: Store,
    directory: Directory,
    change: JsonObject,
    settings: Callable[[TenantId], JsonObject],
) -> None:
    """Record a start: what runs, under which settings, and who is registered.

    Settings and registers are named by the hash of their content, which is kept
    beside the log: a change made while the service was down shows.
    """
    await _forget_proofs(store, set(await store.tenants()) - directory.tenants)
    for tenant in sorted(directory.tenants):
        effective = canonical.encode(settings(tenant))
        listing = canonical.encode(_listing(directory, tenant))
        told: JsonObject = {
            **change,
            "directory": hashlib.sha256(listing).hexdigest(),
            "settings": hashlib.sha256(effective).hexdigest(),
        }
        await notice(
            store,
            "config.changed",
            {tenant: told},
            attached=[listing, effective],
            proofs={tenant: _proofs(directory, tenant)},
        )


async def _forget_proofs(store: Store, gone: Iterable[TenantId]) -> None:
    """Tenants that left while the service was down: what comes back is new again."""

    def run(tx: Transaction) -> None:
        for tenant in gone:
            tx.put_proofs(tenant, {})

    await store.apply(Named(name="notice", run=run))


def _inline(tx: Transaction, tenant: TenantId, change: JsonObject) -> JsonObject:
    """The change itself, or the object that holds it when it is large."""
    data = canonical.encode(change)
    if len(data) <= MAX_INLINE_BYTES:
        return change
    digest = hashlib.sha256(data).hexdigest()
    tx.put_object(tenant, digest, data)
    return {"object": digest, **_brief(change)}


def _brief(change: JsonObject) -> JsonObject:
    """What a large change is about: whom it adds, removes and changes, as far as that fits."""
    brief: JsonObject = {}
    for kind, told in change.items():
        if not isinstance(told, dict):
            continue
        ids: JsonObject = {
            name: list[JsonValue](list(listed)[:MAX_BRIEF])
            for name, listed in told.items()
            if isinstance(listed, list | dict) and listed
        }
        if ids:
            brief[kind] = ids
    return brief


def to_all(tenants: Iterable[TenantId], change: JsonObject) -> dict[TenantId, JsonObject]:
    """The same change for every tenant."""
    return {tenant: dict(change) for tenant in tenants}
