"""When a key changes: what the store remembers of it, and what every log says.

At each start the public keys are held against those of the last one. A change is
recorded in every tenant's log (`keys.changed`) in the transaction that notes it, after
the logs were opened under the old key and before anything is signed by the new one: so the
size at which the log's key was retired is exact, and a crash in between repeats or
goes on. Public keys alone are kept. Used by `app`, and by commands that show keys.
"""

from __future__ import annotations

import base64
import dataclasses
import enum
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from countersign.audit.logkeys import LogKeys, Retired
from countersign.audit.note import Verifier
from countersign.audit.receipt import key_name
from countersign.errors import ConfigurationError
from countersign.flow.record import record
from countersign.flow.request import Named
from countersign.model import SECOND_US, Instant, JsonObject, JsonValue, TenantId
from countersign.permit import public_jwk
from countersign.signing import raw
from countersign.store.protocol import Store, Transaction

NOTE: Final = "keys"
PERMITS_LAPSE_S: Final = 3_600 + 300
"""The longest that settings let a permit live, and clocks that are apart."""


class Role(enum.Enum):
    """What a key signs; the name of its setting."""

    PERMIT = "permit"
    LOG = "log"
    RECEIPT = "receipt"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """A key that was replaced."""

    role: Role
    key: Ed25519PublicKey
    at: Instant
    until: Mapping[str, int]
    """How much of each tenant's log its checkpoints cover, if it signed those."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KeyHistory:
    """The keys as the store knows them. Public ones only."""

    current: Mapping[Role, Ed25519PublicKey]
    """Empty before the first start."""
    gone: tuple[Gone, ...] = ()
    """The oldest first."""

    @classmethod
    def parse(cls, note: JsonObject | None) -> Self:
        """Read the store's note."""
        body: Any = note or {"current": {}, "gone": []}
        return cls(
            current={Role(role): _decode(key) for role, key in body["current"].items()},
            gone=tuple(
                Gone(
                    role=Role(item["role"]),
                    key=_decode(item["key"]),
                    at=item["at"],
                    until=item["until"],
                )
                for item in body["gone"]
            ),
        )

    def encode(self) -> JsonObject:
        """As the store's note."""
        return {
            "current": named(self.current),
            "gone": [
                {
                    "role": each.role.value,
                    "key": _encode(each.key),
                    "at": each.at,
                    "until": dict(each.until),
                }
                for each in self.gone
            ],
        }

    def log_keys(self, tenant: TenantId, configured: Verifier) -> LogKeys:
        """The keys of a tenant's log; before the first start it is the one in the settings."""
        name = configured.name
        retired = (
            Retired(verifier=Verifier(name=name, key=each.key), until=each.until[tenant])
            for each in self.gone
            if each.role is Role.LOG and each.until.get(tenant)
        )
        current = Verifier(name=name, key=self.current.get(Role.LOG, configured.key))
        return LogKeys(current=current, retired=tuple(retired))

    def permits(self, now: Instant) -> list[Ed25519PublicKey]:
        """Keys that sign no permits any more, while there may be some that are good."""
        since = now - PERMITS_LAPSE_S * SECOND_US
        return [each.key for each in self.gone if each.role is Role.PERMIT and each.at > since]

    def changed(self, keys: Mapping[Role, Ed25519PublicKey]) -> list[Role]:
        """The roles whose key is another one. Raises `ConfigurationError` for a retired one."""
        for each in self.gone:
            if raw(each.key) == raw(keys[each.role]):
                raise ConfigurationError(
                    "keys.retired",
                    f"keys.{each.role.value}: this key was retired, and may be in other hands",
                    advice="Make a new one: `countersign keys rotate`, or where your keys are.",
                )
        known = self.current
        return [role for role in keys if role in known and raw(known[role]) != raw(keys[role])]


async def recorded(
    store: Store,
    history: KeyHistory,
    keys: Mapping[Role, Ed25519PublicKey],
    *,
    tenants: Collection[TenantId],
    published: Callable[[TenantId], int],
    log_id_of: Callable[[TenantId], str],
) -> KeyHistory:
    """Note the keys that sign from here on, and record each change in every log.

    `published` is how much of a log its newest checkpoint covers. Raises
    `ConfigurationError` for a key that was retired.
    """
    changed = history.changed(keys)
    if not changed and history.current:
        return history

    def run(tx: Transaction) -> KeyHistory:
        until = {str(tenant): published(tenant) for tenant in tenants}
        gone = [
            Gone(
                role=role,
                key=history.current[role],
                at=tx.now,
                until=until if role is Role.LOG else {},
            )
            for role in changed
        ]
        for tenant in sorted(tenants) if gone else ():
            change = _told(gone, keys, tenant, log_id_of(tenant))
            tx.append(tenant, record("keys.changed", tenant, change=change))
        grown = KeyHistory(current=keys, gone=(*history.gone, *gone))
        tx.put_note(NOTE, grown.encode())
        return grown

    return await store.apply(Named(name="keys", run=run))


def _told(
    gone: Sequence[Gone],
    keys: Mapping[Role, Ed25519PublicKey],
    tenant: TenantId,
    log_id: str,
) -> JsonObject:
    """What a tenant's log says of a change: old and new key, by id and whole."""
    told: list[JsonValue] = []
    for each in gone:
        until: JsonObject = {"until": each.until[tenant]} if each.until else {}
        told.append(
            {
                "role": each.role.value,
                "old": public(each.role, each.key, log_id),
                "new": public(each.role, keys[each.role], log_id),
                **until,
            }
        )
    return {"keys": told}


def public(role: Role, key: Ed25519PublicKey, log_id: str) -> JsonObject:
    """A public key as those who check with it know it: a JWK's parts, or a verifier key."""
    if role is Role.PERMIT:
        jwk = public_jwk(key)
        return {"id": jwk["kid"], "key": jwk["x"]}
    name = key_name(log_id) if role is Role.RECEIPT else log_id
    verifier = Verifier(name=name, key=key)
    return {"id": verifier.key_id.hex(), "key": str(verifier)}


def named(keys: Mapping[Role, Ed25519PublicKey]) -> JsonObject:
    """What `config.changed` says of the keys: the public ones, base64 of 32 bytes."""
    return {role.value: _encode(key) for role, key in keys.items()}


def _encode(key: Ed25519PublicKey) -> str:
    return base64.b64encode(raw(key)).decode("ascii")


def _decode(text: str) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(base64.b64decode(text))
