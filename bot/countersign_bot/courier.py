"""Brings cards to where they should stand, and says what came of it.

Holds nothing: what is leased and not acknowledged is leased again, by whatever
process is there then. Many cards are on their way at once; how fast each
conversation is written to is the connector's business.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Final

from google.protobuf.duration_pb2 import Duration

from countersign.client import CountersignClientError
from countersign.v1 import admin_pb2, deliveries_pb2
from countersign_bot.card import Card, Look, closed_card, reminder_text
from countersign_bot.connector.errors import (
    ConnectorError,
    MessageGoneError,
    NotInstalledError,
    NotMemberError,
    PassingError,
    RefusedError,
)
from countersign_bot.connector.protocol import Connector
from countersign_bot.connector.reference import Reference
from countersign_bot.roster import Roster
from countersign_bot.service import Service
from countersign_bot.settings import Settings
from countersign_bot.showing import UnfitCardError, card_of

log = logging.getLogger(__name__)

AT_ONCE: Final = 40
DELIVER_WITHIN_S: Final = 45.0
"""Less than a lease, so that no two processes write the same card."""
AWAY_S: Final = 2.0
"""Pause while the service does not answer."""


class Courier:
    """The loop of one process; any number of processes may run one."""

    def __init__(
        self,
        service: Service,
        connector: Connector,
        roster: Roster,
        settings: Settings,
        look: Callable[[str], Look],
    ) -> None:
        self._service = service
        self._connector = connector
        self._roster = roster
        self._settings = settings
        self._look = look
        self._busy: set[asyncio.Task[None]] = set()
        self._away = ""
        """Why nothing could be leased last time, so that it is told once."""

    async def run(self) -> None:
        """Lease and deliver until cancelled; what is on its way then is finished."""
        try:
            while True:
                if len(self._busy) >= AT_ONCE:
                    await asyncio.wait(self._busy, return_when=asyncio.FIRST_COMPLETED)
                await self._take()
        finally:
            await asyncio.gather(*self._busy, return_exceptions=True)

    async def _take(self) -> None:
        try:
            leased = await self._service.lease(AT_ONCE - len(self._busy))
        except CountersignClientError as error:
            why = f"{error.message} [{error.code}] {error.advice}".rstrip()
            if why != self._away:
                log.warning("no cards can be leased; it is tried again: %s", why)
            self._away = why
            await asyncio.sleep(AWAY_S)
            return
        except Exception as error:  # noqa: BLE001 - a bot that takes clicks must go on delivering
            log.error("no cards can be leased: %s", type(error).__name__)
            await asyncio.sleep(AWAY_S)
            return
        if self._away:
            log.info("cards can be leased again")
        self._away = ""
        for delivery in leased.deliveries:
            task = asyncio.create_task(self._deliver(delivery))
            self._busy.add(task)
            task.add_done_callback(self._busy.discard)
        if leased.reconnect:
            await asyncio.sleep(AWAY_S)

    async def _deliver(self, delivery: deliveries_pb2.Delivery) -> None:
        said = deliveries_pb2.AckRequest(card_id=delivery.card.card_id, lease_id=delivery.lease_id)
        try:
            async with asyncio.timeout(DELIVER_WITHIN_S):
                said.shown_message_id = await self._show(delivery)
        except NotInstalledError as error:
            said.not_installed, said.detail = True, error.code
        except MessageGoneError as error:
            said.message_gone, said.detail = True, error.code
        except PassingError as error:
            said.retry_after.CopyFrom(Duration(seconds=math.ceil(error.retry_after_s or 0)))
            said.detail = error.code
        except TimeoutError:
            said.retry_after.CopyFrom(Duration())
            said.detail = "timeout"
        except (ConnectorError, UnfitCardError) as error:
            said.refused, said.detail = True, error.code
        except Exception as error:  # noqa: BLE001 - one card must not end the delivery of all
            log.error("a card could not be made: %s", type(error).__name__)
            said.refused, said.detail = True, "card"
        if said.detail:
            log.warning("card %s was not delivered: %s", said.card_id, said.detail)
        try:
            if not await self._service.acknowledge(said):
                log.warning("card %s: the lease was over", said.card_id)
        except CountersignClientError as error:
            log.warning("card %s: not acknowledged [%s]", said.card_id, error.code)

    async def _show(self, delivery: deliveries_pb2.Delivery) -> str:
        """Bring one card to what it should show; the id of its message. Raises `ConnectorError`."""
        sent = delivery.card
        if not sent.reference:
            raise NotInstalledError("teams.no_reference", "nobody has installed the bot there")
        reference = Reference.decode(
            sent.reference.encode(), hosts=self._settings.hosts(), tenants=self._settings.tenants
        )
        if sent.audience != deliveries_pb2.AUDIENCE_CONVERSATION:
            await self._require_theirs(sent.address.account, reference)
        look = self._look("")
        card = await self._card(delivery, reference, look)
        if not sent.message_id:
            return await self._connector.post(
                reference, card.body, summary=card.summary, alert=True
            )
        await self._connector.update(reference, sent.message_id, card.body, summary=card.summary)
        if delivery.remind and delivery.HasField("review"):
            # Last, since all of this is done again when any of it fails.
            await self._connector.say(reference, reminder_text(delivery.review, look))
        return sent.message_id

    async def _require_theirs(self, account: admin_pb2.Account, reference: Reference) -> None:
        """What is for one person goes to their chat, and to no guest. Raises `ConnectorError`."""
        try:
            member = await self._roster.member(reference, account.subject, fresh=False)
        except NotMemberError as error:
            raise NotInstalledError(error.code, "they are not in that chat") from error
        tenant = account.issuer.removeprefix("teams:")
        alone = reference.conversation_type == "personal" and reference.user_id == member.user_id
        if not alone or not member.is_human_of(tenant, account.subject):
            raise RefusedError("teams.not_theirs", "that is no chat with that person alone")

    async def _card(
        self, delivery: deliveries_pb2.Delivery, reference: Reference, look: Look
    ) -> Card:
        if not delivery.HasField("review"):
            return closed_card(look)
        sent, review = delivery.card, delivery.review
        alone = sent.audience != deliveries_pb2.AUDIENCE_CONVERSATION
        return card_of(
            review,
            sent,
            personal=alone,
            look=look,
            viewers=await self._viewers(sent, reference),
        )

    async def _viewers(self, sent: deliveries_pb2.Card, reference: Reference) -> list[str]:
        """Their ids in Teams: whose client asks for a view of their own."""
        if reference.user_id:
            return [reference.user_id]
        found = await asyncio.gather(
            *(
                self._roster.member(reference, account.subject, fresh=False)
                for account in sent.viewers
                if account.issuer == f"teams:{reference.tenant}"
            ),
            return_exceptions=True,
        )
        return [each.user_id for each in found if not isinstance(each, BaseException)]
