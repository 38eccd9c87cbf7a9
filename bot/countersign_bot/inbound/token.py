"""Whether a request really comes from the Bot Framework of our cloud. Pure.

What is demanded, all of it, by "Authentication with the Bot Connector API", and where
that leaves room by the narrower reading: one `Authorization` header with one RS256
token, signed by a published key that is endorsed for Teams; its issuer exactly that of
the Bot Framework, which shuts out every token of Entra, be it of the Emulator's
tenants or of an app of our own tenant; its audience exactly our app; a beginning and
an end, with 5 minutes for clocks that differ; and the service URL that the body names.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import jwt
from jwt.types import Options

from countersign_bot.inbound.keys import ALGORITHM, SigningKey
from countersign_bot.inbound.refusal import Refusal, RefusedError

MAX_TOKEN_CHARACTERS: Final = 6_000
MAX_KEY_ID_CHARACTERS: Final = 256
SKEW_S: Final = 300
_SCHEME: Final = "Bearer "
# Each claim is judged below, against arguments: PyJWT would take the time from the system.
_SIGNATURE_ALONE: Final[Options] = {
    "verify_signature": True,
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """A token that says which key signed it. Nothing is verified yet."""

    token: str = dataclasses.field(repr=False)
    kid: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What a good token says of the request it came with."""

    service_url: str
    channels: frozenset[str]
    """Channels that its key may sign for."""

    def require(self, *, service_url: str, channel: str) -> None:
        """The body must be of the same sender. Raises `RefusedError`."""
        if self.service_url != service_url:
            raise RefusedError(
                Refusal.PROOF_SERVICE_URL, "the token is for another serviceUrl than the body's"
            )
        if channel not in self.channels:
            raise RefusedError(
                Refusal.PROOF_CHANNEL, "the token's key is not endorsed for the body's channelId"
            )


def bearer(authorization: Sequence[str]) -> Bearer:
    """The token of a request, given all its `Authorization` headers. Raises `RefusedError`."""
    if not authorization:
        raise RefusedError(Refusal.PROOF_MISSING, "there is no Authorization header")
    if len(authorization) > 1:
        raise RefusedError(Refusal.PROOF_MALFORMED, "there is more than one Authorization header")
    token = authorization[0].removeprefix(_SCHEME)
    if token == authorization[0]:
        raise RefusedError(Refusal.PROOF_MALFORMED, "the Authorization header is no Bearer token")
    if len(token) > MAX_TOKEN_CHARACTERS:
        raise RefusedError(
            Refusal.PROOF_MALFORMED, f"the token is over {MAX_TOKEN_CHARACTERS} characters"
        )
    return Bearer(token=token, kid=_key_id(token))


def _key_id(token: str) -> str:
    try:
        header = jwt.get_unverified_header(token)
    except jwt.InvalidTokenError:
        raise RefusedError(Refusal.PROOF_MALFORMED, "the token is no signed JWT") from None
    if header.get("alg") != ALGORITHM:
        raise RefusedError(Refusal.PROOF_ALGORITHM, f"the token is not signed with {ALGORITHM}")
    kid = header.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KEY_ID_CHARACTERS:
        raise RefusedError(Refusal.PROOF_MALFORMED, "the token names no key")
    return kid


def verify(
    token: Bearer, key: SigningKey | None, *, issuer: str, app_id: str, now_s: float
) -> Verified:
    """What the token says, if it is good. `key` is the published one of its id, or None.

    Raises `RefusedError`.
    """
    if key is None:
        raise RefusedError(Refusal.PROOF_KEY_UNKNOWN, "the token's key is not published")
    claims = _signed_claims(token.token, key)
    if claims.get("iss") != issuer:
        raise RefusedError(Refusal.PROOF_ISSUER, "iss: not the Bot Framework of this cloud")
    if not app_id or claims.get("aud") != app_id:
        raise RefusedError(Refusal.PROOF_AUDIENCE, "aud: not this bot")
    if now_s >= _moment(claims, "exp") + SKEW_S:
        raise RefusedError(Refusal.PROOF_EXPIRED, "exp: the token has expired")
    if now_s < _moment(claims, "nbf") - SKEW_S:
        raise RefusedError(Refusal.PROOF_EARLY, "nbf: the token is not valid yet")
    service_url = claims.get("serviceurl")
    if not isinstance(service_url, str) or not service_url:
        raise RefusedError(Refusal.PROOF_CLAIM, "serviceurl: the token names none")
    return Verified(service_url=service_url, channels=key.endorsements)


def _signed_claims(token: str, key: SigningKey) -> Mapping[str, Any]:
    try:
        claims: Mapping[str, Any] = jwt.decode(
            token, key.public, algorithms=[ALGORITHM], options=_SIGNATURE_ALONE
        )
    except jwt.InvalidSignatureError:
        raise RefusedError(Refusal.PROOF_SIGNATURE, "the signature is wrong") from None
    except (jwt.InvalidTokenError, jwt.InvalidKeyError, ValueError, RecursionError):
        raise RefusedError(Refusal.PROOF_MALFORMED, "the token is no signed JWT") from None
    return claims


def _moment(claims: Mapping[str, Any], name: str) -> float:
    """A NumericDate (RFC 7519 section 2), which has to be there."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RefusedError(Refusal.PROOF_CLAIM, f"{name}: the token has none")
    # `json` also reads NaN, which is neither before nor after anything.
    if isinstance(value, float) and not math.isfinite(value):
        raise RefusedError(Refusal.PROOF_CLAIM, f"{name}: the token has none")
    return value
