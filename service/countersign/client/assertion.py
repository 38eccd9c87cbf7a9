"""Who acts, as a channel says: the account that clicked, and when it proved itself.

A channel (a bot, a console) has one credential for many people, so each of its
requests names one account of an issuer it is registered for; the server finds
the person. A person's own credential needs none of this.
"""

from __future__ import annotations

import dataclasses
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from countersign.client.errors import InvalidRequest
from countersign.v1 import reviews_pb2


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PersonAssertion:
    """One account of one issuer. Raises `InvalidRequest` naming the field that is wrong."""

    issuer: str
    """`teams:<tenant id>`, or the `iss` of an identity provider."""
    subject: str
    """The account there: an object id, or a `sub`. Never a registered person's id."""
    authenticated_at: datetime
    """When the account proved itself to the channel; the server refuses old ones."""
    message_ref: str = ""
    """Which message was acted on; recorded."""

    def __post_init__(self) -> None:
        for field in ("issuer", "subject"):
            if not getattr(self, field):
                raise InvalidRequest(f"person.{field}", "must not be empty")
        timestamp("person.authenticated_at", self.authenticated_at)

    def to_message(self) -> reviews_pb2.PersonAssertion:
        """The wire form."""
        return reviews_pb2.PersonAssertion(
            issuer=self.issuer,
            subject=self.subject,
            authenticated_at=timestamp("person.authenticated_at", self.authenticated_at),
            message_ref=self.message_ref,
        )


def timestamp(field: str, moment: datetime) -> Timestamp:
    """A moment on the wire. Raises `InvalidRequest` when its time zone is a guess."""
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise InvalidRequest(field, "must be a datetime with a time zone, as datetime.now(UTC) is")
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp
