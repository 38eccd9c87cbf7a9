"""The rules a token's claims must pass. They only ever refuse.

Strict where a lenient reading would let one token stand for another: dates are
integers (RFC 7519 also allows fractions; no issuer we know writes them, and
`1.0` is the integer 1 already), subjects are printable ASCII as OpenID Connect
has them (in Unicode two could look the same to a reviewer), and two claims
that name the client must agree.
"""

from __future__ import annotations

import re
from typing import Final

from countersign.model import JsonObject, JsonValue
from countersign.tokens.values import Actor, IssuerSettings, TokenError, TokenUse, VerifiedToken

MAX_ACTORS: Final = 8
MAX_AUDIENCES: Final = 32
_NAME: Final = re.compile(r"[ -~]{1,255}")


def judge(claims: JsonObject, settings: IssuerSettings, use: TokenUse, now_s: int) -> VerifiedToken:
    """What the claims say, if they are good for this use now. Raises `TokenError`.

    The caller returns it only when the signature is good too.
    """
    if claims.get("iss") != settings.issuer:
        raise TokenError("token.unknown_issuer", "the token's issuer is not the expected one")
    _refuse_other_kinds(claims)
    _refuse_audience(claims, settings, use)
    expires_at_s = _in_time(claims, settings, now_s)
    actors = _actors(claims, settings.issuer)
    if actors and use is not TokenUse.EVIDENCE:
        raise TokenError(
            "token.not_for_this_use",
            "somebody acts for the token's subject, who is not that subject",
            advice="Present a credential of your own, without an `act` claim.",
        )
    return VerifiedToken(
        issuer=settings.issuer,
        subject=_name(claims, "sub"),
        tenants=settings.tenants,
        expires_at_s=expires_at_s,
        client=_client(claims),
        actors=actors,
    )


def _refuse_other_kinds(claims: JsonObject) -> None:
    """Logout tokens look like ID tokens, and go to the same audience without a type."""
    if "events" in claims:
        raise TokenError(
            "token.wrong_type", "the token tells of an event (RFC 8417), it vouches for nobody"
        )
    if "cnf" in claims:
        raise TokenError(
            "token.key_bound",
            "the token demands proof of a key, which cannot be checked here",
            advice="Have a bearer token issued for Countersign, without `cnf`.",
        )


def _refuse_audience(claims: JsonObject, settings: IssuerSettings, use: TokenUse) -> None:
    ours = settings.audiences.get(use)
    if ours is None:
        raise TokenError(
            "token.not_for_this_use", f"tokens of this issuer are not accepted as {use}"
        )
    found = claims.get("aud")
    named = found if isinstance(found, list) else [found]
    if not 1 <= len(named) <= MAX_AUDIENCES or not all(isinstance(n, str) for n in named):
        raise _missing("aud", "must be a string or a short list of strings")
    if any(named.count(other) for kind, other in settings.audiences.items() if kind is not use):
        raise TokenError(
            "token.not_for_this_use",
            f"the token was issued for another use than {use}",
            advice="Have one issued for the audience of this use alone.",
        )
    if ours not in named:
        raise TokenError("token.wrong_audience", f"the token's audience is not ours for {use}")
    if set(named) == {ours}:
        return
    # Every other audience could present it here. Evidence is bound to the client it
    # was issued to by who verifies it; a credential is bound to nothing but itself.
    if use is not TokenUse.EVIDENCE or "azp" not in claims:
        raise TokenError(
            "token.wrong_audience",
            "the token has other audiences, who could present it too",
            advice="Have one issued for Countersign alone.",
        )


def _in_time(claims: JsonObject, settings: IssuerSettings, now_s: int) -> int:
    """The token's end, if now is between its begin and its end, and these are not far apart.

    Together that bounds its age too: by `max_lifetime_s` and the leeway.
    """
    expires, issued = _date(claims, "exp"), _date(claims, "iat")
    begins = _date(claims, "nbf") if "nbf" in claims else issued
    leeway = settings.leeway_s
    if now_s >= expires + leeway:
        raise TokenError("token.expired", "the token has expired", advice="Have a new one issued.")
    if max(issued, begins) > now_s + leeway:
        raise TokenError(
            "token.not_yet_valid",
            "the token is from the future",
            advice="Compare the clocks of the issuer and of Countersign.",
        )
    if expires - issued > settings.max_lifetime_s:
        raise TokenError(
            "token.too_long_lived",
            f"the token lives longer than the {settings.max_lifetime_s} s that are accepted",
            advice="Have short-lived tokens issued, or raise max_lifetime_s of this issuer.",
        )
    return expires


def _client(claims: JsonObject) -> str:
    named = [_name(claims, claim) for claim in ("azp", "client_id") if claim in claims]
    if len(set(named)) > 1:
        raise TokenError("token.bad_claim", "the token's azp and client_id differ")
    return named[0] if named else ""


def _actors(claims: JsonObject, issuer: str) -> tuple[Actor, ...]:
    """The chain of `act` claims as it is told: an actor may stand in it twice."""
    chain: list[Actor] = []
    while "act" in claims:
        act: JsonValue = claims["act"]
        if not isinstance(act, dict):
            raise _missing("act", "must be an object")
        if len(chain) == MAX_ACTORS:
            raise _missing("act", f"must be nested at most {MAX_ACTORS} deep")
        known_at = _name(act, "iss") if "iss" in act else issuer
        chain.append(Actor(issuer=known_at, subject=_name(act, "sub")))
        claims = act
    return tuple(chain)


def _name(claims: JsonObject, claim: str) -> str:
    value = claims.get(claim)
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise _missing(claim, "must be 1 to 255 printable ASCII characters")
    return value


def _date(claims: JsonObject, claim: str) -> int:
    value = claims.get(claim)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _missing(claim, "must be a whole number of seconds since 1970")
    return value


def _missing(claim: str, problem: str) -> TokenError:
    return TokenError("token.bad_claim", f"the token's {claim} {problem}")
