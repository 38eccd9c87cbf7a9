"""Sees that a permit is for the action that is about to run.

The commitment inside a permit is recomputed from the context this process is
about to execute (invariant 4), so a permit for anything else is noticed before
the action runs. The signature is not checked here: the permit came straight
from the server over an authenticated channel, and an executor that was handed
one by somebody else uses `countersign.permit.verify` with the server's keys.
"""

from __future__ import annotations

import base64
import dataclasses
import hmac
from typing import Final

from countersign import canonical
from countersign.canonical import StrictJsonError
from countersign.client.context import Context
from countersign.client.errors import PermitRejected
from countersign.client.values import Permit
from countersign.model import JsonObject

TYP: Final = "countersign-permit+jwt"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Claims:
    permit_id: str
    tenant: str
    action: str
    commitment: bytes
    salt: bytes
    lifetime_s: int


def lifetime_s(permit: Permit, context: Context) -> int:
    """How long the permit is good for, once it is seen to be for this context.

    Raises `PermitRejected` (`permit.malformed`, `permit.mismatch`).
    """
    claims = _read(permit.token)
    bound = canonical.bound_bytes(claims.tenant, context.canonical_bytes)
    if (
        claims.permit_id != permit.id
        or claims.action != context.action
        or not hmac.compare_digest(canonical.commitment(bound, claims.salt), claims.commitment)
    ):
        raise PermitRejected(
            "permit.mismatch",
            "the server sent a permit for another action than this one",
            advice="Nothing may run. Tell the operator of the Countersign server.",
        )
    return claims.lifetime_s


def _read(token: str) -> _Claims:
    """The claims of a token whose signature somebody else vouches for."""
    try:
        header_part, payload_part, _ = token.split(".")
        header, payload = _object(header_part), _object(payload_part)
        issued, expires = payload["iat"], payload["exp"]
        if header["typ"] != TYP or not isinstance(issued, int) or not isinstance(expires, int):
            raise ValueError
        claims = _Claims(
            permit_id=_text(payload["jti"]),
            tenant=_text(payload["tenant"]),
            action=_text(payload["action"]),
            commitment=bytes.fromhex(_text(payload["commitment"])),
            salt=_bytes(_text(payload["salt"])),
            lifetime_s=expires - issued,
        )
        if len(claims.salt) != canonical.SALT_BYTES:
            raise ValueError
    except (KeyError, ValueError, StrictJsonError):
        raise PermitRejected(
            "permit.malformed",
            "the server sent something that is not a permit",
            advice="Nothing may run. Is this a Countersign server?",
        ) from None
    return claims


def _object(part: str) -> JsonObject:
    return canonical.parse_object(_bytes(part))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError  # noqa: TRY004 - malformed input, not a programming error
    return value


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
