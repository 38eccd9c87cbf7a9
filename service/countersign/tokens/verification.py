"""One token, one issuer, one use, one moment: good or not."""

from __future__ import annotations

from countersign.tokens import claims, compact
from countersign.tokens.keys import KeySet
from countersign.tokens.values import IssuerSettings, TokenError, TokenUse, VerifiedToken


def issuer_of(token: str) -> str:
    """Who the token says it is from, to look up whose settings and keys to verify it with.

    Unverified: good for nothing else. Raises `TokenError`.
    """
    issuer = compact.read(token).claims.get("iss")
    if not isinstance(issuer, str):
        raise TokenError("token.bad_claim", "the token's iss must be a string")
    return issuer


def verify(
    token: str, *, settings: IssuerSettings, keys: KeySet, use: TokenUse, now_s: int
) -> VerifiedToken:
    """What a good token says. `now_s`: seconds since 1970. Raises `TokenError`.

    Who presents the token is not known here. The caller must compare `tenants`
    with the tenant at hand, and with evidence `client` and `actors` with who
    presents it: evidence that was issued to another client was meant for that
    client's calls, and whoever came by it could claim anybody behind his own.
    """
    found = compact.read(token)
    if found.algorithm not in settings.algorithms:
        raise TokenError(
            "token.wrong_algorithm", "the token's algorithm is not accepted from this issuer"
        )
    # The claims are judged before the signature. That is no trust decision: judging
    # only refuses, and what it found is handed out only below, when the signature is
    # good. It keeps who sends garbage from having a signature computed for each.
    told = claims.judge(found.claims, settings, use, now_s)
    if found.kid is None and len(keys.keys) > 1:
        raise TokenError(
            "token.key_not_named", "the token names no key, and its issuer has more than one"
        )
    key = keys.find(found.kid)
    if key is None:
        raise TokenError("token.unknown_key", "the issuer has no key with the token's key id")
    if found.algorithm not in key.algorithms:
        raise TokenError("token.wrong_algorithm", "the token's algorithm does not fit its key")
    if not key.verifies(found.algorithm, found.signed, found.signature):
        raise TokenError("token.bad_signature", "the token's signature does not verify")
    return told
