"""What a test scripts: a rule for an action, and the review it leads to."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Self, TypeAlias

from countersign.model import Effect, Reason, ReviewState
from countersign.v1 import context_pb2, reviews_pb2

if TYPE_CHECKING:
    from countersign.client.testing.decision_point import DecisionPoint

Act: TypeAlias = Callable[["DecisionPoint", str], None]
"""Something people do to a review, by its id."""


@dataclasses.dataclass(slots=True, kw_only=True, eq=False)
class Rule:
    """What happens to actions that match, and what people then do, in order.

    Each of the people's acts happens when somebody waits; `revoke_by` when
    somebody claims.
    """

    pattern: str
    effect: Effect
    reasons: tuple[Reason, ...] = ()
    retryable: bool = False
    times: int | None = None
    """Holds for that many Checks, then the rule before it does again."""
    quorum: int = 1
    approve_within_s: float = 3600
    use_within_s: float = 300
    batch: bool = False
    """Whether people may approve it together with others."""
    break_glass: tuple[str, ...] = ()
    """People who may approve it alone in an emergency."""
    acts: list[Act] = dataclasses.field(default_factory=list)
    at_claim: list[Act] = dataclasses.field(default_factory=list)

    def approve_by(self, person: str) -> Self:
        """A person approves."""
        self.acts.append(lambda point, review: point.approve(review, person))
        return self

    def deny_by(self, person: str, reason: str = "no") -> Self:
        """A person denies."""
        self.acts.append(lambda point, review: point.deny(review, person, reason))
        return self

    def ask_by(self, person: str, question: str) -> Self:
        """A person asks; what they do next happens after an answer, or without one."""
        self.acts.append(lambda point, review: point.ask(review, person, question))
        return self

    def revoke_by(self, person: str, reason: str = "no longer") -> Self:
        """A person takes the approval back just before it is claimed."""
        self.at_claim.append(lambda point, review: point.revoke(review, person, reason))
        return self


@dataclasses.dataclass(slots=True, kw_only=True, eq=False)
class HeldReview:
    """One review and its life so far."""

    id: str
    rule: Rule
    bound: bytes
    salt: bytes
    behind: frozenset[str]
    """People who cannot decide."""
    approve_by_s: float
    state: ReviewState = ReviewState.PENDING
    version: int = 1
    revision: int = 1
    approvals: set[str] = dataclasses.field(default_factory=set)
    after_review: reviews_pb2.AfterReview | None = None
    """Set once the glass was broken."""
    questions: dict[str, str] = dataclasses.field(default_factory=dict)
    acts: list[Act] = dataclasses.field(default_factory=list)
    use_by_s: float = 0.0
    """0 until it is approved."""
    reasons: tuple[Reason, ...] = ()
    superseded_by: str = ""
    permit_id: str = ""
    outcome: context_pb2.Outcome.ValueType = context_pb2.OUTCOME_UNSPECIFIED
