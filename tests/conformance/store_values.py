"""Values for tests of any store: plain ones by name, arbitrary ones by strategy."""

from __future__ import annotations

import dataclasses

from countersign.model import (
    AfterReview,
    Assurance,
    CallerId,
    Choice,
    DecisionId,
    Delegation,
    DelegationId,
    Effect,
    Instant,
    PermitClaims,
    PermitId,
    PersonId,
    Preview,
    Reason,
    RecordRef,
    Requirement,
    Review,
    ReviewId,
    ReviewState,
    Stage,
    TenantId,
    Vote,
)
from countersign.store.protocol import Decision, RequestKey, StoredAnswer

ACME = TenantId("acme")
OTHER = TenantId("other")
AGENT = CallerId("agent")
START = Instant(1_700_000_000_000_000)


class Clock:
    """A wall clock that moves when a test says so, backwards too, and a steady one."""

    def __init__(self) -> None:
        self.time = START
        self._steady_ns = 0

    def __call__(self) -> Instant:
        return self.time

    def steady(self) -> int:
        """Nanoseconds that have really passed."""
        return self._steady_ns

    def move(self, seconds: float) -> None:
        """Set the wall clock forward or back; no time passes."""
        self.time = Instant(self.time + int(seconds * 1_000_000))

    def run(self, seconds: float) -> None:
        """Let time pass, on both clocks."""
        self.move(seconds)
        self._steady_ns += int(seconds * 1_000_000_000)


def a_review(id: str = "rev_1", **changes: object) -> Review:
    """A pending review of acme's agent, changed as told."""
    review = Review(
        tenant=ACME,
        id=ReviewId(id),
        decision=DecisionId("dec_1"),
        caller=AGENT,
        action="db.export",
        state=ReviewState.PENDING,
        version=1,
        revision=1,
        created_at=START,
        approve_by=Instant(START + 3600 * 1_000_000),
        commitment="c0" * 32,
        fingerprint="f0" * 32,
        base_fingerprint=f"base of {id}",
        requirement=Requirement(stages=(Stage(name="owner", groups=("owners",)),)),
        previews={
            "reviewer": Preview(
                profile="reviewer",
                context_json="{}",
                facts_json="{}",
                report_json="{}",
                hash="aa" * 32,
                reviewable=True,
            )
        },
        owners=(PersonId("olga"),),
        excluded=(PersonId("olga"),),
        reasons=(Reason(code="export.production", message="production export"),),
        policy_revision="rev-1",
        votes=(
            Vote(
                person=PersonId("peter"),
                choice=Choice.APPROVE,
                stage=0,
                revision=1,
                profile="reviewer",
                preview_hash="aa" * 32,
                reason="fine",
                assurance=Assurance.CHANNEL,
                at=START,
            ),
        ),
    )
    return dataclasses.replace(review, **changes)


def next_version(review: Review, **changes: object) -> Review:
    """The review one version on."""
    return dataclasses.replace(review, version=review.version + 1, **changes)


def a_broken_glass(at: Instant = START, closed_at: Instant | None = None) -> AfterReview:
    """What is owed since peter broke the glass, until `closed_at`."""
    if closed_at is None:
        return AfterReview(person=PersonId("peter"), at=at)
    return AfterReview(
        person=PersonId("peter"),
        at=at,
        closed_by=PersonId("olga"),
        closed_at=closed_at,
        justified=True,
        note="it was",
    )


def a_delegation(id: str = "del_1", **changes: object) -> Delegation:
    """Olga lends peter her standing for an hour, changed as told."""
    delegation = Delegation(
        tenant=ACME,
        id=DelegationId(id),
        delegator=PersonId("olga"),
        delegate=PersonId("peter"),
        starts_at=START,
        ends_at=Instant(START + 3600 * 1_000_000),
        assurance=Assurance.CHANNEL,
        reason="away",
        created_at=START,
    )
    return dataclasses.replace(delegation, **changes)


def a_decision(id: str = "dec_1", **changes: object) -> Decision:
    """An allowed check of acme's agent, changed as told."""
    decision = Decision(
        tenant=ACME,
        id=DecisionId(id),
        caller=AGENT,
        method="check",
        action="db.export",
        effect=Effect.ALLOW,
        reasons=(Reason(code="export.staging", message="staging is fine"),),
        retryable=False,
        policy_revision="rev-1",
        commitment="c0" * 32,
        salt=b"s" * 32,
        review=None,
        permit=None,
        record=RecordRef(log_id="acme/log", seq=0, leaf_hash=b"h" * 32),
        at=START,
    )
    return dataclasses.replace(decision, **changes)


def a_permit(id: str = "per_1", **changes: object) -> PermitClaims:
    """Claims of a permit for acme's agent, changed as told."""
    permit = PermitClaims(
        id=PermitId(id),
        tenant=ACME,
        caller=AGENT,
        audience="gateway",
        action="db.export",
        commitment="c0" * 32,
        decision=DecisionId("dec_1"),
        review=None,
        policy_revision="rev-1",
        seq=3,
        kid="key-1",
        issued_at_s=1_700_000_000,
        expires_at_s=1_700_000_300,
    )
    return dataclasses.replace(permit, **changes)


def a_key(request_id: str = "req-1", tenant: TenantId = ACME) -> RequestKey:
    """What acme's agent files the answer to a Check under."""
    return RequestKey(tenant=tenant, subject="caller:agent", method="check", request_id=request_id)


def an_answer(text: str = "yes") -> StoredAnswer:
    """An answer that says `text`."""
    return StoredAnswer(content_mac="aa" * 32, body={"said": text, "n": 2**53 - 1})
