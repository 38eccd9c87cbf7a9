"""A proof by an account that was added just now proves nothing, to policy and for an answer too."""

from __future__ import annotations

import pytest

from countersign.credentials import proof_of_account
from countersign.errors import InvalidRequestError
from countersign.flow.evidence import Evidence
from countersign.flow.parts import Limits
from countersign.model import Account, Effect, PersonId, Principal
from simulators.world import (
    CAROL,
    PEOPLE,
    TENANT,
    World,
    allow,
    caller,
    code,
    context,
    deny,
    needs,
    person,
    voter,
)

ISSUER = "https://login.example"
WAIT_S = 600
AGENT = caller("agent", owners=["alice"], users=("mallory", "bob"), clients=("agent-client",))
ACCOUNTS = {name: Account(issuer=ISSUER, subject=f"00u-{name}") for name in ("mallory", "erin")}
TOWN = [each for each in PEOPLE if each.id not in ACCOUNTS] + [
    person(name, accounts=(account,)) for name, account in ACCOUNTS.items()
]


@pytest.fixture
async def world(tmp_path):
    made = await World.open(tmp_path, limits=Limits(new_account_wait_s=WAIT_S))
    made.register(callers=(AGENT,), people=TOWN)
    await add_accounts(made)
    made.clock.advance(60)
    yield made
    await made.close()


async def add_accounts(world, *names):
    """Whose accounts are registered from now on; carol's way in was there at first."""
    proofs = {PersonId("carol"): {voter(CAROL).proof}} | {
        PersonId(name): {proof_of_account(ISSUER, ACCOUNTS[name].subject)} for name in names
    }
    await world.store.apply(lambda tx: tx.put_proofs(TENANT, proofs))


def proof(name):
    return Evidence(
        pointer="/on_behalf_of/0",
        principal=Principal(type="person", id=name),
        account=ACCOUNTS[name],
        client="agent-client",
    )


def by_mallory():
    return context(AGENT, on_behalf_of=(Principal(type="person", id="mallory"),))


async def test_policy_grants_nothing_to_a_person_whom_a_new_account_proves(world):
    """Policy was told who it is; an ALLOW that rests on that is none."""
    await add_accounts(world, "mallory")
    for says in (allow(), needs()):
        world.policy.says(says)
        refused = await world.check(by_mallory(), AGENT, evidence=proof("mallory"))
        assert (refused.decision.effect, code(refused)) == (
            Effect.DENY,
            "evidence.account_too_new",
        )
        assert refused.review is None
    world.policy.says(deny())
    refused = await world.check(by_mallory(), AGENT, evidence=proof("mallory"))
    assert code(refused) == "rule.never", "policy's own reason is told"
    world.policy.says(allow())
    world.clock.advance(WAIT_S)
    allowed = await world.check(by_mallory(), AGENT, evidence=proof("mallory"))
    assert allowed.decision.effect is Effect.ALLOW


async def test_a_new_account_does_not_prove_that_somebody_else_answered(world):
    """Whoever can drive the agent would answer in another's name, and decide afterwards."""
    await add_accounts(world, "mallory")
    world.clock.advance(WAIT_S)
    review = await world.opened(by_mallory(), AGENT, evidence=proof("mallory"))
    assert set(review.excluded) == {"alice", "mallory"}
    await add_accounts(world, "mallory", "erin")
    asked = await world.flow.ask_info(
        voter(CAROL), review.id, revision=1, question="why?", request_id="q"
    )

    async def answer():
        return await world.flow.answer(
            AGENT,
            review.id,
            question_id=asked.thread[0].id,
            text="because",
            request_id="a",
            evidence=proof("erin"),
        )

    with pytest.raises(InvalidRequestError) as refused:
        await answer()
    assert refused.value.code == "evidence.account_too_new"
    assert refused.value.field == "answered_by"
    assert (await world.review(review.id)).revision == 1
    world.clock.advance(WAIT_S)
    answered = await answer()
    # Erin is none of the agent's users: that she answered spares none of them.
    assert set(answered.excluded) == {"alice", "bob", "mallory", "erin"}
