"""What a click leads to. Nothing here decides: it finds out who clicked on what.

In this order, and none is skipped: the sender and the tenant were judged before
(`inbound`); who clicked is a member of the conversation, a person of that tenant
and no guest, asked anew where something is decided; the message is the card that
was posted there; it is current; then the service judges. Whatever is refused is
answered with a friendly sentence, since Teams repeats what has no answer.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import Final

from countersign.client import CountersignClientError, NotFound, Unavailable
from countersign.v1 import deliveries_pb2
from countersign_bot.card import (
    Card,
    Click,
    Handle,
    HandleError,
    Look,
    Verb,
    closed_card,
    gone_card,
    read,
    refusal_text,
)
from countersign_bot.connector.errors import ConnectorError, NotMemberError
from countersign_bot.connector.protocol import Connector
from countersign_bot.connector.reference import Reference
from countersign_bot.inbound.activity import Inbound
from countersign_bot.inbound.answer import InvokeAnswer
from countersign_bot.roster import Roster
from countersign_bot.service import Service, Who
from countersign_bot.settings import Settings
from countersign_bot.showing import card_of

log = logging.getLogger(__name__)

MEMBER_WITHIN_S: Final = 5.0
"""For the roster to answer; Teams waits ten seconds for all of it."""
MAX_TIDYING: Final = 20
"""Copies that are being replaced at once; more are left as they are."""
SETTLES: Final = 10
SETTLE_S: Final = 0.15
_OUTDATED: Final = frozenset({"vote.stale_revision", "vote.preview_mismatch"})


class Refused(Exception):  # noqa: N818 - an answer, not a failure
    """Why a click did nothing: a code that there are words for."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.message = message


class Clicks:
    """Answers what the buttons of cards send."""

    def __init__(
        self, service: Service, connector: Connector, roster: Roster, settings: Settings
    ) -> None:
        self._service = service
        self._connector = connector
        self._roster = roster
        self._settings = settings
        self._tidying: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Let what still runs end."""
        await asyncio.gather(*self._tidying, return_exceptions=True)

    async def invoked(self, inbound: Inbound) -> InvokeAnswer:
        """An `Action.Execute`: what its sender sees in its place."""
        look = self.look(inbound.locale)
        try:
            action = inbound.value.get("action")
            sent, verb = (
                (action.get("data"), action.get("verb")) if isinstance(action, dict) else (None, "")
            )
            click = read(sent, verb=verb if isinstance(verb, str) else "")
            return InvokeAnswer.card((await self._clicked(inbound, click, look)).body)
        except HandleError as error:
            log.warning("a click that no button sends: %s", error)
            return InvokeAnswer.message(refusal_text("card.foreign", "", look))
        except Refused as refused:
            return InvokeAnswer.message(refusal_text(refused.code, refused.message, look))

    async def submitted(self, inbound: Inbound) -> str:
        """An `Action.Submit` of a client that knows no other: the sentence to say, or none."""
        look = self.look(inbound.locale)
        try:
            await self._clicked(inbound, read(inbound.value), look)
        except HandleError as error:
            log.warning("a click that no button sends: %s", error)
            return refusal_text("card.foreign", "", look)
        except Refused as refused:
            return refusal_text(refused.code, refused.message, look)
        return ""

    async def refusal(self, inbound: Inbound) -> str:
        """Why nothing is told to whoever sent this: no person at home in the tenant. Or empty."""
        try:
            await self._person(inbound, Reference.of(inbound), fresh=False)
        except Refused as refused:
            return refusal_text(refused.code, refused.message, self.look(inbound.locale))
        return ""

    async def _clicked(self, inbound: Inbound, click: Click, look: Look) -> Card:
        reading = click.verb is Verb.REFRESH
        who, place = Who.of(inbound), Reference.of(inbound)
        card, _ = await asyncio.gather(
            self._posted(click.handle), self._person(inbound, place, fresh=not reading)
        )
        if not card.message_id:
            raise Refused("card.settling")
        if not self._stands_here(card, inbound, place):
            self._replace(place, inbound.reply_to_id)
            raise Refused("card.foreign")
        if not reading and click.handle.nonce != card.nonce:
            return await self._shown(who, card, look, notice="vote.stale_revision")
        try:
            review = await self._service.act(who, click)
        except CountersignClientError as error:
            if reading and isinstance(error, NotFound):
                return closed_card(look)
            if error.code in _OUTDATED:
                return await self._shown(who, card, look, notice=error.code)
            if _unanswered(error) and not reading:  # it may have come through
                raise Refused("unavailable.unheard") from error
            if isinstance(error, NotFound):  # they see the card: that there is one is no secret
                raise Refused("vote.not_eligible") from error
            raise Refused(*_told(error)) from error
        return card_of(review, card, personal=True, look=look)

    async def _posted(self, handle: Handle) -> deliveries_pb2.Card:
        """The card that the data names. Raises `Refused`.

        Who clicks quickly may be ahead of the word that the card was posted.
        """
        for _ in range(SETTLES):
            try:
                card = await self._service.card(handle.card_id)
            except CountersignClientError as error:
                code, message = _told(error)
                foreign = code == "card.not_found"
                raise Refused("card.foreign" if foreign else code, message) from error
            if card.review_id != handle.review_id:
                raise Refused("card.foreign")
            if card.message_id:
                break
            await asyncio.sleep(SETTLE_S)
        return card

    async def _person(self, inbound: Inbound, place: Reference, *, fresh: bool) -> None:
        """Who clicked is a person of the tenant, at home in it. Raises `Refused`."""
        try:
            async with asyncio.timeout(MEMBER_WITHIN_S):
                member = await self._roster.member(place, inbound.user_id, fresh=fresh)
        except TimeoutError as error:
            raise Refused("member.unreadable") from error
        except NotMemberError as error:
            raise Refused("member.unknown") from error
        except ConnectorError as error:
            log.warning("the roster could not be read: %s", error.code)
            raise Refused("member.unreadable") from error
        if not member.is_human_of(inbound.tenant, inbound.subject):
            raise Refused("member.guest" if member.is_guest else "member.unknown")

    def _stands_here(self, card: deliveries_pb2.Card, inbound: Inbound, place: Reference) -> bool:
        """Whether the clicked message is the one that was posted, where it was posted."""
        reference = self._reference(card)
        return (
            card.message_id == inbound.reply_to_id
            and reference is not None
            and reference.conversation_id == place.conversation_id
            and reference.tenant == place.tenant
        )

    def _reference(self, card: deliveries_pb2.Card) -> Reference | None:
        try:
            return Reference.decode(
                card.reference.encode(),
                hosts=self._settings.hosts(),
                tenants=self._settings.tenants,
            )
        except ConnectorError:
            return None

    async def _shown(self, who: Who, card: deliveries_pb2.Card, look: Look, *, notice: str) -> Card:
        """The card as it is now for this person, and why it is shown instead."""
        try:
            review = await self._service.review(who, card.review_id)
        except CountersignClientError as error:
            raise Refused(*_told(error)) from error
        notice = refusal_text(notice, "", look)
        return card_of(review, card, personal=True, look=look, notice=notice)

    def _replace(self, place: Reference, message_id: str) -> None:
        """A copy of ours that nobody knows of, as a bot that died leaves: it says so itself.

        Only our own messages can be changed, so for any other this does nothing. Nor where
        others read along: whoever sends the data of one card from the message of another
        would take that one from all of them.
        """
        alone = place.conversation_type == "personal"
        if not alone or not message_id or len(self._tidying) >= MAX_TIDYING:
            return
        task = asyncio.create_task(self._put_gone(place, message_id))
        self._tidying.add(task)
        task.add_done_callback(self._tidying.discard)

    async def _put_gone(self, place: Reference, message_id: str) -> None:
        card = gone_card(self.look(""))
        try:
            await self._connector.update(place, message_id, card.body, summary=card.summary)
        except ConnectorError as error:
            log.info("a foreign copy was left as it is: %s", error.code)

    def look(self, locale: str) -> Look:
        """In what words: the reader's, or those of shared cards."""
        teams = self._settings.teams
        return Look(
            language=locale or teams.language,
            timezone=teams.timezone,
            now=datetime.now(UTC),
            console_url=teams.console_url,
        )


def _told(error: CountersignClientError) -> tuple[str, str]:
    """The code and sentence of an error of the service."""
    return "unavailable" if _unanswered(error) else error.code, error.message


def _unanswered(error: CountersignClientError) -> bool:
    """Whether nothing was heard of the service, rather than that it says no for now."""
    return isinstance(error, Unavailable) and error.code.startswith("unavailable")
