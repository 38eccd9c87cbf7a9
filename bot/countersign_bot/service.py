"""The service as the bot asks it: with the bot's credential, for whoever clicked.

Votes name what the card showed, by the card's own word, and the service judges
it (invariants 4, 6, 7). A click's request id is made of what it says, so Teams
may send it twice. Every method raises `CountersignClientError`.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, Self

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from countersign.client import PersonAssertion, Timing
from countersign.client.aio_line import AioLine
from countersign.client.exchange import Exchange
from countersign.credentials import Credential
from countersign.v1 import context_pb2, deliveries_pb2, reviews_pb2
from countersign.v1.deliveries_pb2_grpc import DeliveriesStub
from countersign.v1.reviews_pb2_grpc import ReviewsStub
from countersign_bot.card import Click, Handle, Verb
from countersign_bot.inbound.activity import Inbound

CLICK_WITHIN_S: Final = 4.0
"""For one call that somebody waits for."""
LEASE_WAIT_S: Final = 25.0
LISTED: Final = 10


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """Somebody who just proved to Teams who they are."""

    issuer: str
    subject: str
    message_ref: str = ""

    @classmethod
    def of(cls, inbound: Inbound) -> Self:
        """Who sent this, and on which message they acted."""
        return cls(issuer=inbound.issuer, subject=inbound.subject, message_ref=inbound.reply_to_id)


class Service:
    """One connection for reviews and one for deliveries; close it at the end."""

    def __init__(self, credential: Credential) -> None:
        self._reviews = AioLine(credential, ReviewsStub)
        self._deliveries = AioLine(credential, DeliveriesStub)
        self._quick = Exchange(Timing(call_s=CLICK_WITHIN_S, attempt_s=CLICK_WITHIN_S / 2))
        self._patient = Exchange(
            Timing(call_s=LEASE_WAIT_S + 5, attempt_s=LEASE_WAIT_S + 5, backoff_s=0.5)
        )

    async def close(self) -> None:
        """Calls that still run fail."""
        await self._reviews.close()
        await self._deliveries.close()

    # --- for whoever clicked ---

    async def review(self, who: Who, review_id: str) -> reviews_pb2.Review:
        """The review as they may see it."""
        return await self._review(who, "Get", reviews_pb2.GetReviewRequest(review_id=review_id))

    async def act(self, who: Who, click: Click) -> reviews_pb2.Review:
        """What a button asks for; the review afterwards."""
        handle, request_id = click.handle, _request_id(who, click)
        if click.verb is Verb.INFO:
            return await self._review(
                who,
                "AskInfo",
                reviews_pb2.AskInfoRequest(
                    review_id=handle.review_id,
                    revision=handle.revision,
                    question=click.text,
                    request_id=request_id,
                ),
            )
        if click.verb is Verb.REVOKE:
            revoke = reviews_pb2.RevokeRequest(
                review_id=handle.review_id, reason=click.text, request_id=request_id
            )
            return await self._review(who, "Revoke", revoke)
        if click.verb is Verb.REFRESH:
            return await self.review(who, handle.review_id)
        return await self._review(who, "Decide", _vote(handle, click, request_id))

    async def listed(self, who: Who, *, ended: bool) -> Sequence[reviews_pb2.Review]:
        """The newest reviews they may see: open ones, or those that have ended."""
        request = reviews_pb2.ListReviewsRequest(page_size=50 if not ended else LISTED)
        if ended:
            request.states.extend(_ENDED)
        page: reviews_pb2.ListReviewsResponse = await self._as(who, "List", request)
        return page.reviews

    # --- deliveries ---

    async def lease(self, max_cards: int) -> deliveries_pb2.LeaseResponse:
        """Cards with something to do; waits until there are some, or for `LEASE_WAIT_S`."""
        request = deliveries_pb2.LeaseRequest(max_cards=max_cards)
        request.max_wait.CopyFrom(Duration(seconds=int(LEASE_WAIT_S)))
        answer: deliveries_pb2.LeaseResponse = await self._deliveries.run(
            self._patient.call("Lease", request)
        )
        return answer

    async def acknowledge(self, request: deliveries_pb2.AckRequest) -> bool:
        """Whether the service took it: false when the lease was over."""
        answer: deliveries_pb2.AckResponse = await self._deliveries.run(
            self._patient.call("Ack", request)
        )
        return answer.taken

    async def card(self, card_id: str) -> deliveries_pb2.Card:
        """A card of this bot's. Raises `NotFound`."""
        request = deliveries_pb2.GetCardRequest(card_id=card_id)
        answer: deliveries_pb2.Card = await self._deliveries.run(
            self._quick.call("GetCard", request)
        )
        return answer

    async def put_endpoint(
        self, request: deliveries_pb2.PutEndpointRequest
    ) -> deliveries_pb2.Endpoint:
        """Keep how to reach somebody; who they are, when they are registered."""
        answer: deliveries_pb2.Endpoint = await self._deliveries.run(
            self._quick.call("PutEndpoint", request)
        )
        return answer

    async def endpoints(self) -> deliveries_pb2.ListEndpointsResponse:
        """Where this bot is, and the conversations it has not been seen in."""
        request = deliveries_pb2.ListEndpointsRequest()
        answer: deliveries_pb2.ListEndpointsResponse = await self._deliveries.run(
            self._quick.call("ListEndpoints", request)
        )
        return answer

    async def _review(self, who: Who, method: str, request: Any) -> reviews_pb2.Review:
        answer: reviews_pb2.Review = await self._as(who, method, request)
        return answer

    async def _as(self, who: Who, method: str, request: Any) -> Any:
        message: Message = request
        request.person.CopyFrom(
            PersonAssertion(
                issuer=who.issuer,
                subject=who.subject,
                authenticated_at=datetime.now(UTC),
                message_ref=who.message_ref,
            ).to_message()
        )
        return await self._reviews.run(self._quick.call(method, message))


_ENDED: Final = tuple(
    context_pb2.ReviewState.Value(f"REVIEW_STATE_{name}")
    for name in ("CLAIMED", "DENIED", "EXPIRED", "CANCELLED", "LAPSED", "REVOKED")
)


def _vote(handle: Handle, click: Click, request_id: str) -> reviews_pb2.DecideRequest:
    approve = click.verb is Verb.APPROVE
    return reviews_pb2.DecideRequest(
        review_id=handle.review_id,
        revision=handle.revision,
        profile=handle.profile,
        preview_hash=bytes.fromhex(handle.preview_hash),
        vote=reviews_pb2.VOTE_APPROVE if approve else reviews_pb2.VOTE_DENY,
        reason=click.text,
        request_id=request_id,
    )


def _request_id(who: Who, click: Click) -> str:
    """The same for the same person saying the same of the same revision of a review."""
    handle = click.handle
    said = (
        who.issuer,
        who.subject,
        click.verb,
        handle.review_id,
        str(handle.revision),
        handle.profile,
        handle.preview_hash,
        click.text,
    )
    digest = hashlib.sha256()
    for part in said:
        data = part.encode()
        digest.update(len(data).to_bytes(4, "big") + data)
    return f"click-{digest.hexdigest()[:40]}"
