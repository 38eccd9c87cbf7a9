"""Evidence is verified at the edge, told to the flow without the token, or refused by its place."""

from __future__ import annotations

import pytest

from countersign.edge.evidence import EvidenceReader
from countersign.errors import InvalidRequestError, UnavailableError
from countersign.model import Account, Caller, CallerId, PersonId, Principal, TenantId
from countersign.tokens import Actor, TokenError, TokenUse, VerifiedToken

ISSUER = "https://login.example"
POINTER = "/on_behalf_of/0"
MALLORY = Principal(type="person", id="mallory")
TOKEN = "a.b.c"


def caller(tenant: str = "default") -> Caller:
    return Caller(
        tenant=TenantId(tenant),
        id=CallerId("agent"),
        actors=("agent",),
        environments=("production",),
        resources=("table:*",),
        owners=(PersonId("alice"),),
    )


class Issuers:
    """One issuer, and what it says of any token."""

    def __init__(self, said: VerifiedToken | TokenError | None = None) -> None:
        self._said = said
        self.asked: list[tuple[str, TokenUse]] = []

    def has(self, use: TokenUse) -> bool:
        return self._said is not None

    async def verify(self, token: str, use: TokenUse, *, now_s: int) -> VerifiedToken:
        self.asked.append((token, use))
        assert self._said is not None
        if isinstance(self._said, TokenError):
            raise self._said
        return self._said


def told(*actors: Actor) -> VerifiedToken:
    return VerifiedToken(
        issuer=ISSUER,
        subject="00u1",
        tenants=(TenantId("default"),),
        expires_at_s=1_800_000_000,
        client="agent-app",
        actors=actors,
    )


async def refusal(issuers: Issuers, by: Caller) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as refused:
        await EvidenceReader(issuers).read(by, POINTER, MALLORY, TOKEN)
    assert refused.value.field == f"{POINTER}/evidence"
    assert TOKEN not in str(refused.value)
    return refused.value


async def test_what_a_good_token_says_goes_on_and_the_token_does_not() -> None:
    issuers = Issuers(told())
    evidence = await EvidenceReader(issuers).read(caller(), POINTER, MALLORY, TOKEN)
    assert (evidence.account, evidence.client) == (
        Account(issuer=ISSUER, subject="00u1"),
        "agent-app",
    )
    assert (evidence.pointer, evidence.principal) == (POINTER, MALLORY)
    assert issuers.asked == [(TOKEN, TokenUse.EVIDENCE)]
    assert TOKEN not in str(evidence)


async def test_an_issuer_speaks_for_the_tenants_that_trust_it_alone() -> None:
    refused = await refusal(Issuers(told()), caller("other"))
    assert refused.code == "token.unknown_issuer"


async def test_every_actor_goes_on_with_who_names_it() -> None:
    chain = (Actor(issuer=ISSUER, subject="agent-app"), Actor(issuer="https://x", subject="bot"))
    evidence = await EvidenceReader(Issuers(told(*chain))).read(caller(), POINTER, MALLORY, TOKEN)
    assert evidence.actors == (
        Account(issuer=ISSUER, subject="agent-app"),
        Account(issuer="https://x", subject="bot"),
    )


async def test_where_nobody_is_trusted_evidence_is_refused_and_not_passed_over() -> None:
    issuers = Issuers()
    assert "leave it out" in str(await refusal(issuers, caller()))
    assert issuers.asked == []


async def test_a_token_that_is_no_good_is_told_apart_from_keys_that_are_not_at_hand() -> None:
    bad = TokenError("token.expired", "the token has expired")
    assert (await refusal(Issuers(bad), caller())).code == "token.expired"
    passing = TokenError("token.keys_unavailable", "cannot be read now", retryable=True)
    with pytest.raises(UnavailableError) as unavailable:
        await EvidenceReader(Issuers(passing)).read(caller(), POINTER, MALLORY, TOKEN)
    assert unavailable.value.code == "token.keys_unavailable"
