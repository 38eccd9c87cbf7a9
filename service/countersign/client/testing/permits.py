"""Permits of the fakes: in form and time what the SDK expects, signed by nobody."""

from __future__ import annotations

import base64
import json
from typing import Final

from countersign import canonical
from countersign.client.permits import TYP
from countersign.model import JsonObject, new_id
from countersign.v1 import context_pb2

_PERMIT_S: Final = 300


def unsigned_permit(
    now_s: int, *, tenant: str, action: str, bound: bytes, salt: bytes, decision_id: str
) -> context_pb2.Permit:
    """A permit for the context with these canonical bytes."""
    permit = context_pb2.Permit(permit_id=new_id("prm"))
    permit.expires_at.FromSeconds(now_s + _PERMIT_S)
    permit.token = unsigned_token(
        {
            "jti": permit.permit_id,
            "iat": now_s,
            "exp": now_s + _PERMIT_S,
            "tenant": tenant,
            "action": action,
            "commitment": canonical.commitment(canonical.bound_bytes(tenant, bound), salt).hex(),
            "salt": _b64(salt),
            "decision": decision_id,
        }
    )
    return permit


def unsigned_token(claims: JsonObject) -> str:
    """A permit's form without a signature: good for the SDK, refused by executors."""
    header = json.dumps({"alg": "EdDSA", "typ": TYP, "kid": "test"}).encode()
    return f"{_b64(header)}.{_b64(json.dumps(claims).encode())}.{_b64(b'not a signature')}"


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
