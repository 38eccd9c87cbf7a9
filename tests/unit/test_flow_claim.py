"""Claim, as stories: what spends an approval, what ends it, what leaves it alone."""

from __future__ import annotations

import dataclasses
import json

import pytest

from countersign import permit
from countersign.errors import InvalidRequestError, NotFoundError, PreconditionError
from countersign.flow.parts import Floor, Limits
from countersign.model import SECOND_US, Durability, Effect, ReviewState
from simulators.world import (
    AGENT,
    ALICE,
    BOB,
    CALLERS,
    CAROL,
    GATEWAY,
    OWNERS,
    PEOPLE,
    SCOUT,
    SECURITY,
    START,
    STRANGER,
    World,
    allow,
    broken,
    code,
    context,
    deny,
    down,
    needs,
    person,
)


@pytest.fixture
async def world(tmp_path):
    made = await World.open(tmp_path)
    yield made
    await made.close()


async def test_an_approval_becomes_one_permit_for_exactly_that_context(world):
    review = await world.approved(context())
    answer = await world.claim(review.id, context())
    assert answer.decision.effect is Effect.ALLOW
    assert answer.review.state is ReviewState.CLAIMED
    verified = permit.verify(
        world.token(answer),
        world.permits.jwks(),
        issuer="https://countersign.test",
        audience="agent",
        context=context(),
        now_s=START // SECOND_US + 119,
    )
    assert verified.decision_id == answer.decision.id
    assert verified.seq == answer.decision.record.seq
    record = (await world.records())[-1]
    assert (record["kind"], record["permit"]["jti"]) == ("claim", answer.permit.id)
    assert json.dumps(record).find(answer.decision.salt.hex()) < 0


async def test_policy_is_told_at_the_claim_who_approved(world):
    review = await world.approved(context())
    await world.claim(review.id, context())
    at_check, at_claim = (asked["approval"] for asked in world.policy.asked)
    assert at_check is None
    assert at_claim["review"] == review.id
    assert [(v["person"], v["groups"]) for v in at_claim["votes"]] == [("bob", ["data-owners"])]


async def test_the_second_claim_is_refused_and_the_same_request_is_answered_again(world):
    review = await world.approved(context())
    first = await world.claim(review.id, context(), request_id="r")
    second = await world.claim(review.id, context())
    assert (second.decision.effect, code(second)) == (Effect.DENY, "claim.spent")
    assert second.permit is None
    world.policy.says(deny())
    world.clock.advance(300)
    again = await world.claim(review.id, context(), request_id="r")
    assert again.replayed
    assert world.token(again) == world.token(first)
    with pytest.raises(PreconditionError) as reused:
        await world.claim(review.id, context(reason="x"), request_id="r")
    assert reused.value.code == "request_id.reused"


async def test_a_changed_context_spends_nothing_and_policy_never_sees_it(world):
    review = await world.approved(context())
    asked = len(world.policy.asked)
    world.policy.says(deny())
    answer = await world.claim(review.id, context(arguments={"rows": 101}))
    assert (answer.decision.effect, code(answer)) == (Effect.DENY, "claim.mismatch")
    assert answer.decision.salt is None
    assert len(world.policy.asked) == asked
    assert await world.review(review.id) == review
    world.policy.says(needs())
    assert (await world.claim(review.id, context())).permit is not None


@pytest.mark.parametrize(("fault", "retryable"), [(down(), True), (broken(), False)])
async def test_policy_that_cannot_be_asked_changes_nothing(world, fault, retryable):
    review = await world.approved(context())
    world.policy.says(fault)
    answer = await world.claim(review.id, context(), request_id="r")
    assert (answer.decision.effect, code(answer)) == (Effect.DENY, fault.code)
    assert answer.decision.retryable is retryable
    assert await world.review(review.id) == review
    assert (await world.kinds())[-1] == "claim"
    world.policy.says(needs())
    again = await world.claim(review.id, context(), request_id="r")
    assert again.replayed is not retryable  # a passing fault is not bound to the request id
    assert (again.permit is not None) is retryable


async def test_todays_denial_revokes_with_the_rule_named(world):
    review = await world.approved(context())
    world.policy.says(deny())
    answer = await world.claim(review.id, context())
    assert (answer.decision.effect, code(answer)) == (Effect.DENY, "rule.never")
    assert answer.review.state is ReviewState.REVOKED
    assert answer.review.closed_reasons[0].code == "rule.never"
    assert (await world.kinds())[-2:] == ["claim", "review.closed"]
    world.policy.says(allow())
    assert code(await world.claim(review.id, context())) == "review.revoked"


async def test_todays_allow_needs_no_votes_to_hold(world):
    review = await world.approved(context())
    world.policy.says(allow())
    world.register(people=[dataclasses.replace(BOB, groups=frozenset()), *PEOPLE[:1], *PEOPLE[2:]])
    assert (await world.claim(review.id, context())).permit is not None


async def test_whoever_became_an_owner_after_voting_has_not_approved(world):
    review = await world.approved(context())
    world.register([dataclasses.replace(AGENT, owners=(ALICE.id, BOB.id)), *CALLERS[1:]])
    answer = await world.claim(review.id, context())
    assert (answer.decision.effect, code(answer)) == (Effect.DENY, "approval.insufficient")
    assert answer.review.state is ReviewState.REVOKED


@pytest.mark.parametrize(
    "people",
    [
        [ALICE, CAROL, *PEOPLE[3:]],
        [ALICE, person("bob", "security"), CAROL, *PEOPLE[3:]],
    ],
    ids=["left", "moved"],
)
async def test_whoever_left_the_group_has_not_approved(world, people):
    review = await world.approved(context())
    world.register(people=people)
    answer = await world.claim(review.id, context())
    assert code(answer) == "approval.insufficient"
    assert 'stage "owner"' in answer.decision.reasons[0].message
    assert answer.review.state is ReviewState.REVOKED


@pytest.mark.parametrize(
    "today",
    [
        needs(SECURITY),
        needs(dataclasses.replace(OWNERS, quorum=2)),
        needs(exclude=("bob",)),
        needs(must_show=("/arguments",)),
        needs(require_reason=True),
    ],
    ids=["stage", "quorum", "exclusion", "must-show", "reason"],
)
async def test_votes_must_meet_what_policy_demands_today(world, today):
    review = await world.approved(context())
    world.policy.says(today)
    assert code(await world.claim(review.id, context())) == "approval.insufficient"


async def test_policy_may_shorten_the_use_of_what_is_approved_already(world):
    review = await world.approved(context())
    world.policy.says(needs(use_within_s=60))
    world.clock.advance(60)
    assert code(await world.claim(review.id, context())) == "approval.insufficient"


async def test_floors_of_today_hold_at_the_claim(tmp_path):
    floors = {}
    world = await World.open(tmp_path, limits=Limits(floors=floors))
    review = await world.approved(context())
    floors["*"] = Floor(least_quorum=2)
    assert code(await world.claim(review.id, context())) == "policy.invalid"
    assert (await world.review(review.id)).state is ReviewState.APPROVED, "a fault spends nothing"
    await world.close()


async def test_a_demand_for_locked_records_that_cannot_be_kept_ends_it(world):
    review = await world.approved(context())
    world.policy.says(needs(durability=Durability.LOCKED))
    answer = await world.claim(review.id, context())
    assert code(answer) == "audit.not_lockable"
    assert answer.review.state is ReviewState.REVOKED


# --- who claims --------------------------------------------------------------------------


async def test_only_the_gateway_executes_what_policy_gives_to_it(world):
    world.policy.says(needs(claim_by=("gateway",)))
    review = await world.approved(context())
    refused = await world.claim(review.id, context())
    assert (refused.decision.effect, code(refused)) == (Effect.DENY, "claim.wrong_claimant")
    assert await world.review(review.id) == review
    granted = await world.claim(review.id, context(), GATEWAY)
    assert granted.permit.audience == "gateway"
    assert granted.permit.caller == "gateway"
    assert granted.review.claimant == "gateway"


async def test_a_claimant_that_policy_names_only_today_cannot_see_the_review(world):
    review = await world.approved(context())
    world.policy.says(needs(claim_by=("gateway",)))
    with pytest.raises(NotFoundError):
        await world.claim(review.id, context(), GATEWAY)
    assert code(await world.claim(review.id, context())) == "claim.wrong_claimant"


@pytest.mark.parametrize("somebody", [SCOUT, STRANGER], ids=["caller", "tenant"])
async def test_to_others_the_review_is_like_one_that_never_was(world, somebody):
    review = await world.approved(context())
    told = []
    for name in (review.id, "rev_0"):
        with pytest.raises(NotFoundError) as unknown:
            await world.claim(name, context(somebody), somebody)
        told.append(str(unknown.value))
    assert told[0] == told[1]
    assert await world.review(review.id) == review


async def test_a_claimant_names_no_audience_but_its_own(world):
    review = await world.approved(context())
    with pytest.raises(InvalidRequestError):
        await world.claim(review.id, context(), audience="gateway")
    assert (await world.claim(review.id, context(), audience="agent")).permit is not None


async def test_when_the_requester_is_gone_nothing_is_granted(world):
    world.policy.says(needs(claim_by=("gateway",)))
    review = await world.approved(context())
    world.register(CALLERS[1:])
    answer = await world.claim(review.id, context(), GATEWAY)
    assert (answer.decision.effect, code(answer)) == (Effect.DENY, "caller.not_registered")
    assert answer.permit is None
    assert await world.review(review.id) == review


async def test_when_the_requester_lost_its_scope_the_approval_ends_with_that_reason(world):
    review = await world.approved(context())
    narrow = dataclasses.replace(AGENT, environments=("staging",))
    world.register([narrow, *CALLERS[1:]])
    answer = await world.claim(review.id, context(), narrow)
    assert code(answer) == "context.not_permitted"
    assert answer.review.state is ReviewState.REVOKED
    assert answer.review.closed_reasons[0].code == "context.not_permitted"


# --- when ----------------------------------------------------------------------------------


async def test_nothing_is_claimed_before_it_is_approved(world):
    review = await world.opened(context())
    assert code(await world.claim(review.id, context())) == "claim.not_approved"
    assert await world.review(review.id) == review


async def test_an_approval_lapses_at_its_use_by_though_nobody_swept(world):
    review = await world.approved(context())
    world.clock.advance(300)
    answer = await world.claim(review.id, context())
    assert code(answer) == "review.lapsed"
    assert answer.review.state is ReviewState.LAPSED
    assert (await world.kinds())[-2:] == ["review.closed", "claim"]


async def test_a_clock_that_is_set_back_gives_no_time_back(world):
    review = await world.approved(context())
    world.clock.advance(300)
    assert world.store.now() == world.clock.now
    world.clock.advance(-200)
    assert code(await world.claim(review.id, context())) == "review.lapsed"
