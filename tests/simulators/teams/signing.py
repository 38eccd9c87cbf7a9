"""RSA keys of an issuer, as its JWKS shows them, and tokens that it signs."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from jwt.algorithms import RSAAlgorithm


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """One key; `endorsements` are the channels it may sign for, `None` leaves them out."""

    private: RSAPrivateKey
    endorsements: tuple[str, ...] | None

    @property
    def kid(self) -> str:
        """The SHA-1 of its public half: what Microsoft's `kid` and `x5t` look like."""
        return base64.urlsafe_b64encode(hashlib.sha1(self._public()).digest()).decode().rstrip("=")

    @property
    def jwk(self) -> dict[str, Any]:
        """As it stands in a JWKS (RFC 7517)."""
        told = RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        told = {"kty": "RSA", "use": "sig", "kid": self.kid, "x5t": self.kid} | {
            name: told[name] for name in ("n", "e")
        }
        return told | ({} if self.endorsements is None else {"endorsements": [*self.endorsements]})

    @property
    def public_pem(self) -> bytes:
        """The public half, which a confused verifier might take for an HMAC secret."""
        return self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def _public(self) -> bytes:
        return self.private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )


def new_key(endorsements: Sequence[str] | None = None) -> SigningKey:
    """A key that nobody knows yet."""
    private = generate_private_key(public_exponent=65_537, key_size=2048)
    told = None if endorsements is None else tuple(endorsements)
    return SigningKey(private=private, endorsements=told)


def signed(
    claims: Mapping[str, Any],
    key: SigningKey,
    *,
    algorithm: str = "RS256",
    headers: Mapping[str, Any] | None = None,
) -> str:
    """A token with exactly these claims; a claim or header that is `None` is left out."""
    told = {"kid": key.kid, "x5t": key.kid, "typ": "JWT"} | dict(headers or {})
    return jwt.encode(
        {name: value for name, value in claims.items() if value is not None},
        key.private,
        algorithm,
        headers={name: value for name, value in told.items() if value is not None},
    )


class KeyRing:
    """The keys an issuer publishes now; the newest one signs."""

    def __init__(self, endorsements: Sequence[str] | None = None) -> None:
        self._endorsements = endorsements
        self._lock = threading.Lock()
        self._keys = [new_key(endorsements)]

    @property
    def current(self) -> SigningKey:
        """The key that signs unless another one is named."""
        with self._lock:
            return self._keys[-1]

    def add(self, key: SigningKey | None = None) -> SigningKey:
        """Publish one more key, which signs from now on."""
        key = key or new_key(self._endorsements)
        with self._lock:
            self._keys.append(key)
        return key

    def remove(self, key: SigningKey) -> None:
        """Publish a key no longer."""
        with self._lock:
            self._keys.remove(key)

    def rotate(self) -> SigningKey:
        """Publish a new key and none of the old ones; returns the one that signed before."""
        before = self.current
        with self._lock:
            self._keys = [new_key(self._endorsements)]
        return before

    def find(self, kid: str | None) -> SigningKey | None:
        """The published key of that id."""
        with self._lock:
            return next((key for key in self._keys if key.kid == kid), None)

    def jwks(self) -> dict[str, Any]:
        """What the key address answers."""
        with self._lock:
            return {"keys": [key.jwk for key in self._keys]}
