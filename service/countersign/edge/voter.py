"""Which person acts: by their own credential, or as a channel says.

Invariants kept: 7 (a channel asserts accounts of its own issuers and tenant,
never a person, and only what was proven to it lately) and 12 (an account of
another tenant is refused like one that never was). Pure. Used by `reviews`.
"""

from __future__ import annotations

import dataclasses
from typing import Final

from countersign.credentials import proof_of_account
from countersign.directory import Directory
from countersign.edge.authentication import Authenticated, as_reader
from countersign.errors import InvalidRequestError, NotPermittedError
from countersign.flow.voter import Voter
from countersign.model import SECOND_US, Account, Assurance, Channel, Instant, Person
from countersign.v1 import reviews_pb2

MAX_MESSAGE_REF_CHARS: Final = 256
MAX_AHEAD_S: Final = 60
"""How far a channel's clock may be ahead of ours."""


def voter(
    authenticated: Authenticated,
    assertion: reviews_pb2.PersonAssertion | None,
    directory: Directory,
    now: Instant,
    max_age_s: float,
) -> Voter:
    """Who acts in a call. `max_age_s`: how long ago the account may have been proven.

    Raises `NotPermittedError` and `InvalidRequestError`.
    """
    subject = as_reader(authenticated.subject)
    if isinstance(subject, Person):
        if assertion is not None:
            raise InvalidRequestError(
                "person", "is for channels; your own credential says who you are, leave it out"
            )
        return Voter(
            person=subject,
            assurance=Assurance.PERSON,
            proof=authenticated.proof,
            made_by=authenticated.made_by,
        )
    if assertion is None:
        raise InvalidRequestError("person", "is missing: say which account acts")
    asserted = _asserted(subject, assertion, directory, now, max_age_s)
    return dataclasses.replace(
        asserted, channel_proof=authenticated.proof, made_by=authenticated.made_by
    )


def _asserted(
    channel: Channel,
    assertion: reviews_pb2.PersonAssertion,
    directory: Directory,
    now: Instant,
    max_age_s: float,
) -> Voter:
    ref = assertion.message_ref
    if len(ref) > MAX_MESSAGE_REF_CHARS or not ref.isprintable():
        raise InvalidRequestError(
            "person.message_ref",
            f"must be at most {MAX_MESSAGE_REF_CHARS} characters, none of them a control character",
        )
    if assertion.issuer not in channel.issuers:
        raise NotPermittedError(
            "channel.foreign_issuer",
            "person.issuer: is none that this channel is registered for",
            advice="Its operator lists the issuers whose accounts it may assert.",
        )
    _check_fresh(assertion, now, max_age_s)
    account = Account(issuer=assertion.issuer, subject=assertion.subject)
    person = directory.person_by_account(channel.tenant, account)
    if person is None:
        raise NotPermittedError(
            "channel.unknown_account",
            "person.subject: is no account of a registered person",
            advice="The operator lists it under `accounts` of its person.",
        )
    return Voter(
        person=person,
        assurance=Assurance.CHANNEL,
        proof=proof_of_account(account.issuer, account.subject),
        channel=channel.id,
        message_ref=ref,
    )


def _check_fresh(assertion: reviews_pb2.PersonAssertion, now: Instant, max_age_s: float) -> None:
    if not assertion.HasField("authenticated_at"):
        raise InvalidRequestError(
            "person.authenticated_at", "is missing: say when the account proved itself"
        )
    moment = assertion.authenticated_at
    age_us = now - (moment.seconds * SECOND_US + moment.nanos // 1000)
    if not -MAX_AHEAD_S * SECOND_US <= age_us <= max_age_s * SECOND_US:
        raise NotPermittedError(
            "channel.stale_assertion",
            "person.authenticated_at: is too long ago, or in the future",
            advice="Have the account prove itself again, and compare the clocks.",
        )
