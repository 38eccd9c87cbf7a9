"""Who has seen a token could be the one using it: what that takes from votes, calls and words."""

from __future__ import annotations

import asyncio
import dataclasses
import logging

import pytest

from countersign.errors import RequestError
from countersign.flow import sweep
from countersign.flow.asking import CheckAsk
from countersign.flow.evidence import Evidence
from countersign.model import (
    Account,
    Assurance,
    BreakGlass,
    Escalation,
    PersonId,
    Principal,
    ReviewState,
    Stage,
)
from simulators.world import (
    BOB,
    CAROL,
    DAVE,
    DEADLINE_S,
    OWNERS,
    PEOPLE,
    World,
    caller,
    code,
    context,
    needs,
    person,
    voter,
)

ISSUER = "https://login.example"
AGENT = caller("agent", owners=["alice"], users=("sam",), clients=("agent-client",))
MALLORY = person("mallory", "data-owners")
TWO = dataclasses.replace(OWNERS, quorum=2)
HERS = PersonId("mallory")


@pytest.fixture
async def world(tmp_path):
    made = await World.open(tmp_path)
    carol = dataclasses.replace(CAROL, accounts=(Account(issuer="https://other", subject="c-1"),))
    sam = person("sam", accounts=(Account(issuer=ISSUER, subject="sam-1"),))
    others = [each for each in PEOPLE if each.id not in {"carol", "sam"}]
    made.register(callers=(AGENT,), people=(*others, carol, sam, MALLORY))
    yield made
    await made.close()


async def refusal(attempt) -> str:
    with pytest.raises(RequestError) as refused:
        await attempt
    return refused.value.code


async def test_whoever_had_seen_the_callers_token_is_excluded_though_it_is_revoked_by_now(world):
    ask = CheckAsk(context=context(AGENT), request_id="r-1", made_by=HERS)
    answer = await world.flow.check(AGENT, ask, deadline_s=DEADLINE_S)
    assert "mallory" in answer.review.excluded
    assert await refusal(world.vote(MALLORY, answer.review.id)) == "vote.self_approval"
    again = dataclasses.replace(ask, request_id="r-2", made_by=PersonId("bob"))
    wider = await world.flow.check(AGENT, again, deadline_s=DEADLINE_S)
    assert {"mallory", "bob"} <= set(wider.review.excluded)
    (told,) = [each for each in await world.records() if each["kind"] == "review.updated"]
    assert told["excluded"] == ["bob"], "the record names whom it excludes"


async def test_a_vote_remembers_who_knew_its_token_when_the_call_came(world):
    review = await world.opened(context(AGENT), AGENT)
    voted = await world.vote(voter(CAROL, made_by=HERS), review.id)
    assert voted.votes[0].known_to == ("mallory",)
    assert (await world.records())[-1]["vote"]["known_to"] == ["mallory"]
    asked_again = CheckAsk(context=context(AGENT), request_id="r", made_by=HERS)
    await world.flow.check(AGENT, asked_again, deadline_s=DEADLINE_S)
    claimed = await world.claim(review.id, context(AGENT), AGENT)
    assert code(claimed) == "approval.insufficient", "it may have been hers, and she asks by now"


async def test_one_operator_is_one_person_whoevers_tokens_she_made(world):
    world.policy.says(needs(TWO))
    review = await world.opened(context(AGENT), AGENT)
    await world.vote(MALLORY, review.id)
    as_bob = voter(BOB, made_by=HERS)
    assert await refusal(world.vote(as_bob, review.id)) == "vote.token_known"
    assert (await world.vote(BOB, review.id)).state is ReviewState.APPROVED

    other_way = await world.opened(context(AGENT, action="db.other"), AGENT)
    await world.vote(as_bob, other_way.id)
    as_carol = voter(CAROL, made_by=HERS)
    assert await refusal(world.vote(as_carol, other_way.id)) == "vote.token_known"
    assert await refusal(world.vote(MALLORY, other_way.id)) == "vote.duplicate"
    assert (await world.vote(CAROL, other_way.id)).state is ReviewState.APPROVED


async def test_a_token_that_somebody_else_knows_is_no_proof_of_a_person(world):
    world.policy.says(
        needs(min_assurance=Assurance.PERSON, break_glass=BreakGlass(groups=("security",)))
    )
    review = await world.opened(context(AGENT), AGENT)
    assert await refusal(world.vote(voter(CAROL, made_by=HERS), review.id)) == "vote.assurance"
    ask = await world.vote_ask(review.id, reason="now")
    broken = world.flow.break_glass(voter(DAVE, made_by=HERS), ask)
    assert await refusal(broken) == "vote.assurance"


async def test_who_broke_the_glass_does_not_close_it_by_another_token_of_theirs(world, caplog):
    world.policy.says(needs(break_glass=BreakGlass(people=(HERS,))))
    review = await world.opened(context(AGENT), AGENT)
    ask = await world.vote_ask(review.id, reason="now")
    with caplog.at_level(logging.CRITICAL):
        first = await world.flow.break_glass(voter(MALLORY), ask)
        again = await world.flow.break_glass(voter(MALLORY), ask)
    assert (first.replayed, again.replayed) == (False, True)
    assert caplog.text.count("BREAK GLASS") == 1, "a replay breaks nothing"
    close = {"justified": True, "note": "fine", "request_id": "c"}
    hers = voter(CAROL, made_by=HERS)
    closing = world.flow.close_after_review(hers, review.id, **close)
    assert await refusal(closing) == "after_review.own"
    closed = await world.flow.close_after_review(voter(CAROL), review.id, **close)
    assert closed.after_review.closed_by == "carol"


async def test_what_a_channel_calls_its_message_is_sanitized(world):
    review = await world.opened(context(AGENT), AGENT)
    through = voter(CAROL, message_ref="mailto:jane.doe@example.com")
    await world.vote(through, review.id)
    assert "jane.doe@example.com" not in str(await world.records())


def proof(*actors: Account) -> Evidence:
    return Evidence(
        pointer="/on_behalf_of/0",
        principal=Principal(type="person", id="sam"),
        account=Account(issuer=ISSUER, subject="sam-1"),
        client="agent-client",
        actors=actors,
    )


async def test_earlier_actors_are_excluded_wherever_they_are_known(world):
    present = Account(issuer=ISSUER, subject="agent-client")
    exchanged = proof(present, Account(issuer="https://other", subject="c-1"))
    named = context(AGENT, on_behalf_of=(Principal(type="person", id="sam"),))
    review = await world.opened(named, AGENT, evidence=exchanged)
    assert "carol" in review.excluded
    elsewhere = (Account(issuer="https://other", subject="agent-client"),)
    foreign = dataclasses.replace(exchanged, actors=elsewhere)
    assert code(await world.check(named, AGENT, evidence=foreign)) == "evidence.other_client"

    plain = await world.opened(
        dataclasses.replace(named, action="db.other"), AGENT, evidence=proof()
    )
    asked = await world.flow.ask_info(
        voter(BOB), plain.id, revision=1, question="?", request_id="q"
    )
    answered = await world.flow.answer(
        AGENT,
        plain.id,
        question_id=asked.thread[0].id,
        text="so",
        request_id="a",
        evidence=exchanged,
        made_by=HERS,
    )
    assert {"carol", "sam", "alice", "mallory"} <= set(answered.excluded)
    answers = [each for each in await world.records() if "answer" in each]
    assert (answers[0]["answer"]["answered_by"], answers[0]["answer"]["proven"]) == ("sam", True)


async def test_the_same_request_with_another_proof_is_another_request(world):
    named = context(AGENT, on_behalf_of=(Principal(type="person", id="sam"),))
    await world.opened(named, AGENT, evidence=proof(), request_id="same")
    assert await refusal(world.check(named, AGENT, request_id="same")) == "request_id.reused"


async def test_claims_sent_at_once_are_told_of_each_other(world):
    contexts = [context(AGENT, action="pay", arguments={"amount": 900, "n": n}) for n in range(3)]
    reviews = [await world.opened(each, AGENT) for each in contexts]
    for review in reviews:
        await world.vote(BOB, review.id)
    world.policy.asked.clear()
    pairs = zip(reviews, contexts, strict=True)
    await asyncio.gather(*(world.claim(r.id, c, AGENT) for r, c in pairs))
    amounts = sorted(each["recent"]["hour"]["amount"] for each in world.policy.asked)
    assert amounts == [0, 900, 1800]


async def test_a_step_of_today_counts_only_where_its_time_had_come(world):
    step = Escalation(after_s=10, groups=("security",))
    soon = Stage(name="o", groups=("nobody",), escalate=(step,))
    world.policy.says(needs(soon))
    review = await world.opened(context(AGENT), AGENT)
    world.clock.advance(11)
    await sweep.fire_due(world.parts)
    await world.vote(DAVE, review.id)
    late = dataclasses.replace(soon, escalate=(dataclasses.replace(step, after_s=86_400),))
    world.policy.says(needs(late))
    assert code(await world.claim(review.id, context(AGENT), AGENT)) == "approval.insufficient"
