"""Who acts: the credential's own person, or the account a channel asserts."""

from __future__ import annotations

from typing import Any

import pytest

from countersign.credentials import proof_of_account
from countersign.directory import Directory
from countersign.edge.authentication import Authenticated
from countersign.edge.voter import voter
from countersign.errors import InvalidRequestError, NotPermittedError, RequestError
from countersign.flow.voter import Voter
from countersign.model import (
    SECOND_US,
    Account,
    Assurance,
    Channel,
    ChannelId,
    Instant,
    Person,
    PersonId,
    TenantId,
)
from countersign.v1 import reviews_pb2
from simulators.world import AGENT

ACME, OTHER = TenantId("acme"), TenantId("other")
NOW = Instant(1_800_000_000 * SECOND_US)
MAX_AGE_S = 300
CONTOSO = "teams:contoso"


def person(id: str, subject: str, issuer: str = CONTOSO, tenant: TenantId = ACME) -> Person:
    return Person(
        tenant=tenant,
        id=PersonId(id),
        name=id,
        groups=frozenset(),
        accounts=(Account(issuer=issuer, subject=subject),),
        aliases=(f"{id}@example.com",),
    )


ALICE = person("alice", "object-1")
BOB = person("bob", "object-2", issuer="https://login.example")
ZOE = person("zoe", "object-3", tenant=OTHER)
TEAMS = Channel(tenant=ACME, id=ChannelId("teams"), issuers=(CONTOSO,))
DIRECTORY = Directory.of([], [ALICE, BOB, ZOE], channels=[TEAMS])
OWN = Authenticated(subject=ALICE, proof="token:aa")
THROUGH = Authenticated(subject=TEAMS, proof="token:bb")


def assertion(
    *, at_s: float | None = 0, nanos: int = 0, **changes: Any
) -> reviews_pb2.PersonAssertion:
    values = {"issuer": CONTOSO, "subject": "object-1", "message_ref": "19:abc;1"}
    made = reviews_pb2.PersonAssertion(**(values | changes))
    if at_s is not None:
        made.authenticated_at.FromMicroseconds(int(NOW + at_s * SECOND_US))
        made.authenticated_at.nanos += nanos
    return made


def act(who: Authenticated, said: reviews_pb2.PersonAssertion | None) -> Voter:
    return voter(who, said, DIRECTORY, NOW, MAX_AGE_S)


def refusal(who: Authenticated, said: reviews_pb2.PersonAssertion | None) -> RequestError:
    with pytest.raises(RequestError) as error:
        act(who, said)
    return error.value


def test_a_persons_own_credential_says_who_they_are() -> None:
    assert act(OWN, None) == Voter(person=ALICE, assurance=Assurance.PERSON, proof="token:aa")


@pytest.mark.parametrize("said", [assertion(), reviews_pb2.PersonAssertion()])
def test_with_their_own_credential_nobody_says_that_they_are_somebody_else(
    said: reviews_pb2.PersonAssertion,
) -> None:
    error = refusal(OWN, said)
    assert isinstance(error, InvalidRequestError)
    assert error.field == "person"


def test_a_machine_acts_for_nobody() -> None:
    for said in (None, assertion()):
        assert refusal(Authenticated(subject=AGENT, proof="p"), said).code == "caller.not_a_person"


def test_a_channel_asserts_an_account_of_its_issuer_and_tenant() -> None:
    assert act(THROUGH, assertion()) == Voter(
        person=ALICE,
        assurance=Assurance.CHANNEL,
        proof=proof_of_account(CONTOSO, "object-1"),
        channel=TEAMS.id,
        channel_proof=THROUGH.proof,
        message_ref="19:abc;1",
    )


def test_a_channel_must_say_who_acts() -> None:
    error = refusal(THROUGH, None)
    assert isinstance(error, InvalidRequestError)
    assert error.field == "person"
    assert refusal(THROUGH, reviews_pb2.PersonAssertion()).code == "channel.foreign_issuer"


@pytest.mark.parametrize("issuer", ["", "teams:CONTOSO", "https://login.example", "teams:contoso "])
def test_a_channel_asserts_nothing_of_other_issuers(issuer: str) -> None:
    error = refusal(THROUGH, assertion(issuer=issuer, subject="object-2"))
    assert isinstance(error, NotPermittedError)
    assert error.code == "channel.foreign_issuer"


def test_an_account_elsewhere_is_refused_like_one_that_never_was() -> None:
    told = {
        (type(error), error.code, error.message, error.advice)
        for error in (
            refusal(THROUGH, assertion(subject=subject))
            for subject in ("object-3", "object-2", "object-9", "alice", "OBJECT-1", "", "zoe")
        )
    }
    assert len(told) == 1
    assert told.pop()[1] == "channel.unknown_account"


@pytest.mark.parametrize("at_s", [-MAX_AGE_S, -1, 0, 60])
def test_what_was_proven_lately_counts(at_s: int) -> None:
    assert act(THROUGH, assertion(at_s=at_s)).person is ALICE


@pytest.mark.parametrize(
    "at_s", [-MAX_AGE_S - 0.000001, -86_400, 60.000001, 86_400, -NOW / SECOND_US]
)
def test_what_was_proven_long_ago_or_will_be_does_not(at_s: float) -> None:
    error = refusal(THROUGH, assertion(at_s=at_s))
    assert isinstance(error, NotPermittedError)
    assert error.code == "channel.stale_assertion"


def test_a_moment_is_required() -> None:
    error = refusal(THROUGH, assertion(at_s=None))
    assert isinstance(error, InvalidRequestError)
    assert error.field == "person.authenticated_at"


def test_a_moment_no_calendar_knows_is_refused() -> None:
    said = assertion()
    said.authenticated_at.seconds = 2**62
    assert refusal(THROUGH, said).code == "channel.stale_assertion"


@pytest.mark.parametrize("ref", ["a" * 257, "a\nb", "\x00", "a\u202eb", "\u2028"])
def test_a_reference_to_a_message_is_short_and_plain(ref: str) -> None:
    error = refusal(THROUGH, assertion(message_ref=ref))
    assert isinstance(error, InvalidRequestError)
    assert error.field == "person.message_ref"
    assert ref not in error.message


def test_a_reference_may_be_left_out_or_as_long_as_it_may_be() -> None:
    for ref in ("", "a" * 256, "19:meeting_\u00e4"):
        assert act(THROUGH, assertion(message_ref=ref)).message_ref == ref
