"""Who can fill which stage: quorum counts distinct people, each in one seat.

Invariant 6. Matching people to seats answers four questions: can a requirement
be met at all, which stage is open, is somebody needed later, and do old votes
meet today's requirement.

A vote cast in somebody's place takes that person's seat and uses up both: the
two of them have one vote. So have all who know the token a vote came with.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Sequence

from countersign.model import (
    SECOND_US,
    Choice,
    PersonId,
    Requirement,
    Review,
    Stage,
    TenantId,
    Vote,
)
from countersign.review.events import People, Refusal


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


def reached(stage: Stage, level: int) -> Stage:
    """The stage after that many escalations: it asks more people, nobody less."""
    steps = stage.escalate[:level]
    return dataclasses.replace(
        stage,
        groups=(*stage.groups, *(group for step in steps for group in step.groups)),
        people=(*stage.people, *(person for step in steps for person in step.people)),
    )


def level(review: Review, index: int) -> int:
    """How many escalations a stage of this review has reached."""
    return review.escalated[index] if index < len(review.escalated) else 0


def asked(review: Review, stages: Sequence[Stage]) -> list[Stage]:
    """Stages, whether the review's own or today's, as far as this review has escalated."""
    return [reached(stage, level(review, index)) for index, stage in enumerate(stages)]


def asked_by_approval(review: Review, today: Sequence[Stage]) -> list[Stage]:
    """Today's stages as far as this review had escalated and they would have by then.

    A step whose time today's policy had not let come asks nobody, whatever number
    it has.
    """
    waited_us = (review.approved_at or review.created_at) - review.created_at
    stages = []
    for index, stage in enumerate(today):
        come = sum(step.after_s * SECOND_US <= waited_us for step in stage.escalate)
        stages.append(reached(stage, min(level(review, index), come)))
    return stages


def unsatisfiable(
    requirement: Requirement, tenant: TenantId, excluded: Collection[PersonId], people: People
) -> Refusal | None:
    """Why this requirement can never be met, when nobody is left to meet it."""
    barred = {*excluded, *requirement.exclude}
    stages = [reached(stage, len(stage.escalate)) for stage in requirement.stages]
    eligible = [people.eligible(tenant, stage) - barred for stage in stages]
    stage = first_unfilled(stages, eligible, frozenset().union(*eligible))
    if stage is None:
        return None
    return Refusal(
        code="review.unsatisfiable",
        message=f'stage "{stage.name}" needs {stage.quorum} approver(s) outside the requester '
        "chain, and there are not that many",
    )


def barred(review: Review) -> frozenset[PersonId]:
    """Everybody whom the requester chain or policy keeps from deciding."""
    return frozenset((*review.excluded, *map(PersonId, review.requirement.exclude)))


def approvals(review: Review) -> tuple[Vote, ...]:
    """Approvals that count: on this revision, by people still allowed to vote."""
    out = barred(review)
    return tuple(
        vote
        for vote in review.votes
        if vote.choice is Choice.APPROVE
        and vote.revision == review.revision
        and out.isdisjoint((vote.person, seat_of(vote), *vote.known_to))
    )


def seat_of(vote: Vote) -> PersonId:
    """Whose standing a vote uses."""
    return vote.delegated_by or vote.person


def used_up(votes: Iterable[Vote]) -> frozenset[PersonId]:
    """Everybody who has had their one vote: by themselves, a delegate, or a token they know."""
    return frozenset(who for vote in votes for who in (vote.person, seat_of(vote), *vote.known_to))


def current_stage(review: Review) -> int:
    """Index of the first stage short of its quorum; `len(stages)` when none is."""
    counted = approvals(review)
    for index, stage in enumerate(review.requirement.stages):
        if sum(vote.stage == index for vote in counted) < stage.quorum:
            return index
    return len(review.requirement.stages)


def would_strand(
    review: Review, index: int, taken: frozenset[PersonId], people: People
) -> Refusal | None:
    """Whether `taken`, for one seat, leaves a later stage without anybody to fill it."""
    counted = approvals(review)
    out = barred(review) | used_up(counted)
    stages = [reached(stage, len(stage.escalate)) for stage in review.requirement.stages]
    open_seats = [
        dataclasses.replace(stage, quorum=stage.quorum - sum(vote.stage == at for vote in counted))
        for at, stage in enumerate(stages)
    ][index:]
    if not open_seats:
        return None
    eligible = [people.eligible(review.tenant, stage) - out for stage in open_seats]
    everybody = frozenset().union(*eligible)
    if first_unfilled(open_seats, eligible, everybody) is not None:
        return None
    first, *later = open_seats
    seated = [dataclasses.replace(first, quorum=first.quorum - 1), *later]
    stranded = first_unfilled(seated, eligible, everybody - taken)
    if stranded is None:
        return None
    return Refusal(
        code="vote.needed_later",
        message=f'you are needed for stage "{stranded.name}"; let somebody else of this stage '
        "approve first",
    )
