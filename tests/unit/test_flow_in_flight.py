"""Many Checks at the same moment add up as they do one after the other."""

from __future__ import annotations

import asyncio

import pytest

from countersign.flow.in_flight import MAX_SUM, InFlight, together
from countersign.model import CallerId, Effect, TenantId
from simulators.world import World, context, needs
from simulators.world import allow as allowed

TENANT, CALLER = TenantId("default"), CallerId("agent")


def begin(flying, action="db.export", caller=CALLER, tenant=TENANT):
    return flying.begin(tenant, caller, action)


def test_each_is_told_of_those_that_began_before_it_and_are_not_decided():
    flying = InFlight()
    with begin(flying) as first:
        assert first.add(10, 1) == {"checks": 0, "allow": 0, "rows": 0, "amount": 0}
        with begin(flying) as second:
            assert second.add(5, 2) == {"checks": 1, "allow": 1, "rows": 10, "amount": 1}
        with begin(flying) as third:
            assert third.add(7, 0) == {"checks": 1, "allow": 1, "rows": 10, "amount": 1}
    with begin(flying) as alone:
        assert alone.add(1, 1)["checks"] == 0


def test_what_ends_badly_or_was_never_asked_counts_no_more():
    flying = InFlight()

    def fails():
        with begin(flying) as broken:
            broken.add(10, 10)
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fails()
    with begin(flying), begin(flying) as later:
        assert later.add(0, 0)["checks"] == 0
    assert flying._sums == {}


def test_other_callers_actions_and_tenants_are_counted_apart():
    flying = InFlight()
    with begin(flying) as first:
        first.add(10, 10)
        for other in (
            begin(flying, action="db.read"),
            begin(flying, caller=CallerId("other")),
            begin(flying, tenant=TenantId("other")),
        ):
            with other as flight:
                assert flight.add(0, 0)["checks"] == 0


def test_sums_stay_what_json_can_carry():
    others = {"checks": 1, "allow": 1, "rows": MAX_SUM, "amount": 3}
    counts = {"checks": 2, "allow": 1, "deny": 4, "rows": 5, "amount": 6}
    assert together(counts, others) == {
        "checks": 3,
        "allow": 2,
        "deny": 4,
        "rows": MAX_SUM,
        "amount": 9,
    }
    assert together(counts, {}) == counts


async def test_a_hundred_at_once_are_told_of_each_other(tmp_path):
    """Policy lets ten of an action through, whenever they come."""
    world = await World.open(tmp_path)
    decide = world.policy.decide

    async def ten_a_day(query, **more):
        await asyncio.sleep(0)  # everybody else gets as far as this
        world.policy.says(allowed())
        answer = await decide(query, **more)
        return answer if world.policy.asked[-1]["recent"]["day"]["allow"] < 10 else needs()

    world.policy.decide = ten_a_day
    answers = await asyncio.gather(
        *(world.check(context(arguments={"n": n}), create_review=False) for n in range(100))
    )
    effects = [answer.decision.effect for answer in answers]
    assert effects.count(Effect.ALLOW) == 10
    told = sorted(asked["recent"]["day"]["checks"] for asked in world.policy.asked)
    assert told == list(range(100))
    assert world.parts.in_flight._sums == {}
    await world.close()
