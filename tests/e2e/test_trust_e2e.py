"""Who is behind a request, and that nobody behind it decides, told to real processes.

mallory drives the agent. She may approve what others ask, is an operator, has
accounts and addresses, and is lent bob's standing. mike drives the agent too;
alice owns it, and pam the fleet it belongs to. bob and carol have nothing to do
with it. An identity provider knows all of them.
"""

from __future__ import annotations

import dataclasses
import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from countersign.client import (
    Client,
    Context,
    Denied,
    External,
    InvalidContext,
    NotPermitted,
    Outcome,
    Pending,
    Person,
    PersonAssertion,
    Resource,
    ReviewState,
    Workload,
)
from countersign.model import Account, Choice, new_id
from countersign.v1 import admin_pb2, context_pb2, decisions_pb2, reviews_pb2
from identity_provider import CALLERS, EVIDENCE, LEEWAY_S, PEOPLE, IdentityProvider
from service import Service, context, eventually, refused

POLICY = Path(__file__).with_name("policy")
ISSUER = "https://login.example"
TEAMS = "teams:contoso"
CLIENT = "agent-app"
URGENT = "demo.urgent"


@dataclasses.dataclass
class Town:
    """A service, everybody in it, and the identity provider it trusts."""

    service: Service
    provider: IdentityProvider
    tables: int = 0

    def context(self, *behind: Any, action: str = URGENT, **more: Any) -> Context:
        """A context of its own each time, so that no story meets another's review."""
        self.tables += 1
        return context(action, f"t{self.tables}", on_behalf_of=behind, **more)

    def agent(self) -> Client:
        return self.service.client("agent")

    def asks(self, wanted: Context, evidence: str = "") -> Pending:
        """The review that the agent's Check leads to."""
        pending = self.agent().check(wanted, evidence=evidence).pending
        assert pending
        return pending

    def opened(self, *behind: Any, **more: Any) -> str:
        """The id of a review the agent asked for."""
        return self.asks(self.context(*behind, **more)).review_id

    def evidence(self, who: str, **claims: Any) -> str:
        """What the provider issues to the agent's client when this person uses it."""
        return self.provider.token(f"sub-{who}", **({"azp": CLIENT} | claims))

    def state(self, review_id: str) -> ReviewState:
        return self.agent().wait(review_id, timeout_s=0).state

    def shown(self, review_id: str, to: str = "bob") -> reviews_pb2.Review:
        return self.service.reviewer(to).get(review_id)

    def checked(self, wanted: Context, evidence: str, **more: Any) -> str:
        """What a Check with this evidence is refused for, or the review it opens.

        Sent as it is: the SDK would not even send some of it.
        """
        request = decisions_pb2.CheckRequest(context=wanted.to_message(), **more)
        request.context.on_behalf_of[0].evidence = evidence
        try:
            answer = self.service.line("agent").call("Decisions.Check", request)
        except grpc.RpcError as error:
            said = refused(error)
            assert said.code is grpc.StatusCode.INVALID_ARGUMENT
            assert "/on_behalf_of/0/evidence" in said.fields
            assert evidence.encode() not in said.everything
            return said.reason
        if answer.HasField("review"):
            return str(answer.review.review_id)
        return str(answer.reasons[0].code) if answer.reasons else "nothing"

    def open_reviews(self) -> set[str]:
        """What whoever is excluded from everything here can see to be open."""
        return {review.status.review_id for review in self.service.reviewer("alice").list()}


def accounts(name: str) -> tuple[Account, ...]:
    return (
        Account(issuer=ISSUER, subject=f"sub-{name}"),
        Account(issuer=TEAMS, subject=f"oid-{name}"),
    )


def populate(service: Service) -> None:
    for name, groups, aliases in (
        ("alice", ("approvers",), ()),
        ("pam", ("approvers",), ()),
        ("mike", ("approvers",), ()),
        ("mallory", ("approvers", "operators"), ("Mallory.Müller@corp.example",)),
        ("bob", ("approvers",), ("bob@corp.example",)),
        ("carol", ("approvers",), ()),
        ("erin", (), ()),
        ("opal", ("operators",), ()),
    ):
        service.person(name, *groups, accounts=accounts(name), aliases=aliases)
    service.caller("fleet", "pam")
    service.caller("agent", "alice", users=("mallory", "mike"), parent="fleet", clients=(CLIENT,))
    service.caller("scout", "erin", clients=("scout-app",))
    service.caller("pinned", "erin", environments=("production",), resources=("table:sales/*",))
    login = Account(issuer=ISSUER, subject="sub-robot")
    service.caller("robot", "erin", jwt=login, clients=("robot-app",))
    service.bot("teams", TEAMS)
    service.configure({"admin.groups": ["operators"]})


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with Service(tmp_path_factory.mktemp("trust") / "countersign", policy=POLICY) as service:
        populate(service)
        provider = IdentityProvider(ISSUER)
        provider.trusted_by(service, "default")
        service.start()
        until = datetime.now(UTC) + timedelta(hours=1)
        service.reviewer("bob").delegate("mallory", until, reason="away")
        service.reviewer("mallory").delegate("erin", until, reason="away")
        yield Town(service, provider)
        service.plant(*provider.secrets())


# --- mallory ------------------------------------------------------------------------


def as_shown(review: reviews_pb2.Review) -> dict[str, Any]:
    """What names a review as somebody was shown it, in every request that decides."""
    ((profile, preview),) = review.previews.items()
    return {
        "review_id": review.status.review_id,
        "revision": review.status.revision,
        "profile": profile,
        "preview_hash": preview.hash,
    }


def refusals(town: Town, review_id: str) -> Iterator[tuple[str, str]]:
    """Every way in which mallory tries to decide on a review, and what she is told."""
    service, line = town.service, town.service.line("mallory")
    told = as_shown(town.shown(review_id, "mallory"))
    preview = told["preview_hash"].hex()
    for vote in (reviews_pb2.VOTE_APPROVE, reviews_pb2.VOTE_DENY):
        request = reviews_pb2.DecideRequest(**told, vote=vote, request_id=new_id("req"))
        yield f"vote {vote}", line.refused("Reviews.Decide", request).reason
    batch = reviews_pb2.BatchDecideRequest(
        items=[reviews_pb2.BatchItem(**told)], request_id=new_id("req")
    )
    (result,) = line.call("Reviews.BatchDecide", batch).results
    yield "batch", result.refusal.code
    glass = reviews_pb2.BreakGlassRequest(**told, reason="it is down", request_id=new_id("req"))
    yield "break-glass", line.refused("Reviews.BreakGlass", glass).reason
    asserted = reviews_pb2.DecideRequest(
        **told, vote=reviews_pb2.VOTE_APPROVE, request_id=new_id("req")
    )
    asserted.person.issuer, asserted.person.subject = TEAMS, "oid-mallory"
    asserted.person.authenticated_at.FromDatetime(datetime.now(UTC))
    yield "channel", service.line("teams").refused("Reviews.Decide", asserted).reason
    words = ("review", "approve", review_id, "--preview", preview)
    for command in (words, ("review", "break-glass", *words[2:], "--confirm", URGENT)):
        more = ("--reason", "it is down")
        done = service.types(*command, *more, as_="mallory")
        assert done.returncode == 1, done
        yield " ".join(command[:2]), re.findall(r"\[([a-z_.]+)\]", done.stderr)[-1]


DECLARED = {
    "bob": [Person("bob")],
    "nobody": [],
    "a misspelt bob who is no person": [External("bbo")],
    "a registered sub-agent": [Workload("scout")],
    "an unregistered sub-agent": [Workload("minion-7")],
    "an external customer": [External("customer-4711")],
    "herself by address": [Person("mallory.müller@corp.example")],
    "herself in capitals": [Person("MALLORY.MÜLLER@CORP.EXAMPLE")],
    "herself decomposed": [Person("Mallory.Mu\u0308ller@corp.example")],
    "herself in wide letters": [Person("\uff2dallory.Müller@corp.example")],
    "her account": [Person("oid-mallory")],
    "her account as a machine": [Workload("SUB-MALLORY")],
    "her address as a stranger": [External("mailto:mallory.müller@corp.example")],
    "a crowd": [Workload("minion-7"), External("customer-4711"), Person("bob"), Person("erin")],
}


@pytest.mark.parametrize("behind", DECLARED.values(), ids=DECLARED)
def test_whomever_her_agent_names_mallory_does_not_decide(town: Town, behind: list[Any]) -> None:
    review_id = town.opened(*behind)
    seen = dict(refusals(town, review_id))
    # The command need not ask when it was told that she may not.
    assert seen.pop("review break-glass") == "vote.no_break_glass"
    assert set(seen.values()) == {"vote.self_approval"}, seen
    assert {"alice", "pam", "mike", "mallory"} <= set(town.shown(review_id).verified.excluded)
    # What she is lent counts no more than she does, and what she lends counts nothing.
    get = reviews_pb2.GetReviewRequest(review_id=review_id)
    if "erin" not in town.shown(review_id).verified.excluded:
        lent = town.service.line("erin").refused("Reviews.Get", get)
        assert (lent.code, lent.reason) == (grpc.StatusCode.NOT_FOUND, "review.not_found")
    review = town.shown(review_id, "carol")
    assert not review.votes
    assert review.status.state == context_pb2.REVIEW_STATE_PENDING
    town.agent().cancel(review_id)


@pytest.mark.parametrize("name", ["bbo", "mallory2", "mallory.muller@corp.example"])
def test_a_person_whom_nobody_knows_stands_for_nobody(town: Town, name: str) -> None:
    before = town.open_reviews()
    with pytest.raises(Denied, match=r"/on_behalf_of/0") as denied:
        town.agent().authorize(town.context(Person(name)), timeout_s=1)
    assert denied.value.code == "requester.unresolved"
    assert town.open_reviews() == before


def test_naming_everybody_else_leaves_nobody_and_opens_nothing(town: Town) -> None:
    before = town.open_reviews()
    with pytest.raises(Denied) as denied:
        town.agent().authorize(town.context(Person("bob"), Person("carol")), timeout_s=1)
    assert denied.value.code == "review.unsatisfiable"
    assert town.open_reviews() == before


def test_asking_again_in_a_colleagues_name_does_not_let_her_in(town: Town) -> None:
    """The second Check for the same context cannot take back what the first excluded."""
    wanted = town.context(Person("mallory"))
    review_id = town.asks(wanted).review_id
    for who in ("mike", "bob"):
        with pytest.raises(Denied) as denied:
            town.agent().authorize(wanted, evidence=town.evidence(who), timeout_s=1)
        assert denied.value.code == "evidence.mismatch"
    again = town.agent().check(wanted, evidence=town.evidence("mallory"))
    assert again.review_reused
    assert {"mallory", "mike", "alice", "pam"} <= set(town.shown(review_id).verified.excluded)
    town.agent().cancel(review_id)


def test_every_refusal_of_hers_is_on_record_and_names_her(town: Town) -> None:
    review_id = town.opened(Person("bob"))
    attempts = len([code for _, code in refusals(town, review_id) if code])
    town.agent().cancel(review_id)

    def recorded() -> list[dict[str, Any]]:
        bodies = map(json.loads, town.service.published())
        return [each for each in bodies if each.get("review") == review_id]

    eventually(lambda: any(each["kind"] == "review.closed" for each in recorded()))
    refused = [each for each in recorded() if each["kind"] == "vote.refused"]
    # The command looks first and asks for nothing that it is sure not to get.
    assert attempts - 2 <= len(refused) <= attempts
    assert {each["vote"]["person"] for each in refused} == {"mallory"}
    assert {each["refusal"]["code"] for each in refused} == {"vote.self_approval"}
    assert [each["vote"].get("channel") for each in refused].count("teams") == 1


def test_as_an_operator_she_lends_herself_an_account_and_still_does_not_decide(town: Town) -> None:
    """An account she adds to bob could be hers, so it does not decide on what she asks."""
    review_id = town.opened(action="demo.approve")
    account = admin_pb2.Account(issuer=TEAMS, subject="oid-second-mallory")
    entry = admin_pb2.PersonEntry(id="bob", name="Bob", groups=["approvers"], accounts=[account])
    put = admin_pb2.PutPersonRequest(person=entry)
    for each in accounts("bob"):
        entry_account = put.person.accounts.add()
        entry_account.issuer, entry_account.subject = each.issuer, each.subject
    town.service.line("mallory").call("Admin.PutPerson", put)
    as_bob = PersonAssertion(
        issuer=TEAMS, subject="oid-second-mallory", authenticated_at=datetime.now(UTC)
    )
    view = town.service.reviewer("teams").for_person(as_bob)
    with pytest.raises(NotPermitted) as refused_vote:
        view.decide(view.get(review_id), Choice.APPROVE)
    assert refused_vote.value.code == "vote.token_known"
    own = dataclasses.replace(as_bob, subject="oid-bob")
    assert (
        town.service.reviewer("teams").for_person(own).decide(town.shown(review_id), Choice.APPROVE)
    )


# --- proof --------------------------------------------------------------------------


def test_with_a_proof_only_she_and_whoever_answers_for_the_agent_are_excluded(town: Town) -> None:
    wanted = town.context(Person("mallory"), External("customer-4711"), Workload("scout"))
    # It is taken for as long as clocks may differ, which is over in a moment.
    token = town.evidence("mallory", ends_in_s=4 - LEEWAY_S)
    pending = town.asks(wanted, token)
    review = town.shown(pending.review_id, "mike")
    assert review.verified.requester == "mallory"
    assert set(review.verified.excluded) == {"mallory", "alice", "pam", "erin"}
    for who in ("mallory", "alice", "pam", "erin"):
        line = town.service.line(who)
        request = reviews_pb2.DecideRequest(
            **as_shown(town.shown(pending.review_id, who)),
            vote=reviews_pb2.VOTE_APPROVE,
            request_id=new_id("req"),
        )
        assert line.refused("Reviews.Decide", request).reason == "vote.self_approval", who
    mike = town.service.reviewer("mike")
    mike.decide(review, Choice.APPROVE)
    assert town.state(pending.review_id) is ReviewState.APPROVED

    fresh = town.context(Person("mallory"))

    eventually(lambda: town.checked(fresh, token, create_review=False) == "token.expired")
    grant = town.agent().claim(pending, wanted)
    assert grant.permit
    town.agent().report(grant, Outcome.SUCCEEDED)


def test_without_the_proof_her_colleague_is_excluded_as_well(town: Town) -> None:
    review_id = town.opened(Person("mallory"))
    with pytest.raises(NotPermitted, match=r"vote\.self_approval"):
        town.service.reviewer("mike").decide(town.shown(review_id, "mike"), Choice.APPROVE)


def test_an_exchanged_token_counts_by_its_outermost_actor(town: Town) -> None:
    """RFC 8693: the agent acts for mallory, and before it bob's tool did."""
    chain = {"sub": CLIENT, "act": {"sub": "oid-bob"}}
    wanted = town.context(Person("mallory"))
    pending = town.asks(wanted, town.evidence("mallory", act=chain))
    verified = town.shown(pending.review_id, "mike").verified
    assert verified.requester == "mallory"
    assert set(verified.excluded) == {"mallory", "alice", "pam", "bob"}


def wrong(town: Town) -> dict[str, tuple[str, str]]:
    """Tokens that prove nothing about this call of mallory's, and with what code they fail."""
    evidence, provider = town.evidence, town.provider
    now = int(time.time())
    claims: dict[str, Any] = {"iss": ISSUER, "sub": "sub-mike", "aud": EVIDENCE, "azp": CLIENT}
    claims |= {"iat": now, "exp": now + 300}
    public = provider.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    good = evidence("mike")
    return {
        "another client's": (evidence("mike", azp="scout-app"), "evidence.other_client"),
        "nobody's client's": (evidence("mike", azp=None), "evidence.other_client"),
        "bob's own, for deciding": (evidence("bob", audience=PEOPLE), "token.not_for_this_use"),
        "the agent's own": (evidence("agent", audience=CALLERS), "token.not_for_this_use"),
        "for another service": (evidence("mike", audience="mail"), "token.wrong_audience"),
        "expired": (evidence("mike", ends_in_s=-LEEWAY_S - 10), "token.expired"),
        "unsigned": (provider.signed(claims, None, "none"), "token.malformed"),
        "signed with the public key": (
            provider.signed(claims, public, "HS256"),
            "token.wrong_algorithm",
        ),
        "of another key": (
            provider.signed(claims, IdentityProvider(ISSUER).key, "EdDSA"),
            "token.bad_signature",
        ),
        "of another issuer": (
            IdentityProvider("https://evil.example").token("sub-mike", azp=CLIENT),
            "token.unknown_issuer",
        ),
        "altered": (good[:-8] + "AAAAAAAA", "token.bad_signature"),
        "acted by another": (
            evidence("mike", act={"sub": "scout-app", "act": {"sub": CLIENT}}),
            "evidence.other_client",
        ),
        "an actor known elsewhere": (
            evidence("mike", act={"sub": CLIENT, "iss": "https://evil.example"}),
            "evidence.other_client",
        ),
        "somebody unknown": (evidence("nobody"), "requester.unresolved"),
        "somebody else": (evidence("bob"), "evidence.mismatch"),
    }


def test_a_token_that_proves_nothing_here_is_refused_and_spares_nobody(town: Town) -> None:
    tried = wrong(town)
    standing = town.context(Person("mike"))
    review_id = town.asks(standing).review_id
    before, excluded = town.open_reviews(), set(town.shown(review_id).verified.excluded)
    assert excluded == {"alice", "pam", "mallory", "mike"}
    for what, (token, code) in tried.items():
        for wanted in (town.context(Person("mike")), standing):
            assert town.checked(wanted, token) == code, what
    assert town.open_reviews() == before
    assert set(town.shown(review_id).verified.excluded) == excluded


def test_a_persons_own_token_and_evidence_are_never_taken_for_each_other(town: Town) -> None:
    """What an agent holds never decides, even when it was issued for people."""
    review_id = town.opened(action="demo.approve")
    service = town.service
    service.tokens["bob by login"] = town.provider.token("sub-bob", audience=PEOPLE, azp="desktop")
    service.tokens["bob's evidence"] = town.evidence("bob")
    service.tokens["bob's in the agent's hands"] = town.evidence("bob", audience=PEOPLE)
    get = reviews_pb2.GetReviewRequest(review_id=review_id)
    for held in ("bob's evidence", "bob's in the agent's hands"):
        assert service.line(held).refused("Reviews.Get", get).reason == "credential.unknown"
    bob = service.line("bob by login")
    vote_of_bob = reviews_pb2.DecideRequest(
        **as_shown(bob.call("Reviews.Get", get)),
        vote=reviews_pb2.VOTE_APPROVE,
        request_id=new_id("req"),
    )
    (vote,) = bob.call("Reviews.Decide", vote_of_bob).votes
    assert (vote.person_id, vote.assurance) == ("bob", "person")


def test_a_machine_logs_in_with_a_token_for_machines_and_with_no_other(town: Town) -> None:
    service, provider = town.service, town.provider
    wanted = context("demo.allow", actor="robot")
    request = decisions_pb2.CheckRequest(context=wanted.to_message())
    tokens = {
        "good": provider.token("sub-robot", audience=CALLERS),
        "for people": provider.token("sub-robot", audience=PEOPLE),
        "evidence": provider.token("sub-robot", audience=EVIDENCE, azp="robot-app"),
        "of nobody": provider.token("sub-somebody", audience=CALLERS),
        "of a person": provider.token("sub-bob", audience=CALLERS),
        "expired": provider.token("sub-robot", audience=CALLERS, ends_in_s=-LEEWAY_S - 10),
        "forged": provider.signed({"iss": ISSUER, "sub": "sub-robot"}, b"k" * 32, "HS256"),
    }
    service.tokens |= {f"robot {name}": token for name, token in tokens.items()}
    answer = service.line("robot good").call("Decisions.Check", request)
    assert answer.effect == context_pb2.EFFECT_ALLOW
    listing = reviews_pb2.ListReviewsRequest()
    seen = service.line("robot good").refused("Reviews.List", listing)
    assert seen.reason == "caller.not_a_person"
    told = [
        service.line(f"robot {name}").refused("Decisions.Check", request)
        for name in tokens
        if name != "good"
    ]
    assert {seen.reason for seen in told} == {"credential.unknown"}
    assert len({seen.everything for seen in told}) == 1, "one answer, whatever is wrong with it"


def test_evidence_is_dropped_once_it_is_read(tmp_path: Path) -> None:
    """In no file, no answer, no metric and no line of output: good, bad or in an Answer."""
    with Service(tmp_path / "countersign", policy=POLICY) as service:
        populate(service)
        provider = IdentityProvider(ISSUER)
        provider.trusted_by(service, "default")
        town = Town(service.start(), provider)
        wanted = town.context(Person("mallory"))
        pending = town.asks(wanted, town.evidence("mallory"))
        assert pending
        for token, code in wrong(town).values():
            assert town.checked(town.context(Person("mike")), token) == code
        bob = service.reviewer("bob")
        bob.ask(bob.get(pending.review_id), "which quarter?")
        (question,) = town.agent().wait(pending, timeout_s=0).questions
        answering = Person("mallory", evidence=town.evidence("mallory"))
        town.agent().answer(pending.review_id, question.id, "the third", answered_by=answering)
        bob.decide(bob.get(pending.review_id), Choice.APPROVE)
        grant = town.agent().claim(pending, wanted)
        town.agent().report(grant, Outcome.SUCCEEDED)
        service.plant(*provider.secrets())
        service.require_discreet()
        assert service.stop() == 0
        service.require_discreet()
        assert service.verified_log()[0].ok


# --- what a caller may say ----------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"environment": "staging"}, "/environment"),
        ({"environment": "PRODUCTION"}, ""),
        ({"actor": "agent"}, "/actor"),
        ({"actor": "pinned2"}, "/actor"),
        ({"actor": Person("pinned")}, "/actor"),
        ({"resource": Resource("table", "crm/customers")}, "/resource"),
        ({"resource": Resource("view", "sales/orders")}, "/resource"),
        ({"resource": Resource("table", "sales")}, "/resource"),
    ],
    ids=lambda value: None if isinstance(value, str) else str(sorted(value)),
)
def test_a_caller_speaks_for_what_it_is_registered_for_and_nothing_else(
    town: Town, changes: dict[str, Any], pointer: str
) -> None:
    said: dict[str, Any] = {
        "action": "demo.allow",
        "actor": "pinned",
        "environment": "production",
        "resource": Resource("table", "sales/orders"),
    }
    client = town.service.client("pinned")
    assert client.check(Context(**said), permit_audience="gateway").grant
    if not pointer:  # not even a word that could be registered
        with pytest.raises(InvalidContext, match="environment"):
            client.check(Context(**(said | changes)))
        return
    answer = town.service.line("pinned").call(
        "Decisions.Check",
        decisions_pb2.CheckRequest(
            context=Context(**(said | changes)).to_message(), permit_audience="gateway"
        ),
    )
    assert (answer.effect, answer.retryable) == (context_pb2.EFFECT_DENY, False)
    (reason,) = answer.reasons
    assert reason.code == "context.not_permitted"
    assert reason.message.startswith(f"{pointer}: ")
    assert not answer.HasField("permit")

    def recorded() -> list[dict[str, Any]]:
        records = town.service.published()
        return [
            body for body in map(json.loads, records) if body.get("decision") == answer.decision_id
        ]

    eventually(lambda: len(recorded()) == 1)
    (record,) = recorded()
    assert (record["kind"], record["caller"], record["effect"]) == ("decision", "pinned", "deny")
    assert record["reasons"][0]["code"] == "context.not_permitted"


def test_policy_below_a_floor_of_the_settings_opens_no_review(prepared: Service) -> None:
    prepared.append_settings("\n[floors.production]\nleast_quorum = 2\n")
    prepared.start()
    client = prepared.client("agent")
    with pytest.raises(Denied, match="at least 2") as denied:
        client.authorize(context("demo.approve"), timeout_s=1)
    assert denied.value.code == "policy.invalid"
    assert client.check(context("demo.two")).pending
    assert client.check(context("demo.approve", environment="dev")).pending


# --- what changes between an approval and its use -------------------------------------


def approved(service: Service, wanted: Context) -> str:
    pending = service.client("agent").check(wanted).pending
    assert pending
    bob = service.reviewer("bob")
    bob.decide(bob.get(pending.review_id), Choice.APPROVE)
    return pending.review_id


def activate(service: Service, old: str, new: str) -> None:
    """Commit a change of the policy and wait until it answers."""
    rules = service.directory / "policy" / "decision.rego"
    text = rules.read_text()
    assert old in text
    rules.write_text(text.replace(old, new))
    client = service.client("agent")
    before = client.check(context("demo.allow")).policy_revision
    service.reload()
    eventually(lambda: client.check(context("demo.allow")).policy_revision != before)


def claim(service: Service, review_id: str, wanted: Context) -> decisions_pb2.ClaimResponse:
    request = decisions_pb2.ClaimRequest(
        review_id=review_id, context=wanted.to_message(), request_id=new_id("req")
    )
    answer: decisions_pb2.ClaimResponse = service.line("agent").call("Decisions.Claim", request)
    return answer


def test_an_unrelated_commit_kills_no_approval(running: Service) -> None:
    wanted = context("demo.approve")
    review_id = approved(running, wanted)
    before = running.reviewer("bob").get(review_id).policy_revision
    activate(running, '"demo.brief": {"use_within_s": 1}', '"demo.brief": {"use_within_s": 2}')
    answer = claim(running, review_id, wanted)
    assert answer.effect == context_pb2.EFFECT_ALLOW
    assert answer.permit.token
    assert answer.policy_revision != before


def test_a_rule_that_denies_by_now_revokes_the_approval_and_is_named(running: Service) -> None:
    wanted = context("demo.approve")
    review_id = approved(running, wanted)
    freeze = '{"code": "demo.freeze", "message": "nothing changes before the audit"}'
    activate(running, '"demo.approve": {},', "")
    activate(
        running,
        "# Approved, and then refused",
        f'decision := {{"effect": "deny", "reasons": [{freeze}]}} if '
        'input.context.action == "demo.approve"\n\n# Approved, and then refused',
    )
    assert_revoked(running, review_id, wanted, "demo.freeze", "before the audit")


def test_a_stage_that_asks_for_more_by_now_revokes_the_approval_and_is_named(
    running: Service,
) -> None:
    wanted = context("demo.approve")
    review_id = approved(running, wanted)
    activate(running, '"demo.approve": {},', '"demo.approve": {"stages": [stage(2)]},')
    assert_revoked(running, review_id, wanted, "approval.insufficient", 'stage "approvers"')


def test_an_approver_who_left_the_group_revokes_the_approval_and_the_stage_is_named(
    running: Service,
) -> None:
    wanted = context("demo.approve")
    review_id = approved(running, wanted)
    people = running.directory / "people.toml"
    tables = people.read_text().split("[[people]]")
    left = [
        table.replace('"approvers", ', "") if 'id = "bob"' in table else table for table in tables
    ]
    assert left != tables
    people.write_text("[[people]]".join(left))

    running.person("grace", "approvers")  # whoever knows her knows that he left
    get = reviews_pb2.GetReviewRequest(review_id=review_id)

    def is_known() -> bool:
        try:
            running.line("grace").call("Reviews.Get", get)
        except grpc.RpcError:
            return False
        return True

    eventually(is_known)
    assert_revoked(running, review_id, wanted, "approval.insufficient", 'stage "approvers"')


def test_what_a_removed_caller_was_waiting_for_is_not_told(running: Service) -> None:
    wanted = context("demo.approve")
    client = running.client("agent")
    pending = client.check(wanted).pending
    assert pending
    request = decisions_pb2.AwaitRequest(
        review_id=pending.review_id, after=client.wait(pending, timeout_s=0).cursor
    )
    line = running.line("agent")
    waiting = line.begin("Decisions.Await", request)
    callers = running.directory / "callers.toml"
    kept = [
        table for table in callers.read_text().split("[[callers]]") if 'id = "agent"' not in table
    ]
    callers.write_text("[[callers]]".join(kept))
    asking = decisions_pb2.AwaitRequest(review_id=pending.review_id)

    def is_gone() -> bool:
        try:
            line.call("Decisions.Await", asking)
        except grpc.RpcError as error:
            return refused(error).reason == "credential.unknown"
        return False

    eventually(is_gone)
    bob = running.reviewer("bob")
    bob.decide(bob.get(pending.review_id), Choice.DENY)
    with pytest.raises(grpc.RpcError) as ended:
        waiting.result()
    assert refused(ended.value).reason == "credential.unknown"


def assert_revoked(
    service: Service, review_id: str, wanted: Context, code: str, words: str
) -> None:
    answer = claim(service, review_id, wanted)
    assert answer.effect == context_pb2.EFFECT_DENY
    assert not answer.HasField("permit")
    assert answer.review.state == context_pb2.REVIEW_STATE_REVOKED
    assert [reason.code for reason in answer.reasons] == [code]
    assert words in answer.reasons[0].message
    again = claim(service, review_id, wanted)
    assert again.effect == context_pb2.EFFECT_DENY
    assert service.stop() == 0
    _, records = service.verified_log()
    (closed,) = [
        body
        for body in map(json.loads, records)
        if (body["kind"], body.get("review")) == ("review.closed", review_id)
    ]
    assert code in json.dumps(closed)
