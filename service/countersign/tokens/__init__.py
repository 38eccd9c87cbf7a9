"""Judge JWTs of outside issuers: whose word they are, and for what it is good.

Three uses, each with an audience of its own: `evidence` proves the person
behind an agent's call, `caller` is a machine's credential, `person` is a
person's own credential for deciding. Invariants kept: 6 (evidence is pinned to
an issuer, and says to whom it was issued) and 7 (what an agent may hold as
evidence is never good as a person's credential). Pure: the token, the keys and
the time come in, verified claims or a `TokenError` come out.

`verify` does not know who presents a token. Whoever calls it compares
`tenants` with the tenant at hand, and for evidence `client` and `actors` with
the caller: a token that was issued to somebody else's client is good, and
proves nothing about this caller's call.

Called by `issuers`, which has the keys.
"""

from countersign.tokens.keys import Key, KeySet, KeySetError
from countersign.tokens.values import (
    Actor,
    IssuerSettings,
    TokenError,
    TokenUse,
    VerifiedToken,
)
from countersign.tokens.verification import issuer_of, verify

__all__ = [
    "Actor",
    "IssuerSettings",
    "Key",
    "KeySet",
    "KeySetError",
    "TokenError",
    "TokenUse",
    "VerifiedToken",
    "issuer_of",
    "verify",
]
