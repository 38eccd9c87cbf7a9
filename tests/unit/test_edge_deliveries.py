"""The edge of `Deliveries`: what bots send, field by field, and what they get."""

from __future__ import annotations

import dataclasses

import pytest

from countersign.directory import Directory
from countersign.edge import encode
from countersign.edge.deliveries import MAX_REFERENCE_BYTES, Deliveries
from countersign.edge.rpc import Call
from countersign.errors import InvalidRequestError
from countersign.model import Account, Channel, ChannelId, Conversation
from countersign.v1 import deliveries_pb2 as pb
from simulators.world import BOB, CALLERS, PEOPLE, TENANT, World, context

CONTOSO = "teams:contoso"
BOT = Channel(
    tenant=TENANT,
    id=ChannelId("teams"),
    issuers=(CONTOSO,),
    conversations=(Conversation(name="data", id="19:data"), Conversation(name="it", id="19:it")),
)
PEOPLE_IN_TEAMS = [
    dataclasses.replace(each, accounts=(Account(issuer=CONTOSO, subject=f"oid-{each.id}"),))
    if each.tenant == TENANT
    else each
    for each in PEOPLE
]


async def _still() -> None:
    """The credential is still good."""


CALL = Call(
    subject=BOT, proof="t", made_by=None, deadline_s=30, trace="", still=_still, spend=lambda: None
)


class Desk:
    """The verbs over a world with a bot in it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.verbs = Deliveries(world.flow)

    async def installs(self, subject: str = "oid-bob", **more) -> pb.Endpoint:
        request = pb.PutEndpointRequest(
            state=more.pop("state", pb.ENDPOINT_STATE_INSTALLED), reference="{}", **more
        )
        if "address" not in more:
            request.address.account.issuer = CONTOSO
            request.address.account.subject = subject
        return await self.verbs.put_endpoint(CALL, request)

    async def leases(self, **more) -> pb.LeaseResponse:
        request = pb.LeaseRequest(**more)
        request.max_wait.FromSeconds(0)
        return await self.verbs.lease(CALL, request)


@pytest.fixture
async def desk(tmp_path):
    world = await World.open(tmp_path)
    world.source.current = Directory.of(CALLERS, PEOPLE_IN_TEAMS, (), [BOT])
    yield Desk(world)
    await world.close()


async def refused(attempt) -> str:
    with pytest.raises(InvalidRequestError) as error:
        await attempt
    return f"{error.value.field}: {error.value.code}"


async def test_a_leased_card_brings_all_that_a_bot_needs(desk):
    await desk.installs()
    review = await desk.world.opened(context())
    (delivery,) = (await desk.leases()).deliveries
    card = delivery.card
    assert (card.review_id, card.person_id, card.reference) == (review.id, "bob", "{}")
    assert card.audience == pb.AUDIENCE_APPROVER
    assert delivery.review.status.review_id == review.id
    assert list(delivery.review.previews) == ["reviewer"]
    assert delivery.review.action == "db.export"
    assert delivery.review.min_assurance == "channel"
    assert list(delivery.review.unreached) == ["carol"]
    told = pb.AckRequest(card_id=card.card_id, lease_id=delivery.lease_id, shown_message_id="m")
    assert (await desk.verbs.ack(CALL, told)).taken
    assert not (await desk.verbs.ack(CALL, told)).taken
    found = await desk.verbs.get_card(CALL, pb.GetCardRequest(card_id=card.card_id))
    assert (found.message_id, found.nonce) == ("m", card.nonce)


async def test_one_card_that_cannot_be_told_does_not_hold_up_the_others(desk, monkeypatch):
    await desk.installs()
    bad = await desk.world.opened(context())
    good = await desk.world.opened(context(arguments={"rows": 2}))
    real = encode.review

    def failing(shown, *more, **options):
        if shown.id == bad.id:
            raise RuntimeError("a mistake of ours")
        return real(shown, *more, **options)

    monkeypatch.setattr(encode, "review", failing)
    (delivery,) = (await desk.leases()).deliveries
    assert delivery.card.review_id == good.id
    assert (await desk.leases()).deliveries == []


async def test_endpoints_are_told_with_who_and_what_they_are(desk):
    await desk.installs()
    await desk.installs("oid-stranger", state=pb.ENDPOINT_STATE_NOT_INSTALLED)
    await desk.installs(address=pb.Address(conversation_id="19:data"))
    told = await desk.verbs.list_endpoints(CALL, pb.ListEndpointsRequest())
    assert {(each.person_id, each.name, each.state) for each in told.endpoints} == {
        (BOB.id, "", pb.ENDPOINT_STATE_INSTALLED),
        ("", "", pb.ENDPOINT_STATE_NOT_INSTALLED),
        ("", "data", pb.ENDPOINT_STATE_INSTALLED),
    }
    assert list(told.unbound) == ["it"]


async def test_what_is_wrong_is_refused_by_its_field(desk):
    verbs, account = desk.verbs, pb.Address()
    account.account.issuer, account.account.subject = CONTOSO, "oid-bob"
    foreign, nobody, nowhere = pb.Address(), pb.Address(), pb.Address(conversation_id="")
    foreign.account.issuer, foreign.account.subject = "teams:fabrikam", "oid-bob"
    nobody.account.issuer = CONTOSO
    for request, told in (
        (pb.PutEndpointRequest(address=account), "state: request.invalid"),
        (pb.PutEndpointRequest(state=1), "address: request.invalid"),
        (pb.PutEndpointRequest(state=1, address=nowhere), "address.conversation_id"),
        (pb.PutEndpointRequest(state=1, address=nobody), "address.account.subject"),
        (pb.PutEndpointRequest(state=1, address=foreign), "channel.foreign_issuer"),
        (
            pb.PutEndpointRequest(state=1, address=pb.Address(conversation_id="a\nb")),
            "address.conversation_id",
        ),
        (
            pb.PutEndpointRequest(
                state=1, address=account, reference="x" * (MAX_REFERENCE_BYTES + 1)
            ),
            "reference",
        ),
    ):
        assert told in await refused(verbs.put_endpoint(CALL, request))
    for ack, told in (
        (pb.AckRequest(lease_id="l", refused=True), "card_id"),
        (pb.AckRequest(card_id="c", refused=True), "lease_id"),
        (pb.AckRequest(card_id="c", lease_id="l"), "result"),
        (pb.AckRequest(card_id="c", lease_id="l", not_installed=False), "result"),
        (pb.AckRequest(card_id="c", lease_id="l", shown_message_id=""), "result"),
        (pb.AckRequest(card_id="c", lease_id="l", refused=True, detail="x" * 65), "detail"),
        (pb.AckRequest(card_id="c", lease_id="l", shown_message_id="\x1b"), "shown_message_id"),
    ):
        assert told in await refused(verbs.ack(CALL, ack))
    long = pb.LeaseRequest()
    long.max_wait.FromSeconds(61)
    for lease, told in ((long, "max_wait"), (pb.LeaseRequest(max_cards=51), "max_cards")):
        assert told in await refused(verbs.lease(CALL, lease))
