"""Guards that stand behind or before others, so that no other story misses them.

Who gets in and which verbs are whose, on a real gRPC server; then what fails closed
where a second guard would hide that the first is gone. `make guarantees` takes each
away.
"""

from __future__ import annotations

import dataclasses

import grpc
import pytest

from countersign.app import App
from countersign.config import load
from countersign.credentials import SubjectKind, new_token, token_hash
from countersign.directory import Directory, Login
from countersign.edge.authentication import Authenticator
from countersign.edge.decisions import Decisions
from countersign.edge.decode import Decoder
from countersign.edge.evidence import EvidenceReader
from countersign.edge.metrics import Metrics
from countersign.edge.rate import RateLimit
from countersign.edge.reviews import Reviews
from countersign.edge.rpc import Rpc
from countersign.errors import ConfigurationError, PolicyError
from countersign.issuers import Issuers
from countersign.keys import create_key
from countersign.model import (
    Account,
    Assurance,
    Channel,
    ChannelId,
    Effect,
    Person,
    Principal,
    ReviewState,
)
from countersign.sanitize import Sanitizer
from countersign.v1 import decisions_pb2, reviews_pb2
from simulators.world import (
    AGENT,
    BOB,
    CALLERS,
    PEOPLE,
    START,
    TENANT,
    ZOE,
    World,
    code,
    context,
)

MACHINE, PERSON, FOREIGNER, BOT = (
    new_token(kind)
    for kind in (
        SubjectKind.CALLER,
        SubjectKind.PERSON,
        SubjectKind.PERSON,
        SubjectKind.CHANNEL,
    )
)
TEAMS = Channel(tenant=TENANT, id=ChannelId("teams"), issuers=("teams:acme", "teams:other"))


def with_account(who: Person, issuer: str, subject: str) -> Person:
    return dataclasses.replace(who, accounts=(Account(issuer=issuer, subject=subject),))


STAFF = [
    *(each for each in PEOPLE if each not in (BOB, ZOE)),
    with_account(BOB, "teams:acme", "bobs-object-id"),
    with_account(ZOE, "teams:other", "zoes-object-id"),
]
LOGINS = (
    Login(
        tenant=TENANT,
        kind=SubjectKind.CALLER,
        subject=AGENT.id,
        token_sha256=(token_hash(MACHINE),),
    ),
    Login(
        tenant=TENANT,
        kind=SubjectKind.PERSON,
        subject=BOB.id,
        token_sha256=(token_hash(PERSON),),
        mtls_subject="bob.people.test",
    ),
    Login(
        tenant=ZOE.tenant,
        kind=SubjectKind.PERSON,
        subject=ZOE.id,
        token_sha256=(token_hash(FOREIGNER),),
    ),
    Login(
        tenant=TENANT,
        kind=SubjectKind.CHANNEL,
        subject=TEAMS.id,
        token_sha256=(token_hash(BOT),),
    ),
)
DIRECTORY = Directory.of(CALLERS, STAFF, LOGINS, [TEAMS])
MAX_CALL_S = 5.0
"""A Watch that is let in would go on for minutes."""
DECIDING = [
    *("List", "Get", "Watch", "Decide", "BatchDecide", "BreakGlass", "CloseAfterReview"),
    *("AskInfo", "Revoke", "Delegate", "ListDelegations", "EndDelegation"),
]
OWN_CREDENTIAL = {"BreakGlass"}
"""What no channel can do for anybody."""
ASKING = ["Check", "BatchCheck", "Await", "Claim", "Answer", "Cancel", "Report"]


class Edge:
    """A world behind a listening server, and a way to call it with any credential."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.server = grpc.aio.server()
        metrics = Metrics()
        rpc = Rpc(
            Authenticator(lambda: DIRECTORY),
            RateLimit(0, 1),
            metrics,
            lambda point: None,
            max_request_bytes=1_000_000,
        )
        decoder = Decoder(max_context_bytes=65_536, mask_pointer=lambda pointer: pointer)
        self.server.add_generic_rpc_handlers(
            (
                Reviews(world.flow, metrics, max_assertion_age_s=300).handlers(rpc),
                Decisions(world.flow, decoder, EvidenceReader(Issuers([])), metrics).handlers(rpc),
            )
        )
        port = self.server.add_insecure_port("127.0.0.1:0")
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")

    async def close(self) -> None:
        await self._channel.close()
        await self.server.stop(None)

    async def call(
        self, verb: str, message: bytes = b"", authorization: str | None = None
    ) -> bytes:
        metadata = () if authorization is None else (("authorization", authorization),)
        method = self._channel.unary_unary(f"/countersign.v1.{verb}")
        return await method(message, metadata=metadata, timeout=MAX_CALL_S)

    async def refusal(self, *call, **options) -> grpc.aio.AioRpcError:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await self.call(*call, **options)
        return refused.value


def says(error: grpc.aio.AioRpcError, reason: str) -> bool:
    return any(reason.encode() in value for _, value in error.trailing_metadata() or ())


@pytest.fixture
async def edge(tmp_path):
    world = await World.open(tmp_path)
    world.register(people=STAFF)
    made = Edge(world)
    await made.server.start()
    yield made
    await made.close()
    await world.close()


def test_the_verbs_told_here_are_all_there_are():
    services = {
        **reviews_pb2.DESCRIPTOR.services_by_name,
        **decisions_pb2.DESCRIPTOR.services_by_name,
    }
    told = {"Reviews": DECIDING, "Decisions": ASKING}
    assert {name: [m.name for m in service.methods] for name, service in services.items()} == told


@pytest.mark.parametrize("verb", DECIDING)
async def test_a_machine_has_no_verb_of_people(edge, verb):
    error = await edge.refusal(f"Reviews/{verb}", authorization=f"Bearer {MACHINE}")
    assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    assert says(error, "caller.not_a_person")


@pytest.mark.parametrize("verb", ASKING)
async def test_a_channel_has_no_verb_of_machines(edge, verb):
    error = await edge.refusal(f"Decisions/{verb}", authorization=f"Bearer {BOT}")
    assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    assert says(error, "channel.not_a_caller")


@pytest.mark.parametrize("verb", DECIDING)
async def test_a_channel_must_say_who_acts_and_cannot_do_all_a_person_can(edge, verb):
    error = await edge.refusal(f"Reviews/{verb}", authorization=f"Bearer {BOT}")
    if verb in OWN_CREDENTIAL:
        assert error.code() is grpc.StatusCode.PERMISSION_DENIED
        assert says(error, "channel.not_a_person")
    else:
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert says(error, "person")


@pytest.mark.parametrize("verb", ASKING)
async def test_a_person_has_no_verb_of_machines(edge, verb):
    error = await edge.refusal(f"Decisions/{verb}", authorization=f"Bearer {PERSON}")
    assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    assert says(error, "person.not_a_caller")


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer ",
        f"Basic {PERSON}",
        PERSON,
        f"Bearer {token_hash(PERSON)}",
        f"Bearer {new_token(SubjectKind.PERSON)}",
        f"Bearer csc{PERSON[3:]}",
        f"Bearer csh{PERSON[3:]}",
        f"Bearer {PERSON} ",
        f"Bearer {PERSON}.{PERSON}.{PERSON}",
        "Bearer bob.people.test",
    ],
    ids=[
        "nothing", "empty", "no-token", "other-scheme", "no-scheme", "hash", "of-nobody",
        "other-kind", "channel-kind", "blank-behind", "like-a-jwt", "certificate-name",
    ],
)  # fmt: skip
async def test_without_a_registered_credential_nobody_gets_in(edge, authorization):
    error = await edge.refusal("Reviews/List", authorization=authorization)
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    assert says(error, "credential.unknown")
    nobody = await edge.refusal("Reviews/List")
    assert (error.details(), error.trailing_metadata()) == (
        nobody.details(),
        nobody.trailing_metadata(),
    )


def vote_on(review, *, through: tuple[str, str] | None = None) -> bytes:
    vote = reviews_pb2.DecideRequest(
        review_id=review.id,
        revision=review.revision,
        profile="reviewer",
        preview_hash=bytes.fromhex(review.previews["reviewer"].hash),
        vote=reviews_pb2.VOTE_APPROVE,
        request_id="r1",
    )
    if through:
        vote.person.issuer, vote.person.subject = through
        vote.person.authenticated_at.FromMicroseconds(START)
    return vote.SerializeToString()


async def test_a_channel_decides_for_accounts_of_its_own_tenant_only(edge):
    review = await edge.world.opened(context())
    told = set()
    for account in (
        ("teams:other", "zoes-object-id"),
        ("teams:other", "nobodys-object-id"),
        ("teams:acme", "zoes-object-id"),
        ("teams:acme", BOB.id),
        ("teams:acme", "BOBS-OBJECT-ID"),
        ("teams:acme", ""),
    ):
        vote = vote_on(review, through=account)
        error = await edge.refusal("Reviews/Decide", vote, authorization=f"Bearer {BOT}")
        assert error.code() is grpc.StatusCode.PERMISSION_DENIED
        assert says(error, "channel.unknown_account")
        told.add((error.details(), tuple(error.trailing_metadata())))
    assert len(told) == 1
    vote = vote_on(review, through=("teams:acme", "bobs-object-id"))
    await edge.call("Reviews/Decide", vote, authorization=f"Bearer {BOT}")
    (cast,) = (await edge.world.review(review.id)).votes
    assert (cast.person, cast.assurance, cast.channel) == (BOB.id, Assurance.CHANNEL, TEAMS.id)


async def test_a_credential_decides_as_its_own_person_and_in_its_own_tenant(edge):
    review = await edge.world.opened(context())
    vote = vote_on(review)
    foreign = await edge.refusal("Reviews/Decide", vote, authorization=f"Bearer {FOREIGNER}")
    assert foreign.code() is grpc.StatusCode.NOT_FOUND
    await edge.call("Reviews/Decide", vote, authorization=f"bearer {PERSON}")
    stored = await edge.world.review(review.id)
    assert [cast.person for cast in stored.votes] == [BOB.id]
    assert stored.state is ReviewState.APPROVED


# --- what fails closed ----------------------------------------------------------


@pytest.mark.parametrize("fault", ["policy.undefined", "policy.invalid", "policy.unavailable"])
@pytest.mark.parametrize("retryable", [True, False])
async def test_policy_that_says_nothing_usable_never_allows(edge, fault, retryable):
    edge.world.policy.says(PolicyError(fault, "policy did not answer", retryable=retryable))
    answer = await edge.world.check(context(), permit_audience="gateway")
    assert (answer.decision.effect, code(answer)) == (Effect.DENY, fault)
    assert answer.decision.retryable is retryable
    assert (answer.permit, answer.review) == (None, None)


def test_owners_are_excluded_whatever_actor_is_named():
    directory = Directory.of(CALLERS, PEOPLE)
    for actor in (AGENT.actors[0], "scout-bot", "nobodys-bot"):
        asked = context(actor=Principal(type="workload", id=actor))
        assert set(AGENT.owners) <= directory.requester_chain(AGENT, asked).excluded


def render(asked, findings):
    return Sanitizer().preview(
        asked, findings, profile="reviewer", policy_mask=(), must_show=(), tag_key=b"k" * 32
    )


def test_what_could_not_be_read_is_not_shown_though_no_pattern_knows_it():
    def known(name):
        raise RuntimeError

    asked = context(arguments={"folder": "the blue one"})
    shown = render(asked, Sanitizer().detect(asked, known=known))
    assert "blue" not in shown.context_json
    assert not shown.reviewable


def test_what_is_not_all_read_is_not_approved_though_nothing_asked_for_is_masked():
    asked = context(arguments={"payload": '{"a": 1, "a": 2}'})
    findings = Sanitizer().detect(asked, known=lambda name: False)
    assert not findings.complete
    assert not render(asked, findings).reviewable


def test_locked_records_are_promised_only_with_a_sink_that_enforces_it(tmp_path):
    settings = tmp_path / "countersign.toml"
    for key in ("permit", "log", "receipt"):
        create_key(tmp_path / "keys" / f"{key}.pem")
    settings.write_text("", "utf-8")
    App(load(settings, {}))
    settings.write_text('[log]\ndurability = "locked"\n', "utf-8")
    with pytest.raises(ConfigurationError) as refused:
        App(load(settings, {}))
    assert refused.value.code == "audit.not_lockable"
