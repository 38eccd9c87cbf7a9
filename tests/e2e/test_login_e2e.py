"""Tokens of an identity provider as own credentials, kept fresh in files by somebody else.

The agent and bob have no token of Countersign's: each has an account, and a
token file that their platform writes. Told through the SDK and the command line.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from countersign.client import (
    AsyncClient,
    AsyncReviewsClient,
    Choice,
    Client,
    Credential,
    NotPermitted,
    Outcome,
    ReviewsClient,
    TokenFileError,
    Unauthenticated,
)
from countersign.credentials import write_credential
from countersign.model import Account
from identity_provider import CALLERS, EVIDENCE, LEEWAY_S, PEOPLE, IdentityProvider
from service import TIMING, Service, context

POLICY = Path(__file__).with_name("policy")
ISSUER = "https://login.example"
EXPIRED = -LEEWAY_S - 5
AUDIENCES = {"agent": CALLERS, "bob": PEOPLE}


@dataclasses.dataclass
class Platform:
    """A service, and what writes everybody's token files around it."""

    service: Service
    provider: IdentityProvider
    home: Path

    def renews(self, who: str, *, audience: str = "", ends_in_s: int = 300) -> None:
        """A new token in somebody's token file."""
        token = self.provider.token(
            f"sub-{who}", audience=audience or AUDIENCES[who], ends_in_s=ends_in_s
        )
        self.writes(who, token)

    def writes(self, who: str, text: str) -> None:
        fresh = self.home / f"{who}.new"
        fresh.touch(0o600)
        fresh.write_text(f"{text}\n")
        fresh.replace(self.home / f"{who}.token")

    def credential(self, who: str) -> Credential:
        endpoint = f"127.0.0.1:{self.service.port}"
        return Credential(endpoint=endpoint, token_file=self.home / f"{who}.token")

    def agent(self) -> Client:
        return Client(self.credential("agent"), timing=TIMING)

    def reviewer(self, who: str) -> ReviewsClient:
        return ReviewsClient(self.credential(who), timing=TIMING)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    home = tmp_path_factory.mktemp("login")
    with Service(home / "countersign", policy=POLICY) as service:
        service.person("alice", "approvers")
        service.person("bob", "approvers", accounts=(Account(issuer=ISSUER, subject="sub-bob"),))
        service.caller("agent", "alice", jwt=Account(issuer=ISSUER, subject="sub-agent"))
        provider = IdentityProvider(ISSUER)
        provider.trusted_by(service, "default")
        platform = Platform(service.start(), provider, home)
        for who in AUDIENCES:
            write_credential(home / f"{who}.credential", platform.credential(who))
        yield platform
        service.plant(*provider.secrets())


@pytest.fixture
def platform(started: Platform) -> Platform:
    """Everybody has a fresh token."""
    for who in AUDIENCES:
        started.renews(who)
    return started


def test_asking_deciding_and_acting_with_tokens_that_are_renewed_meanwhile(
    platform: Platform,
) -> None:
    wanted = context("demo.approve", "through-the-sdk")
    with platform.agent() as agent, platform.reviewer("bob") as bob:
        pending = agent.check(wanted).pending
        assert pending is not None
        shown = bob.get(pending.review_id)
        platform.renews("agent", ends_in_s=299)
        platform.renews("bob", ends_in_s=299)
        decided = bob.decide(shown, Choice.APPROVE)
        assert (decided.votes[0].person_id, decided.votes[0].assurance) == ("bob", "person")
        grant = agent.claim(pending, wanted)
        agent.report(grant, Outcome.SUCCEEDED)


async def test_the_same_for_asyncio(platform: Platform) -> None:
    wanted = context("demo.approve", "through-asyncio")
    bobs, agents = platform.credential("bob"), platform.credential("agent")
    async with (
        AsyncClient(agents, timing=TIMING) as agent,
        AsyncReviewsClient(bobs, timing=TIMING) as bob,
    ):
        pending = (await agent.check(wanted)).pending
        assert pending is not None
        platform.renews("bob", ends_in_s=299)
        async for review in bob.watch():
            if review.status.review_id == pending.review_id:
                await bob.decide(review, Choice.APPROVE)
                break
        assert (await agent.claim(pending, wanted)).permit


def test_the_commands_read_the_file_too(platform: Platform) -> None:
    wanted = platform.home / "context.json"
    wanted.write_text(
        json.dumps(
            {
                "action": "demo.approve",
                "actor": "agent",
                "environment": "production",
                "resource": {"type": "table", "id": "on-a-terminal"},
            }
        )
    )
    asked = platform.service.types("check", str(wanted), "--json", as_="agent")
    name = json.loads(asked.stdout)["review"]
    shown = platform.service.types("review", "show", name, as_="bob").stdout
    preview = re.search(r"--preview ([0-9a-f]+)", shown)
    assert preview, shown
    platform.renews("bob", ends_in_s=299)
    words = ("review", "approve", name, "--preview", preview[1])
    approved = platform.service.types(*words, as_="bob")
    assert approved.returncode == 0, approved
    platform.renews("bob", ends_in_s=EXPIRED)
    refused = platform.service.types("review", "show", name, as_="bob")
    assert refused.returncode != 0
    assert "credential.unknown" in refused.stderr
    platform.writes("bob", "signed out")
    refused = platform.service.types("review", "show", name, as_="bob")
    assert refused.returncode != 0
    assert f"token_file {platform.home / 'bob.token'} does not hold one" in refused.stderr
    assert "signed out" not in refused.stderr


def test_an_expired_token_is_refused_until_it_is_renewed(platform: Platform) -> None:
    with platform.agent() as agent, platform.reviewer("bob") as bob:
        platform.renews("agent", ends_in_s=EXPIRED)
        platform.renews("bob", ends_in_s=EXPIRED)
        with pytest.raises(Unauthenticated, match=r"credential\.unknown"):
            agent.check(context("demo.allow"))
        with pytest.raises(Unauthenticated, match=r"credential\.unknown"):
            next(bob.list())
        platform.renews("agent")
        platform.renews("bob")
        assert agent.check(context("demo.allow")).allowed
        list(bob.list())


def test_a_token_is_for_one_thing(platform: Platform) -> None:
    """What proves bob behind a call, or a machine, never logs bob in; nor the other way round."""
    with platform.agent() as agent, platform.reviewer("bob") as bob:
        platform.renews("bob", audience=EVIDENCE)
        with pytest.raises(Unauthenticated, match=r"credential\.unknown"):
            next(bob.list())
        platform.renews("bob", audience=CALLERS)
        with pytest.raises(Unauthenticated, match=r"credential\.unknown"):
            next(bob.list())
        for audience in (EVIDENCE, PEOPLE):
            platform.renews("agent", audience=audience)
            with pytest.raises(Unauthenticated, match=r"credential\.unknown"):
                agent.check(context("demo.allow"))


def test_whoever_the_file_is_of_now_is_who_acts(platform: Platform) -> None:
    with platform.agent() as agent:
        pending = agent.check(context("demo.approve", "of-whom")).pending
        assert pending is not None
        platform.writes("agent", (platform.home / "bob.token").read_text().strip())
        with pytest.raises(NotPermitted, match=r"person\.not_a_caller"):
            agent.check(context("demo.allow"))
        (platform.home / "agent.token").unlink()
        with pytest.raises(TokenFileError, match="cannot be read"):
            agent.check(context("demo.allow"))
