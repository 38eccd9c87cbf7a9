"""BatchCheck: each item is answered, recorded and limited as though it came alone."""

from __future__ import annotations

import asyncio

import pytest

from countersign.errors import InvalidRequestError, RequestError
from countersign.flow import checking_many
from countersign.flow.answer import Answer
from countersign.flow.asking import CheckAsk
from countersign.flow.parts import Limits
from countersign.model import Effect
from simulators.world import (
    AGENT,
    BOB,
    DEADLINE_S,
    World,
    allow,
    broken,
    context,
    deny,
    down,
    needs,
)


@pytest.fixture
async def world(tmp_path):
    made = await World.open(tmp_path)
    yield made
    await made.close()


async def batch(world: World, *asks: CheckAsk | RequestError) -> list[checking_many.Outcome]:
    return list(await world.flow.check_many(AGENT, asks, deadline_s=DEADLINE_S))


def ask(action: str, **options) -> CheckAsk:
    changes = options.pop("changes", {})
    return CheckAsk(context=context(action=action, **changes), **options)


def effects(outcomes) -> list[object]:
    return [o.decision.effect if isinstance(o, Answer) else o.code for o in outcomes]


def codes(outcome) -> list[str]:
    return [reason.code for reason in outcome.decision.reasons]


async def test_each_gets_its_own_answer_in_its_own_place(world):
    script = {"a.allow": allow(), "a.deny": deny(), "a.people": needs(), "a.down": down()}
    for action, answer in (script | {"a.broken": broken()}).items():
        world.policy.says(answer, action)
    order = ["a.deny", "a.people", "a.allow", "a.down", "a.broken", "a.allow", "a.deny"]
    outcomes = await batch(world, *(ask(action) for action in order))
    assert [o.decision.action for o in outcomes] == order
    expected = {"a.allow": Effect.ALLOW, "a.people": Effect.NEEDS_APPROVAL}
    assert effects(outcomes) == [expected.get(action, Effect.DENY) for action in order]
    assert codes(outcomes[3]) == ["policy.unavailable"]
    assert outcomes[3].decision.retryable
    assert codes(outcomes[4]) == ["policy.invalid"]
    assert outcomes[1].review is not None
    assert world.policy.batches == [len(order)]


async def test_each_has_a_record_of_its_own_that_a_single_check_would_have(world):
    world.policy.says(allow())
    outcomes = await batch(world, *(ask("db.read", trace=f"t{n}") for n in range(5)))
    seqs = [o.decision.record.seq for o in outcomes]
    assert seqs == list(range(seqs[0], seqs[0] + 5))
    alone = await world.check(context(action="db.read"), request_id="", trace="t5")
    records = await world.records(seqs[0])
    assert [set(record) for record in records] == [set(records[-1])] * 6
    assert [record["trace"] for record in records] == [f"t{n}" for n in range(6)]
    assert len({o.decision.commitment for o in outcomes}) == 5
    assert alone.decision.record.seq == seqs[-1] + 1


async def test_what_cannot_be_read_or_may_not_be_asked_is_an_error_of_its_own(world):
    world.policy.says(allow())
    unread = InvalidRequestError("context.arguments_json", "is no JSON")
    first, second, third, fourth = await batch(
        world,
        ask("db.read"),
        unread,
        ask("db.read", permit_audience="kim@example.org"),
        ask("db.read", changes={"environment": "moon"}),
    )
    assert first.decision.effect is Effect.ALLOW
    assert second is unread
    assert third.field == "permit_audience"
    assert fourth.decision.effect is Effect.DENY
    assert world.policy.batches == [1]


async def test_a_request_id_gets_the_same_answer_from_a_batch_and_alone(world):
    world.policy.says(allow())
    alone = await world.check(context(action="db.read"), request_id="once")
    same, again, other, reused = await batch(
        world,
        ask("db.read", request_id="once"),
        ask("db.read", request_id="twice"),
        ask("db.read", request_id="twice"),
        ask("db.write", request_id="once"),
    )
    assert (same.replayed, same.decision.id) == (True, alone.decision.id)
    assert (again.replayed, other.replayed) == (False, True)
    assert again.decision.id == other.decision.id
    assert reused.code == "request_id.reused"


async def test_the_same_context_twice_is_one_review(world):
    first, second = await batch(world, ask("db.export"), ask("db.export"))
    assert (first.reused, second.reused) == (False, True)
    assert first.review.id == second.review.id
    await world.vote(BOB, first.review.id)
    claimed = await world.claim(first.review.id, context())
    assert claimed.decision.effect is Effect.ALLOW


async def test_those_before_it_count_for_each_as_though_they_were_allowed(world):
    world.policy.says(allow())
    changes = {"arguments": {"row_count": 60}}
    await batch(world, *(ask("db.export", changes=changes) for _ in range(5)))
    told = [asked["recent"]["hour"]["checks"] for asked in world.policy.asked]
    assert told == [0, 1, 2, 3, 4]
    assert world.parts.in_flight._sums == {}
    await world.check(context(action="db.export"))
    assert world.policy.asked[-1]["recent"]["hour"]["checks"] == 5


async def test_the_limit_of_open_reviews_holds_within_a_batch(tmp_path):
    world = await World.open(tmp_path, limits=Limits(max_open_reviews=2))
    asks = [ask("db.export", changes={"arguments": {"rows": n}}) for n in range(4)]
    outcomes = await batch(world, *asks)
    assert effects(outcomes) == [Effect.NEEDS_APPROVAL] * 2 + [Effect.DENY] * 2
    assert codes(outcomes[3]) == ["review.too_many_open"]
    await world.close()


async def test_a_batch_of_none_or_too_many_is_refused_whole(world):
    for count in (0, checking_many.MAX_ITEMS + 1):
        with pytest.raises(InvalidRequestError) as refused:
            await batch(world, *(ask("db.read") for _ in range(count)))
        assert refused.value.field == "items"
    assert world.policy.asked == []


async def test_others_have_their_turn_within_a_batch(world):
    """A single Check that comes after a batch of fifty is not the fifty-first."""
    world.policy.says(allow())
    turns = []

    async def others() -> None:
        while True:
            turns.append(len(world.policy.asked))
            await asyncio.sleep(0)

    busy = asyncio.create_task(others())
    await batch(world, *(ask("db.read") for _ in range(50)))
    busy.cancel()
    assert len(turns) > 50 // checking_many.AT_A_TIME
