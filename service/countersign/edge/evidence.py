"""The token that proves who is behind a call: verified here, and dropped here.

Invariant 3: it goes no further. What the flow gets says whose token it was and
to whom it was issued, and whether that proves anything is the flow's to judge.
"""

from __future__ import annotations

import time
from typing import Protocol

from countersign.errors import InvalidRequestError, UnavailableError
from countersign.flow.evidence import Evidence
from countersign.model import Account, Caller, Principal
from countersign.tokens import TokenError, TokenUse, VerifiedToken


class TokenVerifier(Protocol):
    """What `issuers.Issuers` does for the edge."""

    def has(self, use: TokenUse) -> bool:
        """Whether any issuer's tokens are accepted for this use."""

    async def verify(self, token: str, use: TokenUse, *, now_s: int) -> VerifiedToken:
        """What a good token says. Raises `TokenError`."""


class EvidenceReader:
    """Verifies evidence with the keys of the configured issuers."""

    def __init__(self, issuers: TokenVerifier) -> None:
        self._issuers = issuers

    async def read(
        self, caller: Caller, pointer: str, principal: Principal, token: str
    ) -> Evidence:
        """What the token proves. Raises `InvalidRequestError`, `UnavailableError`."""
        field = f"{pointer}/evidence"
        if not self._issuers.has(TokenUse.EVIDENCE):
            raise InvalidRequestError(field, "is not verified by this server; leave it out")
        try:
            said = await self._issuers.verify(token, TokenUse.EVIDENCE, now_s=int(time.time()))
        except TokenError as error:
            if error.retryable:
                raise UnavailableError(
                    error.code, f"{field}: {error.message}", advice=error.advice
                ) from None
            raise InvalidRequestError(field, error.message, code=error.code) from None
        if caller.tenant not in said.tenants:
            raise InvalidRequestError(
                field, "the token's issuer is not trusted here", code="token.unknown_issuer"
            )
        return Evidence(
            pointer=pointer,
            principal=principal,
            account=Account(issuer=said.issuer, subject=said.subject),
            client=said.client,
            actors=tuple(
                Account(issuer=actor.issuer, subject=actor.subject) for actor in said.actors
            ),
        )
