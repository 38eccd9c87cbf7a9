"""What every backend must do about cards: endpoints, what is due, and what is not planned yet.

Joined like `store_suite`.
"""

from __future__ import annotations

import dataclasses

import pytest
from store_suite import DAY_S, Backend, BoomError, putting
from store_values import ACME, OTHER, START, a_review, next_version

from countersign.cards import Address, Audience, Card, Endpoint, Trouble
from countersign.model import SECOND_US, CardId, ChannelId, Instant, ReviewId, ReviewState
from countersign.store.protocol import AlreadyExistsError

TEAMS = ChannelId("teams")
BOB = Address(issuer="teams:contoso", subject="oid-bob")
CAROL = Address(issuer="teams:contoso", subject="oid-carol")


def a_card(id: str = "crd_1", **changes: object) -> Card:
    values = {
        "tenant": ACME,
        "id": CardId(id),
        "review": ReviewId("rev_1"),
        "channel": TEAMS,
        "audience": Audience.APPROVER,
        "address": BOB,
        "person": "bob",
        "since": START,
        "wanted": 1,
    }
    return Card(**(values | changes))


def an_endpoint(address: Address = BOB, **changes: object) -> Endpoint:
    values = {
        "tenant": ACME,
        "channel": TEAMS,
        "address": address,
        "installed": True,
        "reference": '{"v":1,"name":"Zoë"}',
        "updated_at": START,
    }
    return Endpoint(**(values | changes))


def dealing(*values):
    """A command that puts cards and endpoints."""

    def command(tx):
        for value in values:
            (tx.put_card if isinstance(value, Card) else tx.put_endpoint)(value)

    return command


def due(tenant=ACME, channel=TEAMS, limit=10):
    return lambda tx: [card.id for card in tx.due_cards(tenant, channel, limit)]


def unplanned(tenant=ACME, limit=10):
    return lambda tx: [review.id for review in tx.unplanned(tenant, limit)]


class DeliverySuite:
    """Inherit it, with a `backend` fixture."""

    @pytest.fixture
    async def store(self, backend: Backend):
        store = await backend.open()
        yield store
        await store.close()

    async def test_a_card_comes_back_as_it_was_put_also_after_a_restart(self, backend):
        store = await backend.open()
        first = a_card()
        changed = dataclasses.replace(first, message_id="1:ä", shown=1, asked=False)
        await store.apply(dealing(first))
        await store.apply(dealing(changed, an_endpoint()))
        await store.close()
        store = await backend.open()
        assert await store.card(ACME, first.id) == changed
        assert await store.cards_of(ACME, first.review) == [changed]
        assert await store.endpoint(ACME, TEAMS, BOB) == an_endpoint()
        await store.close()

    async def test_an_endpoint_takes_the_place_of_the_one_before(self, store):
        gone = an_endpoint(installed=False, reference="")
        await store.apply(dealing(an_endpoint(), an_endpoint(CAROL), gone))
        assert await store.endpoints(ACME, TEAMS) == [gone, an_endpoint(CAROL)]
        assert await store.apply(lambda tx: tx.endpoint(ACME, TEAMS, BOB)) == gone

    async def test_one_place_has_one_card_a_review(self, store):
        with pytest.raises(AlreadyExistsError):
            await store.apply(dealing(a_card(), a_card("crd_2")))
        assert await store.cards_of(ACME, ReviewId("rev_1")) == []
        others = [
            a_card("crd_2", address=CAROL),
            a_card("crd_3", channel=ChannelId("slack")),
            a_card("crd_4", review=ReviewId("rev_2")),
            a_card("crd_1", tenant=OTHER),
        ]
        await store.apply(dealing(a_card(), *others))
        assert len(await store.cards_of(ACME, ReviewId("rev_1"))) == 3

    async def test_what_is_due_longest_comes_first_and_later_ones_not_yet(self, store, backend):
        at = [Instant(START + n * SECOND_US) for n in range(4)]
        cards = [a_card(f"crd_{n}", since=at[3 - n], review=ReviewId(f"rev_{n}")) for n in range(4)]
        done = dataclasses.replace(a_card("crd_9", address=CAROL), shown=1)
        await store.apply(dealing(*cards, done))
        backend.clock.move(2)
        assert await store.apply(due()) == ["crd_3", "crd_2", "crd_1"]
        assert await store.apply(due(limit=1)) == ["crd_3"]
        assert await store.deliveries_due(ACME, TEAMS) == at[0]

    async def test_other_tenants_and_channels_have_their_own(self, store):
        await store.apply(dealing(a_card(), an_endpoint()))
        for tenant, channel in ((OTHER, TEAMS), (ACME, ChannelId("slack"))):
            assert await store.apply(due(tenant, channel)) == []
            assert await store.endpoints(tenant, channel) == []
            assert await store.endpoint(tenant, channel, BOB) is None
            assert await store.deliveries_due(tenant, channel) is None
        assert await store.card(OTHER, CardId("crd_1")) is None
        assert await store.cards_of(OTHER, ReviewId("rev_1")) == []

    async def test_a_review_is_unplanned_until_its_newest_version_was_planned(self, store):
        first = a_review()
        await store.apply(putting(first))
        assert await store.apply(unplanned()) == [first.id]
        assert await store.deliveries_due(ACME, TEAMS) == 0
        assert await store.apply(unplanned(OTHER)) == []
        second = next_version(first)
        await store.apply(putting(second))
        await store.apply(lambda tx: tx.planned(first))  # too late: it has moved on
        assert await store.apply(unplanned()) == [first.id]
        await store.apply(lambda tx: tx.planned(second))
        assert await store.apply(unplanned()) == []
        assert await store.deliveries_due(ACME, TEAMS) is None

    async def test_who_is_reached_otherwise_has_open_reviews_planned_anew(self, store):
        open_, ended = a_review(), a_review("rev_2", state=ReviewState.DENIED, base_fingerprint="x")
        await store.apply(putting(open_, ended))
        heard = []
        store.subscribe(heard.extend)
        await store.apply(lambda tx: [tx.planned(open_), tx.planned(ended)])
        assert heard == []
        await store.apply(lambda tx: tx.replan(ACME))
        assert await store.apply(unplanned()) == [open_.id]
        assert heard, "whoever waits to deliver is woken"
        await store.apply(lambda tx: tx.replan(OTHER))
        assert len(heard) == 1

    async def test_where_the_bot_comes_back_ended_reviews_are_planned_again_too(self, store):
        ended = [a_review(id=ReviewId(f"rev_{n}"), state=ReviewState.DENIED) for n in range(4)]
        for review in ended:
            await store.apply(putting(review))
        waits = {"trouble": Trouble.NOT_INSTALLED}
        cards = (
            a_card(**waits),
            a_card("crd_2", review=ReviewId("rev_2"), address=CAROL, **waits),
            a_card("crd_3", review=ReviewId("rev_3"), shown=1),
        )
        await store.apply(dealing(*cards))
        await store.apply(lambda tx: [tx.planned(review) for review in ended])
        heard = []
        store.subscribe(heard.extend)
        await store.apply(lambda tx: tx.replan_waiting(ACME, TEAMS, BOB))
        assert await store.apply(unplanned()) == [ReviewId("rev_1")]
        assert heard, "whoever waits to deliver is woken"

    async def test_a_failed_command_leaves_no_card_and_no_plan(self, store):
        review = a_review()
        await store.apply(putting(review))

        def failing(tx):
            tx.put_card(a_card())
            tx.put_endpoint(an_endpoint())
            tx.planned(review)
            raise BoomError

        with pytest.raises(BoomError):
            await store.apply(failing)
        assert await store.card(ACME, CardId("crd_1")) is None
        assert await store.endpoint(ACME, TEAMS, BOB) is None
        assert await store.apply(unplanned()) == [review.id]

    async def test_a_forgotten_review_takes_its_cards_along(self, store, backend):
        review = a_review(state=ReviewState.DENIED, approve_by=START)
        other = a_card("crd_2", review=ReviewId("rev_2"))
        await store.apply(putting(review))
        await store.apply(dealing(a_card(), other))
        backend.clock.run(31 * DAY_S)
        await store.sweep(store.now())
        assert await store.review(ACME, review.id) is None
        assert await store.card(ACME, CardId("crd_1")) is None
        assert await store.card(ACME, CardId("crd_2")) == other
