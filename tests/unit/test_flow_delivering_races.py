"""What happens to a card between two moments: while it is lent, while a place comes and goes."""

from __future__ import annotations

import dataclasses

import pytest
from test_flow_delivering import BOT, CONTOSO, IN_CHANNEL, Town, of, people_of, reachable

from countersign.cards import Address, Delivered
from countersign.directory import Directory
from countersign.errors import PreconditionError
from countersign.flow.voter import Voter
from countersign.model import SECOND_US, Account, Assurance, Choice, PersonId, ReviewState
from simulators.world import BOB, CALLERS, CAROL, ERIN, TENANT, World, context, needs, voter


@pytest.fixture
async def town(tmp_path):
    world = await World.open(tmp_path)
    world.source.current = Directory.of(CALLERS, reachable(), (), [BOT])
    yield Town(world)
    await world.close()


def without_groups(town: Town, id: str) -> None:
    people = [
        dataclasses.replace(each, groups=frozenset()) if each.id == id else each
        for each in reachable()
    ]
    town.world.source.current = Directory.of(CALLERS, people, (), [BOT])


@pytest.mark.parametrize("posted", [False, True])
async def test_who_loses_their_say_while_a_card_is_lent_is_told_so_next(town, posted):
    await town.installs(of(BOB))
    review = await town.world.opened(context())
    if posted:
        await town.delivers()
        await town.world.flow.ask_info(
            voter(CAROL), review.id, revision=1, question="Why?", request_id="q"
        )
    (lent,) = await town.leases()
    assert lent.visible
    without_groups(town, "bob")
    assert await town.leases() == [], "planned while it is lent"
    assert await town.told(lent)
    (after,) = await town.leases()
    assert not after.visible
    await town.told(after)
    assert await town.leases() == []


async def test_a_reminder_that_fails_is_tried_later_and_later_too(town):
    await town.installs(of(BOB))
    town.world.policy.says(needs(approve_within_s=36_000))
    await town.world.opened(context())
    await town.delivers()
    town.world.clock.advance(18_000)
    waits = []
    for _ in range(4):
        (delivery,) = await town.leases()
        assert delivery.lease.reminds
        await town.told(delivery, Delivered.LATER, detail="503")
        due = await town.world.store.deliveries_due(TENANT, BOT.id)
        waits.append((due - town.world.clock.now) // SECOND_US)
        town.world.clock.advance(waits[-1])
    assert waits == [5, 10, 20, 40]


async def test_a_card_reaches_its_end_when_the_bot_comes_back_after_the_review_is_over(town):
    await town.installs(of(BOB), of(CAROL))
    review = await town.world.opened(context())
    await town.delivers()
    await town.installs(of(BOB), installed=False)
    await town.world.vote(CAROL, review.id, Choice.DENY)
    for delivery in await town.leases():
        gone = delivery.shown.card.person == "bob"
        await town.told(delivery, Delivered.NOT_INSTALLED if gone else Delivered.SHOWN)
    assert await town.leases() == []
    await town.installs(of(BOB))
    assert await town.delivers() == {of(BOB): ReviewState.DENIED}


async def test_an_old_no_does_not_undo_a_new_installation(town):
    await town.installs(of(BOB))
    await town.world.opened(context())
    (lent,) = await town.leases()
    town.world.clock.advance(1)
    await town.installs(of(BOB), installed=False)
    await town.installs(of(BOB))
    await town.told(lent, Delivered.NOT_INSTALLED, detail="403")
    assert (await town.flow.endpoints(BOT))[0].installed
    town.world.clock.advance(5)
    assert people_of(await town.leases()) == ["bob"]


async def test_a_conversation_that_no_operator_names_any_more_is_told_nothing_more(town):
    town.world.policy.says(needs(channel="teams:data-approvals"))
    await town.installs(IN_CHANNEL, of(BOB), of(CAROL))
    await town.world.opened(context())
    await town.delivers()
    unnamed = dataclasses.replace(BOT, conversations=())
    town.world.source.current = Directory.of(CALLERS, reachable(), (), [unnamed])
    found = {each.shown.card.address: each.visible for each in await town.leases(unnamed)}
    assert found == {IN_CHANNEL: False, of(BOB): True, of(CAROL): True}


async def test_who_is_asked_no_longer_is_not_called_unreached(town):
    await town.installs(of(BOB))
    review = await town.world.opened(context())
    await town.delivers()
    assert await town.flow.unreached(review) == ("carol",)
    without_groups(town, "carol")
    await town.leases()
    assert await town.flow.unreached(review) == ()


async def test_of_many_those_who_have_the_bot_are_asked_first(town):
    crowd = [
        dataclasses.replace(
            BOB,
            id=PersonId(f"a-{n:03}"),
            accounts=(Account(issuer=CONTOSO, subject=f"oid-a-{n:03}"),),
        )
        for n in range(60)
    ]
    town.world.source.current = Directory.of(CALLERS, [*reachable(), *crowd], (), [BOT])
    await town.installs(of(BOB), of(CAROL))
    await town.world.opened(context())
    assert people_of(await town.leases()) == ["bob", "carol"]


async def test_a_conversation_that_nobody_named_makes_no_work(town):
    await town.installs(of(BOB))
    await town.world.opened(context())
    await town.delivers()
    stranger = Address(issuer=CONTOSO, subject="oid-nobody")
    for address in (stranger, Address.of_conversation("19:somewhere@thread.v2")):
        for installed in (True, False, True):
            await town.installs(address, installed=installed)
            due = await town.world.store.deliveries_due(TENANT, BOT.id)
            assert due > town.world.clock.now, "but for a reminder nothing is to do"


async def test_a_body_of_a_conversation_is_decided_on_only_where_policy_asks_for_one(town):
    profiles = {"data-owners": "reviewer", "*": "restricted"}
    town.world.policy.says(needs(profiles=profiles))
    review = await town.world.opened(context())
    other = {"profile": "restricted", "preview_hash": review.previews["restricted"].hash}
    with pytest.raises(PreconditionError, match="another preview"):
        await town.world.vote(
            Voter(
                person=BOB,
                assurance=Assurance.CHANNEL,
                proof="account",
                channel=BOT.id,
                channel_proof="t",
            ),
            review.id,
            **other,
        )


async def test_no_card_is_put_off_for_longer_than_an_hour(town):
    await town.installs(of(BOB))
    await town.world.opened(context())
    (delivery,) = await town.leases()
    await town.told(delivery, Delivered.LATER, retry_after_s=1e9)
    due = await town.world.store.deliveries_due(TENANT, BOT.id)
    assert due - town.world.clock.now == 3600 * SECOND_US


def of_another(town: Town, owner) -> None:
    """bob's account was registered under the wrong person all along."""
    account = Account(issuer=CONTOSO, subject="oid-bob")
    people = [
        dataclasses.replace(each, accounts=(account,) if each.id == owner.id else ())
        if each.id in ("bob", owner.id)
        else each
        for each in reachable()
    ]
    town.world.source.current = Directory.of(CALLERS, people, (), [BOT])


async def test_a_card_shows_what_the_person_may_see_whose_account_it_is_now(town):
    await town.installs(of(BOB))
    await town.world.opened(context())
    assert await town.delivers() == {of(BOB): ReviewState.PENDING}
    of_another(town, CAROL)
    (delivery,) = await town.leases()
    assert (delivery.shown.card.person, delivery.reader.id) == ("carol", "carol")
    await town.told(delivery)
    assert await town.leases() == []
    of_another(town, ERIN)
    (delivery,) = await town.leases()
    assert not delivery.visible, "erin is asked nothing"
