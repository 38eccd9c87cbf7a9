"""Who should have a card about a review. Pure, over one moment's directory.

Policy names a conversation (`<channel id>:<name>`) or nothing: then everybody
whom the open stage asks is reached alone. Where a conversation is named, those
whom the stage names in person are reached alone besides. A conversation that
cannot be reached is no reason for silence: everybody is reached alone then.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Final

from countersign.cards import Address, Audience
from countersign.flow.staff import Staff
from countersign.model import Channel, ChannelId, Person, PersonId, Review, Stage
from countersign.review import approvals, asked, barred, current_stage, used_up

MAX_APPROVERS: Final = 50
"""People of one stage that get a card of their own: those whom the bot reaches first."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One place where a card should stand."""

    channel: ChannelId
    audience: Audience
    address: Address
    person: PersonId | None


Installed = Callable[[ChannelId, Address], bool]


def targets(review: Review, people: Staff, installed: Installed) -> list[Target]:
    """Where cards about this review should stand now. Empty where there is no channel."""
    channels = people.directory.channels(review.tenant)
    if not channels:
        return []
    if not review.state.awaits_votes:
        return _requester(review, people, channels, installed)
    stage = _open_stage(review)
    if stage is None:
        return []
    conversation = _conversation(review, channels)
    wanted = people.eligible(review.tenant, stage) - barred(review) - used_up(approvals(review))
    channels = _of_policy(review, channels) or channels
    if conversation is None or not installed(conversation.channel, conversation.address):
        alone = sorted(wanted)
    else:
        alone = sorted(wanted.intersection(stage.people))
    found = [conversation] if conversation is not None else []
    ways = [
        way
        for person in alone
        for way in _alone(review, people, channels, person, Audience.APPROVER, installed)
    ]
    ways.sort(key=lambda way: not installed(way.channel, way.address))
    return found + ways[:MAX_APPROVERS]


def viewers(review: Review, people: Staff) -> list[PersonId]:
    """Whose view of a shared card differs: who asked, who may decide now, who must not.

    Those who matter most come first, since there may be more than a card can name.
    """
    stage = _open_stage(review) if review.state.awaits_votes else None
    may = people.eligible(review.tenant, stage) - barred(review) if stage else frozenset()
    asked_for = [review.requester] if review.requester else []
    return list(dict.fromkeys([*asked_for, *sorted(may), *review.excluded]))


def conversation_name(channel: Channel, address: Address) -> str:
    """The name by which policy knows a conversation; empty when it has none."""
    named = (each.name for each in channel.conversations if each.id == address.subject)
    return next(named, "") if not address.issuer else ""


def _open_stage(review: Review) -> Stage | None:
    index, stages = current_stage(review), asked(review, review.requirement.stages)
    return stages[index] if index < len(stages) else None


def _of_policy(review: Review, channels: Iterable[Channel]) -> list[Channel]:
    """The channel that policy names, alone or with a conversation."""
    named = review.requirement.channel.partition(":")[0]
    return [channel for channel in channels if channel.id == named]


def _conversation(review: Review, channels: Iterable[Channel]) -> Target | None:
    wanted = review.requirement.channel.partition(":")[2]
    for channel in _of_policy(review, channels):
        for each in channel.conversations:
            if each.name == wanted:
                return Target(
                    channel=channel.id,
                    audience=Audience.CONVERSATION,
                    address=Address.of_conversation(each.id),
                    person=None,
                )
    return None


def _requester(
    review: Review, people: Staff, channels: Iterable[Channel], installed: Installed
) -> list[Target]:
    """Who is proven to have asked learns how it ends."""
    if review.requester is None:
        return []
    return _alone(review, people, channels, review.requester, Audience.REQUESTER, installed)


def _alone(
    review: Review,
    people: Staff,
    channels: Iterable[Channel],
    id: PersonId,
    audience: Audience,
    installed: Installed,
) -> list[Target]:
    """Where one person is reached: where the bot is installed, else where it should be."""
    person = people.directory.person(review.tenant, id)
    ways = [
        Target(
            channel=channel.id,
            audience=audience,
            address=Address.of_account(account),
            person=id,
        )
        for channel in channels
        for account in (person.accounts if isinstance(person, Person) else ())
        if account.issuer in channel.issuers
    ]
    there = [way for way in ways if installed(way.channel, way.address)]
    return (there or ways)[:1]
