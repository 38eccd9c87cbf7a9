"""What one person may see of a review, and whether they have a say in it.

Invariants 6 and 9: nobody excluded decides, and nobody is shown more than the
preview of their groups. Asked by the rules before a vote and by every surface
that shows a review.
"""

from __future__ import annotations

from countersign.model import Assurance, PersonId, Preview, Requirement, Review
from countersign.review.events import People, Refusal
from countersign.review.seats import approvals, current_stage, would_strand


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
    return would_strand(review, index, person, people)
