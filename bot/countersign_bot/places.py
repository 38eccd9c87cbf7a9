"""Where the bot can write: kept by the service, as Teams tells of coming and going.

Any activity tells where it came from, so a conversation is known from the first
word that is said to the bot there; an installation or removal says so outright.
"""

from __future__ import annotations

import logging
from typing import Final

from countersign.client import CountersignClientError
from countersign.v1 import admin_pb2, deliveries_pb2
from countersign_bot.connector.reference import Reference
from countersign_bot.inbound.activity import Inbound
from countersign_bot.service import Service

log = logging.getLogger(__name__)

_GOING: Final = frozenset({"remove", "remove-upgrade"})


class Places:
    """Tells the service where the bot is."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def came(self, inbound: Inbound) -> deliveries_pb2.Endpoint | None:
        """The bot is there; who or what that is. None when the service did not take it."""
        return await self._put(inbound, deliveries_pb2.ENDPOINT_STATE_INSTALLED)

    async def moved(self, inbound: Inbound) -> deliveries_pb2.Endpoint | None:
        """An installation or a change of members. None where it is not about the bot."""
        gone = [member.user_id for member in inbound.members_removed]
        going = inbound.action in _GOING or inbound.recipient_id in gone
        if going:
            return await self._put(inbound, deliveries_pb2.ENDPOINT_STATE_NOT_INSTALLED)
        coming = [member.user_id for member in inbound.members_added]
        if inbound.type == "installationUpdate" or inbound.recipient_id in coming:
            return await self.came(inbound)
        return None

    async def _put(
        self, inbound: Inbound, state: deliveries_pb2.EndpointState.ValueType
    ) -> deliveries_pb2.Endpoint | None:
        address = deliveries_pb2.Address(conversation_id=inbound.conversation_id)
        if inbound.conversation_type == "personal":
            if not inbound.subject:
                return None
            account = admin_pb2.Account(issuer=inbound.issuer, subject=inbound.subject)
            address = deliveries_pb2.Address(account=account)
        try:
            return await self._service.put_endpoint(
                deliveries_pb2.PutEndpointRequest(
                    address=address,
                    state=state,
                    reference=Reference.of(inbound).encode().decode(),
                )
            )
        except CountersignClientError as error:
            log.warning("where the bot is could not be kept: %s [%s]", error.message, error.code)
            return None
