"""The keys that the settings name: opened, and seen to be different ones.

A key that does two things lets whoever may use it for one do the other: a receipt
could be made of a checkpoint, and one key stolen would be all. So each role has its
own, and a witness is not ourselves. Tags of the sanitizer are no part of this: their
keys are random bytes that the store makes for each tenant. Used by `app`, and by
commands that need a public key.
"""

from __future__ import annotations

import dataclasses

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from countersign.audit.cosignature import WitnessKey
from countersign.config import Config
from countersign.errors import ConfigurationError
from countersign.keys import Source, open_key
from countersign.rotation import Role
from countersign.signing import SigningKey, raw


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Keyring:
    """What the service signs with."""

    permits: tuple[SigningKey, ...]
    """The first signs; the others make their own permits again."""
    log: SigningKey
    receipt: SigningKey

    def public(self) -> dict[Role, Ed25519PublicKey]:
        """What each role signs with."""
        signing = {Role.PERMIT: self.permits[0], Role.LOG: self.log, Role.RECEIPT: self.receipt}
        return {role: key.public_key() for role, key in signing.items()}


def keyring_of(config: Config) -> Keyring:
    """All keys of the settings. Blocks. Raises `ConfigurationError`."""
    keys = config.keys
    ring = Keyring(
        permits=tuple(_open(config, "keys.permit", text) for text in keys.permit),
        log=log_key(config),
        receipt=_open(config, "keys.receipt", keys.receipt),
    )
    _require_different(ring, [place.key for place in config.witness_places()])
    return ring


def log_key(config: Config) -> SigningKey:
    """The key of checkpoints. Blocks. Raises `ConfigurationError`."""
    return _open(config, "keys.log", config.keys.log)


def _open(config: Config, setting: str, text: str) -> SigningKey:
    return open_key(
        setting,
        Source.parse(setting, text),
        path=config.path,
        variables=config.variables,
        deadline_s=config.keys.deadline_s,
    )


def _require_different(ring: Keyring, witnesses: list[WitnessKey]) -> None:
    named = [
        *(("keys.permit", key.public_key()) for key in ring.permits),
        ("keys.log", ring.log.public_key()),
        ("keys.receipt", ring.receipt.public_key()),
        *((f"[[witnesses]] {witness.name}", witness.key) for witness in witnesses),
    ]
    seen: dict[bytes, str] = {}
    for setting, public in named:
        other = seen.setdefault(raw(public), setting)
        if other != setting:
            raise ConfigurationError(
                "keys.shared",
                f"{other} and {setting} are the same key",
                advice="Give each a key of its own; a witness is run by somebody else, with theirs."
                " `openssl genpkey -algorithm ed25519` makes a key.",
            )
