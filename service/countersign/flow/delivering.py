"""How reviews reach people: who should have a card, who brings it there, what came of it.

Planning is part of leasing, in one transaction: a review that changed is due
until whoever should have a card about it has one, so nothing that anybody
decided can go untold because a process died between two steps. Deliveries are
no decisions and make no records; the vote that follows names its message.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hmac
from collections.abc import Sequence
from typing import Final

from countersign import canonical
from countersign.cards import (
    Address,
    Audience,
    Card,
    Delivered,
    Endpoint,
    Lease,
    Trouble,
    lent,
    settled,
)
from countersign.directory import Directory
from countersign.errors import NotFoundError
from countersign.flow.gate import channel_holder
from countersign.flow.parts import Parts
from countersign.flow.planning import plan_some
from countersign.flow.request import Named
from countersign.flow.staff import Staff
from countersign.flow.targets import conversation_name, viewers
from countersign.model import (
    SECOND_US,
    Account,
    CardId,
    Channel,
    ChannelId,
    Delegation,
    Person,
    Review,
    ReviewId,
    TenantId,
    new_id,
)
from countersign.review import may_see
from countersign.store.protocol import Transaction
from countersign.waiters import Waiters

LEASE_S: Final = 60
MAX_CARDS: Final = 50
MAX_WAIT_S: Final = 60.0
MAX_VIEWERS: Final = 20
LOOK_S: Final = 2.0
"""Longest time without a look at the clock and at who is registered."""
_LEAST_WAIT_S: Final = 0.01


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A card with what a bot needs to show it."""

    card: Card
    reference: str
    nonce: str
    revision: int
    viewers: tuple[Account, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One leased card, and what it should show."""

    shown: Shown
    lease: Lease
    review: Review
    reader: Person | None
    """As whom to show it; None: as to everybody in a conversation."""
    delegations: Sequence[Delegation]
    """Standing lent to the reader."""
    visible: bool
    """Whether whom it reaches may see the review still."""
    unreached: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """What a bot says became of a leased card."""

    card: CardId
    lease: str
    result: Delivered
    message_id: str = ""
    retry_after_s: float = 0.0
    detail: str = ""


class Delivering:
    """Leasing of cards. Remembers with which directory each tenant was planned last."""

    def __init__(self, parts: Parts, waiters: Waiters) -> None:
        self._parts = parts
        self._waiters = waiters
        self._planned_with: dict[TenantId, Directory] = {}

    async def lease(
        self, channel: Channel, *, max_cards: int, max_wait_s: float
    ) -> Sequence[Delivery]:
        """Cards with something to do, lent for `LEASE_S`; waits until there is one.

        Returns nothing when the time is over or the server is going away. Raises
        `ExhaustedError` when too many of this channel wait already.
        """
        loop, store = asyncio.get_running_loop(), self._parts.store
        end = loop.time() + min(max_wait_s, MAX_WAIT_S)
        with self._waiters.watch(channel.tenant, channel_holder(channel.id)) as changed:
            while True:
                changed.clear()
                if await self._is_due(channel):
                    found = await self._lent(channel, max_cards)
                    if found:
                        return found
                left = end - loop.time()
                if left <= 0 or self._waiters.released():
                    return []
                due = await store.deliveries_due(channel.tenant, channel.id)
                if due is not None:
                    left = min(left, max((due - store.now()) / SECOND_US, _LEAST_WAIT_S))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), min(left, LOOK_S))

    async def _is_due(self, channel: Channel) -> bool:
        if self._planned_with.get(channel.tenant) is not self._parts.directory():
            return True
        due = await self._parts.store.deliveries_due(channel.tenant, channel.id)
        return due is not None and due <= self._parts.store.now()

    async def _lent(self, channel: Channel, max_cards: int) -> list[Delivery]:
        directory, tenant = self._parts.directory(), channel.tenant
        people = Staff(directory=directory)

        def run(tx: Transaction) -> list[Delivery]:
            if self._planned_with.get(tenant) is not directory:
                tx.replan(tenant)
            plan_some(tx, tenant, people)
            return _lend(self._parts, tx, tx.due_cards(tenant, channel.id, max_cards), people)

        found = await self._parts.store.apply(Named(name="lease", run=run))
        self._planned_with[tenant] = directory
        return found


def _lend(parts: Parts, tx: Transaction, cards: Sequence[Card], people: Staff) -> list[Delivery]:
    lending: list[Delivery] = []
    about: dict[ReviewId, tuple[Review, tuple[str, ...]]] = {}
    for card in cards:
        if card.review not in about:  # one review's cards often go out together
            review = tx.review(card.tenant, card.review)
            assert review is not None  # noqa: S101 - see the schema
            about[card.review] = review, _unreached(tx.cards_of(card.tenant, card.review), people)
        lending.append(_delivery(parts, tx, card, people, *about[card.review]))
    return lending


def _delivery(
    parts: Parts,
    tx: Transaction,
    card: Card,
    people: Staff,
    review: Review,
    unreached: tuple[str, ...],
) -> Delivery:
    held = lent(card, new_id("lse"), tx.now, LEASE_S)
    tx.put_card(held)
    assert held.lease is not None  # noqa: S101 - just lent
    reader = _reader(people.directory, card)
    alone = card.audience is not Audience.CONVERSATION
    lent_to = tx.delegations_to(card.tenant, reader.id) if reader is not None else ()
    theirs = dataclasses.replace(people, delegations=lent_to)
    return Delivery(
        shown=_shown(parts, tx.endpoint(card.tenant, card.channel, card.address), held, review),
        lease=held.lease,
        review=review,
        reader=reader,
        delegations=lent_to,
        visible=(
            reader is not None and may_see(review, reader.id, theirs)
            if alone
            else _named(people, card)
        ),
        unreached=unreached,
    )


def _reader(directory: Directory, card: Card) -> Person | None:
    """Whom it reaches, as long as the account is theirs."""
    account = Account(issuer=card.address.issuer, subject=card.address.subject)
    person = directory.person_by_account(card.tenant, account) if card.person else None
    return person if person is not None and person.id == card.person else None


def _named(people: Staff, card: Card) -> bool:
    """Whether an operator names this conversation still."""
    channel = _channel(people.directory.channels(card.tenant), card.channel)
    return channel is not None and bool(conversation_name(channel, card.address))


def _shown(parts: Parts, endpoint: Endpoint | None, card: Card, review: Review) -> Shown:
    directory = parts.directory()
    channel = _channel(directory.channels(card.tenant), card.channel)
    accounts: list[Account] = []
    if channel is not None and card.audience is Audience.CONVERSATION:
        for viewer in viewers(review, Staff(directory=directory))[:MAX_VIEWERS]:
            person = directory.person(card.tenant, viewer)
            own = person.accounts if person is not None else ()
            accounts += [account for account in own if account.issuer in channel.issuers][:1]
    elif card.address.issuer:
        accounts = [Account(issuer=card.address.issuer, subject=card.address.subject)]
    return Shown(
        card=card,
        reference=endpoint.reference if endpoint is not None else "",
        nonce=nonce(parts, card, review),
        revision=review.revision,
        viewers=tuple(accounts),
    )


def nonce(parts: Parts, card: Card, review: Review) -> str:
    """What stands in a card's data for one revision: nobody can make it up."""
    revision = str(review.revision).encode()
    return canonical.keyed_hash(parts.store.key, "card/nonce", card.id.encode(), revision)[:32]


# --- what came of it ---


async def acknowledge(parts: Parts, channel: Channel, said: Acknowledged) -> bool:
    """Note what became of a leased card. False: the lease was over, or another's."""

    def run(tx: Transaction) -> bool:
        card = tx.card(channel.tenant, said.card)
        if card is None or card.channel != channel.id or card.lease is None:
            return False
        if not hmac.compare_digest(card.lease.id, said.lease) or card.lease.until <= tx.now:
            return False
        result = said.result
        if result is Delivered.NOT_INSTALLED and _back_since(tx, card, card.lease):
            result = Delivered.LATER
        now_said = settled(
            card,
            card.lease,
            result,
            now=tx.now,
            message_id=said.message_id,
            retry_after_s=said.retry_after_s,
            detail=said.detail,
        )
        tx.put_card(now_said)
        if result is Delivered.NOT_INSTALLED:
            _not_installed(tx, card)
        return True

    return await parts.store.apply(Named(name="acknowledge", run=run))


def _back_since(tx: Transaction, card: Card, lease: Lease) -> bool:
    """Whether the bot was heard of there after the card was lent, so that a "no" is old."""
    endpoint = tx.endpoint(card.tenant, card.channel, card.address)
    lent_at = lease.until - LEASE_S * SECOND_US
    return endpoint is not None and endpoint.installed and endpoint.updated_at > lent_at


def _not_installed(tx: Transaction, card: Card) -> None:
    """Whoever else is reached there is not, either; others may be asked instead."""
    endpoint = tx.endpoint(card.tenant, card.channel, card.address)
    if endpoint is not None and endpoint.installed:
        tx.put_endpoint(dataclasses.replace(endpoint, installed=False, updated_at=tx.now))
        tx.replan(card.tenant)


async def card(parts: Parts, channel: Channel, id: CardId) -> Shown:
    """The card that a click names. Raises `NotFoundError`; another channel's looks like none."""
    found = await parts.store.card(channel.tenant, id)
    own = found if found is not None and found.channel == channel.id else None
    review = own and await parts.store.review(channel.tenant, own.review)
    if not own or not review:
        raise NotFoundError("card.not_found", "card_id: no such card")
    endpoint = await parts.store.endpoint(own.tenant, own.channel, own.address)
    return _shown(parts, endpoint, own, review)


async def put_endpoint(
    parts: Parts, channel: Channel, address: Address, *, installed: bool, reference: str
) -> Endpoint:
    """Keep how to reach somebody; open reviews that wait for them get their card."""

    def run(tx: Transaction) -> Endpoint:
        before = tx.endpoint(channel.tenant, channel.id, address)
        endpoint = Endpoint(
            tenant=channel.tenant,
            channel=channel.id,
            address=address,
            installed=installed,
            reference=reference,
            updated_at=tx.now,
        )
        tx.put_endpoint(endpoint)
        if (before is None or before.installed != installed) and _matters(parts, channel, address):
            tx.replan(channel.tenant)
            if installed:
                tx.replan_waiting(channel.tenant, channel.id, address)
        return endpoint

    return await parts.store.apply(Named(name="put_endpoint", run=run))


def _matters(parts: Parts, channel: Channel, address: Address) -> bool:
    """Whether cards may go there: to a registered person, or where an operator named.

    Anybody in Teams can start a chat with the bot; that makes no work.
    """
    if not address.issuer:
        return bool(conversation_name(channel, address))
    account = Account(issuer=address.issuer, subject=address.subject)
    return parts.directory().person_by_account(channel.tenant, account) is not None


async def endpoints(parts: Parts, channel: Channel) -> Sequence[Endpoint]:
    """Endpoints of this channel."""
    return await parts.store.endpoints(channel.tenant, channel.id)


async def unreached(parts: Parts, review: Review) -> tuple[str, ...]:
    """Who should have a card about a review and could not: person ids, conversations' names."""
    cards = await parts.store.cards_of(review.tenant, review.id)
    return _unreached(cards, Staff(directory=parts.directory()))


def _unreached(cards: Sequence[Card], people: Staff) -> tuple[str, ...]:
    found = []
    for each in cards:
        waits = each.trouble is Trouble.NOT_INSTALLED and each.shown < each.wanted
        if not (waits and each.asked):
            continue
        channel = _channel(people.directory.channels(each.tenant), each.channel)
        name = conversation_name(channel, each.address) if channel else ""
        found.append(each.person or name or each.channel)
    return tuple(dict.fromkeys(map(str, found)))


def _channel(channels: Sequence[Channel], id: ChannelId) -> Channel | None:
    return next((channel for channel in channels if channel.id == id), None)
