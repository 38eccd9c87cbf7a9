"""The rules of a review, as stories. Every guard here has a test that needs it."""

from __future__ import annotations

import dataclasses

import pytest

from countersign.model import (
    Assurance,
    CallerId,
    Choice,
    Effect,
    Instant,
    Outcome,
    PersonId,
    QuestionId,
    Reason,
    Requirement,
    ReviewState,
    Stage,
)
from countersign.review import (
    ApprovalRevoked,
    OutcomeReported,
    QuestionAnswered,
    QuestionAsked,
    RequesterWidened,
    TimePassed,
    Withdrawn,
    cannot_approve,
    first_unfilled,
    step,
    unsatisfiable,
)
from town import (
    ALICE,
    BOB,
    CAROL,
    DAVE,
    ERIN,
    NOW,
    OWNERS,
    SECURITY,
    TENANT,
    TOWN,
    Town,
    claim,
    later,
    policy,
    refused,
    review,
    through,
    vote,
)

# --- deciding ---------------------------------------------------------------------


def test_one_owner_approves_and_the_approval_must_be_used_in_time():
    approved = through(review(), vote(BOB))
    assert approved.state is ReviewState.APPROVED
    assert approved.approved_at == NOW
    assert approved.use_by == later(300)


def test_a_denial_wins_even_after_an_approval():
    two = review(dataclasses.replace(OWNERS, quorum=2))
    denied = through(two, vote(BOB), vote(CAROL, Choice.DENY))
    assert denied.state is ReviewState.DENIED
    assert refused(denied, vote(DAVE)) == "vote.not_eligible"
    assert refused(denied, vote(BOB)) == "review.closed"


def test_any_approver_of_any_stage_may_deny_at_once():
    assert through(review(OWNERS, SECURITY), vote(DAVE, Choice.DENY)).state is ReviewState.DENIED


def test_stages_run_in_order_and_count_each_person_once():
    both = Stage(name="both", groups=("owners", "security"), quorum=1)
    staged = review(OWNERS, both)
    assert refused(staged, vote(DAVE)) == "vote.not_your_stage"
    half = through(staged, vote(BOB))
    assert half.state is ReviewState.PENDING
    assert refused(half, vote(BOB)) == "vote.duplicate"
    assert through(half, vote(DAVE)).state is ReviewState.APPROVED


def test_quorum_counts_distinct_people():
    two = review(dataclasses.replace(OWNERS, quorum=2))
    once = through(two, vote(BOB))
    assert refused(once, vote(BOB)) == "vote.duplicate"
    assert through(once, vote(CAROL)).state is ReviewState.APPROVED


def test_somebody_needed_later_is_not_used_up_early():
    town = Town({BOB: {"owners", "security"}, CAROL: {"owners"}})
    staged = review(OWNERS, SECURITY)
    assert refused(staged, vote(BOB, people=town)) == "vote.needed_later"
    assert through(staged, vote(CAROL, people=town), vote(BOB, people=town)).state is (
        ReviewState.APPROVED
    )


@pytest.mark.parametrize("choice", list(Choice))
def test_nobody_in_the_requester_chain_has_a_say(choice):
    assert refused(review(), vote(ALICE, choice)) == "vote.self_approval"


def test_whom_policy_excludes_has_no_say():
    assert refused(review(exclude=("bob",)), vote(BOB)) == "vote.excluded"


@pytest.mark.parametrize("person", [ERIN, PersonId("nobody")])
def test_only_eligible_people_vote(person):
    assert refused(review(), vote(person)) == "vote.not_eligible"


def test_a_vote_names_the_revision_and_preview_it_saw():
    assert refused(review(), vote(BOB, revision=2)) == "vote.stale_revision"
    assert refused(review(), vote(BOB, preview_hash="other")) == "vote.preview_mismatch"
    assert refused(review(), vote(BOB, profile="restricted")) == "vote.preview_mismatch"


def test_what_cannot_be_reviewed_can_be_denied_but_not_approved():
    blind = review(reviewable=False)
    assert refused(blind, vote(BOB)) == "review.unreviewable"
    assert through(blind, vote(BOB, Choice.DENY)).state is ReviewState.DENIED


def test_a_demanded_reason_and_assurance_are_demanded():
    assert refused(review(require_reason=True), vote(BOB, reason=" ")) == "vote.reason_required"
    strict = review(min_assurance=Assurance.PERSON)
    assert refused(strict, vote(BOB, assurance=Assurance.CHANNEL)) == "vote.assurance"
    assert cannot_approve(strict, BOB, TOWN, Assurance.PERSON) is None


def test_a_vote_at_the_very_deadline_is_too_late():
    subject = review()
    assert refused(subject, vote(BOB), at=subject.approve_by) == "review.closed"
    just = Instant(subject.approve_by - 1)
    assert through(subject, vote(BOB), at=just).state is ReviewState.APPROVED


# --- questions ---------------------------------------------------------------------

ASKED = QuestionAsked(person=BOB, id=QuestionId("qst_1"), question="why?", revision=1, people=TOWN)
ANSWERED = QuestionAnswered(id=QuestionId("qst_1"), text="because")


def test_an_answer_voids_the_approvals_that_did_not_see_it():
    two = review(dataclasses.replace(OWNERS, quorum=2))
    asked = through(two, vote(CAROL), ASKED)
    assert asked.state is ReviewState.INFO_REQUESTED
    answered = through(asked, ANSWERED)
    assert (answered.state, answered.revision) == (ReviewState.PENDING, 2)
    once = through(answered, vote(BOB, revision=2))
    assert once.state is ReviewState.PENDING
    assert through(once, vote(CAROL, revision=2)).state is ReviewState.APPROVED


def test_a_question_does_not_stop_a_decision_and_is_answered_once():
    asked = through(review(), ASKED)
    assert through(asked, vote(BOB)).state is ReviewState.APPROVED
    assert refused(through(asked, ANSWERED), ANSWERED) == "answer.nothing_asked"
    wrong = QuestionAnswered(id=QuestionId("qst_2"), text="x")
    assert refused(asked, wrong) == "answer.unknown_question"
    assert refused(review(), dataclasses.replace(ASKED, person=ALICE)) == "vote.self_approval"


# --- the claim ---------------------------------------------------------------------


def test_an_approval_is_spent_once():
    claimed = through(review(), vote(BOB), claim())
    assert claimed.state is ReviewState.CLAIMED
    assert claimed.claimant == "agent"
    assert refused(claimed, claim()) == "claim.spent"


def test_nothing_is_claimed_before_it_is_approved():
    assert refused(review(), claim()) == "claim.not_approved"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"commitment": "beef"}, "claim.mismatch"),
        ({"claimant": CallerId("other")}, "claim.wrong_claimant"),
        ({"policy": policy(claim_by=("gateway",))}, "claim.wrong_claimant"),
    ],
)
def test_a_wrong_attempt_spends_nothing(change, code):
    approved = through(review(), vote(BOB))
    assert refused(approved, claim(**change)) == code
    assert through(approved, claim()).state is ReviewState.CLAIMED


def test_a_mismatched_context_is_judged_before_todays_denial():
    approved = through(review(), vote(BOB))
    assert refused(approved, claim(commitment="beef", policy=policy(Effect.DENY))) == (
        "claim.mismatch"
    )


def test_policy_may_let_only_the_gateway_execute():
    gated = through(review(claim_by=("gateway",)), vote(BOB))
    assert refused(gated, claim()) == "claim.wrong_claimant"
    by_gateway = claim(
        claimant=CallerId("gw"), audience="gateway", policy=policy(claim_by=("gateway",))
    )
    assert through(gated, by_gateway).claimant == "gw"


def test_todays_denial_revokes_with_its_reason():
    revoked = through(review(), vote(BOB), claim(policy=policy(Effect.DENY)))
    assert revoked.state is ReviewState.REVOKED
    assert revoked.closed_reasons[0].code == "today.says"
    assert refused(revoked, claim()) == "review.revoked"


def test_todays_allow_grants_whatever_the_votes():
    assert through(review(), vote(BOB), claim(policy=policy(Effect.ALLOW))).state is (
        ReviewState.CLAIMED
    )


@pytest.mark.parametrize(
    "change",
    [
        {"policy": policy(Effect.NEEDS_APPROVAL, SECURITY)},
        {"policy": policy(Effect.NEEDS_APPROVAL, dataclasses.replace(OWNERS, quorum=2))},
        {"policy": policy(exclude=("bob",))},
        {"policy": policy(must_show=("/arguments/destination",))},
        {"excluded": frozenset({ALICE, BOB})},
        {"people": Town({CAROL: {"owners"}})},
        {"people": Town({BOB: {"security"}})},
    ],
    ids=["stage", "quorum", "exclusion", "must-show", "chain", "left", "moved"],
)
def test_votes_that_no_longer_suffice_revoke(change):
    revoked = through(review(), vote(BOB), claim(**change))
    assert revoked.state is ReviewState.REVOKED
    assert revoked.closed_reasons[0].code == "approval.insufficient"


def test_todays_assurance_reason_and_age_bind_old_votes():
    subject = through(review(), vote(BOB, assurance=Assurance.CHANNEL, reason=""))
    for demand in (
        {"min_assurance": Assurance.PERSON},
        {"require_reason": True},
    ):
        assert through(subject, claim(policy=policy(**demand))).state is ReviewState.REVOKED
    aged = claim(policy=policy(use_within_s=60))
    assert through(subject, aged, at=later(59)).state is ReviewState.CLAIMED
    assert through(subject, aged, at=later(60)).state is ReviewState.REVOKED


def test_an_approval_lapses_at_its_use_by():
    approved = through(review(), vote(BOB))
    assert refused(approved, claim(), at=later(300)) == "review.lapsed"
    assert through(approved, claim(), at=later(299)).state is ReviewState.CLAIMED


# --- ends ---------------------------------------------------------------------------


def test_time_alone_ends_reviews_and_never_approves():
    assert through(review(), TimePassed(), at=later(3600)).state is ReviewState.EXPIRED
    assert through(review(), vote(BOB), TimePassed()).state is ReviewState.APPROVED
    lapsed = through(through(review(), vote(BOB)), TimePassed(), at=later(300))
    assert lapsed.state is ReviewState.LAPSED
    claimed = through(review(), vote(BOB), claim())
    assert through(claimed, TimePassed(), at=later(900)).outcome is Outcome.AMBIGUOUS


def test_time_that_changes_nothing_returns_the_same_review():
    subject = review()
    assert step(subject, TimePassed(), later(3599)) is subject


def test_a_late_report_settles_an_ambiguous_outcome_and_only_that():
    claimed = through(review(), vote(BOB), claim())
    lost = through(claimed, TimePassed(), at=later(900))
    settled = through(lost, OutcomeReported(outcome=Outcome.SUCCEEDED), at=later(901))
    assert settled.outcome is Outcome.SUCCEEDED
    assert refused(settled, OutcomeReported(outcome=Outcome.FAILED)) == "outcome.settled"
    assert refused(review(), OutcomeReported(outcome=Outcome.FAILED)) == "outcome.not_claimed"


def test_an_approver_revokes_until_the_claim_and_the_requester_withdraws():
    revoke = ApprovalRevoked(person=BOB, reason="no", people=TOWN)
    approved = through(review(), vote(BOB))
    assert through(approved, revoke).state is ReviewState.REVOKED
    assert refused(review(), revoke) == "review.not_approved"
    assert refused(through(approved, claim()), revoke) == "review.not_approved"
    assert refused(approved, dataclasses.replace(revoke, person=ALICE)) == "vote.self_approval"
    withdrawn = Withdrawn(reason=Reason(code="c", message="m"))
    assert through(approved, withdrawn).state is ReviewState.CANCELLED
    assert refused(through(approved, claim()), withdrawn) == "review.closed"


def test_widening_the_requester_takes_votes_away():
    two = through(review(dataclasses.replace(OWNERS, quorum=2)), vote(BOB))
    wider = through(two, RequesterWidened(excluded=frozenset({BOB})))
    assert refused(wider, vote(BOB)) == "vote.self_approval"
    assert through(wider, vote(CAROL)).state is ReviewState.PENDING
    approved = through(review(), vote(BOB), RequesterWidened(excluded=frozenset({BOB})))
    assert through(approved, claim()).state is ReviewState.REVOKED


# --- who is left ---------------------------------------------------------------------


def test_a_requirement_nobody_can_meet_is_said_at_once():
    demanded = Requirement(stages=(dataclasses.replace(OWNERS, quorum=3),))
    assert unsatisfiable(demanded, TENANT, [], TOWN) is None
    refusal = unsatisfiable(demanded, TENANT, [ALICE], TOWN)
    assert refusal is not None
    assert refusal.code == "review.unsatisfiable"


def test_people_are_moved_to_the_stage_that_needs_them():
    stages = (Stage(name="a", quorum=1), Stage(name="b", quorum=1))
    both, only_a = frozenset({BOB, CAROL}), frozenset({BOB})
    assert first_unfilled(stages, (both, only_a), {BOB, CAROL}) is None
    short = first_unfilled(stages, (only_a, only_a), {BOB, CAROL})
    assert short is not None
    assert short.name == "b"
