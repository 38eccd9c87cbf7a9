"""The `Deliveries` service: what bots do. Translates, decides nothing."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import grpc
from google.protobuf.message import Message

from countersign.cards import Address, Audience, Delivered, Endpoint
from countersign.edge import decode, encode
from countersign.edge.authentication import as_channel
from countersign.edge.rpc import Call, Rpc, Unary
from countersign.errors import InvalidRequestError
from countersign.flow import Flow
from countersign.flow.delivering import MAX_CARDS, MAX_WAIT_S, Acknowledged, Delivery, Shown
from countersign.flow.staff import Staff
from countersign.flow.targets import conversation_name
from countersign.model import Account, Assurance, CardId, Channel
from countersign.v1 import admin_pb2, deliveries_pb2, reviews_pb2

log = logging.getLogger(__name__)

Q = TypeVar("Q", bound=Message)
R = TypeVar("R", bound=Message)

DEFAULT_CARDS: Final = 10
DEFAULT_WAIT_S: Final = 30.0
MAX_REFERENCE_BYTES: Final = 4_096
MAX_MESSAGE_ID_CHARS: Final = 256
MAX_DETAIL_CHARS: Final = 64
_AUDIENCES: Final = {
    Audience.APPROVER: deliveries_pb2.AUDIENCE_APPROVER,
    Audience.CONVERSATION: deliveries_pb2.AUDIENCE_CONVERSATION,
    Audience.REQUESTER: deliveries_pb2.AUDIENCE_REQUESTER,
}
_INSTALLED: Final = {
    deliveries_pb2.ENDPOINT_STATE_INSTALLED: True,
    deliveries_pb2.ENDPOINT_STATE_NOT_INSTALLED: False,
}


class Deliveries:
    """The verbs of `countersign.v1.Deliveries`."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow

    def handlers(self, rpc: Rpc) -> grpc.GenericRpcHandler:
        """The service's gRPC handlers."""
        return rpc.service(
            "countersign.v1.Deliveries",
            {
                "Lease": _verb(deliveries_pb2.LeaseRequest, self.lease),
                "Ack": _verb(deliveries_pb2.AckRequest, self.ack),
                "GetCard": _verb(deliveries_pb2.GetCardRequest, self.get_card),
                "PutEndpoint": _verb(deliveries_pb2.PutEndpointRequest, self.put_endpoint),
                "ListEndpoints": _verb(deliveries_pb2.ListEndpointsRequest, self.list_endpoints),
            },
        )

    async def lease(
        self, call: Call[Channel], message: deliveries_pb2.LeaseRequest
    ) -> deliveries_pb2.LeaseResponse:
        """Lease."""
        if message.max_cards > MAX_CARDS:
            raise InvalidRequestError("max_cards", f"must be at most {MAX_CARDS}")
        wait_s = DEFAULT_WAIT_S
        if message.HasField("max_wait"):
            wait_s = message.max_wait.ToMilliseconds() / 1_000
        if not 0 <= wait_s <= MAX_WAIT_S:
            raise InvalidRequestError("max_wait", f"must be 0 to {MAX_WAIT_S:.0f} s")
        found = await self._flow.lease(
            call.subject,
            max_cards=message.max_cards or DEFAULT_CARDS,
            max_wait_s=min(wait_s, call.deadline_s),
        )
        await call.still()
        return deliveries_pb2.LeaseResponse(
            deliveries=filter(None, map(self._deliverable, found)),
            reconnect=self._flow.waiters.released(),
        )

    def _deliverable(self, given: Delivery) -> deliveries_pb2.Delivery | None:
        """None where it cannot be told: one card must not keep the others from their place."""
        try:
            return self._delivery(given)
        except Exception as error:  # noqa: BLE001 - its lease runs out and it is tried again
            log.error("card %s cannot be told: %s", given.shown.card.id, type(error).__name__)
            return None

    def _delivery(self, given: Delivery) -> deliveries_pb2.Delivery:
        return deliveries_pb2.Delivery(
            card=_card(given.shown),
            lease_id=given.lease.id,
            leased_until=encode.timestamp(given.lease.until),
            review=self._review(given),
            remind=given.lease.reminds,
            attempts=given.shown.card.attempts,
        )

    def _review(self, given: Delivery) -> reviews_pb2.Review | None:
        if not given.visible:
            return None
        if given.reader is None:
            return encode.review_for_all(given.review, given.unreached)
        people = Staff(directory=self._flow.parts.directory(), delegations=given.delegations)
        return encode.review(
            given.review, given.reader, people, Assurance.CHANNEL, unreached=given.unreached
        )

    async def ack(
        self, call: Call[Channel], message: deliveries_pb2.AckRequest
    ) -> deliveries_pb2.AckResponse:
        """Ack."""
        said = Acknowledged(
            card=CardId(decode.reference("card_id", message.card_id)),
            lease=decode.reference("lease_id", message.lease_id),
            result=_result(message),
            message_id=_short("shown_message_id", message.shown_message_id, MAX_MESSAGE_ID_CHARS),
            retry_after_s=max(message.retry_after.ToMilliseconds() / 1_000, 0.0),
            detail=_short("detail", message.detail, MAX_DETAIL_CHARS),
        )
        taken = await self._flow.acknowledge(call.subject, said)
        return deliveries_pb2.AckResponse(taken=taken)

    async def get_card(
        self, call: Call[Channel], message: deliveries_pb2.GetCardRequest
    ) -> deliveries_pb2.Card:
        """GetCard."""
        card_id = CardId(decode.reference("card_id", message.card_id))
        return _card(await self._flow.card(call.subject, card_id))

    async def put_endpoint(
        self, call: Call[Channel], message: deliveries_pb2.PutEndpointRequest
    ) -> deliveries_pb2.Endpoint:
        """PutEndpoint."""
        installed = _INSTALLED.get(message.state)
        if installed is None:
            raise InvalidRequestError("state", "must be INSTALLED or NOT_INSTALLED")
        if len(message.reference.encode()) > MAX_REFERENCE_BYTES:
            raise InvalidRequestError("reference", f"must be at most {MAX_REFERENCE_BYTES} bytes")
        address = _address(call.subject, message)
        kept = await self._flow.put_endpoint(
            call.subject, address, installed=installed, reference=message.reference
        )
        return self._endpoint(call.subject, kept)

    async def list_endpoints(
        self, call: Call[Channel], message: deliveries_pb2.ListEndpointsRequest
    ) -> deliveries_pb2.ListEndpointsResponse:
        """ListEndpoints."""
        del message
        channel = call.subject
        found = await self._flow.endpoints(channel)
        known = {each.address.subject for each in found if not each.address.issuer}
        return deliveries_pb2.ListEndpointsResponse(
            endpoints=[self._endpoint(channel, each) for each in found],
            unbound=[each.name for each in channel.conversations if each.id not in known],
        )

    def _endpoint(self, channel: Channel, kept: Endpoint) -> deliveries_pb2.Endpoint:
        person = None
        if kept.address.issuer:
            account = Account(issuer=kept.address.issuer, subject=kept.address.subject)
            person = self._flow.parts.directory().person_by_account(channel.tenant, account)
        return deliveries_pb2.Endpoint(
            address=_address_message(kept.address),
            state=(
                deliveries_pb2.ENDPOINT_STATE_INSTALLED
                if kept.installed
                else deliveries_pb2.ENDPOINT_STATE_NOT_INSTALLED
            ),
            reference=kept.reference,
            updated_at=encode.timestamp(kept.updated_at),
            person_id=person.id if person is not None else "",
            name=conversation_name(channel, kept.address),
        )


def _verb(
    request: type[Q], verb: Callable[[Call[Channel], Q], Awaitable[R]]
) -> Unary[Channel, Q, R]:
    return Unary(request=request, role=as_channel, verb=verb)


def _card(shown: Shown) -> deliveries_pb2.Card:
    card = shown.card
    return deliveries_pb2.Card(
        card_id=card.id,
        review_id=card.review,
        audience=_AUDIENCES[card.audience],
        address=_address_message(card.address),
        reference=shown.reference,
        message_id=card.message_id,
        nonce=shown.nonce,
        person_id=card.person or "",
        revision=shown.revision,
        viewers=[admin_pb2.Account(issuer=a.issuer, subject=a.subject) for a in shown.viewers],
    )


def _address_message(address: Address) -> deliveries_pb2.Address:
    if not address.issuer:
        return deliveries_pb2.Address(conversation_id=address.subject)
    account = admin_pb2.Account(issuer=address.issuer, subject=address.subject)
    return deliveries_pb2.Address(account=account)


def _address(channel: Channel, message: deliveries_pb2.PutEndpointRequest) -> Address:
    """Where cards may go: an account of the channel's own issuers, or a conversation."""
    which = message.address.WhichOneof("to")
    if which == "conversation_id":
        given = message.address.conversation_id
        if not given:
            raise InvalidRequestError("address.conversation_id", "is missing")
        return Address.of_conversation(
            _short("address.conversation_id", given, MAX_MESSAGE_ID_CHARS)
        )
    if which != "account":
        raise InvalidRequestError("address", "is missing; name an account or a conversation")
    account = message.address.account
    if account.issuer not in channel.issuers:
        raise InvalidRequestError(
            "address.account.issuer",
            "is none that this channel is registered for",
            code="channel.foreign_issuer",
        )
    if not account.subject:
        raise InvalidRequestError("address.account.subject", "is missing")
    subject = _short("address.account.subject", account.subject, MAX_MESSAGE_ID_CHARS)
    return Address(issuer=account.issuer, subject=subject)


def _result(message: deliveries_pb2.AckRequest) -> Delivered:
    match message.WhichOneof("result"):
        case "shown_message_id" if message.shown_message_id:
            return Delivered.SHOWN
        case "retry_after":
            return Delivered.LATER
        case "not_installed" if message.not_installed:
            return Delivered.NOT_INSTALLED
        case "message_gone" if message.message_gone:
            return Delivered.MESSAGE_GONE
        case "refused" if message.refused:
            return Delivered.REFUSED
    raise InvalidRequestError("result", "is missing; say what became of the card")


def _short(field: str, value: str, max_chars: int) -> str:
    if len(value) > max_chars or not value.isprintable():
        raise InvalidRequestError(
            field, f"must be at most {max_chars} characters, none of them a control character"
        )
    return value
