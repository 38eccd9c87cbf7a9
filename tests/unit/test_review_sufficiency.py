"""Escalation, delegation, break-glass and batches: the rules that bend, and where they stop."""

from __future__ import annotations

import dataclasses

import pytest

from countersign.model import (
    Assurance,
    BreakGlass,
    Choice,
    Effect,
    Escalation,
    PersonId,
    ReviewState,
    Stage,
)
from countersign.review import (
    AfterReviewClosed,
    GlassBroken,
    QuestionAnswered,
    QuestionAsked,
    RequesterWidened,
    TimePassed,
    Withdrawn,
    cannot_approve,
    cannot_decide,
    may_see,
    scheduled,
    step,
    unsatisfiable,
)
from countersign.review.seats import approvals
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
    claim,
    delegation,
    later,
    policy,
    refused,
    review,
    through,
    town,
    vote,
)

FRED = PersonId("fred")
ESCALATING = Stage(
    name="owner",
    groups=("owners",),
    escalate=(
        Escalation(after_s=600, groups=("security",)),
        Escalation(after_s=1200, people=(ERIN,)),
    ),
)
GLASS = BreakGlass(groups=("security",), review_people=(ERIN,))


def broken(person=DAVE, **changes):
    values = {
        "person": person,
        "revision": 1,
        "profile": "reviewer",
        "preview_hash": "hash-of-reviewer",
        "reason": "production is down",
        "assurance": Assurance.PERSON,
        "people": TOWN,
    }
    return GlassBroken(**(values | changes))


def looked_at(person=ERIN, **changes):
    values = {"person": person, "justified": True, "note": "it was down", "people": TOWN}
    return AfterReviewClosed(**(values | changes))


# --- escalation -------------------------------------------------------------------


def test_a_stage_that_stays_open_asks_more_people_and_nobody_less():
    opened = scheduled(review(ESCALATING))
    assert opened.due_at == later(600)
    assert refused(opened, vote(DAVE), later(599)) == "vote.not_eligible"

    escalated = through(opened, TimePassed(), at=later(600))

    assert escalated.version == opened.version + 1
    assert escalated.state is ReviewState.PENDING
    assert escalated.due_at == later(1200)
    assert through(escalated, vote(DAVE), at=later(601)).state is ReviewState.APPROVED
    assert through(escalated, vote(BOB), at=later(601)).state is ReviewState.APPROVED
    assert refused(escalated, vote(ERIN), later(601)) == "vote.not_eligible"


def test_a_late_timer_takes_every_level_at_once_and_expiry_comes_first():
    opened = scheduled(review(ESCALATING))
    both = through(opened, TimePassed(), at=later(2000))
    assert both.escalated == (2,)
    assert both.due_at == both.approve_by
    assert through(both, vote(ERIN), at=later(2001)).state is ReviewState.APPROVED
    assert through(opened, TimePassed(), at=opened.approve_by).state is ReviewState.EXPIRED


def test_a_later_stage_escalates_from_when_it_opened():
    second = Stage(
        name="security", groups=("nobody",), escalate=(Escalation(after_s=60, people=(DAVE,)),)
    )
    opened = scheduled(review(OWNERS, second))
    assert opened.escalate_at is None
    first = through(opened, vote(BOB), at=later(1000))
    assert first.due_at == later(1060)
    assert refused(first, vote(DAVE), later(1059)) == "vote.not_eligible"
    assert (
        through(through(first, TimePassed(), at=later(1060)), vote(DAVE), at=later(1061)).state
        is ReviewState.APPROVED
    )


def test_what_has_ended_or_is_full_escalates_no_more():
    opened = scheduled(review(ESCALATING))
    withdrawn = through(opened, Withdrawn(reason=opened.reasons[0]))
    assert withdrawn.due_at is None
    approved = through(opened, vote(BOB))
    assert approved.due_at == approved.use_by


def test_votes_of_those_asked_later_count_at_the_claim_as_far_as_it_escalated():
    opened = scheduled(review(ESCALATING))
    approved = through(through(opened, TimePassed(), at=later(600)), vote(DAVE), at=later(601))
    same = policy(Effect.NEEDS_APPROVAL, ESCALATING)
    assert through(approved, claim(policy=same), at=later(602)).state is ReviewState.CLAIMED
    unescalated = policy(Effect.NEEDS_APPROVAL, OWNERS)
    assert through(approved, claim(policy=unescalated), at=later(602)).state is ReviewState.REVOKED


def test_whom_only_an_escalation_asks_make_a_requirement_satisfiable():
    lonely = Stage(name="x", groups=("nobody",), escalate=(Escalation(after_s=60, people=(BOB,)),))
    demanded = review(lonely).requirement
    assert unsatisfiable(demanded, TENANT, frozenset(), TOWN) is None
    assert unsatisfiable(demanded, TENANT, frozenset({BOB}), TOWN) is not None


# --- delegation -------------------------------------------------------------------


def test_a_delegate_votes_in_somebodys_place_and_it_says_so():
    lent = town(delegation(BOB, ERIN))
    assert refused(review(), vote(ERIN)) == "vote.not_eligible"
    approved = through(review(), vote(ERIN, people=lent))
    assert approved.state is ReviewState.APPROVED
    assert approved.votes[0].delegated_by == BOB
    denied = through(review(), vote(ERIN, Choice.DENY, people=lent))
    assert (denied.state, denied.votes[0].delegated_by) == (ReviewState.DENIED, BOB)
    assert may_see(review(), ERIN, lent)
    assert not may_see(review(), ERIN, TOWN)


def test_who_may_decide_by_themselves_does_not_use_somebody_elses_standing():
    approved = through(review(), vote(CAROL, people=town(delegation(BOB, CAROL))))
    assert approved.votes[0].delegated_by is None


def test_delegator_and_delegate_have_one_vote_together():
    two = Stage(name="owner", groups=("owners",), quorum=2)
    lent = town(delegation(BOB, ERIN))
    once = through(review(two), vote(ERIN, people=lent))
    assert refused(once, vote(BOB, people=lent)) == "vote.duplicate"
    other_way = through(review(two), vote(BOB, people=lent))
    assert refused(other_way, vote(ERIN, people=lent)) == "vote.duplicate"
    own = town(delegation(BOB, CAROL))
    mine = through(review(two), vote(CAROL, people=own))
    assert refused(mine, vote(CAROL, people=own)) == "vote.duplicate"
    assert through(mine, vote(BOB, people=own)).state is ReviewState.APPROVED


def test_one_delegate_of_two_people_is_still_one_person():
    two = Stage(name="owner", groups=("owners",), quorum=2)
    lent = town(delegation(BOB, ERIN), delegation(CAROL, ERIN))
    once = through(review(two), vote(ERIN, people=lent))
    assert refused(once, vote(ERIN, people=lent)) == "vote.duplicate"


def test_nobody_excluded_lends_or_borrows():
    from_chain = town(delegation(ALICE, ERIN))
    assert refused(review(), vote(ERIN, people=from_chain)) == "vote.not_eligible"
    to_chain = town(delegation(BOB, ALICE))
    assert refused(review(), vote(ALICE, people=to_chain)) == "vote.self_approval"
    barred_lender = town(delegation(BOB, ERIN))
    assert refused(review(exclude=(BOB,)), vote(ERIN, people=barred_lender)) == "vote.not_eligible"
    assert refused(review(exclude=(ERIN,)), vote(ERIN, people=barred_lender)) == "vote.excluded"


def test_what_is_lent_is_not_lent_on():
    chain = town(delegation(BOB, ERIN), delegation(ERIN, FRED), fred=())
    assert refused(review(), vote(FRED, people=chain)) == "vote.not_eligible"


def test_a_delegation_proves_no_more_than_how_it_was_given():
    weak = town(delegation(BOB, ERIN, assurance=Assurance.CHANNEL))
    strict = review(min_assurance=Assurance.PERSON)
    assert refused(strict, vote(ERIN, people=weak)) == "vote.assurance"
    assert through(review(), vote(ERIN, people=weak)).votes[0].assurance is Assurance.CHANNEL


def test_a_vote_falls_with_the_standing_of_either():
    lent = town(delegation(BOB, ERIN))
    approved = through(review(), vote(ERIN, people=lent))
    assert through(approved, claim(people=TOWN)).state is ReviewState.CLAIMED
    for gone in (
        town(bob=()),
        dataclasses.replace(TOWN, groups={k: v for k, v in TOWN.groups.items() if k != ERIN}),
    ):
        assert through(approved, claim(people=gone)).state is ReviewState.REVOKED
    for excluded in (BOB, ERIN):
        widened = claim(excluded=frozenset({ALICE, excluded}))
        assert through(approved, widened).state is ReviewState.REVOKED
        assert approvals(through(approved, RequesterWidened(excluded=frozenset({excluded})))) == ()


def test_standing_needed_later_is_not_lent_away_early():
    two = review(OWNERS, Stage(name="chief", people=(BOB,)))
    both_own = town(delegation(BOB, ERIN), carol=("owners",))
    assert refused(two, vote(ERIN, people=both_own)) == "vote.needed_later"


# --- batches ----------------------------------------------------------------------


def test_a_review_is_approved_among_others_only_where_policy_allows_it():
    assert refused(review(), vote(BOB, batch=True)) == "vote.batch_not_allowed"
    assert through(review(batch=True), vote(BOB, batch=True)).state is ReviewState.APPROVED
    assert refused(review(batch=True), vote(ALICE, batch=True)) == "vote.self_approval"


# --- break glass ------------------------------------------------------------------


def test_one_person_approves_alone_in_an_emergency_and_owes_an_explanation():
    pending = review(OWNERS, SECURITY, break_glass=GLASS)
    approved = through(pending, broken())
    assert approved.state is ReviewState.APPROVED
    assert approved.votes[0].break_glass
    assert approved.after_review.person == DAVE
    assert approved.after_review.closed_by is None
    today = policy(Effect.NEEDS_APPROVAL, OWNERS, SECURITY, break_glass=GLASS)
    claimed = through(approved, claim(policy=today))
    assert claimed.state is ReviewState.CLAIMED
    assert claimed.after_review.closed_by is None, "it stays owed whatever became of the review"
    closed = through(claimed, looked_at(justified=False), at=later(9))
    assert (closed.after_review.closed_by, closed.after_review.justified) == (ERIN, False)
    assert closed.after_review.closed_at == later(9)
    assert closed.state is ReviewState.CLAIMED


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"person": BOB}, "vote.no_break_glass"),
        ({"assurance": Assurance.CHANNEL}, "vote.assurance"),
        ({"reason": "  "}, "vote.reason_required"),
        ({"revision": 2}, "vote.stale_revision"),
        ({"preview_hash": "other"}, "vote.preview_mismatch"),
    ],
)
def test_the_glass_is_not_easy_to_break(change, code):
    assert refused(review(break_glass=GLASS), broken(**change)) == code


def test_there_is_no_emergency_way_around_the_requester_chain_or_policy():
    insider = review(excluded=(ALICE, DAVE), break_glass=GLASS)
    assert refused(insider, broken()) == "vote.self_approval"
    assert refused(review(exclude=(DAVE,), break_glass=GLASS), broken()) == "vote.excluded"
    assert refused(review(), broken()) == "vote.no_break_glass"
    lent = town(delegation(DAVE, ERIN))
    assert refused(review(break_glass=GLASS), broken(ERIN, people=lent)) == "vote.no_break_glass"


def test_the_glass_shows_what_cannot_be_reviewed_to_nobody():
    hidden = review(reviewable=False, break_glass=GLASS)
    assert refused(hidden, broken()) == "review.unreviewable"
    denied = through(review(break_glass=GLASS), vote(BOB, Choice.DENY))
    assert refused(denied, broken()) == "review.closed"


@pytest.mark.parametrize(
    "today",
    [
        policy(),
        policy(Effect.NEEDS_APPROVAL, OWNERS, break_glass=BreakGlass(people=(BOB,))),
        policy(Effect.NEEDS_APPROVAL, OWNERS, break_glass=GLASS, exclude=(DAVE,)),
    ],
)
def test_a_broken_glass_is_judged_again_at_the_claim(today):
    approved = through(review(break_glass=GLASS), broken())
    revoked = through(approved, claim(policy=today))
    assert revoked.state is ReviewState.REVOKED
    assert revoked.closed_reasons[0].code == "approval.insufficient"
    assert revoked.after_review.closed_by is None


def test_only_somebody_else_closes_the_after_review_and_only_once():
    approved = through(review(break_glass=GLASS), broken())
    assert refused(approved, looked_at(DAVE)) == "after_review.own"
    assert refused(approved, looked_at(ALICE)) == "after_review.own"
    assert refused(approved, looked_at(BOB)) == "vote.not_eligible"
    assert refused(approved, looked_at(note=" ")) == "vote.reason_required"
    closed = through(approved, looked_at())
    assert refused(closed, looked_at()) == "after_review.closed"
    assert refused(review(), looked_at()) == "after_review.none"


def test_without_a_name_in_policy_the_stages_people_look_at_it():
    unnamed = BreakGlass(groups=("security",))
    approved = through(review(break_glass=unnamed), broken())
    assert through(approved, looked_at(BOB)).after_review.closed_by == BOB
    assert refused(approved, looked_at(ERIN)) == "vote.not_eligible"


def test_who_may_break_the_glass_sees_the_review_and_who_must_look_at_it_sees_it_later():
    pending = review(break_glass=GLASS)
    assert may_see(pending, DAVE, TOWN)
    assert not may_see(pending, ERIN, TOWN)
    assert may_see(through(pending, broken()), ERIN, TOWN)


# --- together ---------------------------------------------------------------------


def test_an_answer_sends_a_stage_back_and_its_escalation_stands():
    opened = through(scheduled(review(ESCALATING, SECURITY)), TimePassed(), at=later(600))
    asked = through(
        opened,
        QuestionAsked(person=DAVE, id="q", question="?", revision=1, people=TOWN),
        at=later(601),
    )
    answered = through(asked, QuestionAnswered(id="q", text="!"), at=later(602))
    assert answered.escalated == (1, 0)
    assert answered.due_at == later(1200)
    assert step(answered, vote(BOB), later(603)).code == "vote.stale_revision"
    assert through(answered, vote(BOB, revision=2), at=later(603)).state is ReviewState.PENDING


def test_the_reason_shown_for_not_approving_is_the_one_the_vote_would_get():
    lent = town(delegation(BOB, ERIN))
    assert cannot_approve(review(), ERIN, lent, Assurance.PERSON) is None
    assert cannot_decide(review(), ERIN, TOWN).code == "vote.not_eligible"
    assert review().created_at == NOW
