"""Proofs, delegations, emergencies, batches and doubts, through the flow and a real store."""

from __future__ import annotations

import dataclasses
import logging

import pytest

from countersign.errors import ExhaustedError, InvalidRequestError, RequestError
from countersign.flow import sweep
from countersign.flow.delegating import DelegateAsk
from countersign.flow.evidence import Evidence
from countersign.flow.parts import Limits, Quota
from countersign.model import (
    Account,
    Assurance,
    BreakGlass,
    ChannelId,
    Choice,
    Escalation,
    PersonId,
    Principal,
    Requirement,
    ReviewState,
    Stage,
    after,
)
from simulators.world import (
    ALICE,
    BOB,
    CAROL,
    DAVE,
    ERIN,
    OWNERS,
    PEOPLE,
    TENANT,
    World,
    caller,
    code,
    context,
    needs,
    person,
    voter,
)

ISSUER = "https://login.example"
AGENT = caller("agent", owners=["alice"], users=("mallory", "bob"), clients=("agent-client",))
OTHER = caller("other", owners=["alice"], users=("mallory",), clients=("other-client",))
MALLORY = person(
    "mallory",
    "data-owners",
    accounts=(Account(issuer=ISSUER, subject="00u-mallory"),),
    aliases=("mallory@example.com",),
)
GLASS = BreakGlass(groups=("security",))


@pytest.fixture
async def world(tmp_path):
    made = await opened(tmp_path)
    yield made
    await made.close()


async def opened(tmp_path, **limits):
    made = await World.open(tmp_path, limits=Limits(**limits))
    made.register(callers=(AGENT, OTHER), people=(*PEOPLE, MALLORY))
    return made


def actor(subject, issuer=ISSUER):
    return Account(issuer=issuer, subject=subject)


def by_mallory(**changes):
    """A context that names Mallory, and the token that proves it."""
    named = Principal(type="person", id="mallory")
    return context(AGENT, on_behalf_of=(named,), **changes)


def proof(**changes):
    values = {
        "pointer": "/on_behalf_of/0",
        "principal": Principal(type="person", id="mallory"),
        "account": Account(issuer=ISSUER, subject="00u-mallory"),
        "client": "agent-client",
    }
    return Evidence(**(values | changes))


async def refusal(attempt) -> str:
    with pytest.raises(RequestError) as refused:
        await attempt
    return refused.value.code


# --- who is behind it ---------------------------------------------------------------


async def test_without_a_proof_everybody_who_drives_the_agent_is_excluded(world):
    review = await world.opened(by_mallory(), AGENT)
    assert set(review.excluded) == {"alice", "mallory", "bob"}
    assert review.requester is None
    assert await refusal(world.vote(BOB, review.id)) == "vote.self_approval"
    assert world.policy.asked[-1]["verified"]["person"] is None


async def test_with_a_proof_only_she_and_the_owners_are_and_her_colleague_approves(world):
    review = await world.opened(by_mallory(), AGENT, evidence=proof())
    assert set(review.excluded) == {"alice", "mallory"}
    assert review.requester == "mallory"
    assert world.policy.asked[-1]["verified"]["person"] == "mallory"
    assert await refusal(world.vote(MALLORY, review.id)) == "vote.self_approval"
    assert await refusal(world.vote(ALICE, review.id)) == "vote.self_approval"
    assert (await world.vote(BOB, review.id)).state is ReviewState.APPROVED
    claimed = await world.claim(review.id, by_mallory(), AGENT)
    assert claimed.review.state is ReviewState.CLAIMED, "the Check's proof holds at the claim"
    assert world.policy.asked[-1]["verified"]["person"] == "mallory"
    first = next(each for each in await world.records() if each["kind"] == "decision")
    assert first["chain"]["proven"] == "mallory"
    assert "00u-mallory" not in str(await world.records())


@pytest.mark.parametrize(
    ("evidence", "why"),
    [
        (proof(client="other-client"), "evidence.other_client"),
        (proof(client=""), "evidence.other_client"),
        (proof(actors=(actor("somebody"),)), "evidence.other_client"),
        (proof(actors=(actor("agent-client", "https://x"),)), "evidence.other_client"),
        (proof(account=Account(issuer=ISSUER, subject="00u-nobody")), "requester.unresolved"),
        (proof(principal=Principal(type="person", id="bob")), "evidence.mismatch"),
    ],
)
async def test_a_proof_that_is_not_of_this_call_is_denied_and_excludes_nobody_less(
    world, evidence, why
):
    named = context(AGENT, on_behalf_of=(evidence.principal,))
    answer = await world.check(named, AGENT, evidence=evidence)
    assert code(answer) == why
    assert answer.review is None


async def test_an_exchanged_token_counts_by_its_actor_and_earlier_actors_are_excluded(world):
    exchanged = proof(client="", actors=(actor("agent-client"), actor("carol")))
    review = await world.opened(by_mallory(), AGENT, evidence=exchanged)
    assert set(review.excluded) == {"alice", "mallory", "carol"}


async def test_a_proof_by_somebody_else_later_excludes_both(world):
    review = await world.opened(by_mallory(), AGENT, evidence=proof())
    again = await world.check(by_mallory(), AGENT)
    assert again.review.id == review.id
    assert set(again.review.excluded) == {"alice", "mallory", "bob"}


async def test_who_answers_for_the_requester_cannot_decide_afterwards(world):
    review = await world.opened(by_mallory(), AGENT, evidence=proof())
    asked = await world.flow.ask_info(
        voter(CAROL), review.id, revision=1, question="why?", request_id="q"
    )
    answered = await world.flow.answer(
        AGENT, review.id, question_id=asked.thread[0].id, text="because", request_id="a"
    )
    assert set(answered.excluded) == {"alice", "mallory", "bob"}
    assert await refusal(world.vote(BOB, review.id)) == "vote.self_approval"
    assert (await world.vote(CAROL, review.id)).state is ReviewState.APPROVED


async def test_a_proven_answer_excludes_only_who_gave_it_and_a_named_one_everybody(world):
    async def answered(evidence, **named):
        review = await world.opened(
            by_mallory(arguments={"n": world.request_id()}),
            AGENT,
            evidence=proof(),
        )
        asked = await world.flow.ask_info(
            voter(CAROL), review.id, revision=1, question="?", request_id=world.request_id()
        )
        return await world.flow.answer(
            AGENT,
            review.id,
            question_id=asked.thread[0].id,
            text="so",
            request_id=world.request_id(),
            evidence=evidence,
            **named,
        )

    proven = await answered(proof())
    assert "bob" not in proven.excluded
    named = await answered(None, answered_by=Principal(type="person", id="erin"))
    assert {"bob", "erin"} <= set(named.excluded)
    with pytest.raises(InvalidRequestError) as unknown:
        await answered(None, answered_by=Principal(type="person", id="nobody"))
    assert unknown.value.code == "requester.unresolved"


# --- floods ---------------------------------------------------------------------------


async def test_one_person_has_only_so_many_open_reviews_whatever_the_caller(tmp_path):
    world = await opened(tmp_path, max_open_reviews_behind=1)
    first = await world.opened(by_mallory(), AGENT, evidence=proof())
    through_another = context(
        OTHER, on_behalf_of=(Principal(type="person", id="mallory"),), action="db.drop"
    )
    refused = await world.check(through_another, OTHER, evidence=proof(client="other-client"))
    assert code(refused) == "review.too_many_open"
    assert "person" in refused.decision.reasons[0].message
    instead = await world.check(
        by_mallory(action="db.read"), AGENT, evidence=proof(), supersedes=first.id
    )
    assert instead.review.state is ReviewState.PENDING, "one in another's place is not one more"
    await world.close()


async def test_a_tenant_has_a_quota_of_its_own(tmp_path):
    world = await opened(tmp_path, quotas={TENANT: Quota(max_open_reviews=1)})
    await world.opened(context(AGENT), AGENT)
    refused = await world.check(context(OTHER), OTHER)
    assert code(refused) == "review.too_many_open"
    assert "tenant" in refused.decision.reasons[0].message
    await world.close()


async def test_requests_of_a_proven_person_are_counted_across_callers(world):
    spent = []

    def spend(tenant, who):
        if len(spent) == 2:
            raise ExhaustedError("person.rate", "too many")
        spent.append((tenant, who))

    world.flow.parts = world.parts = dataclasses.replace(world.parts, spend_for=spend)
    for _ in range(2):
        await world.check(by_mallory(), AGENT, evidence=proof())
    assert spent == [(TENANT, "mallory")] * 2
    assert await refusal(world.check(by_mallory(), AGENT, evidence=proof())) == "person.rate"
    assert (await world.check(by_mallory(), AGENT)).review is not None


# --- doubts about who votes ---------------------------------------------------------------


async def test_a_new_account_waits_before_it_decides_and_what_was_there_first_does_not(tmp_path):
    world = await opened(tmp_path, new_account_wait_s=600)
    old, new = "token:old", "account:new"
    await world.store.apply(lambda tx: tx.put_proofs(TENANT, {PersonId("bob"): {old}}))
    world.clock.advance(60)
    await world.store.apply(lambda tx: tx.put_proofs(TENANT, {PersonId("bob"): {old, new}}))
    world.register(people=(*PEOPLE,))
    review = await world.opened(context())

    assert await refusal(world.vote(voter(BOB, proof=new), review.id)) == "vote.account_too_new"
    denied = world.vote(voter(BOB, proof=new), review.id, Choice.DENY)
    assert await refusal(denied) == "vote.account_too_new"
    assert await refusal(world.vote(voter(BOB, proof="account:unknown"), review.id)) == (
        "vote.account_too_new"
    )
    lend = DelegateAsk(
        delegate=PersonId("erin"),
        starts_at=None,
        ends_at=after(world.clock(), 3600),
        reason="",
        request_id="d",
    )
    assert await refusal(world.flow.delegate(voter(BOB, proof=new), lend)) == "vote.account_too_new"
    world.clock.advance(600)
    assert (await world.vote(voter(BOB, proof=new), review.id)).state is ReviewState.APPROVED
    other = await world.opened(context(action="db.other"))
    assert (await world.vote(voter(BOB, proof=old), other.id)).state is ReviewState.APPROVED
    await world.close()


async def test_a_new_channel_waits_too_whomever_it_asserts(tmp_path):
    world = await opened(tmp_path, new_account_wait_s=600)
    book = {PersonId("bob"): {"account:bob"}}
    await world.store.apply(lambda tx: tx.put_proofs(TENANT, book))
    book |= {PersonId("channel:teams"): {"token:teams"}}
    await world.store.apply(lambda tx: tx.put_proofs(TENANT, book))
    world.register(people=PEOPLE)
    review = await world.opened(context())
    through = voter(
        BOB,
        proof="account:bob",
        assurance=Assurance.CHANNEL,
        channel=ChannelId("teams"),
        channel_proof="token:teams",
    )
    assert await refusal(world.vote(through, review.id)) == "vote.account_too_new"
    world.clock.advance(600)
    assert (await world.vote(through, review.id)).state is ReviewState.APPROVED
    await world.close()


async def test_a_stale_directory_approves_nothing_and_loses_nothing(world):
    review = await world.opened(context(AGENT), AGENT)
    approved = await world.opened(context(AGENT, action="db.other"), AGENT)
    await world.vote(CAROL, approved.id)
    world.source.age = 301.0
    assert await refusal(world.vote(CAROL, review.id)) == "directory.stale"
    claim = await world.claim(approved.id, context(AGENT, action="db.other"), AGENT)
    assert code(claim) == "directory.stale"
    assert claim.decision.retryable
    assert claim.review.state is ReviewState.APPROVED
    world.source.age = 1.0
    again = await world.claim(approved.id, context(AGENT, action="db.other"), AGENT)
    assert again.review.state is ReviewState.CLAIMED
    world.source.age = 301.0
    denied = await world.vote(CAROL, review.id, Choice.DENY)
    assert denied.state is ReviewState.DENIED, "to deny is always safe"


async def test_a_token_that_the_requester_has_seen_does_not_decide(world):
    review = await world.opened(context(AGENT), AGENT)
    made_by = {"token:made-by-mallory": PersonId("mallory"), "token:by-erin": PersonId("erin")}
    world.source.current = Seen(world.directory, made_by)
    through_hers = voter(CAROL, channel_proof="token:made-by-mallory")
    assert await refusal(world.vote(through_hers, review.id)) == "vote.token_known"
    stolen = voter(CAROL, proof="token:made-by-mallory")
    assert await refusal(world.vote(stolen, review.id)) == "vote.token_known"
    fine = voter(CAROL, proof="token:by-erin")
    assert (await world.vote(fine, review.id)).state is ReviewState.APPROVED


class Seen:
    """A directory in which some proofs were shown to somebody when they were made."""

    def __init__(self, directory, made_by):
        self._directory, self._made_by = directory, made_by

    def __getattr__(self, name):
        return getattr(self._directory, name)

    def shown_to(self, tenant, proof):
        return self._made_by.get(proof) if tenant == TENANT else None


async def test_an_account_that_somebody_behind_the_agent_registered_proves_nothing(world):
    plain = world.directory
    world.source.current = Seen(plain, {proof().proof: PersonId("bob")})
    answer = await world.check(by_mallory(), AGENT, evidence=proof())
    assert code(answer) == "evidence.account_known"
    world.source.current = Seen(plain, {proof().proof: PersonId("erin")})
    assert (await world.opened(by_mallory(), AGENT, evidence=proof())).requester == "mallory"


async def test_an_account_that_is_new_proves_nobody_yet(tmp_path):
    world = await opened(tmp_path, new_account_wait_s=600)
    book = {PersonId("mallory"): {"token:old"}}
    await world.store.apply(lambda tx: tx.put_proofs(TENANT, book))
    book = {PersonId("mallory"): {"token:old", proof().proof}}
    await world.store.apply(lambda tx: tx.put_proofs(TENANT, book))
    refused = await world.check(by_mallory(), AGENT, evidence=proof())
    assert code(refused) == "evidence.account_too_new"
    assert refused.review is None
    world.clock.advance(600)
    assert (await world.opened(by_mallory(), AGENT, evidence=proof())).requester == "mallory"
    await world.close()


async def test_what_mallory_could_have_lent_in_carols_name_is_not_lent(world):
    world.source.current = Seen(world.directory, {"token:by-mallory": PersonId("mallory")})
    review = await world.opened(context(AGENT), AGENT)
    given = await world.flow.delegate(voter(CAROL, proof="token:by-mallory"), lend(world))
    assert given.known_to == ("mallory",)
    assert await refusal(world.vote(ERIN, review.id)) == "review.not_found"
    await world.flow.delegate(voter(CAROL), lend(world))
    assert (await world.vote(ERIN, review.id)).state is ReviewState.APPROVED


# --- escalation -----------------------------------------------------------------------------


async def test_the_sweeper_asks_more_people_and_puts_it_on_record(world):
    later = Escalation(after_s=600, groups=("security",))
    stage = Stage(name="owner", groups=("data-owners",), escalate=(later,))
    world.policy.says(needs(stage))
    review = await world.opened(context(AGENT), AGENT)
    assert await refusal(world.vote(DAVE, review.id)) == "review.not_found"
    first = len(await world.records())
    world.clock.advance(600)
    assert await sweep.fire_due(world.parts) == 1
    assert await world.kinds(first) == ["review.escalated"]
    assert (await world.records(first))[0]["review_state"]["escalated"] == [1]
    assert await sweep.fire_due(world.parts) == 0
    assert (await world.vote(DAVE, review.id)).state is ReviewState.APPROVED
    assert (await world.claim(review.id, context(AGENT), AGENT)).review.state is ReviewState.CLAIMED


# --- delegation -------------------------------------------------------------------------------


def lend(world, to=ERIN, *, starts_s=None, ends_s=3600, **changes):
    now = world.clock()
    values = {
        "delegate": to.id,
        "starts_at": None if starts_s is None else after(now, starts_s),
        "ends_at": after(now, ends_s),
        "reason": "on leave, call 4111 1111 1111 1111",
        "request_id": world.request_id(),
    }
    return DelegateAsk(**(values | changes))


async def test_standing_is_lent_for_a_time_used_once_and_on_record(world):
    review = await world.opened(context(AGENT), AGENT)
    first = len(await world.records())
    given = await world.flow.delegate(voter(CAROL), lend(world))
    assert given.delegator == "carol"
    assert "4111" not in given.reason
    approved = await world.vote(ERIN, review.id)
    assert approved.votes[0].delegated_by == "carol"
    assert (await world.kinds(first)) == ["delegation.given", "vote"]
    vote = (await world.records(first))[1]
    assert vote["review_state"]["votes"][0]["delegated_by"] == "carol"
    claimed = await world.claim(review.id, context(AGENT), AGENT)
    assert claimed.review.state is ReviewState.CLAIMED


async def test_a_delegation_begins_and_ends_when_it_says(world):
    review = await world.opened(context(AGENT), AGENT)
    given = await world.flow.delegate(voter(CAROL), lend(world, starts_s=60, ends_s=120))
    assert await refusal(world.vote(ERIN, review.id)) == "review.not_found"
    world.clock.advance(120)
    assert await refusal(world.vote(ERIN, review.id)) == "review.not_found"
    assert given.id not in {each.id for each in await world.flow.delegations(BOB)}

    current = await world.flow.delegate(voter(CAROL), lend(world))
    assert (await world.flow.get(ERIN, review.id)).id == review.id
    other = world.flow.end_delegation(voter(BOB), current.id, request_id="x")
    assert await refusal(other) == "delegation.not_found"
    ended = await world.flow.end_delegation(voter(CAROL), current.id, request_id="y")
    assert ended.ended_at is not None
    assert await refusal(world.vote(ERIN, review.id)) == "review.not_found"
    assert (await world.kinds())[-1] == "delegation.ended"


async def test_a_delegation_that_makes_no_sense_is_refused_with_the_field(world):
    for ask, field in [
        (lend(world, CAROL), "delegate_id"),
        (lend(world, person("nobody")), "delegate_id"),
        (lend(world, ends_s=-1), "ends_at"),
        (lend(world, starts_s=100, ends_s=99), "ends_at"),
        (lend(world, ends_s=31 * 86_400), "ends_at"),
    ]:
        with pytest.raises(InvalidRequestError) as wrong:
            await world.flow.delegate(voter(CAROL), ask)
        assert wrong.value.field == field
    same = lend(world)
    once = await world.flow.delegate(voter(CAROL), same)
    assert await world.flow.delegate(voter(CAROL), same) == once
    reused = dataclasses.replace(same, reason="another")
    assert await refusal(world.flow.delegate(voter(CAROL), reused)) == "request_id.reused"


async def test_who_gives_too_many_delegations_is_told_and_a_server_may_forbid_them(tmp_path, world):
    for _ in range(20):
        await world.flow.delegate(voter(CAROL), lend(world))
    assert await refusal(world.flow.delegate(voter(CAROL), lend(world))) == "delegation.too_many"
    (tmp_path / "strict").mkdir()
    strict = await opened(tmp_path / "strict", max_delegation_s=0)
    assert await refusal(strict.flow.delegate(voter(CAROL), lend(strict))) == "delegation.disabled"
    await strict.close()


# --- batches ----------------------------------------------------------------------------------


async def test_several_reviews_are_approved_in_one_act_each_on_its_own(world):
    world.policy.says(needs(batch=True))
    ids = [(await world.opened(context(AGENT, action=f"db.a{n}"), AGENT)).id for n in range(3)]
    world.policy.says(needs())
    alone = await world.opened(context(AGENT, action="db.alone"), AGENT)
    asks = [await world.vote_ask(each, request_id="batch-1") for each in (*ids, alone.id)]
    asks[1] = dataclasses.replace(asks[1], revision=2)
    first = len(await world.records())

    answers = await world.flow.batch(voter(CAROL), asks)

    outcomes = [getattr(each.outcome, "code", None) or each.outcome.state for each in answers]
    assert outcomes == [
        ReviewState.APPROVED,
        "vote.stale_revision",
        ReviewState.APPROVED,
        "vote.batch_not_allowed",
    ]
    assert sorted(await world.kinds(first)) == ["vote", "vote", "vote.refused", "vote.refused"]
    told = await world.records(first)
    assert all(each["vote"]["batch"] for each in told)
    again = await world.flow.batch(voter(CAROL), asks)
    assert again[0].outcome == answers[0].outcome


async def test_a_batch_is_bounded_and_names_each_review_once(world):
    world.policy.says(needs(batch=True))
    review = await world.opened(context(AGENT), AGENT)
    ask = await world.vote_ask(review.id, request_id="b")
    for asks in ([], [ask, ask], [ask] * 26):
        with pytest.raises(InvalidRequestError) as wrong:
            await world.flow.batch(voter(CAROL), asks)
        assert wrong.value.field == "items"


# --- break glass --------------------------------------------------------------------------------


async def test_the_glass_is_broken_aloud_and_stays_owed_until_somebody_else_closes_it(
    world, caplog
):
    world.policy.says(needs(break_glass=GLASS))
    review = await world.opened(context(AGENT), AGENT)
    ask = await world.vote_ask(review.id, reason="shop is down")
    through_channel = voter(DAVE, assurance=Assurance.CHANNEL, channel=ChannelId("teams"))
    assert await refusal(world.flow.break_glass(through_channel, ask)) == "vote.assurance"
    ask = dataclasses.replace(ask, request_id="glass-1")
    with caplog.at_level(logging.CRITICAL):
        broken = (await world.flow.break_glass(voter(DAVE), ask)).review
    assert "BREAK GLASS" in caplog.text
    assert "shop" not in caplog.text
    assert broken.state is ReviewState.APPROVED
    assert (await world.kinds())[-1] == "break_glass"
    assert (await world.claim(review.id, context(AGENT), AGENT)).review.state is ReviewState.CLAIMED

    assert [each.id for each in await world.flow.after_reviews(CAROL)] == [review.id]
    assert await world.flow.after_reviews(ERIN) == []
    close = {"justified": True, "note": "it was", "request_id": "c-1"}
    own = world.flow.close_after_review(voter(DAVE), review.id, **close)
    assert await refusal(own) == "after_review.own"
    chain = world.flow.close_after_review(voter(ALICE), review.id, **close)
    assert await refusal(chain) == "after_review.own"
    closed = await world.flow.close_after_review(voter(CAROL), review.id, **close)
    assert closed.after_review.closed_by == "carol"
    assert (await world.kinds())[-1] == "after_review.closed"
    assert await world.flow.after_reviews(CAROL) == []


async def test_mallory_with_every_right_there_is_cannot_break_her_own_glass(world):
    world.policy.says(needs(break_glass=BreakGlass(people=(PersonId("mallory"),))))
    review = await world.opened(by_mallory(), AGENT)
    ask = await world.vote_ask(review.id, reason="urgent")
    assert await refusal(world.flow.break_glass(voter(MALLORY), ask)) == "vote.self_approval"


# --- records ------------------------------------------------------------------------------------


async def test_a_vote_says_who_it_was_how_well_proven_and_through_what(world):
    review = await world.opened(context(AGENT), AGENT)
    through = voter(
        CAROL, assurance=Assurance.CHANNEL, channel=ChannelId("teams"), message_ref="19:abc;1"
    )
    voted = await world.vote(through, review.id)
    vote = (await world.records())[-1]["vote"]
    assert (vote["assurance"], vote["channel"], vote["message_ref"]) == (
        "channel",
        "teams",
        "19:abc;1",
    )
    assert vote["groups"] == ["data-owners"]
    assert voted.votes[0].channel == "teams"


async def test_the_requirement_on_record_is_complete(world):
    stage = Stage(
        name="o", groups=("data-owners",), escalate=(Escalation(after_s=1, groups=("security",)),)
    )
    world.policy.says(needs(stage, batch=True, break_glass=GLASS))
    await world.opened(context(AGENT), AGENT)
    created = next(each for each in await world.records() if each["kind"] == "review.created")
    fields = {field.name for field in dataclasses.fields(Requirement)}
    assert set(created["requirement"]) == fields
    assert created["requirement"]["stages"][0]["escalate"][0]["groups"] == ["security"]
    assert created["requirement"]["break_glass"]["groups"] == ["security"]
    assert OWNERS.name == "owner"
