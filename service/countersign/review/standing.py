"""What one person may see of a review, and whether they have a say in it.

Invariants 6 and 9: nobody excluded decides, by themselves or in somebody's
place, and nobody is shown more than the preview of their own groups. Asked by
the rules before a vote and by every surface that shows a review.
"""

from __future__ import annotations

import dataclasses

from countersign.model import (
    MASK_PROFILES,
    Assurance,
    Delegation,
    PersonId,
    Preview,
    Requirement,
    Review,
    Stage,
)
from countersign.review.events import People, Refusal
from countersign.review.seats import (
    approvals,
    asked,
    barred,
    current_stage,
    used_up,
    would_strand,
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """With whose standing somebody decides: their own, or one lent to them."""

    holder: PersonId
    delegation: Delegation | None = None

    def known_to(self, own: frozenset[PersonId]) -> tuple[PersonId, ...]:
        """Who could have cast a vote from this seat besides: by either token."""
        lent = self.delegation.known_to if self.delegation else ()
        return tuple(sorted(own.union(lent)))

    @property
    def delegated_by(self) -> PersonId | None:
        """Who lent it; None when it is their own."""
        return self.delegation.delegator if self.delegation else None

    def assurance(self, own: Assurance) -> Assurance:
        """How well a vote from this seat is proven: no better than its weakest link."""
        lent = self.delegation.assurance if self.delegation else own
        return own if lent.meets(own) else lent


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


def shared_profile(requirement: Requirement) -> str:
    """The profile of the one preview that everybody in a conversation may see.

    The strictest that any group has: what it hides is all that any of them hides.
    """
    used = set(requirement.profiles.values())
    return max(used, key=MASK_PROFILES.index)


def shared_preview(review: Review) -> dict[str, Preview]:
    """The preview that a conversation is shown, where one body is seen by all."""
    profile = shared_profile(review.requirement)
    return {profile: review.previews[profile]} if profile in review.previews else {}


def may_see(review: Review, person: PersonId, people: People) -> bool:
    """Approvers of any stage and their delegates, voters, the requester chain, emergencies."""
    if person in review.excluded or any(vote.person == person for vote in review.votes):
        return True
    return bool(
        _seats(review, person, people, asked(review, review.requirement.stages))
        or person in glass_breakers(review, people)
        or (review.after_review and person in after_reviewers(review, people))
    )


def glass_breakers(review: Review, people: People) -> frozenset[PersonId]:
    """Who may approve alone in an emergency, before any exclusion."""
    rule = review.requirement.break_glass
    if rule is None:
        return frozenset()
    return people.eligible(
        review.tenant, Stage(name="break glass", groups=rule.groups, people=rule.people)
    )


def after_reviewers(review: Review, people: People) -> frozenset[PersonId]:
    """Who may look at a broken glass afterwards: whom policy names, else the stages' people."""
    rule = review.requirement.break_glass
    if rule and (rule.review_groups or rule.review_people):
        named = Stage(name="after review", groups=rule.review_groups, people=rule.review_people)
        return people.eligible(review.tenant, named)
    stages = asked(review, review.requirement.stages)
    return frozenset().union(*(people.eligible(review.tenant, stage) for stage in stages))


def cannot_decide(review: Review, person: PersonId, people: People) -> Refusal | None:
    """Why this person has no say in this review at all, whatever they would say."""
    refusal = excluded(review, person)
    if refusal:
        return refusal
    if not _seats(review, person, people, asked(review, review.requirement.stages)):
        return Refusal(
            code="vote.not_eligible",
            message="no stage of this review names you or a group you are in",
        )
    return None


def excluded(review: Review, person: PersonId) -> Refusal | None:
    """Why this person must not decide, whoever they stand in for (invariant 6)."""
    if person in review.excluded:
        return Refusal(
            code="vote.self_approval",
            message="you are in the requester chain of this action (its owner, user, parent or a "
            "principal it names); somebody else must decide",
        )
    if person in review.requirement.exclude:
        return Refusal(code="vote.excluded", message="policy excludes you from this decision")
    return None


def cannot_approve(
    review: Review,
    person: PersonId,
    people: People,
    assurance: Assurance,
    known_to: frozenset[PersonId] = frozenset(),
) -> Refusal | None:
    """Why this person cannot approve now, when they could not."""
    found = approving_seat(review, person, people, assurance, known_to)
    return found if isinstance(found, Refusal) else None


def denying_seat(review: Review, person: PersonId, people: People) -> Seat | Refusal:
    """The seat from which this person may deny: any stage's will do."""
    refusal = cannot_decide(review, person, people)
    if refusal:
        return refusal
    return _seats(review, person, people, asked(review, review.requirement.stages))[0]


def approving_seat(
    review: Review,
    person: PersonId,
    people: People,
    assurance: Assurance,
    known_to: frozenset[PersonId] = frozenset(),
) -> Seat | Refusal:
    """The seat in the open stage from which this person may approve, or why there is none.

    `known_to` is who has seen the token they came with.
    """
    refusal = cannot_decide(review, person, people)
    if refusal:
        return refusal
    counted = approvals(review)
    if person in used_up(counted):
        by_delegate = not any(vote.person == person for vote in counted)
        how = "your delegate has voted in your place" if by_delegate else "you have already voted"
        return Refusal(code="vote.duplicate", message=f"{how} on this revision")
    if not used_up(counted).isdisjoint(known_to):
        return Refusal(
            code="vote.token_known",
            message="whoever made the token that votes here has voted already, or made the "
            "token of somebody who has",
        )
    stages = asked(review, review.requirement.stages)
    index = current_stage(review)
    seats = _seats(review, person, people, stages[index : index + 1] or stages)
    if not seats:
        return Refusal(
            code="vote.not_your_stage",
            message=f'stage "{stages[index].name}" comes first and does not name you',
        )
    free = [
        seat
        for seat in seats
        if used_up(counted).isdisjoint(
            (seat.holder, *(seat.delegation.known_to if seat.delegation else ()))
        )
    ]
    if not free:
        return Refusal(code="vote.duplicate", message="whoever you stand in for has already voted")
    least = review.requirement.min_assurance
    proven = [seat for seat in free if seat.assurance(assurance).meets(least)]
    if not proven:
        return Refusal(
            code="vote.assurance",
            message="this review needs a vote by your own credential, not through a channel or "
            "a delegation given through one",
        )
    return would_strand(review, index, frozenset((person, proven[0].holder)), people) or proven[0]


def _seats(review: Review, person: PersonId, people: People, stages: list[Stage]) -> list[Seat]:
    """Seats in any of these stages that a person may take: their own first.

    Nobody lends what they do not have: a delegator who is excluded, or whom no
    stage asks, lends nothing, and what is lent is not lent on. What somebody
    excluded could have given in the delegator's name is not given either.
    """
    asked_for = frozenset().union(*(people.eligible(review.tenant, stage) for stage in stages))
    seats = [Seat(holder=person)] if person in asked_for else []
    return seats + [
        Seat(holder=delegation.delegator, delegation=delegation)
        for delegation in people.delegations_to(review.tenant, person)
        if delegation.delegator in asked_for - barred(review)
        and barred(review).isdisjoint(delegation.known_to)
    ]
