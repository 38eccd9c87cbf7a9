"""Why a request of the Bot Framework was refused, before anything acted on it."""

from __future__ import annotations

import enum
from typing import Final

from countersign.errors import CountersignError


class Refusal(enum.StrEnum):
    """What was wrong. Each value is a stable code, counted and logged."""

    PROOF_MISSING = "token.missing"
    PROOF_MALFORMED = "token.malformed"
    PROOF_ALGORITHM = "token.algorithm"
    PROOF_KEY_UNKNOWN = "token.key_unknown"
    PROOF_SIGNATURE = "token.signature"
    PROOF_ISSUER = "token.issuer"
    PROOF_AUDIENCE = "token.audience"
    PROOF_EXPIRED = "token.expired"
    PROOF_EARLY = "token.early"
    PROOF_CLAIM = "token.claim"
    PROOF_SERVICE_URL = "token.service_url"
    PROOF_CHANNEL = "token.channel"
    TENANT_CONFLICT = "tenant.conflict"
    TENANT_FOREIGN = "tenant.foreign"
    HOST_FOREIGN = "host.foreign"
    RECIPIENT_FOREIGN = "recipient.foreign"
    BODY_MALFORMED = "body.malformed"
    BODY_TOO_LARGE = "body.too_large"
    BODY_TYPE = "body.type"
    KEYS_UNAVAILABLE = "keys.unavailable"
    DRAINING = "draining"

    @property
    def status(self) -> int:
        """The HTTP status that says so."""
        return _STATUS.get(self) or (401 if self.startswith("token.") else 403)


_STATUS: Final = {
    Refusal.BODY_MALFORMED: 400,
    Refusal.BODY_TOO_LARGE: 413,
    Refusal.BODY_TYPE: 415,
    Refusal.KEYS_UNAVAILABLE: 503,
    Refusal.DRAINING: 503,
}


class RefusedError(CountersignError):
    """A request that nothing acts on. The message shows nothing that it held."""

    def __init__(self, refusal: Refusal, problem: str) -> None:
        super().__init__(refusal.value, problem)
        self.refusal = refusal
