"""Outside issuers: their keys, kept fresh, and the verification of their tokens.

`source` says where an issuer's keys are, `fetch` gets them, `held` keeps the
last good set and judges how old it may be, `verifier` puts a token, its issuer
and those keys together. All rules about tokens are in `countersign.tokens`.
Built by `app`; asked by the edge (who is calling) and the flow (who is behind
a call).
"""

from countersign.issuers.fetch import HttpFetch, KeySourceError
from countersign.issuers.held import Freshness
from countersign.issuers.source import IssuerSource
from countersign.issuers.verifier import Issuers

__all__ = ["Freshness", "HttpFetch", "IssuerSource", "Issuers", "KeySourceError"]
