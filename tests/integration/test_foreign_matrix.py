"""What belongs to others cannot be told from what never was: not by word, not by work.

Every verb that takes an id, called by everybody whom the id is none of: the
answer is compared byte for byte with the one to an id that never was, and so
are the SQL statements that it cost. The real edge over the real store, in this
process so that its statements can be counted; policy alone is scripted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from countersign.audit.local import LocalSink
from countersign.audit.merkle import leaf_hash
from countersign.audit.note import Signer
from countersign.audit.published import PublishedLogs
from countersign.audit.publisher import Publisher, PublisherSettings
from countersign.cards import Address
from countersign.credentials import SubjectKind, new_token, token_hash
from countersign.directory import Directory, Login
from countersign.edge.authentication import Authenticator
from countersign.edge.decisions import Decisions
from countersign.edge.decode import Decoder
from countersign.edge.deliveries import Deliveries
from countersign.edge.evidence import EvidenceReader
from countersign.edge.metrics import Metrics
from countersign.edge.rate import RateLimit
from countersign.edge.reviews import Reviews
from countersign.edge.rpc import Rpc
from countersign.edge.trust import Trust
from countersign.flow.delegating import DelegateAsk
from countersign.issuers import Issuers
from countersign.keys import create_key, read_key
from countersign.model import (
    SECOND_US,
    Account,
    ActionContext,
    BreakGlass,
    Caller,
    Channel,
    ChannelId,
    Choice,
    Delegation,
    Instant,
    Outcome,
    Person,
    PolicyDecision,
    Review,
    ReviewId,
    ReviewState,
    TenantId,
    new_id,
)
from countersign.v1 import context_pb2, decisions_pb2, deliveries_pb2, reviews_pb2, trust_pb2
from simulators.world import (
    AGENT,
    BOB,
    CALLERS,
    CAROL,
    DAVE,
    ERIN,
    GATEWAY,
    OWNERS,
    PEOPLE,
    SCOUT,
    SECURITY,
    START,
    STRANGER,
    TENANT,
    ZOE,
    World,
    context,
    needs,
    person,
    voter,
)
from statements import counted

OTHER = TenantId("other")
BOT = Channel(tenant=TENANT, id=ChannelId("bot"), issuers=("teams:acme",))
THEIR_BOT = Channel(tenant=OTHER, id=ChannelId("bot"), issuers=("teams:acme", "teams:other"))
NEVER = ("rev_" + "0" * 32, "nonsense")
"""Ids that never were: one that could have been, and one that could not."""


def known_to_teams(who: Person) -> Person:
    issuer = "teams:other" if who.tenant == OTHER else "teams:acme"
    return dataclasses.replace(who, accounts=(Account(issuer=issuer, subject=f"oid-{who.id}"),))


ZACK = person("zack", "data-owners", tenant=OTHER)
STAFF = [known_to_teams(each) for each in (*PEOPLE, ZACK)]
TOKENS = {
    (subject.tenant, kind, subject.id): new_token(kind)
    for kind, subjects in (
        (SubjectKind.CALLER, CALLERS),
        (SubjectKind.PERSON, STAFF),
        (SubjectKind.CHANNEL, (BOT, THEIR_BOT)),
    )
    for subject in subjects
}
LOGINS = [
    Login(tenant=tenant, kind=kind, subject=subject, token_sha256=(token_hash(token),))
    for (tenant, kind, subject), token in TOKENS.items()
]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """All that a sender learns of a call, and what it cost."""

    code: grpc.StatusCode
    message: str
    details: bytes
    statements: tuple[tuple[str, int], ...]

    def says(self, reason: str) -> bool:
        return reason.encode() in self.details


class Edge:
    """The service's own handlers over a world, and calls with any credential."""

    def __init__(self, world: World, trust: Trust | None = None) -> None:
        self.world = world
        self.server = grpc.aio.server()
        metrics = Metrics()
        rpc = Rpc(
            Authenticator(lambda: world.directory),
            RateLimit(0, 1),
            metrics,
            lambda point: None,
            max_request_bytes=1_000_000,
        )
        decoder = Decoder(max_context_bytes=65_536, mask_pointer=lambda pointer: pointer)
        services: list[Any] = [
            Reviews(world.flow, metrics, max_assertion_age_s=1e9),
            Deliveries(world.flow),
            Decisions(world.flow, decoder, EvidenceReader(Issuers([])), metrics),
        ]
        services += [trust] if trust else []
        self.server.add_generic_rpc_handlers(tuple(each.handlers(rpc) for each in services))
        port = self.server.add_insecure_port("127.0.0.1:0")
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")

    async def close(self) -> None:
        await self._channel.close()
        await self.server.stop(None)

    async def call(self, verb: str, request: Message, subject: Caller | Person | Channel) -> bytes:
        kind = {
            Caller: SubjectKind.CALLER,
            Person: SubjectKind.PERSON,
            Channel: SubjectKind.CHANNEL,
        }[type(subject)]
        token = TOKENS[subject.tenant, kind, subject.id]
        method: Any = self._channel.unary_unary(f"/countersign.v1.{verb.replace('.', '/')}")
        answer: bytes = await method(
            request.SerializeToString(),
            metadata=(("authorization", f"Bearer {token}"),),
            timeout=10,
        )
        return answer

    async def told(self, verb: str, request: Message, subject: Caller | Person | Channel) -> Answer:
        """What the sender learns, whether it is an answer or a refusal."""
        with counted(self.world.store) as counts:
            try:
                said = await self.call(verb, request, subject)
                code, message = grpc.StatusCode.OK, ""
            except grpc.aio.AioRpcError as error:
                trailers = dict(error.trailing_metadata() or ())
                said = bytes(trailers.get("grpc-status-details-bin", b""))
                code, message = error.code(), error.details() or ""
        return Answer(
            code=code, message=message, details=said, statements=tuple(sorted(counts.items()))
        )


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[Edge]:
    world = await World.open(tmp_path)
    world.source.current = Directory.of(CALLERS, STAFF, LOGINS, [BOT, THEIR_BOT])
    made = Edge(world)
    await made.server.start()
    yield made
    await made.close()
    await world.close()


# --- what there is ---------------------------------------------------------------------


GLASS = BreakGlass(groups=("security",))


def demand(**more: Any) -> PolicyDecision:
    return needs(OWNERS, break_glass=GLASS, approve_within_s=600, **more)


class Town:
    """Reviews of the agent's in every state, and what else has an id."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.reviews: dict[str, ReviewId] = {}
        self.permit = self.decision = ""
        self.delegation: Delegation

    async def settle(self) -> None:
        world, flow = self.world, self.world.flow
        world.policy.says(demand())
        for name in ("pending", "asked", "approved", "claimed", "denied", "withdrawn", "broken"):
            self.reviews[name] = (await world.opened(export(name))).id
        await flow.ask_info(
            voter(BOB), self.reviews["asked"], revision=1, question="why?", request_id="q"
        )
        for name in ("approved", "claimed"):
            await world.vote(BOB, self.reviews[name])
        claimed = await world.claim(self.reviews["claimed"], export("claimed"))
        assert claimed.permit
        self.permit, self.decision = claimed.permit.id, claimed.decision.id
        ask = await world.vote_ask(self.reviews["broken"], reason="it is down")
        await flow.break_glass(voter(DAVE), ask)
        await world.vote(CAROL, self.reviews["denied"], Choice.DENY)
        await flow.cancel(AGENT, self.reviews["withdrawn"], reason="", request_id="w")
        ends_at = Instant(START + 3600 * SECOND_US)
        lend = DelegateAsk(
            delegate=CAROL.id, starts_at=None, ends_at=ends_at, reason="", request_id="d"
        )
        self.delegation = await flow.delegate(voter(BOB), lend)

    async def everything(self) -> tuple[Any, ...]:
        """All that could have changed."""
        reviews = [await self.world.review(name) for name in self.reviews.values()]
        return (*reviews, len(await self.world.records()))


@pytest.fixture
async def town(edge: Edge) -> Town:
    made = Town(edge.world)
    await made.settle()
    return made


def export(table: str, **changes: Any) -> ActionContext:
    wanted = context(**changes)
    return dataclasses.replace(wanted, resource=dataclasses.replace(wanted.resource, id=table))


def message(wanted: ActionContext) -> context_pb2.Context:
    """What a caller sends."""
    return context_pb2.Context(
        actor=context_pb2.Principal(type="workload", id=wanted.actor.id),
        action=wanted.action,
        resource=context_pb2.Resource(type="table", id=wanted.resource.id),
        environment=wanted.environment,
        arguments_json=b'{"rows":100}',
        reason=wanted.reason,
        session=wanted.session,
    )


# --- every verb --------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class Asking:
    """One verb, as somebody would say it of whatever has an id."""

    verb: str
    request: Message
    field: str = "review_id"

    def of(self, name: str, account: Account | None = None) -> Message:
        """The request with this id; with an account as a channel would send it."""
        made: Any = type(self.request)()
        made.CopyFrom(self.request)
        setattr(made, self.field, name)
        if account:
            made.person.issuer, made.person.subject = account.issuer, account.subject
            made.person.authenticated_at.FromMicroseconds(START)
        request: Message = made
        return request

    def __str__(self) -> str:
        return self.verb


def of_machines(who: Caller) -> list[Asking]:
    """Every verb of machines that names a review, as this caller would say it."""
    verbs, own = decisions_pb2, message(export("approved", caller=who))
    answer = verbs.AnswerRequest(question_id="qst_1", text="so", request_id="a")
    return [
        Asking(verb="Decisions.Await", request=verbs.AwaitRequest()),
        Asking(verb="Decisions.Await", request=verbs.AwaitRequest(after="v1")),
        *(
            Asking(
                verb="Decisions.Claim",
                request=verbs.ClaimRequest(context=message(export(table)), request_id="c"),
            )
            for table in ("approved", "claimed", "elsewhere")
        ),
        Asking(verb="Decisions.Answer", request=answer),
        Asking(verb="Decisions.Cancel", request=verbs.CancelRequest(request_id="x")),
        Asking(verb="Decisions.Check", request=verbs.CheckRequest(context=own), field="supersedes"),
    ]


def of_people() -> list[Asking]:
    """Every verb of people that names a review."""
    verbs = reviews_pb2
    shown: dict[str, Any] = {"revision": 1, "profile": "reviewer", "preview_hash": b"1" * 32}
    shown["request_id"] = "r"
    requests = (
        ("Get", verbs.GetReviewRequest()),
        ("Decide", verbs.DecideRequest(vote=verbs.VOTE_APPROVE, **shown)),
        ("Decide", verbs.DecideRequest(vote=verbs.VOTE_DENY, reason="no", **shown)),
        ("BreakGlass", verbs.BreakGlassRequest(reason="it is down", **shown)),
        (
            "CloseAfterReview",
            verbs.CloseAfterReviewRequest(justified=True, note="it was", request_id="r"),
        ),
        ("AskInfo", verbs.AskInfoRequest(revision=1, question="why?", request_id="r")),
        ("Revoke", verbs.RevokeRequest(reason="wrong", request_id="r")),
    )
    return [Asking(verb=f"Reviews.{verb}", request=request) for verb, request in requests]


VERBS_OF_PEOPLE = of_people()
VERBS_OF_MACHINES = {who: of_machines(who) for who in (SCOUT, STRANGER, GATEWAY)}
OWN_CREDENTIAL = "Reviews.BreakGlass"
"""No channel does this for anybody."""


def named(who: Caller) -> str:
    return f"{who.id} of {who.tenant}"


def alike(answers: Sequence[Answer], what: object) -> Answer:
    assert len(set(answers)) == 1, (what, answers)
    return answers[0]


def test_every_verb_that_takes_an_id_is_told_here() -> None:
    """One that is added has to be asked the same questions."""
    told = {str(asking) for asking in (*of_machines(SCOUT), *of_people())}
    told |= {"Decisions.Report", "Reviews.List", "Reviews.BatchDecide", "Decisions.BatchCheck"}
    told |= {"Reviews.Delegate", "Reviews.EndDelegation", "Trust.Prove", "Trust.GetReceipt"}
    told |= {"Deliveries.Ack", "Deliveries.GetCard"}
    without_id = {"Deliveries.Lease", "Deliveries.PutEndpoint", "Deliveries.ListEndpoints"}
    without_id |= {"Reviews.Watch", "Reviews.ListDelegations", "Trust.GetKeys"}
    without_id |= {"Trust.GetCheckpoint"}
    services = (
        decisions_pb2.DESCRIPTOR.services_by_name["Decisions"],
        deliveries_pb2.DESCRIPTOR.services_by_name["Deliveries"],
        reviews_pb2.DESCRIPTOR.services_by_name["Reviews"],
        trust_pb2.DESCRIPTOR.services_by_name["Trust"],
    )
    assert told | without_id == {
        f"{service.name}.{method.name}" for service in services for method in service.methods
    }


@pytest.mark.parametrize("who", [SCOUT, STRANGER], ids=named)
@pytest.mark.parametrize("index", range(len(of_machines(SCOUT))))
async def test_a_foreign_caller_cannot_tell_a_review_from_none(
    edge: Edge, town: Town, who: Caller, index: int
) -> None:
    asking, before = VERBS_OF_MACHINES[who][index], await town.everything()
    told = alike(
        [
            await edge.told(asking.verb, asking.of(name), who)
            for name in (*NEVER, *town.reviews.values())
        ],
        asking,
    )
    assert told.code is grpc.StatusCode.NOT_FOUND
    assert told.says("review.not_found")
    assert told.statements, "something was looked for"
    assert await town.everything() == before


@pytest.mark.parametrize("who", [SCOUT, STRANGER], ids=named)
async def test_nor_in_a_batch_of_checks(edge: Edge, town: Town, who: Caller) -> None:
    (check,) = (asking for asking in VERBS_OF_MACHINES[who] if asking.verb == "Decisions.Check")
    before, answers = await town.everything(), []
    for name in (*NEVER, *town.reviews.values()):
        batch = decisions_pb2.BatchCheckRequest(items=[check.of(name)])
        told = await edge.told("Decisions.BatchCheck", batch, who)
        (result,) = decisions_pb2.BatchCheckResponse.FromString(told.details).results
        assert result.error.reason.code == "review.not_found"
        answers.append(told)
    alike(answers, "BatchCheck")
    assert await town.everything() == before


@pytest.mark.parametrize("who", [SCOUT, STRANGER, GATEWAY], ids=named)
async def test_a_foreign_caller_cannot_tell_a_grant_from_none(
    edge: Edge, town: Town, who: Caller
) -> None:
    before = await town.everything()
    decisions = [review.decision for review in before if isinstance(review, Review)]
    known = {
        "permit_id": [town.permit, new_id("pmt"), "nonsense"],
        "decision_id": [town.decision, *decisions, new_id("dec"), "nonsense"],
    }
    for field, names in known.items():
        request = decisions_pb2.ReportRequest(outcome=context_pb2.OUTCOME_FAILED, request_id="r")
        report = Asking(verb="Decisions.Report", request=request, field=field)
        answers = [await edge.told(report.verb, report.of(name), who) for name in names]
        told = alike(answers, field)
        assert told.code is grpc.StatusCode.NOT_FOUND
        assert told.says("outcome.unknown_permit")
    assert await town.everything() == before


STRANGERS: dict[str, tuple[Person | Channel, Account | None]] = {
    "somebody with no say": (ERIN, None),
    "another tenant's approver": (ZOE, None),
    "somebody with no say, through the bot": (BOT, known_to_teams(ERIN).accounts[0]),
    "another tenant's approver, through theirs": (THEIR_BOT, known_to_teams(ZOE).accounts[0]),
}


@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS)
@pytest.mark.parametrize("asking", VERBS_OF_PEOPLE, ids=str)
async def test_somebody_with_no_say_cannot_tell_a_review_from_none(
    edge: Edge,
    town: Town,
    stranger: tuple[Person | Channel, Account | None],
    asking: Asking,
) -> None:
    who, account = stranger
    before = await town.everything()
    account = None if asking.verb == OWN_CREDENTIAL else account
    answers = [
        await edge.told(asking.verb, asking.of(name, account), who)
        for name in (*NEVER, *town.reviews.values())
    ]
    told = alike(answers, asking)
    if isinstance(who, Channel) and asking.verb == OWN_CREDENTIAL:
        assert told.says("channel.not_a_person")
    else:
        assert told.code is grpc.StatusCode.NOT_FOUND
        assert told.says("review.not_found")
        assert told.statements, "something was looked for"
    assert await town.everything() == before


@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS)
async def test_nor_in_a_batch(
    edge: Edge, town: Town, stranger: tuple[Person | Channel, Account | None]
) -> None:
    who, account = stranger
    before = await town.everything()
    answers = []
    for name in (*NEVER, *town.reviews.values()):
        item = reviews_pb2.BatchItem(
            review_id=name, revision=1, profile="reviewer", preview_hash=b"1" * 32
        )
        batch = Asking(
            verb="Reviews.BatchDecide",
            request=reviews_pb2.BatchDecideRequest(items=[item]),
            field="request_id",
        )
        told = await edge.told(batch.verb, batch.of("r", account), who)
        (result,) = reviews_pb2.BatchDecideResponse.FromString(told.details).results
        assert result.review_id == name
        assert result.refusal.code == "review.not_found"
        result.ClearField("review_id")
        answers.append(dataclasses.replace(told, details=result.SerializeToString()))
    alike(answers, "BatchDecide")
    assert await town.everything() == before


async def test_another_tenants_channel_speaks_for_nobody_here(edge: Edge, town: Town) -> None:
    """It shares an issuer with ours, and knows bob's account there."""
    accounts = [known_to_teams(BOB).accounts[0], Account(issuer="teams:acme", subject="nobody")]
    before = await town.everything()
    for asking in VERBS_OF_PEOPLE:
        if asking.verb == OWN_CREDENTIAL:
            continue
        answers = [
            await edge.told(asking.verb, asking.of(name, account), THEIR_BOT)
            for account in accounts
            for name in (*NEVER, *town.reviews.values())
        ]
        assert alike(answers, asking).says("channel.unknown_account")
    assert await town.everything() == before


@pytest.mark.parametrize("who", [CAROL, ERIN, ZOE], ids=lambda who: who.id)
async def test_nobody_else_can_tell_a_delegation_from_none(
    edge: Edge, town: Town, who: Person
) -> None:
    answers = [
        await edge.told(
            "Reviews.EndDelegation",
            reviews_pb2.EndDelegationRequest(delegation_id=name, request_id="r"),
            who,
        )
        for name in (town.delegation.id, new_id("dlg"), "nonsense")
    ]
    told = alike(answers, who.id)
    assert told.code is grpc.StatusCode.NOT_FOUND
    assert told.says("delegation.not_found")


async def test_nobody_lends_to_somebody_of_another_tenant(edge: Edge, town: Town) -> None:
    answers = []
    for delegate in (ZOE.id, "nobody"):
        request = reviews_pb2.DelegateRequest(delegate_id=delegate, request_id="r")
        request.ends_at.FromMicroseconds(START + 3600 * SECOND_US)
        answers.append(await edge.told("Reviews.Delegate", request, BOB))
    assert alike(answers, "Delegate").code is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_page_begins_at_no_review_that_its_reader_cannot_see(
    edge: Edge, town: Town
) -> None:
    edge.world.policy.says(needs(SECURITY))
    hidden = (await edge.world.opened(export("hidden"))).id
    edge.world.policy.says(demand())
    await edge.world.opened(export("later"))
    everything = list(context_pb2.ReviewState.values())[1:]
    answers = [
        await edge.told(
            "Reviews.List", reviews_pb2.ListReviewsRequest(page_token=name, states=everything), BOB
        )
        for name in (hidden, *NEVER)
    ]
    alike(answers, "List")
    own = reviews_pb2.ListReviewsRequest(page_token=town.reviews["asked"], states=everything)
    page = reviews_pb2.ListReviewsResponse.FromString(await edge.call("Reviews.List", own, BOB))
    assert [each.status.review_id for each in page.reviews] == [town.reviews["pending"]]


async def test_what_somebody_may_see_is_another_matter(edge: Edge, town: Town) -> None:
    """Or all of the above would hold of a server that knows no review at all."""
    get = reviews_pb2.GetReviewRequest(review_id=town.reviews["approved"])
    for who in (BOB, CAROL):
        shown = reviews_pb2.Review.FromString(await edge.call("Reviews.Get", get, who))
        assert shown.status.state == context_pb2.REVIEW_STATE_APPROVED
    asked = decisions_pb2.AwaitRequest(review_id=town.reviews["approved"])
    answer = await edge.call("Decisions.Await", asked, AGENT)
    assert decisions_pb2.AwaitResponse.FromString(answer).review.review_id


# --- time ------------------------------------------------------------------------------


async def test_what_is_overdue_is_not_touched_by_a_strangers_request(
    edge: Edge, town: Town
) -> None:
    """Nobody sweeps here, so that whatever fires a timer is somebody's request."""
    world = edge.world
    before = await town.everything()
    world.clock.advance(10 * 24 * 3600)
    for caller in (SCOUT, STRANGER):
        for asking in VERBS_OF_MACHINES[caller]:
            answers = [
                await edge.told(asking.verb, asking.of(name), caller)
                for name in (*NEVER, *town.reviews.values())
            ]
            alike(answers, (caller.tenant, asking.verb))
        reports = [
            await edge.told(
                "Decisions.Report",
                decisions_pb2.ReportRequest(
                    permit_id=name, outcome=context_pb2.OUTCOME_FAILED, request_id="r"
                ),
                caller,
            )
            for name in (town.permit, new_id("pmt"))
        ]
        alike(reports, "Report")
    for who in (ERIN, ZOE):
        for asking in VERBS_OF_PEOPLE:
            answers = [
                await edge.told(asking.verb, asking.of(name), who)
                for name in (*NEVER, *town.reviews.values())
            ]
            alike(answers, (who.id, asking.verb))
    assert await town.everything() == before
    cancel = decisions_pb2.CancelRequest(review_id=town.reviews["pending"], request_id="x")
    own = await edge.told("Decisions.Cancel", cancel, AGENT)
    assert own.says("review.closed")
    assert (await world.review(town.reviews["pending"])).state is ReviewState.EXPIRED


# --- who executes may know -------------------------------------------------------------


async def test_the_named_executor_may_claim_and_report_and_knows_nothing_else(edge: Edge) -> None:
    world = edge.world
    world.policy.says(needs(OWNERS, claim_by=("gateway",)))
    review_id = (await world.approved(export("orders"))).id
    for asking in VERBS_OF_MACHINES[GATEWAY]:
        if asking.verb == "Decisions.Claim":
            continue
        answers = [
            await edge.told(asking.verb, asking.of(name), GATEWAY) for name in (*NEVER, review_id)
        ]
        assert alike(answers, asking).says("review.not_found")

    def claim(table: str) -> decisions_pb2.ClaimRequest:
        return decisions_pb2.ClaimRequest(
            review_id=review_id, context=message(export(table)), request_id=f"claim-{table}"
        )

    for stranger in (SCOUT, STRANGER):
        refused = await edge.told("Decisions.Claim", claim("orders"), stranger)
        assert refused.code is grpc.StatusCode.NOT_FOUND
    wrong = await edge.call("Decisions.Claim", claim("payments"), GATEWAY)
    (reason,) = decisions_pb2.ClaimResponse.FromString(wrong).reasons
    assert reason.code == "claim.mismatch"
    granted = decisions_pb2.ClaimResponse.FromString(
        await edge.call("Decisions.Claim", claim("orders"), GATEWAY)
    )
    assert granted.effect == context_pb2.EFFECT_ALLOW
    report = decisions_pb2.ReportRequest(
        permit_id=granted.permit.permit_id,
        outcome=context_pb2.OUTCOME_SUCCEEDED,
        request_id="report",
    )
    for other in (AGENT, SCOUT, STRANGER):
        refused = await edge.told("Decisions.Report", report, other)
        assert refused.says("outcome.unknown_permit"), other.id
    await edge.call("Decisions.Report", report, GATEWAY)
    assert (await world.review(review_id)).outcome is Outcome.SUCCEEDED


# --- the log ---------------------------------------------------------------------------


async def record_of(world: World, seq: int) -> context_pb2.RecordRef:
    """What an answer said of a record."""
    (stored,) = await world.store.records(TENANT, seq, 1)
    return context_pb2.RecordRef(
        log_id=f"log.test/{TENANT}", seq=seq, leaf_hash=leaf_hash(stored.body)
    )


async def test_a_proof_tells_nothing_of_another_tenants_log(tmp_path: Path) -> None:
    """`Trust` counts records of the reader's own log, however long others are."""
    world = await World.open(tmp_path)
    world.source.current = Directory.of(CALLERS, STAFF, LOGINS, [BOT, THEIR_BOT])
    create_key(tmp_path / "log.pem")
    key = read_key("keys.log", tmp_path / "log.pem")

    def signer_of(tenant: TenantId) -> Signer:
        return Signer(name=f"log.test/{tenant}", key=key)

    sink = LocalSink(tmp_path / "log")
    publisher = Publisher(
        source=world.store,
        sink=sink,
        log_id_of=lambda tenant: f"log.test/{tenant}",
        signer_of=signer_of,
        settings=PublisherSettings(flush_after_s=0.01),
    )
    await publisher.start()
    published = PublishedLogs(
        publisher, sink, world.store, signer_of, receipt_key=key, include_within_s=60
    )
    edge = Edge(world, Trust(published, world.permits.jwks))
    await edge.server.start()
    town = Town(world)
    try:
        empty = [
            await edge.told("Trust.Prove", trust_pb2.ProveRequest(seq=seq), ZOE)
            for seq in (0, 10**9)
        ]
        await town.settle()
        await publisher.close()
        size = len(await world.records())
        ours = await edge.call("Trust.Prove", trust_pb2.ProveRequest(seq=size - 1), BOB)
        assert trust_pb2.Proof.FromString(ours).checkpoint.tree_size == size
        theirs = [
            await edge.told("Trust.Prove", trust_pb2.ProveRequest(seq=seq), ZOE)
            for seq in (0, size - 1, size, 10**9)
        ]
        assert alike([*empty, *theirs], "Prove").says("log.empty")
        asked = trust_pb2.GetReceiptRequest(record=await record_of(world, size - 1))
        assert (await edge.call("Trust.GetReceipt", asked, BOB)).count(b"countersign/receipt/v1")
        unknown = [await edge.told("Trust.GetReceipt", asked, ZOE)]
        for name in ("log.test/other", "log.test/nowhere"):
            asked.record.log_id = name
            unknown.append(await edge.told("Trust.GetReceipt", asked, ZOE))
        asked.record.seq = 10**9
        unknown.append(await edge.told("Trust.GetReceipt", asked, ZOE))
        assert alike(unknown, "GetReceipt").says("log.unknown_record")
        keys = await edge.call("Trust.GetKeys", trust_pb2.GetKeysRequest(), ZOE)
        assert b"log.test/other" in keys
        assert b"log.test/acme" not in keys
    finally:
        await edge.close()
        await world.close()


@pytest.fixture
async def lease(edge: Edge, town: Town) -> deliveries_pb2.Delivery:
    """A card about one of the reviews, lent to the tenant's bot."""
    del town
    flow = edge.world.flow
    address = Address(issuer="teams:acme", subject="oid-bob")
    await flow.put_endpoint(BOT, address, installed=True, reference="{}")
    request = deliveries_pb2.LeaseRequest(max_cards=1)
    request.max_wait.FromSeconds(0)
    given = await edge.call("Deliveries.Lease", request, BOT)
    (delivery,) = deliveries_pb2.LeaseResponse.FromString(given).deliveries
    return delivery


@pytest.mark.parametrize("stranger", [THEIR_BOT, BOB, SCOUT], ids=["their bot", "bob", "a machine"])
async def test_nobody_but_its_bot_can_tell_a_card_from_none(
    edge: Edge, lease: deliveries_pb2.Delivery, stranger: Caller | Person | Channel
) -> None:
    names = ("crd_" + "0" * 32, "nonsense", lease.card.card_id)
    verbs: list[tuple[str, list[Message]]] = [
        ("Deliveries.GetCard", [deliveries_pb2.GetCardRequest(card_id=name) for name in names]),
        (
            "Deliveries.Ack",
            [
                deliveries_pb2.AckRequest(
                    card_id=name, lease_id=lease.lease_id, shown_message_id="1"
                )
                for name in names
            ],
        ),
    ]
    for verb, requests in verbs:
        told = alike([await edge.told(verb, each, stranger) for each in requests], verb)
        assert stranger is THEIR_BOT or told.code is grpc.StatusCode.PERMISSION_DENIED
    own = deliveries_pb2.GetCardRequest(card_id=lease.card.card_id)
    assert (await edge.told("Deliveries.GetCard", own, BOT)).code is grpc.StatusCode.OK
