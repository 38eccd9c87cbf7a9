"""What was decided is offered to a candidate policy, and differs only on record."""

from __future__ import annotations

import dataclasses
import json

import pytest

from countersign.audit.fields import unknown
from countersign.flow import shadowing
from countersign.flow.asking import CheckAsk
from countersign.flow.service import Flow
from countersign.model import DecisionId, Effect
from countersign.policy.protocol import ShadowDifference, ShadowSaid, Trial
from countersign.waiters import Waiters
from simulators.world import AGENT, BOB, DEADLINE_S, TENANT, World, allow, broken, context, down

SECRET = "kim@example.org"
FOUND = ShadowDifference(
    tenant=TENANT,
    decision=DecisionId("dec_1"),
    live=ShadowSaid(effect=Effect.ALLOW, codes=("rule.open",), revision="r1"),
    candidate=ShadowSaid(effect=Effect.DENY, codes=("rule.shut",), revision="r2"),
    changed=("effect", "reasons"),
)


class Candidate:
    """`ShadowPoint` that keeps what it is offered."""

    def __init__(self, world: World) -> None:
        self.offered: list[Trial] = []
        world.parts = dataclasses.replace(world.parts, shadow=self)
        world.flow = Flow(world.parts, Waiters())

    def offer(self, trial: Trial) -> None:
        self.offered.append(trial)


class Full:
    """A log without room for what nobody needs."""

    def has_room(self, tenant, *, essential: bool) -> bool:
        return essential


@pytest.fixture
async def world(tmp_path):
    made = await World.open(tmp_path)
    yield made
    await made.close()


async def test_every_verb_that_asks_policy_offers_what_it_decided_and_what_was_asked(world):
    candidate = Candidate(world)
    checked = await world.check(context())
    await world.vote(BOB, checked.review.id)
    claimed = await world.claim(checked.review.id, context())
    asks = [CheckAsk(context=context(action=f"a.{n}")) for n in range(3)]
    batch = await world.flow.check_many(AGENT, asks, deadline_s=DEADLINE_S)
    answers = [checked, claimed, *batch]
    assert [trial.decision for trial in candidate.offered] == [a.decision.id for a in answers]
    documents = [json.loads(trial.input_json) for trial in candidate.offered]
    assert documents == world.policy.asked
    assert documents[1]["approval"]["review"] == checked.review.id
    assert {trial.revision for trial in candidate.offered} == {"r1"}
    assert SECRET not in repr(candidate.offered)


async def test_a_replay_a_refusal_of_ours_and_a_passing_fault_are_not_offered(world):
    world.policy.says(allow())
    candidate = Candidate(world)
    await world.check(context(), request_id="once")
    await world.check(context(), request_id="once")
    await world.check(context(environment="moon"))
    world.policy.says(down())
    await world.check(context())
    assert len(candidate.offered) == 1
    world.policy.says(broken())
    await world.check(context())
    assert len(candidate.offered) == 2


async def test_what_policy_itself_said_is_offered_not_what_was_made_of_it(world):
    """A candidate is compared with policy: what code refuses besides is no difference."""
    world.policy.says(allow())
    candidate = Candidate(world)
    unread = context(arguments={"sql": "x" * 3_000_000})
    answer = await world.check(unread)
    assert answer.decision.effect is Effect.DENY
    assert candidate.offered[0].said.effect is Effect.ALLOW


async def test_a_difference_is_a_record_of_two_answers_and_nothing_else(world):
    assert await shadowing.recorded(world.store, None, FOUND)
    (record,) = await world.records()
    assert record["kind"] == "policy.shadow"
    assert record["decision"] == "dec_1"
    assert record["shadow"] == {
        "changed": ["effect", "reasons"],
        "live": {"effect": "allow", "codes": ["rule.open"], "revision": "r1"},
        "candidate": {"effect": "deny", "codes": ["rule.shut"], "revision": "r2"},
    }
    assert unknown(record) == []
    assert set(record) == {
        *("schema", "log_id", "seq", "time", "kind", "tenant", "decision", "shadow"),
    }


async def test_a_log_that_is_nearly_full_takes_no_differences(world):
    assert not await shadowing.recorded(world.store, Full(), FOUND)
    assert await world.records() == []
