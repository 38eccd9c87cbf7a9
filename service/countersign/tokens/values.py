"""What an operator pins about an issuer, and what a good token says."""

from __future__ import annotations

import dataclasses
import enum
import re
from collections.abc import Mapping
from typing import Final

from countersign.errors import ConfigurationError, CountersignError
from countersign.model import TenantId, Withheld

SUPPORTED_ALGORITHMS: Final = frozenset(
    {
        *("RS256", "RS384", "RS512"),
        *("PS256", "PS384", "PS512"),
        *("ES256", "ES384", "ES512"),
        "EdDSA",
    }
)
"""Asymmetric, all of them: with `none` or a shared secret anybody is the issuer."""
MAX_LIFETIME_S: Final = 86_400
MAX_LEEWAY_S: Final = 300
_NAME: Final = re.compile(r"[!-~]{1,512}")


class TokenUse(enum.StrEnum):
    """What a token is presented for. Each use has an audience of its own."""

    EVIDENCE = "evidence"
    """Proof of the person behind an agent's call, held by the agent."""
    CALLER = "caller"
    """A machine's own credential."""
    PERSON = "person"
    """A person's own credential, with which that person decides."""


class TokenError(CountersignError):
    """A token that must not be acted on.

    The message names the rule and never quotes a claim. `retryable`: the same
    token may be good in a moment, because the issuer's keys were not at hand.
    """

    def __init__(
        self, code: str, problem: str, *, advice: str = "", retryable: bool = False
    ) -> None:
        super().__init__(code, problem, advice=advice)
        self.retryable = retryable


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class IssuerSettings:
    """How far one issuer is believed. Raises `ConfigurationError`."""

    issuer: str
    """Its `iss`, compared exactly."""
    tenants: tuple[TenantId, ...]
    """Whose people and callers it may speak for."""
    audiences: Mapping[TokenUse, str]
    """Our `aud` for each use; a use without one is not accepted from this issuer."""
    algorithms: tuple[str, ...] = ("RS256", "ES256", "EdDSA")
    max_lifetime_s: int = 900
    """Bounds `exp - iat`, and the age of a token."""
    leeway_s: int = 30
    """How far the issuer's clock may be from ours."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.issuer):
            raise _wrong("issuer", "must be the issuer's exact `iss`: up to 512 ASCII characters")
        if not self.tenants or len(set(self.tenants)) < len(self.tenants):
            raise _wrong("tenants", "must name at least one tenant, each once")
        self._check_audiences()
        if not self.algorithms or not SUPPORTED_ALGORITHMS.issuperset(self.algorithms):
            known = ", ".join(sorted(SUPPORTED_ALGORITHMS))
            raise _wrong("algorithms", f"must be some of {known}; others prove nothing")
        if not 1 <= self.max_lifetime_s <= MAX_LIFETIME_S:
            raise _wrong("max_lifetime_s", f"must be between 1 and {MAX_LIFETIME_S}")
        if not 0 <= self.leeway_s <= MAX_LEEWAY_S:
            raise _wrong("leeway_s", f"must be between 0 and {MAX_LEEWAY_S}")

    def _check_audiences(self) -> None:
        if not self.audiences:
            raise _wrong("audiences", "must name the audience of at least one use")
        if not all(map(_NAME.fullmatch, self.audiences.values())):
            raise _wrong("audiences", "must be up to 512 ASCII characters each")
        if len(set(self.audiences.values())) < len(self.audiences):
            # An agent holds evidence: with one audience for two uses it could decide with it.
            raise _wrong("audiences", "must differ from each other, one for each use")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Actor(Withheld):
    """Somebody who acts for the subject (RFC 8693 section 4.1)."""

    issuer: str
    """Where that subject is known; the token's own issuer unless it names another."""
    subject: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class VerifiedToken(Withheld):
    """What a good token says. Shown to nobody: a subject may be an e-mail address.

    An ECDSA signature has a twin, so a token's bytes do not identify it.
    """

    issuer: str
    subject: str
    tenants: tuple[TenantId, ...]
    """Tenants the issuer may speak for; the token is nothing to any other."""
    expires_at_s: int
    client: str
    """To whom it was issued: `azp`, else `client_id` (RFC 9068); empty: it does not say."""
    actors: tuple[Actor, ...]
    """Who acts for the subject, the current one first; the others are history."""


def _wrong(field: str, problem: str) -> ConfigurationError:
    return ConfigurationError("issuers.invalid", f"issuers: {field} {problem}")
