"""What the server answered, as values. Decoding fails closed.

An effect or a state this SDK does not know, or an answer that lacks what its
effect promises, is a `ProtocolError`: never "allowed". Tokens and salts are
kept out of `repr`.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from countersign.client.errors import PermitRejected, ProtocolError, refusal
from countersign.model import Effect, Outcome, Reason, RecordRef, ReviewState
from countersign.v1 import context_pb2

if TYPE_CHECKING:
    from countersign.client.pending import Pending

_EFFECTS: Final = {
    context_pb2.EFFECT_ALLOW: Effect.ALLOW,
    context_pb2.EFFECT_DENY: Effect.DENY,
    context_pb2.EFFECT_NEEDS_APPROVAL: Effect.NEEDS_APPROVAL,
}
_STATES: Final = {
    number: ReviewState[name.removeprefix("REVIEW_STATE_")]
    for name, number in context_pb2.ReviewState.items()
    if number != context_pb2.REVIEW_STATE_UNSPECIFIED
}
_OUTCOMES: Final = {
    context_pb2.OUTCOME_SUCCEEDED: Outcome.SUCCEEDED,
    context_pb2.OUTCOME_FAILED: Outcome.FAILED,
    context_pb2.OUTCOME_AMBIGUOUS: Outcome.AMBIGUOUS,
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A reviewer's question, already sanitized."""

    id: str
    text: str
    review_id: str
    asked_at: datetime | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ReviewStatus:
    """A snapshot of a review as its requester sees it."""

    review_id: str
    state: ReviewState
    cursor: str
    revision: int
    approve_by: datetime | None
    use_by: datetime | None
    """Set once approved: claim before this."""
    questions: tuple[Question, ...]
    reasons: tuple[Reason, ...]
    superseded_by: str
    outcome: Outcome | None

    @property
    def decided(self) -> bool:
        """No vote can change it any more, or it waits to be claimed."""
        return not self.state.awaits_votes

    def require_approved(self) -> None:
        """Raise the error that names this state, unless it is APPROVED."""
        if self.state is not ReviewState.APPROVED:
            raise refusal(self.state, self.reasons, review_id=self.review_id)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """The signed statement of a claim. Hand `token` to whoever executes; do not log it."""

    id: str
    token: str = dataclasses.field(repr=False)
    expires_at: datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Permission to perform exactly one action, now.

    Without a permit it is a plain ALLOW of policy. `usable_until_s` is on this
    machine's clock, so that a clock that is wrong does not matter.
    """

    decision_id: str
    review_id: str
    policy_revision: str
    permit: Permit | None
    usable_until_s: float | None
    record: RecordRef | None = None

    def require_fresh(self, now_s: float | None = None) -> None:
        """Raise `PermitRejected` when the permit's time is over. Ask right before acting."""
        now_s = time.time() if now_s is None else now_s
        if self.usable_until_s is not None and now_s >= self.usable_until_s:
            raise PermitRejected(
                "permit.expired",
                "the permit's time is over, and the action has not run",
                advice="Check again for a new permit; act at once when you have it.",
            )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The answer to one Check. Only `allowed` means that the action may run."""

    id: str
    effect: Effect
    reasons: tuple[Reason, ...]
    policy_revision: str
    pending: Pending | None
    """The review to wait for, when the effect is NEEDS_APPROVAL and one is open."""
    grant: Grant | None
    """Permission to act: the effect is ALLOW, and nobody can have acted on it yet."""
    review_reused: bool
    record: RecordRef | None
    retryable: bool
    replayed: bool

    @property
    def allowed(self) -> bool:
        """The action may run. False for an ALLOW given before to a `request_id` of yours."""
        return self.grant is not None


def effect_of(number: int) -> Effect:
    """The effect, or `ProtocolError`: what a client does not know is not allowed."""
    try:
        return _EFFECTS[number]  # type: ignore[index]
    except KeyError:
        raise ProtocolError(
            "protocol.effect",
            "the server answered with an effect this SDK does not know",
            advice="Nothing may run. Upgrade the countersign package.",
        ) from None


def status_of(message: context_pb2.ReviewStatus) -> ReviewStatus:
    """Decode a snapshot."""
    state = _STATES.get(message.state)
    if state is None or not message.review_id:
        raise ProtocolError(
            "protocol.review",
            "the server sent a review without an id or in a state this SDK does not know",
            advice="Nothing may run. Upgrade the countersign package.",
        )
    return ReviewStatus(
        review_id=message.review_id,
        state=state,
        cursor=message.cursor,
        revision=message.revision,
        approve_by=_moment(message, "approve_by"),
        use_by=_moment(message, "use_by"),
        questions=tuple(
            Question(
                id=item.question_id,
                text=item.text,
                review_id=message.review_id,
                asked_at=_moment(item, "asked_at"),
            )
            for item in message.open_questions
        ),
        reasons=reasons_of(message.reasons),
        superseded_by=message.superseded_by,
        outcome=_OUTCOMES.get(message.outcome),
    )


def permit_of(message: context_pb2.Permit) -> Permit:
    """Decode a permit's envelope; `permits` looks inside."""
    expires_at = _moment(message, "expires_at")
    if not message.permit_id or not message.token or expires_at is None:
        raise ProtocolError(
            "protocol.permit",
            "the server sent a permit that lacks its id, token or expiry",
            advice="Nothing may run. Is this a Countersign server?",
        )
    return Permit(id=message.permit_id, token=message.token, expires_at=expires_at)


def reasons_of(messages: Iterable[context_pb2.Reason]) -> tuple[Reason, ...]:
    """Decode reasons."""
    return tuple(Reason(code=item.code, message=item.message) for item in messages)


def record_of(message: context_pb2.RecordRef) -> RecordRef | None:
    """Where the answer stands in the log; None when the server did not say."""
    if not message.log_id:
        return None
    return RecordRef(log_id=message.log_id, seq=message.seq, leaf_hash=message.leaf_hash)


def _moment(message: Message, field: str) -> datetime | None:
    if not message.HasField(field):
        return None
    stamp: Timestamp = getattr(message, field)
    try:
        return stamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ProtocolError(
            "protocol.time", f"the server sent a time in {field} that does not exist"
        ) from None
