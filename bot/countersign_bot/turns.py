"""One activity of Teams, and who of the bot answers it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

from countersign_bot.clicks import Clicks
from countersign_bot.connector.errors import ConnectorError
from countersign_bot.connector.protocol import Connector
from countersign_bot.connector.reference import Reference
from countersign_bot.inbound.activity import Inbound
from countersign_bot.inbound.answer import CARD_ACTION, InvokeAnswer
from countersign_bot.places import Places
from countersign_bot.talk import Talk, welcome

log = logging.getLogger(__name__)

_MOVES: Final = frozenset({"installationUpdate", "conversationUpdate"})


class Turns:
    """The `Turn` of the route."""

    def __init__(self, clicks: Clicks, talk: Talk, places: Places, connector: Connector) -> None:
        self._clicks = clicks
        self._talk = talk
        self._places = places
        self._connector = connector

    async def __call__(self, inbound: Inbound) -> InvokeAnswer | None:
        """What it is answered with; None for what takes no answer."""
        if inbound.is_invoke:
            return await self._clicks.invoked(inbound) if inbound.name == CARD_ACTION else None
        if inbound.type in _MOVES:
            await self._moved(inbound)
        elif inbound.type == "message":
            await self._said(inbound)
        return None

    async def _said(self, inbound: Inbound) -> None:
        if isinstance(inbound.value, Mapping) and inbound.value:
            told = await self._clicks.submitted(inbound)
        elif told := await self._clicks.refusal(inbound):
            pass
        else:
            endpoint = await self._places.came(inbound)
            told = await self._talk.answer(inbound, endpoint, self._clicks.look(inbound.locale))
        if told:
            await self._say(inbound, told)

    async def _moved(self, inbound: Inbound) -> None:
        endpoint = await self._places.moved(inbound)
        if endpoint is not None and inbound.action == "add":
            look = self._clicks.look(inbound.locale)
            alone = inbound.conversation_type == "personal"
            refusal = await self._clicks.refusal(inbound) if alone else ""
            await self._say(inbound, refusal or welcome(inbound, endpoint, look))

    async def _say(self, inbound: Inbound, text: str) -> None:
        place = Reference.of(inbound)
        if inbound.thread_root:
            place = place.in_thread(inbound.thread_root)
        try:
            await self._connector.say(place, text)
        except ConnectorError as error:
            log.warning("an answer was not delivered: %s", error.code)
