"""What can happen to a review, and the word for what the rules do not allow.

An event carries everything its rule needs from outside: the directory and
today's policy answer as they were when it was made.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol, TypeAlias

from countersign.model import (
    Assurance,
    CallerId,
    ChannelId,
    Choice,
    Delegation,
    Outcome,
    PermitId,
    PersonId,
    PolicyDecision,
    QuestionId,
    Reason,
    ReviewId,
    Stage,
    TenantId,
)


class People(Protocol):
    """What the rules need to know of a directory: one snapshot of it."""

    def groups_of(self, tenant: TenantId, person: PersonId) -> frozenset[str] | None:
        """Groups of a person, or None for somebody unknown."""

    def eligible(self, tenant: TenantId, stage: Stage) -> frozenset[PersonId]:
        """Everybody whom a stage names, directly or by group."""

    def delegations_to(self, tenant: TenantId, delegate: PersonId) -> Sequence[Delegation]:
        """Standing lent to a person and in force, oldest first."""


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
    channel: ChannelId | None = None
    known_to: frozenset[PersonId] = frozenset()
    """Who has seen the token that votes here."""
    batch: bool = False
    """Whether it is one of several given in one act."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GlassBroken:
    """A person approves alone, because it cannot wait."""

    person: PersonId
    revision: int
    profile: str
    preview_hash: str
    reason: str
    assurance: Assurance
    people: People


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AfterReviewClosed:
    """Somebody else says whether breaking the glass was right."""

    person: PersonId
    justified: bool
    note: str
    people: People
    known_to: frozenset[PersonId] = frozenset()


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
    detail: str = ""
    """Sanitized RFC 8785 JSON."""
    seq: int | None = None
    """Sequence number that the record of it gets."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TimePassed:
    """A timer may have fired; changes nothing when none has."""


Event: TypeAlias = (
    VoteCast
    | GlassBroken
    | AfterReviewClosed
    | QuestionAsked
    | QuestionAnswered
    | Withdrawn
    | ApprovalRevoked
    | RequesterWidened
    | ClaimAttempted
    | OutcomeReported
    | TimePassed
)
