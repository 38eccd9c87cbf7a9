"""How reviews reach people, as stories of bots that lease, post, die and come back."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from countersign.cards import Address, Audience, Delivered
from countersign.directory import Directory
from countersign.errors import ExhaustedError, NotFoundError, PreconditionError
from countersign.flow.delivering import LEASE_S, Acknowledged
from countersign.flow.evidence import Evidence
from countersign.flow.requester import ReportAsk
from countersign.flow.sweep import fire_due
from countersign.flow.voter import Voter
from countersign.model import (
    Account,
    Assurance,
    Channel,
    ChannelId,
    Choice,
    Conversation,
    Escalation,
    Outcome,
    Principal,
    ReviewState,
    Stage,
    TenantId,
)
from simulators.world import (
    AGENT,
    BOB,
    CALLERS,
    CAROL,
    DAVE,
    OWNERS,
    PEOPLE,
    SECURITY,
    TENANT,
    World,
    context,
    needs,
)

CONTOSO = "teams:contoso"
DATA = Conversation(name="data-approvals", id="19:data@thread.tacv2")
BOT = Channel(tenant=TENANT, id=ChannelId("teams"), issuers=(CONTOSO,), conversations=(DATA,))
OTHER_BOT = Channel(tenant=TENANT, id=ChannelId("teams-2"), issuers=("teams:fabrikam",))
THEIR_BOT = Channel(tenant=TenantId("other"), id=ChannelId("teams"), issuers=(CONTOSO,))
IN_CHANNEL = Address.of_conversation(DATA.id)


def of(who) -> Address:
    return Address(issuer=CONTOSO, subject=f"oid-{who.id}")


def reachable(people=PEOPLE):
    return [
        dataclasses.replace(each, accounts=(Account(issuer=CONTOSO, subject=f"oid-{each.id}"),))
        if each.tenant == TENANT
        else each
        for each in people
    ]


class Town:
    """A world with a bot in it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.flow = world.flow

    async def installs(self, *where: Address, channel: Channel = BOT, installed=True) -> None:
        for address in where:
            await self.flow.put_endpoint(
                channel, address, installed=installed, reference=f"to {address.subject}"
            )

    async def leases(self, channel: Channel = BOT, most: int = 50):
        return await self.flow.lease(channel, max_cards=most, max_wait_s=0)

    async def told(self, delivery, result=Delivered.SHOWN, channel: Channel = BOT, **said) -> bool:
        values = {"message_id": f"m-{delivery.shown.card.id}"} | said
        return await self.flow.acknowledge(
            channel,
            Acknowledged(
                card=delivery.shown.card.id, lease=delivery.lease.id, result=result, **values
            ),
        )

    async def delivers(self, channel: Channel = BOT) -> dict[Address, ReviewState]:
        """A bot that works: everything due is shown."""
        shown = {}
        for delivery in await self.leases(channel):
            assert await self.told(delivery, channel=channel)
            shown[delivery.shown.card.address] = delivery.review.state
        return shown


@pytest.fixture
async def town(tmp_path):
    world = await World.open(tmp_path)
    world.source.current = Directory.of(CALLERS, reachable(), (), [BOT, OTHER_BOT, THEIR_BOT])
    yield Town(world)
    await world.close()


def people_of(deliveries) -> list[str]:
    return [each.shown.card.person or each.shown.card.address.subject for each in deliveries]


# --- who gets a card -------------------------------------------------------------------


async def test_whom_the_open_stage_asks_is_reached_alone_and_nobody_of_the_chain(town):
    await town.installs(*map(of, PEOPLE))
    review = await town.world.opened(context())  # alice owns the agent
    found = await town.leases()
    assert people_of(found) == ["bob", "carol"]
    for delivery in found:
        assert delivery.shown.card.audience is Audience.APPROVER
        assert delivery.shown.reference == f"to oid-{delivery.shown.card.person}"
        assert delivery.review.id == review.id
        assert delivery.visible
    assert await town.leases() == []


async def test_a_named_conversation_is_shown_one_body_with_everybodys_masks(town):
    town.world.policy.says(
        needs(
            OWNERS,
            channel="teams:data-approvals",
            profiles={"data-owners": "reviewer", "*": "restricted"},
        )
    )
    await town.installs(IN_CHANNEL, *map(of, PEOPLE))
    review = await town.world.opened(context())
    (delivery,) = await town.leases()
    card = delivery.shown.card
    assert (card.audience, card.address, card.person) == (Audience.CONVERSATION, IN_CHANNEL, None)
    # Those who decide first, then alice, who owns the agent and is told that she cannot.
    viewers = [each.subject for each in delivery.shown.viewers]
    assert viewers == ["oid-bob", "oid-carol", "oid-alice"]
    await town.told(delivery)
    # On that body a vote through the channel counts, though bob may see more by himself.
    bot_says = {"profile": "restricted", "preview_hash": review.previews["restricted"].hash}
    voter = _through_the_bot(BOB)
    assert (await town.world.vote(voter, review.id, **bot_says)).state is ReviewState.APPROVED


def _through_the_bot(who):
    return Voter(
        person=who, assurance=Assurance.CHANNEL, proof="account", channel=BOT.id, channel_proof="t"
    )


async def test_by_ones_own_credential_only_ones_own_preview_can_be_decided_on(town):
    profiles = {"data-owners": "reviewer", "*": "restricted"}
    town.world.policy.says(needs(OWNERS, profiles=profiles))
    review = await town.world.opened(context())
    other = {"profile": "restricted", "preview_hash": review.previews["restricted"].hash}
    with pytest.raises(PreconditionError, match="another preview"):
        await town.world.vote(BOB, review.id, **other)


@pytest.mark.parametrize("installed", [True, False])
async def test_who_is_named_in_person_is_reached_besides_and_all_are_when_there_is_no_room(
    town, installed
):
    stage = Stage(name="owner", groups=("data-owners",), people=(DAVE.id,))
    town.world.policy.says(needs(stage, channel="teams:data-approvals"))
    await town.installs(*map(of, PEOPLE))
    await town.installs(IN_CHANNEL, installed=installed)
    await town.world.opened(context())
    everybody = ["bob", "carol", "dave"]
    assert people_of(await town.leases()) == ([DATA.id, "dave"] if installed else everybody)


async def test_without_a_channel_nothing_is_kept_and_nothing_waits(town):
    town.world.source.current = Directory.of(CALLERS, reachable())
    review = await town.world.opened(context())
    assert await town.leases() == []
    assert await town.world.store.cards_of(TENANT, review.id) == []


async def test_who_is_not_installed_is_named_and_gets_the_card_once_they_are(town):
    await town.installs(of(BOB))
    review = await town.world.opened(context())
    assert people_of(await town.leases()) == ["bob"]
    assert await town.flow.unreached(review) == ("carol",)
    await town.installs(of(CAROL))
    assert people_of(await town.leases()) == ["carol"]
    assert await town.flow.unreached(review) == ()


async def test_a_bot_that_finds_itself_removed_says_so_for_every_review(town):
    await town.installs(of(BOB))
    first = await town.world.opened(context())
    second = await town.world.opened(context(arguments={"rows": 2}))
    one, two = await town.leases()
    await town.told(one, Delivered.NOT_INSTALLED, detail="403")
    await town.told(two, Delivered.NOT_INSTALLED, detail="403")
    third = await town.world.opened(context(arguments={"rows": 3}))
    assert await town.leases() == []
    for review in (first, second, third):
        assert "bob" in await town.flow.unreached(review)


# --- what a card shows -----------------------------------------------------------------


async def test_every_card_shows_the_end_and_then_the_outcome(town):
    await town.installs(*map(of, PEOPLE))
    world, asked = town.world, context()
    review = await world.opened(asked)
    assert set((await town.delivers()).values()) == {ReviewState.PENDING}
    await world.vote(BOB, review.id)
    assert await town.delivers() == {of(BOB): ReviewState.APPROVED, of(CAROL): ReviewState.APPROVED}
    granted = await world.claim(review.id, asked)
    assert set((await town.delivers()).values()) == {ReviewState.CLAIMED}
    report = ReportAsk(
        permit_id=granted.permit.id,
        decision_id=None,
        outcome=Outcome.SUCCEEDED,
        detail={"rows": 1204},
        request_id="r",
    )
    reported = await world.flow.report(AGENT, report)
    for delivery in await town.leases():
        told = delivery.review
        assert (told.outcome, told.outcome_detail) == (Outcome.SUCCEEDED, '{"rows":1204}')
        assert told.outcome_seq == reported.record.seq
        assert told.ended_at == world.clock.now
        await town.told(delivery)
    assert await town.leases() == []


async def test_what_changed_between_lease_and_word_is_shown_next(town):
    await town.installs(of(BOB))
    review = await town.world.opened(context())
    (posted,) = await town.leases()
    await town.world.vote(CAROL, review.id, Choice.DENY)
    assert await town.leases() == [], "one process at a time"
    assert await town.told(posted)
    assert await town.delivers() == {of(BOB): ReviewState.DENIED}
    assert await town.leases() == []


async def test_what_was_decided_before_it_was_posted_is_not_posted(town):
    await town.installs(of(BOB))
    review = await town.world.opened(context())
    await town.world.vote(CAROL, review.id, Choice.DENY)
    assert await town.leases() == []


async def test_who_is_asked_no_longer_is_told_even_if_nothing_else_changed(town):
    await town.installs(of(BOB))
    await town.world.opened(context())
    assert await town.delivers() == {of(BOB): ReviewState.PENDING}
    people = [
        dataclasses.replace(each, groups=frozenset()) if each.id == "bob" else each
        for each in reachable()
    ]
    town.world.source.current = Directory.of(CALLERS, people, (), [BOT])
    (delivery,) = await town.leases()
    assert delivery.shown.card.person == "bob"
    assert not delivery.visible
    await town.told(delivery)
    assert await town.leases() == []


async def test_an_escalation_reaches_the_next_ones(town):
    stage = dataclasses.replace(OWNERS, escalate=(Escalation(after_s=60, groups=("security",)),))
    town.world.policy.says(needs(stage))
    await town.installs(*map(of, PEOPLE))
    review = await town.world.opened(context())
    assert set(await town.delivers()) == {of(BOB), of(CAROL)}
    town.world.clock.advance(60)
    await fire_due(town.world.parts)
    assert of(DAVE) in await town.delivers()
    assert (await town.world.review(review.id)).escalated == (1,)


async def test_nobody_deciding_is_reminded_of_once_and_who_decided_never(town):
    await town.installs(of(BOB))
    town.world.policy.says(needs(approve_within_s=3600))
    await town.world.opened(context())
    await town.delivers()
    town.world.clock.advance(1799)
    assert await town.leases() == []
    town.world.clock.advance(1)
    (reminder,) = await town.leases()
    assert reminder.lease.reminds
    await town.told(reminder)
    town.world.clock.advance(60)
    assert await town.leases() == []


async def test_the_second_stage_is_asked_when_the_first_is_done(town):
    town.world.policy.says(needs(OWNERS, SECURITY))
    await town.installs(*map(of, PEOPLE))
    review = await town.world.opened(context())
    assert set(await town.delivers()) == {of(BOB), of(CAROL)}
    await town.world.vote(BOB, review.id)
    assert of(DAVE) in await town.delivers()


async def test_who_is_proven_to_have_asked_is_told_how_it_ended_and_never_asked(town):
    agent = dataclasses.replace(AGENT, users=(DAVE.id,), clients=("agent-client",))
    callers = [agent if each is AGENT else each for each in CALLERS]
    town.world.source.current = Directory.of(callers, reachable(), (), [BOT])
    await town.installs(*map(of, PEOPLE))
    named = Principal(type="person", id="dave")
    evidence = Evidence(
        pointer="/on_behalf_of/0",
        principal=named,
        account=Account(issuer=CONTOSO, subject="oid-dave"),
        client="agent-client",
    )
    asked = context(agent, on_behalf_of=(named,))
    review = await town.world.opened(asked, agent, evidence=evidence)
    assert review.requester == "dave"
    assert set(await town.delivers()) == {of(BOB), of(CAROL)}
    await town.world.vote(BOB, review.id)
    found = {each.shown.card.address: each.shown.card for each in await town.leases()}
    assert found[of(DAVE)].audience is Audience.REQUESTER
    assert set(found) == {of(BOB), of(CAROL), of(DAVE)}


# --- bots that die ---------------------------------------------------------------------


async def test_a_bot_that_dies_leaves_its_cards_to_the_next(town):
    await town.installs(of(BOB))
    await town.world.opened(context())
    (first,) = await town.leases()
    town.world.clock.advance(LEASE_S - 1)
    assert await town.leases() == []
    town.world.clock.advance(1)
    (second,) = await town.leases()
    assert second.shown.card.id == first.shown.card.id
    assert not await town.told(first), "its lease is over"
    assert await town.told(second)


async def test_after_a_restart_nothing_is_lost(town):
    await town.installs(of(BOB))
    review = await town.world.opened(context())
    await town.delivers()
    await town.world.vote(CAROL, review.id)
    await town.world.reopen()
    town.flow = town.world.flow
    assert await town.delivers() == {of(BOB): ReviewState.APPROVED}


async def test_what_fails_is_tried_again_later_and_later_still(town):
    await town.installs(of(BOB))
    await town.world.opened(context())
    waits = []
    for _ in range(4):
        (delivery,) = await town.leases()
        await town.told(delivery, Delivered.LATER, detail="503")
        due = await town.world.store.deliveries_due(TENANT, BOT.id)
        waits.append((due - town.world.clock.now) // 1_000_000)
        town.world.clock.advance(waits[-1])
    assert waits == [5, 10, 20, 40]
    (delivery,) = await town.leases()
    await town.told(delivery, Delivered.LATER, retry_after_s=600)
    due = await town.world.store.deliveries_due(TENANT, BOT.id)
    assert (due - town.world.clock.now) // 1_000_000 == 600


async def test_a_deleted_message_is_posted_anew_and_a_refused_one_when_there_is_news(town):
    await town.installs(of(BOB), of(CAROL))
    review = await town.world.opened(context())
    bob, carol = await town.leases()
    await town.told(bob)
    await town.told(carol, Delivered.REFUSED, detail="400")
    assert await town.leases() == []
    await town.world.flow.ask_info(
        _through_the_bot(BOB), review.id, revision=1, question="Why?", request_id="q"
    )
    bob, carol = sorted(await town.leases(), key=lambda each: each.shown.card.person)
    assert bob.shown.card.message_id
    await town.told(carol)
    await town.told(bob, Delivered.MESSAGE_GONE, detail="404")
    town.world.clock.advance(5)
    (again,) = await town.leases()
    assert (again.shown.card.person, again.shown.card.message_id) == ("bob", "")


async def test_two_bots_share_the_work_and_none_is_done_twice(town):
    await town.installs(*map(of, PEOPLE))
    for rows in range(10):
        await town.world.opened(context(arguments={"rows": rows}))
    both = await asyncio.gather(*(town.leases(most=12) for _ in range(4)))
    cards = [each.shown.card.id for found in both for each in found]
    assert len(cards) == len(set(cards)) == 20


# --- other bots ------------------------------------------------------------------------


async def test_a_bot_meets_only_its_own_channel_and_tenant(town):
    await town.installs(of(BOB))
    await town.world.opened(context())
    assert await town.leases(OTHER_BOT) == []
    assert await town.leases(THEIR_BOT) == []
    (delivery,) = await town.leases()
    for stranger in (OTHER_BOT, THEIR_BOT):
        assert not await town.told(delivery, channel=stranger)
        with pytest.raises(NotFoundError):
            await town.flow.card(stranger, delivery.shown.card.id)
        assert await town.flow.endpoints(stranger) == []
    found = await town.flow.card(BOT, delivery.shown.card.id)
    assert found.nonce == delivery.shown.nonce


async def test_a_new_revision_has_another_nonce(town):
    await town.installs(of(BOB))
    review = await town.world.opened(context())
    (first,) = await town.leases()
    await town.told(first)
    asked = await town.world.flow.ask_info(
        _through_the_bot(CAROL), review.id, revision=1, question="Why?", request_id="q"
    )
    await town.world.flow.answer(
        AGENT, review.id, question_id=asked.thread[0].id, text="Because", request_id="a"
    )
    (second,) = await town.leases()
    assert (first.shown.revision, second.shown.revision) == (1, 2)
    assert first.shown.nonce != second.shown.nonce


# --- waiting ---------------------------------------------------------------------------


async def test_a_waiting_bot_is_woken_by_a_review_and_by_an_installation(town):
    waiting = asyncio.create_task(town.flow.lease(BOT, max_cards=5, max_wait_s=30))
    await asyncio.sleep(0)
    await town.world.opened(context())
    await asyncio.sleep(0)
    assert not waiting.done()
    await town.installs(of(BOB))
    found = await asyncio.wait_for(waiting, 5)
    assert people_of(found) == ["bob"]


async def test_a_waiting_bot_is_let_go_when_the_server_stops(town):
    waiting = asyncio.create_task(town.flow.lease(BOT, max_cards=5, max_wait_s=30))
    await asyncio.sleep(0)
    town.flow.waiters.release(spread_s=0)
    assert await asyncio.wait_for(waiting, 5) == []


async def test_a_channel_waits_only_so_often_at_once(town):
    many = [
        asyncio.create_task(town.flow.lease(BOT, max_cards=1, max_wait_s=30)) for _ in range(21)
    ]
    done, _ = await asyncio.wait(many, return_when=asyncio.FIRST_EXCEPTION, timeout=5)
    assert [type(each.exception()) for each in done] == [ExhaustedError]
    town.flow.waiters.release(spread_s=0)
    await asyncio.gather(*many, return_exceptions=True)
