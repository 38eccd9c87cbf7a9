"""An identity provider whose signing key the test holds.

A service that trusts it reads its keys from a JWKS file, as it would in
production. Every token that was issued is remembered, so that a test can look
for them where they must not be.
"""

from __future__ import annotations

import json
import time
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from service import Service

EVIDENCE: Final = "countersign-evidence"
CALLERS: Final = "countersign-callers"
PEOPLE: Final = "countersign-people"
LEEWAY_S: Final = 30
"""How long after its end a token is still taken, since clocks differ."""
_KEY_ID: Final = "key-1"


class IdentityProvider:
    """One issuer; its accounts are whatever subjects a test names."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.key = Ed25519PrivateKey.generate()
        self.issued: list[str] = []

    def trusted_by(self, service: Service, *tenants: str) -> None:
        """Have a service believe its tokens, for these tenants."""
        jwks = OKPAlgorithm.to_jwk(self.key.public_key(), as_dict=True) | {"kid": _KEY_ID}
        (service.directory / "jwks.json").write_text(json.dumps({"keys": [jwks]}))
        service.append_settings(
            f'\n[[issuers]]\nissuer = "{self.issuer}"\ntenants = {json.dumps(tenants)}\n'
            f'jwks_file = "jwks.json"\nevidence_audience = "{EVIDENCE}"\n'
            f'caller_audience = "{CALLERS}"\nperson_audience = "{PEOPLE}"\n'
        )

    def token(
        self, subject: str, *, audience: str = EVIDENCE, ends_in_s: int = 300, **claims: Any
    ) -> str:
        """A signed token; `azp` and other claims as given, `None` leaves one out."""
        now = int(time.time())
        told = {"iss": self.issuer, "sub": subject, "aud": audience}
        told |= {"iat": now - 60, "exp": now + ends_in_s} | claims
        told = {name: value for name, value in told.items() if value is not None}
        return self.signed(told, self.key, "EdDSA")

    def signed(self, claims: dict[str, Any], key: Any, algorithm: str) -> str:
        """A token with exactly these claims, signed with whatever key and algorithm."""
        token = jwt.encode(claims, key, algorithm, headers={"kid": _KEY_ID})
        self.issued.append(token)
        return token

    def secrets(self) -> list[str]:
        """What must be seen nowhere: each token, and what it says and proves on its own."""
        return [part for token in self.issued for part in (token, *token.split(".")[1:]) if part]
