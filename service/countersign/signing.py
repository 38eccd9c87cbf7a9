"""What signs: a private key in this process, or somebody who signs when asked.

Pure. Permits, checkpoints and receipts are signed through `signature` alone, so
that nothing leaves under a signature that does not fit the key: a fault in a
device, or a signer that was given another key meanwhile, is seen here and not
by an auditor. Signatures must be deterministic, as RFC 8032 has them: what is
published again after a crash must be the same bytes.
"""

from __future__ import annotations

from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from countersign.errors import CountersignError


class SigningError(CountersignError):
    """Nothing was signed (`keys.unavailable`), or not with the key (`keys.signature_invalid`)."""


class SigningKey(Protocol):
    """An Ed25519 key that can sign, wherever it is. `Ed25519PrivateKey` is one."""

    def public_key(self) -> Ed25519PublicKey:
        """The public half: the same for as long as the process runs."""

    def sign(self, data: bytes, /) -> bytes:
        """64 bytes (RFC 8032, no prehash). May block, within a bound. Raises `SigningError`."""


def signature(key: SigningKey, data: bytes) -> bytes:
    """A signature that was seen to fit the key. Raises `SigningError`."""
    signed = key.sign(data)
    try:
        key.public_key().verify(signed, data)
    except InvalidSignature:
        raise SigningError(
            "keys.signature_invalid",
            "a signer answered with a signature that does not fit its key; it was not used",
            advice="Has its key changed under the same name? Restart the service, so that the "
            "change is recorded; else the signer is faulty.",
        ) from None
    return signed


def in_process(key: SigningKey) -> bool:
    """Whether signing takes no longer than arithmetic."""
    return isinstance(key, Ed25519PrivateKey)


def raw(key: Ed25519PublicKey) -> bytes:
    """The 32 bytes of a public key (RFC 8032)."""
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)
