"""Which cards a review needs now: made, told of its newest state, or let go.

Called by `delivering` inside the transaction that leases.
"""

from __future__ import annotations

import functools
import time
from typing import Final

from countersign.cards import Address, Card, Trouble, asks, belongs, reachable, wants
from countersign.flow.staff import Staff
from countersign.flow.targets import Installed, Target, targets
from countersign.flow.transition import elapsed
from countersign.model import SECOND_US, CardId, ChannelId, Instant, Review, TenantId, new_id
from countersign.store.protocol import Transaction

PLANNED_AT_ONCE: Final = 5
PLANNING_S: Final = 0.02
"""Of one transaction, since everybody else's waits for it."""
_REMIND_LEAST_US: Final = 10 * 60 * SECOND_US
"""Of time to decide in: whoever has less is not reminded."""


def plan_some(tx: Transaction, tenant: TenantId, people: Staff) -> None:
    """Plan reviews for a moment, oldest first; what is left is for the next transaction."""
    installed, ends_at = _installations(tx, tenant), time.monotonic() + PLANNING_S
    while found := tx.unplanned(tenant, PLANNED_AT_ONCE):
        for review in found:
            _plan(tx, review, people, installed)
        if time.monotonic() >= ends_at:
            break


def _installations(tx: Transaction, tenant: TenantId) -> Installed:
    """Where the bot is, each place looked up once: for one transaction that moves no bot."""

    @functools.cache
    def installed(channel: ChannelId, address: Address) -> bool:
        endpoint = tx.endpoint(tenant, channel, address)
        return endpoint is not None and endpoint.installed

    return installed


def _plan(tx: Transaction, found: Review, people: Staff, installed: Installed) -> None:
    """Whoever should have a card about this review gets one; every card its newest state."""
    review = elapsed(tx, found)
    wanted = {(each.channel, each.address): each for each in targets(review, people, installed)}
    for card in tx.cards_of(review.tenant, review.id):
        still = wanted.pop((card.channel, card.address), None)
        there = installed(card.channel, card.address)
        moved = wants(card, review.version, tx.now)
        moved = belongs(moved, still.person) if still is not None else moved
        moved = asks(moved, asked=still is not None, open=review.state.awaits_votes)
        moved = reachable(moved, installed=there, now=tx.now)
        if moved != card:
            tx.put_card(moved)
    for target in wanted.values():
        tx.put_card(_new(tx, review, target, installed=installed(target.channel, target.address)))
    tx.planned(review)


def _new(tx: Transaction, review: Review, target: Target, *, installed: bool) -> Card:
    return Card(
        tenant=review.tenant,
        id=CardId(new_id("crd")),
        review=review.id,
        channel=target.channel,
        audience=target.audience,
        address=target.address,
        person=target.person,
        since=tx.now,
        wanted=review.version,
        remind_at=_remind_at(tx.now, review),
        trouble=None if installed else Trouble.NOT_INSTALLED,
    )


def _remind_at(now: Instant, review: Review) -> Instant | None:
    """Halfway to the deadline, where there is time enough for that to help."""
    left = review.approve_by - now
    if not review.state.awaits_votes or left < _REMIND_LEAST_US:
        return None
    return Instant(now + left // 2)
