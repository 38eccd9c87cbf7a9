"""What goes into a store comes out equal, and nothing else comes out."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.errors import LogError
from countersign.model import (
    AfterReview,
    Assurance,
    BreakGlass,
    Delegation,
    Effect,
    Escalation,
    Exchange,
    Outcome,
    PermitClaims,
    PersonId,
    Preview,
    Reason,
    Requirement,
    Review,
    ReviewState,
    Stage,
    Vote,
)
from countersign.store import codec
from countersign.store.protocol import Decision
from countersign.store.recent import MAX_SUM


def whole(cls, **given):
    """Any value of a dataclass, the fields that have defaults included."""
    inferred = {field.name: ... for field in dataclasses.fields(cls)}
    return st.builds(cls, **(inferred | given))


def few(strategy):
    return st.lists(strategy, max_size=2).map(tuple)


TEXT = st.text(max_size=5)
REASONS = few(whole(Reason))
REQUIREMENTS = whole(
    Requirement,
    stages=few(whole(Stage, escalate=few(whole(Escalation)))),
    break_glass=st.none() | whole(BreakGlass),
    profiles=st.dictionaries(TEXT, TEXT, max_size=2),
)
REVIEWS = whole(
    Review,
    reasons=REASONS,
    closed_reasons=REASONS,
    previews=st.dictionaries(TEXT, whole(Preview), max_size=2),
    requirement=REQUIREMENTS,
    votes=few(whole(Vote)),
    thread=few(whole(Exchange)),
    after_review=st.none() | whole(AfterReview),
)
REASON = Reason(code="a.b", message="because")


def a_review(**changes) -> Review:
    fields = {
        "tenant": "acme",
        "id": "rev_1",
        "decision": "dec_1",
        "caller": "agent",
        "action": "db.export",
        "state": ReviewState.PENDING,
        "version": 1,
        "revision": 1,
        "created_at": 1,
        "approve_by": 10,
        "commitment": "c",
        "fingerprint": "f",
        "base_fingerprint": "b",
        "requirement": Requirement(stages=(Stage(name="owner", people=(PersonId("olga"),)),)),
        "previews": {
            "reviewer": Preview(
                profile="reviewer",
                context_json="{}",
                facts_json="{}",
                report_json="{}",
                hash="h",
                reviewable=True,
            )
        },
        "owners": (),
        "excluded": (),
        "reasons": (REASON,),
        "policy_revision": "p",
    }
    return Review(**(fields | changes))


@given(REVIEWS)
def test_any_review_comes_back_equal(review):
    assert codec.decode_review(codec.encode_review(review)) == review


@given(whole(PermitClaims))
def test_any_permit_comes_back_equal(permit):
    assert codec.decode_permit(codec.encode_permit(permit)) == permit


@given(whole(Delegation))
def test_any_delegation_comes_back_equal(delegation):
    assert codec.decode_delegation(codec.encode_delegation(delegation)) == delegation


SIZES = st.integers(0, MAX_SUM)


@given(whole(Decision, reasons=REASONS, rows=SIZES, amount=SIZES))
def test_any_decision_comes_back_equal(decision):
    assert codec.decode_decision(codec.encode_decision(decision)) == decision


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=40).map(tuple))
def test_any_frontier_comes_back_equal(frontier):
    assert codec.decode_frontier(codec.encode_frontier(frontier)) == frontier


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: few(inner).map(list) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(TEXT, JSON, max_size=3))
def test_any_answer_comes_back_equal(body):
    assert codec.decode_object(codec.encode_object(body)) == body


def test_types_survive_where_equality_would_not_show_it():
    review = codec.decode_review(codec.encode_review(a_review()))
    assert type(review.state) is ReviewState
    assert type(review.reasons) is tuple
    assert type(review.requirement) is Requirement
    assert type(review.previews["reviewer"]) is Preview


@pytest.mark.parametrize(
    "damage",
    [
        lambda body: body | {"unknown": 1},
        lambda body: body | {"version": "1"},
        lambda body: body | {"state": "approvedd"},
        lambda body: body | {"requirement": body["requirement"] | {"quorum": 0}},
        lambda body: {key: value for key, value in body.items() if key != "excluded"},
    ],
)
def test_a_review_of_another_shape_is_refused_without_showing_it(damage):
    body = damage(json.loads(codec.encode_review(a_review())))
    with pytest.raises(LogError) as refused:
        codec.decode_review(json.dumps(body))
    assert refused.value.code == "store.corrupt"
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


# Bodies as the first schema's server wrote them.
OLD_REVIEW = (
    '{"tenant":"acme","id":"rev_1","decision":"dec_1","caller":"agent","action":"db.export",'
    '"state":"pending","version":1,"revision":1,"created_at":1,"approve_by":10,"commitment":"c",'
    '"fingerprint":"f","base_fingerprint":"b","requirement":{"stages":[{"name":"owner",'
    '"groups":["owners"],"people":["olga"],"quorum":1}],"must_show":["/resource"],'
    '"approve_within_s":3600,"use_within_s":300,"report_within_s":900,"claim_by":[],"channel":"",'
    '"profiles":{"*":"reviewer"},"exclude":[],"require_reason":false,"min_assurance":"channel",'
    '"durability":"durable"},"previews":{},"owners":["olga"],"excluded":["olga"],'
    '"reasons":[{"code":"a.b","message":"because"}],"policy_revision":"p","votes":[{"person":"pete",'
    '"choice":"approve","stage":0,"revision":1,"profile":"reviewer","preview_hash":"h",'
    '"reason":"","assurance":"channel","at":5}],"thread":[],"approved_at":null,"use_by":null,'
    '"closed_reasons":[],"superseded_by":null,"claimant":null,"permit":null,"report_by":null,'
    '"outcome":null}'
)
OLD_PERMIT = (
    '{"id":"per_1","tenant":"acme","caller":"agent","audience":"gateway","action":"db.export",'
    '"commitment":"c","decision":"dec_1","review":null,"policy_revision":"p","seq":3,'
    '"kid":"key-1","issued_at_s":1700000000,"expires_at_s":1700000300}'
)


def test_a_review_of_the_first_schema_has_defaults_for_what_it_did_not_know():
    review = codec.decode_review(OLD_REVIEW)
    assert (review.requester, review.escalated, review.escalate_at) == (None, (), None)
    assert review.after_review is None
    assert (review.requirement.batch, review.requirement.break_glass) == (False, None)
    assert review.requirement.stages[0].escalate == ()
    vote = review.votes[0]
    assert (vote.delegated_by, vote.channel, vote.break_glass) == (None, None, False)
    assert codec.decode_review(codec.encode_review(review)) == review


def test_a_permit_of_the_first_schema_is_still_a_permit():
    permit = codec.decode_permit(OLD_PERMIT)
    assert codec.encode_permit(permit) == OLD_PERMIT


def test_a_body_that_is_neither_old_nor_new_is_refused():
    for damage in ({"requestor": None}, {"escalated": None}, {"after_review": {}}):
        with pytest.raises(LogError):
            codec.decode_review(json.dumps(json.loads(OLD_REVIEW) | damage))


def test_a_delegation_of_another_shape_is_refused():
    delegation = Delegation(
        tenant="acme",
        id="del_1",
        delegator="olga",
        delegate="pete",
        starts_at=1,
        ends_at=2,
        assurance=Assurance.PERSON,
        reason="",
        created_at=1,
    )
    body = json.loads(codec.encode_delegation(delegation))
    assert codec.decode_delegation(json.dumps(body)) == delegation
    for damage in ({"unknown": 1}, {"ends_at": "2"}, {"assurance": "none"}):
        with pytest.raises(LogError):
            codec.decode_delegation(json.dumps(body | damage))


def test_what_a_decision_touches_and_moves_is_stored_saturated():
    wild = dataclasses.replace(_a_decision(), rows=10**30, amount=-1)
    stored = codec.decode_decision(codec.encode_decision(wild))
    assert (stored.rows, stored.amount) == (MAX_SUM, 0)


def test_a_decision_of_another_shape_is_refused():
    row = list(codec.encode_decision(_a_decision()))
    row[5] = "permit"
    with pytest.raises(LogError):
        codec.decode_decision(tuple(row))


def test_timers_follow_the_state():
    times = {"approve_by": 10, "use_by": 20, "report_by": 30}
    due = {state: a_review(state=state, **times).due_at for state in ReviewState}
    assert due == dict.fromkeys(ReviewState) | {
        ReviewState.PENDING: 10,
        ReviewState.INFO_REQUESTED: 10,
        ReviewState.APPROVED: 20,
        ReviewState.CLAIMED: 30,
    }
    reported = a_review(state=ReviewState.CLAIMED, outcome=Outcome.AMBIGUOUS, **times)
    assert reported.due_at is None


def _a_decision() -> Decision:
    return Decision(
        tenant="acme",
        id="dec_1",
        caller="agent",
        method="check",
        action="db.export",
        effect=Effect.ALLOW,
        reasons=(REASON,),
        retryable=False,
        policy_revision="p",
        commitment="c",
        salt=None,
        review=None,
        permit=None,
        record=codec.RecordRef(log_id="l", seq=0, leaf_hash=b"h"),
        at=1,
    )
