"""Mint and verify permits: compact JWS (RFC 7515), EdDSA (RFC 8037).

A permit says: this caller may perform exactly this context, until then. Pure:
keys, time and context come in. The token is never stored; its claims without
the salt are, and `mint` rebuilds the very same token from them, because the
payload's order is fixed and Ed25519 signatures are deterministic.

The flow mints; whoever executes verifies offline with the key set of
`Trust.GetKeys`. Single use is not a property of the token: it is what the
claim at the server was for.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from jwt.api_jws import PyJWS
from jwt.exceptions import InvalidTokenError

from countersign import canonical
from countersign.errors import CountersignError
from countersign.model import ActionContext, JsonObject, JsonValue, PermitClaims
from countersign.signing import SigningKey, in_process, raw, signature

TYP: Final = "countersign-permit+jwt"
_JWS: Final = PyJWS(algorithms=["EdDSA"])


class PermitError(CountersignError):
    """A permit that must not be acted on."""


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def public_jwk(key: Ed25519PublicKey) -> dict[str, str]:
    """The public key as a JWK (RFC 8037) whose `kid` is its RFC 7638 thumbprint."""
    x = _b64(raw(key))
    required = {"crv": "Ed25519", "kty": "OKP", "x": x}
    thumbprint = hashlib.sha256(canonical.encode(cast(JsonObject, required))).digest()
    return {**required, "alg": "EdDSA", "use": "sig", "kid": _b64(thumbprint)}


class PermitKeys:
    """The signing keys of an issuer: the first signs, all can rebuild and verify."""

    def __init__(self, issuer: str, keys: Sequence[SigningKey]) -> None:
        self.issuer = issuer
        self._keys = {public_jwk(key.public_key())["kid"]: key for key in keys}
        self.kid = next(iter(self._keys))

    @property
    def quick(self) -> bool:
        """Whether `mint` takes no longer than arithmetic; else it belongs in a thread."""
        return all(map(in_process, self._keys.values()))

    def jwks(self, retired: Iterable[Ed25519PublicKey] = ()) -> JsonObject:
        """The public keys as a JWK Set (RFC 7517), and those whose permits may still be about."""
        known = [key.public_key() for key in self._keys.values()]
        listed = {jwk["kid"]: jwk for jwk in map(public_jwk, (*known, *retired))}
        keys: list[JsonValue] = [dict[str, JsonValue](jwk) for jwk in listed.values()]
        return {"keys": keys}

    def mint(self, claims: PermitClaims, salt: bytes) -> str:
        """The token of these claims: the same claims and salt give the same token.

        Raises `PermitError` when the key that signed them first is gone, `SigningError`.
        """
        key = self._keys.get(claims.kid)
        if key is None:
            raise PermitError(
                "permit.key_gone",
                "the key that signed this permit is no longer configured",
                advice="Keep retired permit keys listed until their permits have expired.",
            )
        payload = json.dumps(
            {
                "iss": self.issuer,
                "aud": claims.audience,
                "sub": claims.caller,
                "jti": claims.id,
                "iat": claims.issued_at_s,
                "exp": claims.expires_at_s,
                "tenant": claims.tenant,
                "action": claims.action,
                "commitment": claims.commitment,
                "salt": _b64(salt),
                "review": claims.review,
                "decision": claims.decision,
                "policy_revision": claims.policy_revision,
                "seq": claims.seq,
            },
            separators=(",", ":"),
        ).encode()
        header = {"alg": "EdDSA", "kid": claims.kid, "typ": TYP}
        head = json.dumps(header, separators=(",", ":")).encode()
        signed = f"{_b64(head)}.{_b64(payload)}"
        return f"{signed}.{_b64(signature(key, signed.encode()))}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedPermit:
    """What a good permit says, as far as an executor needs it."""

    permit_id: str
    tenant: str
    caller: str
    action: str
    decision_id: str
    expires_at_s: int
    seq: int


def verify(
    token: str,
    jwks: Mapping[str, Any],
    *,
    issuer: str,
    audience: str,
    context: ActionContext,
    now_s: int,
) -> VerifiedPermit:
    """Check a permit against the context that is about to be executed.

    Raises `PermitError` naming what is wrong: signature, type, issuer,
    audience, expiry or a context other than the approved one.
    """
    claims = _signed_claims(token, jwks)
    if claims.get("iss") != issuer:
        raise PermitError("permit.issuer", "the permit is from another issuer")
    if claims.get("aud") != audience:
        raise PermitError("permit.audience", "the permit is for another executor")
    expires = claims.get("exp")
    if not isinstance(expires, int) or now_s >= expires:
        raise PermitError("permit.expired", "the permit has expired; claim is over, check again")
    try:
        salt = _unb64(claims["salt"])
        commitment = bytes.fromhex(claims["commitment"])
        verified = VerifiedPermit(
            permit_id=claims["jti"],
            tenant=claims["tenant"],
            caller=claims["sub"],
            action=claims["action"],
            decision_id=claims["decision"],
            expires_at_s=expires,
            seq=claims["seq"],
        )
    except (KeyError, TypeError, ValueError):
        raise PermitError("permit.malformed", "the permit lacks a claim or has a bad one") from None
    bound = canonical.bound_bytes(verified.tenant, canonical.encode(context.to_json()))
    if len(salt) != canonical.SALT_BYTES or not hmac.compare_digest(
        canonical.commitment(bound, salt), commitment
    ):
        raise PermitError("permit.mismatch", "the permit is for another context than this one")
    return verified


def _signed_claims(token: str, jwks: Mapping[str, Any]) -> dict[str, Any]:
    """The payload, once a listed key has signed it under our type and algorithm."""
    malformed = PermitError("permit.malformed", "this is not a permit")
    try:
        header = _JWS.get_unverified_header(token)
    except InvalidTokenError:
        raise malformed from None
    if header.get("typ") != TYP:
        raise malformed
    for jwk in jwks.get("keys", ()):
        if jwk.get("kid") == header.get("kid") and jwk.get("crv") == "Ed25519":
            key = Ed25519PublicKey.from_public_bytes(_unb64(jwk["x"]))
            break
    else:
        raise PermitError("permit.unknown_key", "no key of the issuer has this permit's key id")
    try:
        payload = json.loads(_JWS.decode(token, key, algorithms=["EdDSA"]))
    except (InvalidTokenError, ValueError):
        raise PermitError("permit.signature", "the permit's signature does not verify") from None
    if not isinstance(payload, dict):
        raise malformed
    return payload
