"""Who somebody is in a conversation, as Teams' roster says: fresh to decide, cached to look."""

from __future__ import annotations

import collections
import time
from collections.abc import Callable
from typing import Final

from countersign_bot.connector.protocol import Connector, Member
from countersign_bot.connector.reference import Reference

KEEP_S: Final = 300.0
MAX_KEPT: Final = 10_000


class Roster:
    """Members by conversation and id: `29:…`, or an Entra object id."""

    def __init__(
        self, connector: Connector, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._connector = connector
        self._clock = clock
        self._kept: collections.OrderedDict[tuple[str, str], tuple[float, Member]]
        self._kept = collections.OrderedDict()

    async def member(self, reference: Reference, user_id: str, *, fresh: bool) -> Member:
        """Who that is there. Raises `ConnectorError`; a failure is never remembered."""
        key = (reference.conversation_id, user_id)
        now = self._clock()
        kept = self._kept.get(key)
        if kept is not None and not fresh and now - kept[0] < KEEP_S:
            return kept[1]
        self._kept.pop(key, None)
        found = await self._connector.member(reference, user_id)
        self._kept[key] = (now, found)
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return found
