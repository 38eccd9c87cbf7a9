"""Cards: messages about a review, where they stand and what they show. Pure.

A card is not a queue of events but a debt: it shows one version of its review
and should show another. Whoever delivers leases it, brings it to the newest
state and says so; what happens meanwhile makes it due again. So a card that was
posted reaches its final state, once at least, in order, however often a bot dies.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import Final

from countersign.model import (
    SECOND_US,
    Account,
    CardId,
    ChannelId,
    Instant,
    PersonId,
    ReviewId,
    TenantId,
    after,
)

RETRY_FIRST_S: Final = 5
RETRY_MAX_S: Final = 300
RETRY_ASKED_MAX_S: Final = 3600
"""However long a provider wants to be left alone."""


class Audience(enum.StrEnum):
    """For whom a card is."""

    APPROVER = "approver"
    CONVERSATION = "conversation"
    REQUESTER = "requester"


class Trouble(enum.StrEnum):
    """Why a card does not stand where it should."""

    NOT_INSTALLED = "not_installed"
    """Waits until somebody installs the bot there."""
    REFUSED = "refused"
    """Waits until the review changes."""
    FAILING = "failing"
    """Is tried again."""


class Delivered(enum.StrEnum):
    """What became of a leased card."""

    SHOWN = "shown"
    LATER = "later"
    NOT_INSTALLED = "not_installed"
    MESSAGE_GONE = "message_gone"
    REFUSED = "refused"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where cards go: a person's account or, without an issuer, a conversation's id."""

    issuer: str
    subject: str

    @classmethod
    def of_account(cls, account: Account) -> Address:
        """Where this person is reached alone."""
        return cls(issuer=account.issuer, subject=account.subject)

    @classmethod
    def of_conversation(cls, id: str) -> Address:
        """A conversation of several people."""
        return cls(issuer="", subject=id)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """How a channel reaches an address, as its bot said last."""

    tenant: TenantId
    channel: ChannelId
    address: Address
    installed: bool
    reference: str
    """The bot's own; opaque here."""
    updated_at: Instant


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A card lent to one bot process for a time."""

    id: str
    until: Instant
    version: int
    """Of the review, as it was lent."""
    reminds: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One message about one review at one place."""

    tenant: TenantId
    id: CardId
    review: ReviewId
    channel: ChannelId
    audience: Audience
    address: Address
    person: PersonId | None
    """Whom it reaches; None: a conversation."""
    since: Instant
    """When it was last asked for something new: who waited longest is served first."""
    wanted: int
    """Version of the review it should show."""
    shown: int = 0
    """Version it shows; 0: none."""
    message_id: str = ""
    """The provider's; empty: it was not posted."""
    asked: bool = True
    """Whether whom it reaches should have one still."""
    lease: Lease | None = None
    remind_at: Instant | None = None
    """When to call attention to it, if nobody has decided by then."""
    trouble: Trouble | None = None
    detail: str = ""
    """A status code or the like."""
    attempts: int = 0
    """Failures in a row."""
    retry_at: Instant | None = None

    @property
    def due_at(self) -> Instant | None:
        """When there is something to do; None: nothing, until something changes."""
        if self.lease is not None:
            return self.lease.until
        if self.trouble in (Trouble.NOT_INSTALLED, Trouble.REFUSED):
            return None
        if not self.message_id and not self.asked:
            return None
        if self.shown < self.wanted:
            return self.retry_at or self.since
        if self.remind_at is None or not self.shown:
            return None
        return max(self.remind_at, self.retry_at or self.remind_at)


def wants(card: Card, version: int, now: Instant) -> Card:
    """The review has come to `version`; a refused card may be tried again."""
    if version <= card.wanted:
        return card
    trouble = None if card.trouble is Trouble.REFUSED else card.trouble
    return dataclasses.replace(card, wanted=version, since=now, trouble=trouble)


def asks(card: Card, *, asked: bool, open: bool) -> Card:
    """Whether a card should stand there, and whether its review awaits votes.

    Who is asked no longer, or again, is told so. What was not posted is of no more
    use then, and nobody is reminded.
    """
    remind_at = card.remind_at if asked and open else None
    if asked == card.asked:
        return dataclasses.replace(card, remind_at=remind_at)
    return dataclasses.replace(_outdated(card), asked=asked, remind_at=remind_at)


def belongs(card: Card, person: PersonId | None) -> Card:
    """Whose place it is now: an account may be registered under somebody else than before."""
    return card if person == card.person else dataclasses.replace(_outdated(card), person=person)


def _outdated(card: Card) -> Card:
    """What it shows, or what is on its way, is not what it should show."""
    old = card.wanted - 1
    lease = card.lease
    return dataclasses.replace(
        card,
        shown=min(card.shown, old),
        lease=lease and dataclasses.replace(lease, version=min(lease.version, old)),
        trouble=None if card.trouble is Trouble.REFUSED else card.trouble,
    )


def reachable(card: Card, *, installed: bool, now: Instant) -> Card:
    """What its endpoint now says of the bot being there."""
    if installed and card.trouble is Trouble.NOT_INSTALLED:
        return dataclasses.replace(card, trouble=None, attempts=0, retry_at=None, since=now)
    if not installed and card.trouble is not Trouble.NOT_INSTALLED and not card.message_id:
        return dataclasses.replace(card, trouble=Trouble.NOT_INSTALLED)
    return card


def lent(card: Card, id: str, now: Instant, lease_s: int) -> Card:
    """Lent for `lease_s` seconds, to be brought to what is wanted now."""
    reminds = card.remind_at is not None and card.remind_at <= now and bool(card.shown)
    lease = Lease(id=id, until=after(now, lease_s), version=card.wanted, reminds=reminds)
    return dataclasses.replace(card, lease=lease)


def settled(
    card: Card,
    lease: Lease,
    result: Delivered,
    *,
    now: Instant,
    message_id: str = "",
    retry_after_s: float = 0,
    detail: str = "",
) -> Card:
    """What the holder of `lease` says became of the card."""
    free = dataclasses.replace(card, lease=None, detail=detail)
    if result is Delivered.SHOWN:
        return dataclasses.replace(
            free,
            message_id=message_id,
            shown=lease.version,
            trouble=None,
            attempts=0,
            retry_at=None,
            remind_at=None if lease.reminds else card.remind_at,
        )
    attempts = card.attempts + 1
    if result is Delivered.NOT_INSTALLED:
        return dataclasses.replace(free, trouble=Trouble.NOT_INSTALLED, attempts=attempts)
    if result is Delivered.REFUSED:
        return dataclasses.replace(free, trouble=Trouble.REFUSED, attempts=attempts)
    gone = result is Delivered.MESSAGE_GONE
    wait_s = min(max(retry_after_s, _back_off_s(attempts)), RETRY_ASKED_MAX_S)
    return dataclasses.replace(
        free,
        message_id="" if gone else card.message_id,
        shown=0 if gone else card.shown,
        trouble=Trouble.FAILING,
        attempts=attempts,
        retry_at=Instant(now + int(wait_s * SECOND_US)),
    )


def _back_off_s(attempts: int) -> float:
    return float(min(RETRY_MAX_S, RETRY_FIRST_S * 2 ** min(attempts - 1, 16)))
