"""The whole story, told to real processes: asked, seen, decided, claimed, proven."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from countersign import permit
from countersign.audit.note import Verifier
from countersign.audit.prove import Proof
from countersign.canonical import parse_object
from countersign.client import (
    AlreadyClaimed,
    Cancelled,
    Context,
    Denied,
    Effect,
    Expired,
    Grant,
    InvalidRequest,
    Lapsed,
    NotPermitted,
    Outcome,
    PreconditionFailed,
    Resource,
    ReviewState,
    Revoked,
    StillPending,
)
from countersign.client.context import External, Person, Workload
from countersign.model import ActionContext, Choice, Principal, new_id
from countersign.model import Resource as RawResource
from countersign.v1 import context_pb2, decisions_pb2, reviews_pb2, trust_pb2
from service import Refused, Service, context, eventually, is_logged

EMAIL = "maria.kowalska@kunde-beispiel.de"
PHONE = "+49 171 5558842"
NAME = "Maria Kowalska"
CARD = "4111 1111 1111 1111"
KEY = "sk_live_51HxQ2eLkD93JfmZpVwTnYbRa"
PLANTED = (EMAIL, "kunde-beispiel", PHONE, "5558842", NAME, "Kowalska", CARD, KEY)


def export() -> Context:
    """An export that names a customer in every way there is."""
    return context(
        "db.export",
        arguments={
            "table": "customers",
            "columns": ["email", "phone"],
            "destination": "s3://partner-share/customers.csv",
            "row_count": 120,
            "filter": {"email": EMAIL, "phone": PHONE, "full_name": NAME, "card_number": CARD},
            "api_key_hint": {"api_key": KEY},
        },
        reason=f"Subject access request of {EMAIL}, phone {PHONE}",
    )


def raw(wanted: Context) -> ActionContext:
    """The executor's own reading of what it is about to do."""
    bound: Any = parse_object(wanted.canonical_bytes)
    resource = bound.pop("resource")
    return ActionContext(
        actor=Principal(**bound.pop("actor")),
        on_behalf_of=tuple(Principal(**item) for item in bound.pop("on_behalf_of")),
        resource=RawResource(**resource),
        **bound,
    )


def approved(service: Service, wanted: Context, *people: str) -> str:
    """A review of the agent's, approved; its id."""
    decision = service.client("agent").check(wanted)
    assert decision.pending, decision.reasons
    review_id = decision.pending.review_id
    for person in people or ("bob",):
        reviewer = service.reviewer(person)
        reviewer.decide(reviewer.get(review_id), Choice.APPROVE)
    return review_id


def codes(error: Denied | Any) -> list[str]:
    return [reason.code for reason in error.reasons]


def test_an_export_is_seen_masked_approved_claimed_once_and_proven(prepared: Service) -> None:
    service = prepared
    service.plant(*PLANTED)
    service.start()
    client, bob = service.client("agent"), service.reviewer("bob")
    wanted = context("demo.two", arguments=export().arguments, reason=export().reason)

    decision = client.check(wanted)
    assert decision.effect is Effect.NEEDS_APPROVAL
    assert decision.pending
    review_id = decision.pending.review_id

    (listed,) = bob.list()
    shown = bob.get(review_id)
    assert listed.status.review_id == review_id
    assert shown.verified.caller_id == "agent"
    assert list(shown.verified.owners) == ["alice"]
    assert not shown.cannot_approve
    preview = shown.previews["reviewer"]
    assert preview.reviewable
    assert b'"row_count":120' in preview.context_json
    for planted in PLANTED:
        assert planted.encode() not in shown.SerializeToString()

    alice = service.reviewer("alice")
    with pytest.raises(NotPermitted) as own:
        alice.decide(alice.get(review_id), Choice.APPROVE)
    assert own.value.code == "vote.self_approval"
    ballot = reviews_pb2.DecideRequest(
        review_id=review_id,
        revision=1,
        profile="reviewer",
        preview_hash=preview.hash,
        vote=reviews_pb2.VOTE_APPROVE,
        request_id="by-the-agent",
    )
    by_agent = service.line("agent").refused("Reviews.Decide", ballot)
    assert by_agent.code is grpc.StatusCode.PERMISSION_DENIED
    assert by_agent.reason == "caller.not_a_person"

    bob.decide(shown, Choice.APPROVE, reason=f"I rang {PHONE} and wrote to {EMAIL}: fine")
    assert client.wait(review_id, timeout_s=0).state is ReviewState.PENDING
    with pytest.raises(PreconditionFailed) as again:
        bob.decide(shown, Choice.APPROVE)
    assert again.value.code == "vote.duplicate"
    carol = service.reviewer("carol")
    carol.decide(carol.get(review_id), Choice.APPROVE)
    assert client.wait(review_id).state is ReviewState.APPROVED

    for changed in changes(wanted):
        with pytest.raises(Denied) as mismatch:
            client.claim(review_id, changed)
        assert mismatch.value.code == "claim.mismatch"
    grant = client.claim(review_id, wanted)
    assert_verifies_offline(service, grant, wanted)
    with pytest.raises(AlreadyClaimed) as second:
        client.claim(review_id, wanted)
    assert codes(second.value) == ["claim.spent"]

    status = client.report(grant, Outcome.SUCCEEDED, {"rows": 120, "to": EMAIL})
    assert status
    assert status.outcome is Outcome.SUCCEEDED
    assert_proven(service, grant)
    for planted in PLANTED:
        assert planted not in service.status("/metrics")[1]
    assert service.stop() == 0
    _, records = service.verified_log()
    assert is_logged(decision.record, records)
    assert is_logged(grant.record, records)
    kinds = [json.loads(record)["kind"] for record in records]
    assert kinds.count("vote") == 2
    assert kinds.count("vote.refused") == 2
    assert kinds.count("outcome") == 1


def changes(wanted: Context) -> list[Context]:
    """The same action, with one thing changed."""
    base: dict[str, Any] = {"arguments": wanted.arguments, "reason": wanted.reason}
    return [
        context(wanted.action, **{**base, "arguments": {**wanted.arguments, "row_count": 121}}),
        context(wanted.action, **{**base, "reason": wanted.reason + " "}),
        context(wanted.action, "orders", **base),
        context(wanted.action, **base, environment="dev"),
        context(wanted.action, **base, session="another"),
        context(wanted.action, **base, on_behalf_of=[External("somebody")]),
    ]


def assert_verifies_offline(service: Service, grant: Grant, wanted: Context) -> None:
    keys = service.line("agent").call("Trust.GetKeys", trust_pb2.GetKeysRequest())
    jwks = json.loads(keys.jwks_json)
    assert keys.log_verifier_key == service.log_key()
    assert grant.permit
    verified = permit.verify(
        grant.permit.token,
        jwks,
        issuer="countersign",
        audience="agent",
        context=raw(wanted),
        now_s=int(time.time()),
    )
    assert verified.permit_id == grant.permit.id
    assert verified.decision_id == grant.decision_id
    for changed in changes(wanted):
        with pytest.raises(permit.PermitError):
            permit.verify(
                grant.permit.token,
                jwks,
                issuer="countersign",
                audience="agent",
                context=raw(changed),
                now_s=int(time.time()),
            )


def assert_proven(service: Service, grant: Grant) -> None:
    """The claim's record is in the published log, by the log's key alone."""
    line, record = service.line("agent"), grant.record
    assert record

    def proof() -> Any:
        try:
            return line.call("Trust.Prove", trust_pb2.ProveRequest(seq=record.seq))
        except grpc.RpcError:
            return None

    eventually(lambda: proof() is not None)
    found = proof()
    assert found.leaf_hash == record.leaf_hash
    proven = Proof(index=record.seq, path=tuple(found.hashes), note=found.checkpoint.note)
    records = service.verified_log()[1]
    head = proven.verify(records[record.seq], Verifier.parse(service.log_key()))
    assert head.size > record.seq


def test_the_example_policy_asks_owner_and_security_for_personal_data(examples: Service) -> None:
    service = examples.start()
    service.plant(EMAIL, PHONE, CARD)
    client = service.client("agent")
    secret = client.check(export())
    assert codes(secret) == ["export.secret"]
    wanted = context(
        "db.export",
        arguments={
            "table": "customers",
            "columns": ["email"],
            "destination": "s3://partner-share/customers.csv",
            "row_count": 120,
            "customer_ids": ["7", "8"],
        },
        reason=f"For {EMAIL}",
    )
    decision = client.check(wanted)
    assert decision.pending, decision.reasons
    assert "export.personal_external" in codes(decision)
    review_id = decision.pending.review_id
    bob, carol = service.reviewer("bob"), service.reviewer("carol")
    shown = bob.get(review_id)
    assert b"partner-share" in shown.previews["reviewer"].context_json
    bob.decide(shown, Choice.APPROVE, reason="asked for by the customer")
    carol.decide(carol.get(review_id), Choice.APPROVE, reason="the contract allows it")
    grant = client.claim(decision.pending, wanted)
    assert grant.permit
    client.report(grant, Outcome.SUCCEEDED)


def test_wherever_it_is_written_it_is_not_kept(prepared: Service) -> None:
    """One address for every place that takes text, and then none of them anywhere."""
    service = prepared
    service.person("frank", "approvers", aliases=("frank.schmidt@corp.example",))
    service.start()
    mails = (f"user{n}.privat@kunde{n}.de" for n in range(100))

    def mail() -> str:
        planted = next(mails)
        service.plant(planted)
        return planted

    service.plant("frank.schmidt@corp.example")
    behind = [External(mail()), Person("frank.schmidt@corp.example")]
    client, bob = service.client("agent"), service.reviewer("bob")
    everywhere = Context(
        action="demo.approve",
        actor="agent",
        environment="production",
        resource=Resource(
            "table", f"of/{mail()}", owner=mail(), attributes={"to": mail(), mail(): 1}
        ),
        arguments={"x": {"y": [mail()]}, mail(): {"z": 1}},
        reason=f"for {mail()}",
        session=mail(),
        on_behalf_of=behind,
    )
    masked = client.check(everywhere, labels={"a": mail()}).pending
    assert masked
    shown = bob.get(masked.review_id)
    assert b"privat" not in shown.SerializeToString()
    assert not shown.previews["reviewer"].reviewable
    with pytest.raises(PreconditionFailed) as unseen:
        bob.decide(shown, Choice.APPROVE, reason=mail())
    assert unseen.value.code == "review.unreviewable"

    wanted = context("demo.approve", on_behalf_of=behind)
    pending = client.check(wanted).pending
    assert pending
    bob.ask(bob.get(pending.review_id), f"Who is {mail()}?")
    (question,) = client.wait(pending, timeout_s=0).questions
    client.answer(pending.review_id, question.id, mail())
    bob.decide(bob.get(pending.review_id), Choice.APPROVE, reason=mail())
    client.report(client.claim(pending, wanted), Outcome.FAILED, {"e": mail(), "k": [mail()]})
    opened = {}
    for table in ("withdrawn", "denied", "revoked"):
        handle = client.check(context("demo.approve", table)).pending
        assert handle
        opened[table] = bob.get(handle.review_id)
    client.cancel(opened["withdrawn"].status.review_id, reason=mail())
    bob.decide(opened["denied"], Choice.DENY, reason=mail())
    bob.decide(opened["revoked"], Choice.APPROVE)
    bob.revoke(opened["revoked"].status.review_id, reason=mail())
    with pytest.raises(InvalidRequest) as audience:
        client.check(context("demo.allow"), permit_audience=mail())
    assert audience.value.field == "permit_audience"
    assert service.stop() == 0
    service.require_discreet()


def test_a_machine_cannot_decide_and_a_person_cannot_ask(shared: Service) -> None:
    service = shared
    review_id = approved(service, context("demo.approve", "machines"))
    as_person, as_machine = service.line("bob"), service.line("agent")
    wanted = context("demo.approve", "machines").to_message()
    for method, request in (
        ("Check", decisions_pb2.CheckRequest(context=wanted)),
        ("Await", decisions_pb2.AwaitRequest(review_id=review_id)),
        ("Claim", decisions_pb2.ClaimRequest(review_id=review_id, context=wanted)),
        ("Answer", decisions_pb2.AnswerRequest(review_id=review_id)),
        ("Cancel", decisions_pb2.CancelRequest(review_id=review_id)),
        ("Report", decisions_pb2.ReportRequest(permit_id="pmt_1")),
    ):
        seen = as_person.refused(f"Decisions.{method}", request)
        assert (seen.code, seen.reason) == (
            grpc.StatusCode.PERMISSION_DENIED,
            "person.not_a_caller",
        )
    for method, request in (
        ("List", reviews_pb2.ListReviewsRequest()),
        ("Get", reviews_pb2.GetReviewRequest(review_id=review_id)),
        ("Decide", reviews_pb2.DecideRequest(review_id=review_id)),
        ("AskInfo", reviews_pb2.AskInfoRequest(review_id=review_id)),
        ("Revoke", reviews_pb2.RevokeRequest(review_id=review_id)),
    ):
        seen = as_machine.refused(f"Reviews.{method}", request)
        assert (seen.code, seen.reason) == (
            grpc.StatusCode.PERMISSION_DENIED,
            "caller.not_a_person",
        )


Ask = Callable[[str], tuple[str, Any]]


def of_machines(service: Service) -> list[Ask]:
    """Every call of a caller that names something by its id."""
    wanted = context("demo.approve", "others").to_message()
    fresh = context("demo.approve", "orders").to_message()
    verbs = decisions_pb2
    return [
        lambda named: ("Await", verbs.AwaitRequest(review_id=named)),
        lambda named: ("Await", verbs.AwaitRequest(review_id=named, after="v1")),
        lambda named: (
            "Claim",
            verbs.ClaimRequest(review_id=named, context=wanted, request_id="r"),
        ),
        lambda named: (
            "Answer",
            verbs.AnswerRequest(review_id=named, question_id="qst_1", text="so", request_id="r"),
        ),
        lambda named: ("Cancel", verbs.CancelRequest(review_id=named, request_id="r")),
        lambda named: ("Check", verbs.CheckRequest(context=fresh, supersedes=named)),
    ]


def test_what_belongs_to_others_looks_like_what_never_was(shared: Service) -> None:
    service = shared
    review_id = approved(service, context("demo.approve", "others"))
    claimed_id = approved(service, context("demo.approve", "payments"))
    grant = service.client("agent").claim(claimed_id, context("demo.approve", "payments"))
    assert grant.permit
    for subject in ("stranger", "cousin"):
        line = service.line(subject)
        for ask in of_machines(service):
            answers = []
            for named in (review_id, claimed_id, new_id("rev"), "rev_x", "nonsense"):
                method, request = ask(named)
                answers.append(line.refused(f"Decisions.{method}", request))
            assert_alike(answers, f"{subject} {ask(review_id)[0]}")
        answers = [
            line.refused(
                "Decisions.Report",
                decisions_pb2.ReportRequest(
                    **kind, outcome=context_pb2.OUTCOME_FAILED, request_id="r"
                ),
            )
            for kind in (
                {"permit_id": grant.permit.id},
                {"permit_id": new_id("pmt")},
                {"decision_id": grant.decision_id},
                {"decision_id": new_id("dec")},
            )
        ]
        assert_alike(answers, f"{subject} Report")
    for subject in ("oscar", "erin"):
        line = service.line(subject)
        asks: list[Ask] = [
            lambda named: ("Get", reviews_pb2.GetReviewRequest(review_id=named)),
            lambda named: (
                "Decide",
                reviews_pb2.DecideRequest(
                    review_id=named,
                    revision=1,
                    profile="reviewer",
                    preview_hash=b"1" * 32,
                    vote=reviews_pb2.VOTE_DENY,
                    request_id="r",
                ),
            ),
            lambda named: (
                "AskInfo",
                reviews_pb2.AskInfoRequest(
                    review_id=named, revision=1, question="why?", request_id="r"
                ),
            ),
            lambda named: ("Revoke", reviews_pb2.RevokeRequest(review_id=named, request_id="r")),
        ]
        for see in asks:
            found = []
            for named in (review_id, claimed_id, new_id("rev"), "nonsense"):
                method, request = see(named)
                found.append(line.refused(f"Reviews.{method}", request))
            assert_alike(found, f"{subject} {see(review_id)[0]}")
        listed = line.call("Reviews.List", reviews_pb2.ListReviewsRequest())
        assert not listed.reviews
    assert service.client("agent").wait(review_id, timeout_s=0).state is ReviewState.APPROVED


def assert_alike(answers: list[Refused], what: str) -> None:
    assert {answer.code for answer in answers} == {grpc.StatusCode.NOT_FOUND}, (what, answers)
    assert len({answer.everything for answer in answers}) == 1, (what, answers)


def test_a_log_shows_only_its_own_tenant(running: Service) -> None:
    service = running
    for _ in range(3):
        service.client("agent").check(context("demo.allow"))
    other = service.client("stranger").check(context("demo.allow"))
    assert other.record
    assert other.record.log_id == "countersign.local/other"
    assert other.record.seq < 4
    service.stop()
    theirs = service.verified_log("other")[1]
    assert is_logged(other.record, theirs)
    assert all(json.loads(record)["tenant"] == "other" for record in theirs)
    ours = service.verified_log()[1]
    assert all(json.loads(record)["tenant"] == "default" for record in ours)


def test_an_answer_voids_what_was_approved_before_it(shared: Service) -> None:
    service = shared
    wanted = context("demo.two", "before_it")
    client = service.client("agent")
    bob, carol = service.reviewer("bob"), service.reviewer("carol")
    pending = client.check(wanted).pending
    assert pending
    first = bob.get(pending.review_id)
    bob.decide(first, Choice.APPROVE)
    asked = carol.ask(carol.get(pending.review_id), f"Who is {EMAIL}?")
    assert EMAIL not in asked.thread[0].question
    (question,) = client.wait(pending, timeout_s=0).questions
    status = client.answer(pending.review_id, question.id, f"A customer, {PHONE}")
    assert (status.state, status.revision) == (ReviewState.PENDING, 2)
    service.plant(EMAIL, PHONE)

    with pytest.raises(PreconditionFailed) as stale:
        carol.decide(asked, Choice.APPROVE)
    assert stale.value.code == "vote.stale_revision"
    carol.decide(carol.get(pending.review_id), Choice.APPROVE)
    assert client.wait(pending, timeout_s=0).state is ReviewState.PENDING
    bob.decide(bob.get(pending.review_id), Choice.APPROVE)
    assert client.wait(pending).state is ReviewState.APPROVED
    votes = bob.get(pending.review_id).votes
    assert [(vote.revision, vote.counts) for vote in votes] == [(1, False), (2, True), (2, True)]


def test_an_approval_is_taken_back(shared: Service) -> None:
    service = shared
    review_id = approved(service, context("demo.approve", "taken_back"))
    revoked = service.reviewer("carol").revoke(review_id, reason="not today")
    assert revoked.status.state == context_pb2.REVIEW_STATE_REVOKED
    with pytest.raises(Revoked):
        service.client("agent").claim(review_id, context("demo.approve", "taken_back"))


def test_policy_refuses_at_the_claim_what_it_once_let_people_approve(shared: Service) -> None:
    service = shared
    review_id = approved(service, context("demo.regret", "people_approve"))
    with pytest.raises(Revoked) as refusal:
        service.client("agent").claim(review_id, context("demo.regret", "people_approve"))
    assert codes(refusal.value) == ["demo.rule"]


def test_a_review_is_withdrawn_and_cannot_be_approved_after(shared: Service) -> None:
    service = shared
    client, bob = service.client("agent"), service.reviewer("bob")
    pending = client.check(context("demo.approve", "approved_after")).pending
    assert pending
    shown = bob.get(pending.review_id)
    assert client.cancel(pending, reason="no need").state is ReviewState.CANCELLED
    with pytest.raises(PreconditionFailed):
        bob.decide(shown, Choice.APPROVE)
    with pytest.raises(Cancelled):
        client.claim(pending, context("demo.approve", "approved_after"))


def test_a_denial_wins_and_cools_down(shared: Service) -> None:
    service = shared
    client, bob = service.client("agent"), service.reviewer("bob")
    pending = client.check(context("demo.two", "cools_down")).pending
    assert pending
    bob.decide(bob.get(pending.review_id), Choice.APPROVE)
    carol = service.reviewer("carol")
    carol.decide(carol.get(pending.review_id), Choice.DENY, reason="no")
    assert client.wait(pending).state is ReviewState.DENIED
    with pytest.raises(Denied):
        client.claim(pending, context("demo.two", "cools_down"))
    assert codes(client.check(context("demo.two", "cools_down"))) == ["review.cooling_down"]
    assert codes(client.check(context("demo.two", "cools_down", reason="please"))) == [
        "review.cooling_down"
    ]


def test_a_review_is_replaced_reused_or_called_a_duplicate(shared: Service) -> None:
    service = shared
    client = service.client("agent")
    first = client.check(context("demo.approve", "a_duplicate", reason="a"))
    assert first.pending
    same = client.check(context("demo.approve", "a_duplicate", reason="a"))
    assert same.review_reused
    assert same.pending
    assert same.pending.review_id == first.pending.review_id

    worded = client.check(context("demo.approve", "a_duplicate", reason="b"))
    assert codes(worded) == ["review.duplicate"]
    assert first.pending.review_id in worded.reasons[0].message

    next_one = client.check(
        context("demo.approve", "a_duplicate", reason="b"), supersedes=first.pending.review_id
    )
    assert next_one.pending
    old = client.wait(first.pending)
    assert old.state is ReviewState.CANCELLED
    assert old.superseded_by == next_one.pending.review_id
    assert client.wait(next_one.pending, timeout_s=0).state is ReviewState.PENDING


def test_whoever_a_check_names_is_excluded_even_when_it_is_asked_again(shared: Service) -> None:
    service = shared
    client = service.client("agent")
    wanted = context("demo.approve", "asked_again", on_behalf_of=[Person("bob")])
    pending = client.check(wanted).pending
    assert pending
    bob = service.reviewer("bob")
    with pytest.raises(NotPermitted) as named:
        bob.decide(bob.get(pending.review_id), Choice.APPROVE)
    assert named.value.code == "vote.self_approval"

    # dave owns another caller that speaks for the same actor.
    again = client.check(wanted)
    assert again.review_reused
    shown = service.reviewer("carol").get(pending.review_id)
    assert set(shown.verified.excluded) == {"alice", "bob", "dave"}
    unknown = client.check(context("demo.approve", "asked_again", on_behalf_of=[Person("nobody")]))
    assert codes(unknown) == ["requester.unresolved"]
    nobody_left = client.check(
        context("demo.two", "asked_again", on_behalf_of=[Person("bob"), Workload("cousin")])
    )
    assert codes(nobody_left) == ["review.unsatisfiable"]


def test_nobody_decides_in_time(shared: Service) -> None:
    service = shared
    client = service.client("agent")
    pending = client.check(context("demo.quick", "in_time")).pending
    assert pending
    status = client.wait(pending, timeout_s=30)
    assert status.state is ReviewState.EXPIRED
    with pytest.raises(Expired):
        client.claim(pending, context("demo.quick", "in_time"))


def test_an_approval_that_is_not_used_in_time_lapses(shared: Service) -> None:
    service = shared
    client = service.client("agent")
    review_id = approved(service, context("demo.brief", "time_lapses"))
    line = service.line("agent")

    def state() -> int:
        seen = line.call("Decisions.Await", decisions_pb2.AwaitRequest(review_id=review_id))
        return int(seen.review.state)

    eventually(lambda: state() == context_pb2.REVIEW_STATE_LAPSED)
    with pytest.raises(Lapsed):
        client.claim(review_id, context("demo.brief", "time_lapses"))


def test_only_the_named_executor_claims(shared: Service) -> None:
    service = shared
    review_id = approved(service, context("demo.gateway", "executor_claims"))
    with pytest.raises(Denied) as wrong:
        service.client("agent").claim(review_id, context("demo.gateway", "executor_claims"))
    assert wrong.value.code == "claim.wrong_claimant"
    grant = service.client("gateway").claim(review_id, context("demo.gateway", "executor_claims"))
    assert grant.permit


def test_an_allowed_action_carries_a_permit_for_whoever_executes(shared: Service) -> None:
    service = shared
    client = service.client("agent")
    wanted = context("demo.allow", "whoever_executes")
    plain = client.check(wanted)
    assert plain.grant
    assert plain.grant.permit is None
    client.report(plain.grant, Outcome.FAILED, {"error": "no space"})

    decision = client.check(wanted, permit_audience="loader")
    assert decision.grant
    assert decision.grant.permit
    keys = service.line("agent").call("Trust.GetKeys", trust_pb2.GetKeysRequest())
    verified = permit.verify(
        decision.grant.permit.token,
        json.loads(keys.jwks_json),
        issuer="countersign",
        audience="loader",
        context=raw(wanted),
        now_s=int(time.time()),
    )
    assert verified.decision_id == decision.id
    assert codes(client.check(context("demo.deny", "whoever_executes"))) == ["demo.rule"]


def test_asking_only_opens_nothing(shared: Service) -> None:
    service = shared
    decision = service.client("agent").check(
        context("demo.approve", "opens_nothing"), create_review=False
    )
    assert decision.effect is Effect.NEEDS_APPROVAL
    assert decision.pending is None
    assert "opens_nothing" not in str(list(service.reviewer("bob").list()))


def test_a_claim_before_anybody_approved_spends_nothing(shared: Service) -> None:
    service = shared
    client = service.client("agent")
    pending = client.check(context("demo.approve", "spends_nothing")).pending
    assert pending
    with pytest.raises(StillPending):
        client.claim(pending, context("demo.approve", "spends_nothing"))
    bob = service.reviewer("bob")
    bob.decide(bob.get(pending.review_id), Choice.APPROVE)
    assert client.claim(pending, context("demo.approve", "spends_nothing")).permit
