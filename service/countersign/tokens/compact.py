"""Read a compact JWS (RFC 7515) strictly, before anything of it is believed.

One token has one reading here: base64url in its only canonical form, JSON
without duplicate keys, no header that would have us fetch or trust a key the
token brings along, and no type that says it was made for something else (RFC
8725 sections 3.10 and 3.11). Nothing here is verified yet.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import re
from typing import Final

from countersign.canonical import StrictJsonError, parse_object
from countersign.model import JsonObject, Withheld
from countersign.tokens.values import TokenError

MAX_TOKEN_CHARS: Final = 16_384
MAX_KID_CHARS: Final = 512
_COMPACT: Final = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_TYPES: Final = frozenset({"jwt", "at+jwt", "application/at+jwt"})
# Extensions we do not know (`crit`, `b64`), keys the token chooses for itself.
_REFUSED_HEADERS: Final = ("crit", "b64", "jwk", "jku", "x5u", "x5c")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Compact(Withheld):
    """One token, taken apart."""

    algorithm: str
    kid: str | None
    claims: JsonObject
    signed: bytes
    signature: bytes


def read(token: str) -> Compact:
    """Take a token apart. Raises `TokenError`."""
    # Length first: everything after it costs in proportion.
    match = _COMPACT.fullmatch(token) if len(token) <= MAX_TOKEN_CHARS else None
    if match is None:
        raise _malformed("is not a compact JWS of at most 16 KiB")
    header, claims, signature = (_decoded(part) for part in match.groups())
    if header is None or claims is None or signature is None:
        raise _malformed("is not base64url")
    head, body = _object(header), _object(claims)
    if head is None or body is None:
        raise _malformed("does not hold strict JSON objects; duplicate keys are refused too")
    _refuse_headers(head)
    algorithm, kid = head.get("alg"), head.get("kid")
    if not isinstance(algorithm, str):
        raise _malformed("names no algorithm")
    if kid is not None and (not isinstance(kid, str) or len(kid) > MAX_KID_CHARS):
        raise _malformed("has a key id that is not a short string")
    return Compact(
        algorithm=algorithm,
        kid=kid,
        claims=body,
        signed=token[: match.end(2)].encode("ascii"),
        signature=signature,
    )


def _refuse_headers(header: JsonObject) -> None:
    if any(name in header for name in _REFUSED_HEADERS):
        raise TokenError(
            "token.refused_header",
            "the token's header has an extension or a key of its own",
            advice="Have it issued without crit, b64, jwk, jku, x5u and x5c.",
        )
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise TokenError(
            "token.wrong_type", "the token is of another type than JWT or at+jwt (RFC 9068)"
        )


def _decoded(text: str) -> bytes | None:
    """The bytes, if this is their one base64url form (RFC 4648 section 3.5)."""
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        return None
    # Spare bits in the last character would make many tokens of one.
    return data if base64.urlsafe_b64encode(data).rstrip(b"=") == text.encode("ascii") else None


def _object(data: bytes) -> JsonObject | None:
    """None instead of an error, whose context would carry the document."""
    try:
        return parse_object(data)
    except StrictJsonError:
        return None


def _malformed(problem: str) -> TokenError:
    return TokenError("token.malformed", f"the token {problem}")
