"""The keys of an issuer: a JWK Set (RFC 7517), and which algorithms each fits.

A key states what it is for; a token's header never widens that (RFC 8725
section 3.1). Keys we cannot use are left out, as RFC 7517 section 5 asks: a
set may hold keys for encryption or of kinds unknown here. A set that gives
away a private key, or that leaves open which key is meant, is refused whole.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import Algorithm, get_default_algorithms
from jwt.exceptions import InvalidKeyError

from countersign.canonical import StrictJsonError, parse_object
from countersign.errors import CountersignError
from countersign.model import JsonObject
from countersign.tokens.values import SUPPORTED_ALGORITHMS

MAX_KEYS: Final = 64
MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 8192
"""Larger ones cost more to verify than they add."""
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth"})
_MEMBER: Final = re.compile(r"[A-Za-z0-9_-]{1,2048}")
_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_FITTING: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("RSA", ""): _RSA,
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
}
"""Algorithms by `kty` and `crv`."""
_VALUES: Final = {"RSA": ("n", "e"), "EC": ("x", "y"), "OKP": ("x",)}
_ALGORITHMS: Final[Mapping[str, Algorithm]] = {
    name: algorithm
    for name, algorithm in get_default_algorithms().items()
    if name in SUPPORTED_ALGORITHMS
}


class KeySetError(CountersignError):
    """A key set that cannot be used.

    `exposed`: it gives away a private key, so that anybody may have signed
    what its keys verify.
    """

    def __init__(self, problem: str, *, exposed: bool = False) -> None:
        super().__init__("issuers.key_set", f"the key set {problem}")
        self.exposed = exposed


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One public key that verifies signatures."""

    kid: str | None
    algorithms: frozenset[str]
    public: Any = dataclasses.field(repr=False)

    def verifies(self, algorithm: str, signed: bytes, signature: bytes) -> bool:
        """Whether this key, with an algorithm that fits it, made the signature."""
        if algorithm not in self.algorithms:
            return False
        return _ALGORITHMS[algorithm].verify(signed, self.public, signature)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KeySet:
    """The usable keys of an issuer. No two share a key id."""

    keys: tuple[Key, ...]

    @classmethod
    def parse(cls, data: bytes) -> KeySet:
        """Read a JWK Set. Raises `KeySetError`."""
        document = _document(data)
        entries = document.get("keys") if document else None
        if not isinstance(entries, list) or len(entries) > MAX_KEYS:
            raise KeySetError(f'is not a strict JSON object with "keys", at most {MAX_KEYS}')
        jwks = [entry for entry in entries if isinstance(entry, dict)]
        if any(not _PRIVATE.isdisjoint(jwk) for jwk in jwks):
            raise KeySetError(
                "gives away a private key; have the issuer replace it and publish public keys only",
                exposed=True,
            )
        keys = tuple(key for key in map(_key, jwks) if key is not None)
        kids = [key.kid for key in keys if key.kid is not None]
        if len(set(kids)) < len(kids):
            raise KeySetError("gives two keys one key id")
        return cls(keys=keys)

    def find(self, kid: str | None) -> Key | None:
        """The key of this id; without an id, the only one there is."""
        if kid is None:
            return self.keys[0] if len(self.keys) == 1 else None
        return next((key for key in self.keys if key.kid == kid), None)


def _document(data: bytes) -> JsonObject | None:
    try:
        return parse_object(data)
    except StrictJsonError:
        return None


def _key(jwk: JsonObject) -> Key | None:
    """The key of a JWK; None unless it verifies signatures in a way we know."""
    kind, curve, kid = jwk.get("kty"), jwk.get("crv", ""), jwk.get("kid")
    if not isinstance(kind, str) or not isinstance(curve, str):
        return None
    if kid is not None and not isinstance(kid, str):
        return None
    fitting = frozenset(_FITTING.get((kind, curve), ()))
    if "alg" in jwk:
        fitting &= {str(jwk["alg"])}
    if not fitting or not _for_signatures(jwk):
        return None
    members = [jwk.get(name) for name in _VALUES[kind]]
    if not all(isinstance(member, str) and _MEMBER.fullmatch(member) for member in members):
        return None
    public = _public(next(iter(fitting)), jwk)
    return Key(kid=kid, algorithms=fitting, public=public) if public else None


def _for_signatures(jwk: JsonObject) -> bool:
    operations = jwk.get("key_ops", ["verify"])
    return (
        jwk.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
    )


def _public(algorithm: str, jwk: JsonObject) -> Any:
    """The public key, if its numbers make one of a fair size."""
    try:
        public = _ALGORITHMS[algorithm].from_jwk(jwk)
    except (InvalidKeyError, UnsupportedAlgorithm, ValueError):
        return None
    if isinstance(public, RSAPublicKey) and not MIN_RSA_BITS <= public.key_size <= MAX_RSA_BITS:
        return None
    return public
