"""The rules of a review: who may do what to it, when, and what follows.

Every rule about approval is here and nowhere else. Pure: the time, the
directory and today's policy answer come in with the event. The flow runs
`step` inside the store's transaction.

Rules (numbers are the invariants of docs/explanation/invariants.md):

* 4   A vote names the revision and preview it saw; a claim the commitment.
* 5   Only an approved review can be claimed, and only once. A wrong context,
      a wrong claimant or a passing fault changes nothing.
* 6   Nobody excluded votes. A person has one vote a revision; a denial ends it.
* 8   At the claim today's policy decides whether the recorded votes suffice.
* 9   What cannot be reviewed can be denied, not approved.
* 10  Every deadline is judged here with the caller's `now`; reaching it is late.

`step` returns the next review, or a `Refusal` that leaves it as it was.
"""

from __future__ import annotations

import dataclasses
import hmac
from collections.abc import Collection, Sequence
from typing import Protocol, TypeAlias

from countersign.model import (
    Assurance,
    CallerId,
    Choice,
    Effect,
    Exchange,
    Instant,
    Outcome,
    PermitId,
    PersonId,
    PolicyDecision,
    Preview,
    QuestionId,
    Reason,
    Requirement,
    Review,
    ReviewId,
    ReviewState,
    Stage,
    TenantId,
    Vote,
    after,
)


class People(Protocol):
    """What the rules need to know of a directory: one snapshot of it."""

    def groups_of(self, tenant: TenantId, person: PersonId) -> frozenset[str] | None:
        """Groups of a person, or None for somebody unknown."""

    def eligible(self, tenant: TenantId, stage: Stage) -> frozenset[PersonId]:
        """Everybody whom a stage names, directly or by group."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An event the rules do not allow. The review is as it was."""

    code: str
    message: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VoteCast:
    """A person approves or denies what was on the screen."""

    person: PersonId
    choice: Choice
    revision: int
    profile: str
    preview_hash: str
    reason: str
    assurance: Assurance
    people: People


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class QuestionAsked:
    """An approver wants to know more before deciding."""

    person: PersonId
    id: QuestionId
    question: str
    revision: int
    people: People


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class QuestionAnswered:
    """The requester answers. Earlier approvals did not see this: they are void."""

    id: QuestionId
    text: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn:
    """The requester no longer wants it, or put another review in its place."""

    reason: Reason
    superseded_by: ReviewId | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRevoked:
    """An approver takes an unspent approval back."""

    person: PersonId
    reason: str
    people: People


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RequesterWidened:
    """The same context was asked for again, by more people than before."""

    excluded: frozenset[PersonId]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClaimAttempted:
    """Somebody wants to spend the approval. Carries what is true today."""

    claimant: CallerId
    audience: str
    commitment: str
    policy: PolicyDecision
    excluded: frozenset[PersonId]
    people: People
    permit: PermitId


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeReported:
    """The executor says how the action ended."""

    outcome: Outcome


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TimePassed:
    """A timer may have fired; changes nothing when none has."""


Event: TypeAlias = (
    VoteCast
    | QuestionAsked
    | QuestionAnswered
    | Withdrawn
    | ApprovalRevoked
    | RequesterWidened
    | ClaimAttempted
    | OutcomeReported
    | TimePassed
)


def step(review: Review, event: Event, now: Instant) -> Review | Refusal:
    """Apply one event. Deadlines come first: what is late meets an ended review."""
    due = _timers(review, now)
    if isinstance(event, TimePassed):
        return due or review
    review = due or review
    match event:
        case VoteCast():
            result = _vote(review, event, now)
        case QuestionAsked():
            result = _ask(review, event, now)
        case QuestionAnswered():
            result = _answer(review, event, now)
        case Withdrawn():
            result = _withdraw(review, event)
        case ApprovalRevoked():
            result = _revoke(review, event)
        case RequesterWidened():
            result = _widen(review, event)
        case ClaimAttempted():
            result = _claim(review, event, now)
        case OutcomeReported():
            result = _report(review, event)
    return result


def _next(review: Review, **changes: object) -> Review:
    return dataclasses.replace(review, version=review.version + 1, **changes)  # type: ignore[arg-type]


# --- time --------------------------------------------------------------------


def due_at(review: Review) -> Instant | None:
    """When this review's next timer fires, if it has one."""
    if review.state.awaits_votes:
        return review.approve_by
    if review.state is ReviewState.APPROVED:
        return review.use_by
    if review.state is ReviewState.CLAIMED and review.outcome is None:
        return review.report_by
    return None


def _timers(review: Review, now: Instant) -> Review | None:
    due = due_at(review)
    if due is None or now < due:
        return None
    if review.state.awaits_votes:
        reason = Reason(code="review.expired", message="nobody decided in time")
        return _next(review, state=ReviewState.EXPIRED, closed_reasons=(reason,))
    if review.state is ReviewState.APPROVED:
        reason = Reason(code="review.lapsed", message="the approval was not used in time")
        return _next(review, state=ReviewState.LAPSED, closed_reasons=(reason,))
    return _next(review, outcome=Outcome.AMBIGUOUS)


# --- who can fill which stage --------------------------------------------------


def first_unfilled(
    stages: Sequence[Stage], eligible: Sequence[frozenset[PersonId]], voters: Collection[PersonId]
) -> Stage | None:
    """The first stage that `voters` cannot fill, each person taking one seat.

    Bipartite matching by augmenting paths, seat by seat in the order of the
    stages: who could sit in two stages is moved to where they are needed.
    """
    seated: dict[PersonId, int] = {}
    seats = [index for index, stage in enumerate(stages) for _ in range(stage.quorum)]
    candidates = [sorted(names & set(voters)) for names in eligible]

    def seat_somebody(stage_index: int, tried: set[PersonId]) -> bool:
        for person in candidates[stage_index]:
            if person in tried:
                continue
            tried.add(person)
            held = seated.get(person)
            if held is None or seat_somebody(held, tried):
                seated[person] = stage_index
                return True
        return False

    for stage_index in seats:
        if not seat_somebody(stage_index, set()):
            return stages[stage_index]
    return None


def unsatisfiable(
    requirement: Requirement, tenant: TenantId, excluded: Collection[PersonId], people: People
) -> Refusal | None:
    """Why this requirement can never be met, when nobody is left to meet it."""
    barred = {*excluded, *requirement.exclude}
    eligible = [people.eligible(tenant, stage) - barred for stage in requirement.stages]
    stage = first_unfilled(requirement.stages, eligible, frozenset().union(*eligible))
    if stage is None:
        return None
    return Refusal(
        code="review.unsatisfiable",
        message=f'stage "{stage.name}" needs {stage.quorum} approver(s) outside the requester '
        "chain, and there are not that many",
    )


def approvals(review: Review) -> tuple[Vote, ...]:
    """Approvals that count: on this revision, by people still allowed to vote."""
    barred = {*review.excluded, *review.requirement.exclude}
    return tuple(
        vote
        for vote in review.votes
        if vote.choice is Choice.APPROVE
        and vote.revision == review.revision
        and vote.person not in barred
    )


def current_stage(review: Review) -> int:
    """Index of the first stage short of its quorum; `len(stages)` when none is."""
    counted = approvals(review)
    for index, stage in enumerate(review.requirement.stages):
        if sum(vote.stage == index for vote in counted) < stage.quorum:
            return index
    return len(review.requirement.stages)


# --- what a person may see and do ----------------------------------------------


def visible_profiles(requirement: Requirement, groups: frozenset[str]) -> frozenset[str]:
    """Mask profiles of the previews that somebody in `groups` may see."""
    named = {profile for group, profile in requirement.profiles.items() if group in groups}
    if not named and "*" in requirement.profiles:
        named = {requirement.profiles["*"]}
    return frozenset(named)


def visible_previews(review: Review, person: PersonId, people: People) -> dict[str, Preview]:
    """The previews a person may see; nobody else's are ever sent."""
    groups = people.groups_of(review.tenant, person) or frozenset()
    return {
        profile: review.previews[profile]
        for profile in sorted(visible_profiles(review.requirement, groups))
        if profile in review.previews
    }


def may_see(review: Review, person: PersonId, people: People) -> bool:
    """Approvers of any stage, people who voted, and the requester chain."""
    if person in review.excluded or any(vote.person == person for vote in review.votes):
        return True
    return any(
        person in people.eligible(review.tenant, stage) for stage in review.requirement.stages
    )


def cannot_decide(review: Review, person: PersonId, people: People) -> Refusal | None:
    """Why this person has no say in this review at all, whatever they would say."""
    if person in review.excluded:
        return Refusal(
            code="vote.self_approval",
            message="you are in the requester chain of this action (its owner, user, parent or a "
            "principal it names); somebody else must decide",
        )
    if person in review.requirement.exclude:
        return Refusal(code="vote.excluded", message="policy excludes you from this decision")
    stages = review.requirement.stages
    if not any(person in people.eligible(review.tenant, stage) for stage in stages):
        return Refusal(
            code="vote.not_eligible",
            message="no stage of this review names you or a group you are in",
        )
    return None


def cannot_approve(
    review: Review, person: PersonId, people: People, assurance: Assurance
) -> Refusal | None:
    """Why this person cannot approve now, when they could not."""
    refusal = cannot_decide(review, person, people)
    if refusal:
        return refusal
    if not assurance.meets(review.requirement.min_assurance):
        return Refusal(
            code="vote.assurance",
            message="this review needs a vote by your own credential, not through a channel",
        )
    if any(vote.person == person for vote in approvals(review)):
        return Refusal(code="vote.duplicate", message="you have already voted on this revision")
    index = current_stage(review)
    stages = review.requirement.stages
    if index < len(stages) and person not in people.eligible(review.tenant, stages[index]):
        return Refusal(
            code="vote.not_your_stage",
            message=f'stage "{stages[index].name}" comes first and does not name you',
        )
    return _would_strand(review, index, person, people)


def _would_strand(review: Review, index: int, person: PersonId, people: People) -> Refusal | None:
    """Whether taking this seat leaves a later stage without anybody to fill it."""
    counted = approvals(review)
    barred = {*review.excluded, *review.requirement.exclude, *(v.person for v in counted)}
    open_seats = [
        dataclasses.replace(stage, quorum=stage.quorum - sum(vote.stage == at for vote in counted))
        for at, stage in enumerate(review.requirement.stages)
    ][index:]
    if not open_seats:
        return None
    eligible = [people.eligible(review.tenant, stage) - barred for stage in open_seats]
    everybody = frozenset().union(*eligible)
    if first_unfilled(open_seats, eligible, everybody) is not None:
        return None
    first, *later = open_seats
    seated = [dataclasses.replace(first, quorum=first.quorum - 1), *later]
    stranded = first_unfilled(seated, eligible, everybody - {person})
    if stranded is None:
        return None
    return Refusal(
        code="vote.needed_later",
        message=f'you are needed for stage "{stranded.name}"; let somebody else of this stage '
        "approve first",
    )


# --- votes and questions --------------------------------------------------------


def _closed(review: Review) -> Refusal:
    return Refusal(
        code="review.closed",
        message=f"the review is {review.state.value.replace('_', ' ')}; it takes no decision",
    )


def _stale(review: Review, revision: int) -> Refusal | None:
    if revision == review.revision:
        return None
    return Refusal(
        code="vote.stale_revision",
        message="the review has changed since it was shown to you; read it again",
    )


def _vote(review: Review, event: VoteCast, now: Instant) -> Review | Refusal:
    refusal = _vote_refusal(review, event)
    if refusal:
        return refusal
    stage = current_stage(review)
    vote = Vote(
        person=event.person,
        choice=event.choice,
        stage=min(stage, len(review.requirement.stages) - 1),
        revision=event.revision,
        profile=event.profile,
        preview_hash=event.preview_hash,
        reason=event.reason,
        assurance=event.assurance,
        at=now,
    )
    voted = _next(review, votes=(*review.votes, vote))
    if event.choice is Choice.DENY:
        reason = Reason(code="review.denied", message="an approver denied it")
        return dataclasses.replace(voted, state=ReviewState.DENIED, closed_reasons=(reason,))
    if current_stage(voted) < len(review.requirement.stages):
        return voted
    return dataclasses.replace(
        voted,
        state=ReviewState.APPROVED,
        approved_at=now,
        use_by=after(now, review.requirement.use_within_s),
    )


def _vote_refusal(review: Review, event: VoteCast) -> Refusal | None:
    approving = event.choice is Choice.APPROVE
    if approving:
        barred = cannot_approve(review, event.person, event.people, event.assurance)
    else:
        barred = cannot_decide(review, event.person, event.people)
    if not review.state.awaits_votes:
        # Who may not vote learns that first; who may, learns that it is over.
        own = cannot_decide(review, event.person, event.people)
        return own or _closed(review)
    if barred:
        return barred
    stale = _stale(review, event.revision)
    if stale:
        return stale
    shown = visible_previews(review, event.person, event.people).get(event.profile)
    if shown is None or not hmac.compare_digest(shown.hash, event.preview_hash):
        return Refusal(
            code="vote.preview_mismatch",
            message="the vote names another preview than the one this review shows you",
        )
    if approving and not shown.reviewable:
        return Refusal(
            code="review.unreviewable",
            message="what policy says must be seen is cut, masked or unreadable; "
            "it can be denied, not approved",
        )
    if review.requirement.require_reason and not event.reason.strip():
        return Refusal(code="vote.reason_required", message="this review needs a reason")
    return None


def _ask(review: Review, event: QuestionAsked, now: Instant) -> Review | Refusal:
    refusal = cannot_decide(review, event.person, event.people)
    if refusal:
        return refusal
    if not review.state.awaits_votes:
        return _closed(review)
    stale = _stale(review, event.revision)
    if stale:
        return stale
    if len(review.thread) >= MAX_QUESTIONS:
        return Refusal(code="review.too_many_questions", message="no more questions fit; decide")
    asked = Exchange(id=event.id, asked_by=event.person, question=event.question, asked_at=now)
    return _next(review, state=ReviewState.INFO_REQUESTED, thread=(*review.thread, asked))


MAX_QUESTIONS = 50


def _answer(review: Review, event: QuestionAnswered, now: Instant) -> Review | Refusal:
    if review.state is not ReviewState.INFO_REQUESTED:
        return Refusal(code="answer.nothing_asked", message="no question of this review is open")
    thread = list(review.thread)
    for index, exchange in enumerate(thread):
        if exchange.id == event.id and exchange.answer is None:
            thread[index] = dataclasses.replace(exchange, answer=event.text, answered_at=now)
            break
    else:
        return Refusal(code="answer.unknown_question", message="no such question is open")
    still_open = any(exchange.answer is None for exchange in thread)
    return _next(
        review,
        state=ReviewState.INFO_REQUESTED if still_open else ReviewState.PENDING,
        revision=review.revision + 1,
        thread=tuple(thread),
    )


# --- ends ------------------------------------------------------------------------


def _withdraw(review: Review, event: Withdrawn) -> Review | Refusal:
    if not review.state.is_open:
        return _closed(review)
    return _next(
        review,
        state=ReviewState.CANCELLED,
        closed_reasons=(event.reason,),
        superseded_by=event.superseded_by,
    )


def _revoke(review: Review, event: ApprovalRevoked) -> Review | Refusal:
    refusal = cannot_decide(review, event.person, event.people)
    if refusal:
        return refusal
    if review.state is not ReviewState.APPROVED:
        return Refusal(
            code="review.not_approved",
            message=f"only an approval can be revoked; the review is {review.state.value}",
        )
    words = f"revoked by {event.person}" + (f": {event.reason}" if event.reason else "")
    reason = Reason(code="review.revoked", message=words)
    return _next(review, state=ReviewState.REVOKED, closed_reasons=(reason,))


def _widen(review: Review, event: RequesterWidened) -> Review | Refusal:
    if not review.state.is_open:
        return _closed(review)
    wider = frozenset(review.excluded) | event.excluded
    if len(wider) == len(review.excluded):
        return review
    return _next(review, excluded=tuple(sorted(wider)))


# --- the claim --------------------------------------------------------------------


def _claim(review: Review, event: ClaimAttempted, now: Instant) -> Review | Refusal:
    refusal = claim_refusal(review, event)
    if refusal:
        return refusal
    void = _void(review, event, now)
    if void:
        return _next(review, state=ReviewState.REVOKED, closed_reasons=void)
    demanded = event.policy.requirement or review.requirement
    return _next(
        review,
        state=ReviewState.CLAIMED,
        claimant=event.claimant,
        permit=event.permit,
        report_by=after(now, demanded.report_within_s),
    )


def claim_refusal(review: Review, event: ClaimAttempted) -> Refusal | None:
    """Why this attempt spends nothing and changes nothing."""
    if review.state is ReviewState.CLAIMED:
        return Refusal(code="claim.spent", message="this approval has been claimed already")
    if review.state.awaits_votes:
        return Refusal(code="claim.not_approved", message="nobody has approved this yet")
    if review.state is not ReviewState.APPROVED:
        why = review.closed_reasons[0].message if review.closed_reasons else review.state.value
        return Refusal(code=f"review.{review.state.value}", message=why)
    today = event.policy.requirement
    if not may_claim(review.requirement, review.caller, event.claimant, event.audience) or (
        today is not None and not may_claim(today, review.caller, event.claimant, event.audience)
    ):
        return Refusal(
            code="claim.wrong_claimant", message="policy lets somebody else execute this action"
        )
    if not hmac.compare_digest(review.commitment, event.commitment):
        return Refusal(
            code="claim.mismatch",
            message="this is not the context that was approved; nothing was spent",
        )
    return None


def may_claim(
    requirement: Requirement, requester: CallerId, claimant: CallerId, audience: str
) -> bool:
    """Whether policy lets this caller execute: the requester, unless it names others."""
    if not requirement.claim_by:
        return claimant == requester
    return bool(audience) and audience in requirement.claim_by


def _void(review: Review, event: ClaimAttempted, now: Instant) -> tuple[Reason, ...]:
    """Why today's policy no longer grants what was approved; empty when it does."""
    if event.policy.effect is Effect.ALLOW:
        return ()
    if event.policy.effect is Effect.DENY:
        return event.policy.reasons
    today = event.policy.requirement
    if today is None:
        return (Reason(code="policy.invalid", message="policy states no requirement"),)
    return insufficient(review, today, event.excluded, event.people, now)


def insufficient(
    review: Review,
    today: Requirement,
    excluded: frozenset[PersonId],
    people: People,
    now: Instant,
) -> tuple[Reason, ...]:
    """Why the recorded votes do not meet today's requirement; empty when they do."""
    if review.approved_at is None or now >= after(review.approved_at, today.use_within_s):
        return (_short("the approval is older than policy now allows"),)
    if not set(today.must_show) <= set(review.requirement.must_show):
        return (_short("policy now demands to see what the approvers were not shown"),)
    barred = {*review.excluded, *excluded, *today.exclude}
    good = [
        vote.person
        for vote in approvals(review)
        if vote.person not in barred
        and vote.assurance.meets(today.min_assurance)
        and (vote.reason.strip() or not today.require_reason)
    ]
    eligible = [people.eligible(review.tenant, stage) for stage in today.stages]
    stage = first_unfilled(today.stages, eligible, good)
    if stage is None:
        return ()
    return (_short(f'the votes no longer meet stage "{stage.name}"'),)


def _short(message: str) -> Reason:
    return Reason(code="approval.insufficient", message=message)


def _report(review: Review, event: OutcomeReported) -> Review | Refusal:
    if review.state is not ReviewState.CLAIMED:
        return Refusal(code="outcome.not_claimed", message="nothing was claimed, so nothing ran")
    if review.outcome not in (None, Outcome.AMBIGUOUS):
        return Refusal(
            code="outcome.settled", message="another outcome has been reported and recorded"
        )
    return _next(review, outcome=event.outcome)
