"""What may happen waits for its record; what cannot be recorded does not happen."""

import asyncio

import pytest

from countersign.errors import LogError, UnavailableError
from countersign.flow.activity import LogAsk
from countersign.flow.parts import Limits
from countersign.flow.requester import ReportAsk
from countersign.model import Choice, Durability, Effect, Outcome, ReviewState
from simulators.world import AGENT, BOB, CAROL, World, allow, context, deny, needs

LATE_S = 0.05


class Locks:
    """A sink's locks, in the hands of a test."""

    def __init__(self):
        self.asked = []
        self.open = asyncio.Event()
        self.broken = False
        self.room = {"essential": True, "more": True}

    async def published(self, tenant, seq):
        self.asked.append((tenant, seq))
        if self.broken:
            raise LogError("log.not_locked", "the lock is not what it was to be")
        await self.open.wait()

    def has_room(self, _tenant, *, essential):
        return self.room["essential" if essential else "more"]


@pytest.fixture
def locks():
    return Locks()


@pytest.fixture
async def world(tmp_path, locks):
    limits = Limits(lock_deadline_s=LATE_S)
    made = await World.open(tmp_path, limits=limits, lockable=True, keeper=locks)
    yield made
    await made.close()


def locked():
    return needs(durability=Durability.LOCKED)


# --- locked ---------------------------------------------------------------------------


async def test_a_permit_is_given_when_its_record_is_locked(world, locks):
    world.policy.says(locked())
    review = await world.approved(context())
    assert locks.asked == []  # only what lets something happen waits
    locks.open.set()
    answer = await world.claim(review.id, context())
    assert answer.decision.effect is Effect.ALLOW
    assert locks.asked == [("acme", answer.decision.record.seq)]


@pytest.mark.parametrize("broken", [False, True], ids=["late", "broken"])
async def test_a_claim_without_its_lock_is_spent_unreleased_and_collected_later(
    world, locks, broken
):
    world.policy.says(locked())
    review = await world.approved(context())
    locks.broken = broken
    with pytest.raises(UnavailableError, match="same request_id") as late:
        await world.claim(review.id, context(), request_id="r1")
    assert late.value.code == "audit.unavailable"
    assert (await world.review(review.id)).state is ReviewState.CLAIMED
    again = await world.claim(review.id, context(), request_id="r2")  # nobody else gets it
    assert again.decision.effect is Effect.DENY
    with pytest.raises(UnavailableError):
        await world.claim(review.id, context(), request_id="r1")
    locks.broken = False
    locks.open.set()
    collected = await world.claim(review.id, context(), request_id="r1")
    assert collected.replayed
    assert world.token(collected)


async def test_denials_and_durable_answers_wait_for_nothing(world, locks):
    world.policy.says(needs())
    review = await world.approved(context())
    assert (await world.claim(review.id, context())).permit
    world.policy.says(deny())
    await world.check(context(action="db.drop"))
    assert locks.asked == []


async def test_a_service_that_locks_everything_waits_for_every_allow(tmp_path, locks):
    limits = Limits(lock_deadline_s=LATE_S, durability=Durability.LOCKED)
    world = await World.open(tmp_path, limits=limits, lockable=True, keeper=locks)
    world.policy.says(allow())
    with pytest.raises(UnavailableError):
        await world.check(context(), request_id="r1")
    locks.open.set()
    assert (await world.check(context(), request_id="r1")).replayed
    world.policy.says(needs())
    review = await world.approved(context())
    assert (await world.claim(review.id, context())).permit
    assert len(locks.asked) == 3
    await world.close()


# --- room -----------------------------------------------------------------------------


async def test_without_room_nothing_is_let_through_and_denials_are_recorded(world, locks):
    locks.open.set()
    review = await world.approved(context())
    waiting = await world.opened(context(action="db.copy"))
    locks.room["more"] = False
    before = len(await world.records())
    for attempt in (
        world.check(context(action="db.read")),
        world.claim(review.id, context()),
        world.vote(BOB, waiting.id),
        world.flow.log(
            AGENT,
            LogAsk(type="t", content="x", session="", decision_id=None, request_id="r"),
        ),
    ):
        with pytest.raises(UnavailableError) as refused:
            await attempt
        assert refused.value.code == "audit.unavailable"
    assert len(await world.records()) == before
    denied = await world.vote(CAROL, waiting.id, Choice.DENY)
    assert denied.state is ReviewState.DENIED
    world.policy.says(deny())
    assert (await world.check(context(action="db.drop"))).decision.effect is Effect.DENY


async def test_outcomes_are_recorded_as_long_as_there_is_any_room(world, locks):
    locks.open.set()
    review = await world.approved(context())
    permit = (await world.claim(review.id, context())).permit
    locks.room["more"] = False
    ask = ReportAsk(
        permit_id=permit.id,
        decision_id=None,
        outcome=Outcome.SUCCEEDED,
        detail={},
        request_id="r1",
    )
    await world.flow.report(AGENT, ask)
    locks.room["essential"] = False
    with pytest.raises(UnavailableError):
        await world.flow.report(AGENT, ask)
    world.policy.says(deny())
    with pytest.raises(UnavailableError):
        await world.check(context(action="db.drop"))
