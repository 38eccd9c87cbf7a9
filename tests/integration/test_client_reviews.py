"""A person's credential: list, look, ask, vote, take back, watch."""

import pytest

from countersign.client import (
    Client,
    Context,
    CountersignClientError,
    Credential,
    InvalidRequest,
    NotFound,
    PreconditionFailed,
    Resource,
    ReviewsClient,
    ReviewState,
    Timing,
)
from countersign.client.testing import Rule
from countersign.credentials import SubjectKind, new_token
from countersign.model import Choice, Effect
from countersign.v1 import context_pb2, decisions_pb2
from simulators.decision_server import DecisionServer

TOKEN = new_token(SubjectKind.PERSON)
QUICK = Timing(backoff_s=0.01, max_backoff_s=0.05)


@pytest.fixture
def server():
    with DecisionServer(TOKEN) as server:
        server.point.rules.append(Rule(pattern="*", effect=Effect.NEEDS_APPROVAL))
        yield server


@pytest.fixture
def bob(server):
    credential = Credential(endpoint=server.endpoint, token=TOKEN)
    with ReviewsClient(credential, timing=QUICK) as client:
        yield client


@pytest.fixture
def reviews(server):
    """Five open reviews, by id."""
    credential = Credential(endpoint=server.endpoint, token=TOKEN)
    with Client(credential) as agent:
        return sorted(
            agent.check(
                Context(
                    action="db.export",
                    resource=Resource("table", f"t{number}"),
                    environment="production",
                    actor="export-agent",
                )
            ).pending.review_id
            for number in range(5)
        )


def test_every_page_is_listed(bob, reviews):
    assert [review.status.review_id for review in bob.list()] == reviews
    assert list(bob.list([ReviewState.PENDING, ReviewState.APPROVED]))


def test_a_vote_names_the_preview_that_was_shown(bob, reviews):
    approved = bob.decide(bob.get(reviews[0]), Choice.APPROVE)
    assert approved.status.state == context_pb2.REVIEW_STATE_APPROVED
    denied = bob.decide(bob.get(reviews[1]), Choice.DENY, profile="reviewer", reason="too wide")
    assert denied.status.reasons[0].message == "bob: too wide"


def test_a_vote_on_what_has_changed_since_is_refused(bob, reviews, server):
    shown = bob.get(reviews[0])
    asked = bob.ask(shown, "why?")
    assert asked.status.state == context_pb2.REVIEW_STATE_INFO_REQUESTED
    server.point.handle(
        "Answer",
        _answer(reviews[0], asked.status.open_questions[0].question_id),
    )
    with pytest.raises(PreconditionFailed, match=r"vote\.stale") as caught:
        bob.decide(shown, Choice.APPROVE)
    assert caught.value.advice == "Look at it again."


def _answer(review_id, question_id):
    return decisions_pb2.AnswerRequest(
        review_id=review_id, question_id=question_id, text="audit", request_id="a-1"
    )


def test_a_preview_that_was_not_shown_cannot_be_voted_on(bob, reviews):
    with pytest.raises(InvalidRequest, match="profile"):
        bob.decide(bob.get(reviews[0]), Choice.APPROVE, profile="auditor")


def test_an_approval_can_be_taken_back(bob, reviews):
    bob.decide(bob.get(reviews[0]), Choice.APPROVE)
    revoked = bob.revoke(reviews[0], reason="second thoughts")
    assert revoked.status.state == context_pb2.REVIEW_STATE_REVOKED


def test_an_unknown_review_is_not_found(bob):
    with pytest.raises(NotFound):
        bob.get("rev_unknown")


def test_watching_goes_on_when_the_stream_breaks(bob, reviews, server):
    server.unavailable("Watch", times=2)
    seen = []
    for review in bob.watch():
        seen.append(review.status.review_id)
        if len(seen) == 15:
            break
    assert seen == reviews * 3


def test_a_closed_client_says_so(bob):
    bob.close()
    with pytest.raises(CountersignClientError, match="closed"):
        next(bob.watch())
    with pytest.raises(CountersignClientError, match="closed"):
        bob.get("rev_1")
