"""Who can fill which stage: quorum counts distinct people, each in one seat.

Invariant 6. Matching people to seats answers four questions: can a requirement
be met at all, which stage is open, is somebody needed later, and do old votes
meet today's requirement.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence

from countersign.model import Choice, PersonId, Requirement, Review, Stage, TenantId, Vote
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


def would_strand(review: Review, index: int, person: PersonId, people: People) -> Refusal | None:
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
