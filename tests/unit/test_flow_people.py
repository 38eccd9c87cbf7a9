"""What people do, as stories: see, vote, ask and revoke, as themselves and nobody else."""

from __future__ import annotations

import asyncio
import dataclasses
import json

import pytest

from countersign.errors import (
    NotFoundError,
    NotPermittedError,
    PreconditionError,
    RequestError,
)
from countersign.model import Choice, ReviewState
from countersign.store.protocol import MAX_RECORD_BYTES
from simulators.world import (
    AGENT,
    ALICE,
    BOB,
    CALLERS,
    CAROL,
    DAVE,
    ERIN,
    OWNERS,
    PEOPLE,
    SCOUT,
    SECURITY,
    TENANT,
    ZOE,
    World,
    context,
    needs,
    person,
    voter,
)


@pytest.fixture
async def world(tmp_path):
    made = await World.open(tmp_path)
    yield made
    await made.close()


async def refusal(attempt) -> str:
    """Why an attempt is refused."""
    with pytest.raises(RequestError) as refused:
        await attempt
    return refused.value.code


def ask(world, who, review, question="Why now?", **changes):
    values = {"revision": review.revision, "question": question, "request_id": world.request_id()}
    return world.flow.ask_info(voter(who), review.id, **(values | changes))


def revoke(world, who, review, reason="on second thoughts", **changes):
    values = {"reason": reason, "request_id": world.request_id()} | changes
    return world.flow.revoke(voter(who), review.id, **values)


# --- who sees -------------------------------------------------------------------------


async def test_only_whom_it_concerns_sees_a_review(world):
    review = await world.opened(context())
    assert (await world.flow.get(BOB, review.id)).id == review.id  # may approve
    assert (await world.flow.get(ALICE, review.id)).id == review.id  # answers for the agent
    unseen = [(DAVE, review.id), (ERIN, review.id), (ZOE, review.id), (BOB, "rev_0")]
    told = set()
    for who, name in unseen:
        with pytest.raises(NotFoundError) as unknown:
            await world.flow.get(who, name)
        told.add(str(unknown.value))
    assert len(told) == 1


async def test_acting_on_what_one_cannot_see_is_like_acting_on_nothing(world):
    review = await world.opened(context())
    records = await world.records()
    for attempt in (
        world.vote(ERIN, review.id),
        ask(world, ERIN, review),
        revoke(world, ERIN, review),
        revoke(world, ZOE, review),
    ):
        assert await refusal(attempt) == "review.not_found"
    assert await world.review(review.id) == review
    assert await world.records() == records


async def test_a_list_holds_what_its_reader_may_see_page_by_page(world):
    mine = [(await world.opened(context(arguments={"n": n}))).id for n in range(3)]
    world.policy.says(needs(SECURITY))
    await world.opened(context(SCOUT), SCOUT)
    first, more = await world.flow.list_visible(BOB, [ReviewState.PENDING], after="", limit=2)
    rest, end = await world.flow.list_visible(BOB, [ReviewState.PENDING], after=more, limit=2)
    assert [review.id for review in (*first, *rest)] == mine[::-1]
    assert end == ""
    none, _ = await world.flow.list_visible(BOB, [ReviewState.DENIED], after="", limit=2)
    assert none == []


# --- who votes -------------------------------------------------------------------------


async def test_a_vote_is_recorded_with_what_was_seen(world):
    review = await world.opened(context())
    approved = await world.vote(BOB, review.id, reason="checked with jane.doe@example.com")
    assert approved.state is ReviewState.APPROVED
    record = (await world.records())[-1]
    assert (record["kind"], record["vote"]["person"]) == ("vote", "bob")
    assert record["vote"]["preview_hash"] == review.previews["reviewer"].hash
    assert record["vote"]["assurance"] == "person"
    assert "jane.doe" not in json.dumps(record)
    created = (await world.records())[1]
    assert record["vote"]["requirement_hash"] == created["requirement_hash"]


async def test_a_refused_vote_is_recorded_before_its_sender_learns_of_it(world):
    review = await world.opened(context())
    with pytest.raises(NotPermittedError) as refused:
        await world.vote(ALICE, review.id, reason="I am jane.doe@example.com")
    record = (await world.records())[-1]
    assert (record["kind"], record["vote"]["person"]) == ("vote.refused", "alice")
    assert record["refusal"]["code"] == refused.value.code == "vote.self_approval"
    assert "jane.doe" not in json.dumps(record)
    assert await world.review(review.id) == review


async def test_a_preview_that_never_was_is_not_recorded_in_its_senders_words(world):
    """32 bytes and a name have room for an address."""
    review = await world.opened(context())
    said = {"profile": "078-05-1120", "preview_hash": b"jane.doe@mail.example.com".hex()}
    for change in ({**said}, {"preview_hash": said["preview_hash"]}):
        vote = world.vote(BOB, review.id, **change)
        assert await refusal(vote) == "vote.preview_mismatch"
        recorded = (await world.records())[-1]["vote"]
        assert "preview_hash" not in recorded
        assert recorded.get("profile", "reviewer") == "reviewer"


async def test_whoever_owns_the_requester_by_now_cannot_vote(world):
    review = await world.opened(context())
    world.register([dataclasses.replace(AGENT, owners=(BOB.id,)), *CALLERS[1:]])
    for choice in Choice:
        assert await refusal(world.vote(BOB, review.id, choice)) == "vote.self_approval"
    assert await refusal(ask(world, BOB, review)) == "vote.self_approval"
    world.register()  # and never can again
    assert await refusal(world.vote(BOB, review.id)) == "vote.self_approval"
    assert (await world.vote(CAROL, review.id)).state is ReviewState.APPROVED


async def test_a_vote_cast_before_owning_the_requester_no_longer_counts(world):
    world.policy.says(needs(dataclasses.replace(OWNERS, quorum=2)))
    review = await world.opened(context())
    await world.vote(BOB, review.id)
    frank = person("frank", "data-owners")
    world.register(
        [dataclasses.replace(AGENT, owners=(ALICE.id, BOB.id)), *CALLERS[1:]], [*PEOPLE, frank]
    )
    assert (await world.vote(CAROL, review.id)).state is ReviewState.PENDING
    assert (await world.vote(frank, review.id)).state is ReviewState.APPROVED


async def test_whoever_left_the_group_cannot_vote_and_whoever_joined_can(world):
    review = await world.opened(context())
    moved = [person("bob"), person("erin", "data-owners")]
    world.register(people=[p for p in PEOPLE if p.id not in ("bob", "erin")] + moved)
    assert await refusal(world.vote(moved[0], review.id)) == "review.not_found"
    assert (await world.vote(moved[1], review.id)).state is ReviewState.APPROVED


async def test_a_replay_shows_nothing_to_somebody_who_may_no_longer_see(world):
    review = await world.opened(context())
    asked = {"question": "Why?", "revision": 1, "request_id": "r"}
    assert (await world.flow.ask_info(voter(CAROL), review.id, **asked)).thread
    world.register(people=[p for p in PEOPLE if p.id != "carol"] + [person("carol")])
    again = world.flow.ask_info(voter(CAROL), review.id, **asked)
    assert await refusal(again) == "review.not_found"


async def test_the_same_vote_again_is_one_vote_and_another_is_told_so(world):
    world.policy.says(needs(dataclasses.replace(OWNERS, quorum=2)))
    review = await world.opened(context())
    first = await world.vote(BOB, review.id, request_id="r")
    again = await world.vote(BOB, review.id, request_id="r")
    assert again == first
    for other in ({"choice": Choice.DENY}, {"reason": "x"}, {"revision": 2}):
        attempt = world.vote(BOB, review.id, **({"request_id": "r"} | other))
        assert await refusal(attempt) == "request_id.reused"
    # An id belongs to its sender: Carol's is another one.
    assert (await world.vote(CAROL, review.id, request_id="r")).state is ReviewState.APPROVED


async def test_a_refused_vote_is_judged_again_when_things_have_changed(world):
    world.policy.says(needs(OWNERS, SECURITY))
    review = await world.opened(context())
    attempt = {"request_id": "r"}
    assert await refusal(world.vote(DAVE, review.id, **attempt)) == "vote.not_your_stage"
    await world.vote(BOB, review.id)
    assert (await world.vote(DAVE, review.id, **attempt)).state is ReviewState.APPROVED


async def test_of_two_votes_at_once_one_decides_and_the_other_comes_too_late(world):
    review = await world.opened(context())
    results = await asyncio.gather(
        world.vote(BOB, review.id),
        world.vote(CAROL, review.id, Choice.DENY),
        return_exceptions=True,
    )
    assert sum(isinstance(result, PreconditionError) for result in results) == 1
    assert len((await world.review(review.id)).votes) == 1
    assert (await world.kinds())[2:].count("vote.refused") == 1


async def test_a_seat_that_is_taken_already_needs_nobody_else(world):
    # Bob's stage opens again when he becomes an owner; Dave's seat stays taken, so Carol
    # may take Bob's: Erin is enough for what is left of security.
    carol = person("carol", "data-owners", "security")
    erin = person("erin", "security")
    people = [ALICE, BOB, carol, DAVE, erin, person("frank", "data-owners"), *PEOPLE[5:]]
    world.register(people=people)
    world.policy.says(needs(OWNERS, dataclasses.replace(SECURITY, quorum=2)))
    review = await world.opened(context())
    await world.vote(BOB, review.id)
    await world.vote(DAVE, review.id)
    owned = dataclasses.replace(AGENT, owners=(ALICE.id, BOB.id))
    world.register([owned, *CALLERS[1:]], people)
    assert (await world.vote(carol, review.id)).state is ReviewState.PENDING
    assert (await world.vote(erin, review.id)).state is ReviewState.APPROVED


async def test_many_long_reasons_do_not_stop_a_review(world):
    voters = [person(f"voter-{n}", "data-owners") for n in range(10)]
    world.register(people=[*PEOPLE, *voters])
    world.policy.says(needs(dataclasses.replace(OWNERS, quorum=10)))
    review = await world.opened(context())
    for who in voters:
        review = await world.vote(who, review.id, reason="it looks right to me " * 190)
    assert review.state is ReviewState.APPROVED
    stored = await world.store.records(TENANT, 0, 100)
    assert max(len(record.body) for record in stored) <= MAX_RECORD_BYTES
    state = json.loads(stored[-1].body)["review_state"]
    assert state["state"] == "approved"
    kept = dict(await world.store.objects(TENANT, 100))[state["votes"]["object"]]
    assert len(json.loads(kept)) == 10


# --- questions and second thoughts ---------------------------------------------------------


async def test_a_question_is_sanitized_and_put_once(world):
    review = await world.opened(context())
    asked = await ask(world, BOB, review, "Is jane.doe@example.com in it?", request_id="r")
    again = await ask(world, BOB, review, "Is jane.doe@example.com in it?", request_id="r")
    assert asked.state is ReviewState.INFO_REQUESTED
    assert len(again.thread) == 1
    assert "jane.doe" not in again.thread[0].question
    assert "jane.doe" not in json.dumps(await world.records())
    assert await refusal(ask(world, BOB, review, "Another?", request_id="r")) == "request_id.reused"


async def test_an_approver_takes_an_approval_back_and_it_cannot_be_claimed(world):
    review = await world.approved(context())
    revoked = await revoke(world, CAROL, review, "not today, jane.doe@example.com")
    assert revoked.state is ReviewState.REVOKED
    assert "jane.doe" not in revoked.closed_reasons[0].message
    answer = await world.claim(review.id, context())
    assert answer.decision.reasons[0].code == "review.revoked"
    closed = (await world.records())[-2]
    assert (closed["kind"], closed["revocation"]["person"]) == ("review.closed", "carol")


async def test_nothing_is_revoked_that_is_not_an_unspent_approval(world):
    review = await world.opened(context())
    assert await refusal(revoke(world, BOB, review)) == "review.not_approved"
    await world.vote(BOB, review.id)
    assert await refusal(revoke(world, ALICE, review)) == "vote.self_approval"
    await world.claim(review.id, context())
    assert await refusal(revoke(world, BOB, review)) == "review.not_approved"
