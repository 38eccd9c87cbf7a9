"""Values to what a backend keeps, and back, exactly.

Reviews, permits, delegations and answers are kept as JSON; a decision, which is
flat, as a row. Decoding is strict: what does not have exactly the model's shape
and types raises `LogError`, for then somebody else wrote into the store; only a
field that an older version did not know may be missing, and has its default.
Pure; shared by the backends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias, TypeVar, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from countersign.cards import Card, Endpoint
from countersign.errors import LogError
from countersign.model import (
    Delegation,
    Effect,
    JsonObject,
    Outcome,
    PermitClaims,
    Reason,
    RecordRef,
    Review,
    ReviewState,
)
from countersign.store.protocol import Decision
from countersign.store.recent import saturated

V = TypeVar("V")

DecisionRow: TypeAlias = tuple[Any, ...]

_REVIEW: Final = TypeAdapter(Review)
_PERMIT: Final = TypeAdapter(PermitClaims)
_DELEGATION: Final = TypeAdapter(Delegation)
_CARD: Final = TypeAdapter(Card)
_ENDPOINT: Final = TypeAdapter(Endpoint)
_REASONS: Final = TypeAdapter(tuple[Reason, ...])
_HASH_BYTES: Final = 32


def encode_review(review: Review) -> str:
    """The whole review as JSON."""
    return _REVIEW.dump_json(review).decode()


def decode_review(body: str) -> Review:
    """The review that `encode_review` was given."""
    return _decode(_REVIEW, body)


def encode_permit(permit: PermitClaims) -> str:
    """The claims as JSON."""
    return _PERMIT.dump_json(permit).decode()


def decode_permit(body: str) -> PermitClaims:
    """The claims that `encode_permit` was given."""
    return _decode(_PERMIT, body)


def encode_delegation(delegation: Delegation) -> str:
    """The whole delegation as JSON."""
    return _DELEGATION.dump_json(delegation).decode()


def decode_delegation(body: str) -> Delegation:
    """The delegation that `encode_delegation` was given."""
    return _decode(_DELEGATION, body)


def encode_card(card: Card) -> str:
    """The whole card as JSON."""
    return _CARD.dump_json(card).decode()


def decode_card(body: str) -> Card:
    """The card that `encode_card` was given."""
    return _decode(_CARD, body)


def encode_endpoint(endpoint: Endpoint) -> str:
    """The whole endpoint as JSON."""
    return _ENDPOINT.dump_json(endpoint).decode()


def decode_endpoint(body: str) -> Endpoint:
    """The endpoint that `encode_endpoint` was given."""
    return _decode(_ENDPOINT, body)


def encode_object(value: JsonObject) -> str:
    """Any JSON object."""
    return to_json(value).decode()


def decode_object(body: str) -> JsonObject:
    """The object that `encode_object` was given."""
    return cast("JsonObject", from_json(body))


def encode_names(states: Sequence[ReviewState]) -> str:
    """The names of states as a JSON array, for a query to take apart."""
    return to_json([state.value for state in states]).decode()


def encode_decision(decision: Decision) -> DecisionRow:
    """The row of a decision, in the order of the model's fields.

    What it would touch and move is saturated, see `recent`.
    """
    return (
        decision.tenant,
        decision.id,
        decision.caller,
        decision.method,
        decision.action,
        decision.effect.value,
        _REASONS.dump_json(decision.reasons).decode(),
        int(decision.retryable),
        decision.policy_revision,
        decision.commitment,
        decision.salt,
        decision.review,
        decision.permit,
        decision.record.log_id,
        decision.record.seq,
        decision.record.leaf_hash,
        decision.at,
        None if decision.outcome is None else decision.outcome.value,
        saturated(decision.rows),
        saturated(decision.amount),
    )


def decode_decision(row: DecisionRow) -> Decision:
    """The decision that `encode_decision` was given."""
    try:
        return Decision(
            tenant=row[0],
            id=row[1],
            caller=row[2],
            method=row[3],
            action=row[4],
            effect=Effect(row[5]),
            reasons=_REASONS.validate_json(row[6], strict=True, extra="forbid"),
            retryable=bool(row[7]),
            policy_revision=row[8],
            commitment=row[9],
            salt=row[10],
            review=row[11],
            permit=row[12],
            record=RecordRef(log_id=row[13], seq=row[14], leaf_hash=row[15]),
            at=row[16],
            outcome=None if row[17] is None else Outcome(row[17]),
            rows=row[18],
            amount=row[19],
        )
    except ValueError:
        raise _corrupt() from None


def encode_frontier(frontier: tuple[bytes, ...]) -> bytes:
    """Subtree roots, one after the other."""
    return b"".join(frontier)


def decode_frontier(data: bytes) -> tuple[bytes, ...]:
    """The roots that `encode_frontier` was given."""
    return tuple(data[at : at + _HASH_BYTES] for at in range(0, len(data), _HASH_BYTES))


def _decode(adapter: TypeAdapter[V], body: str) -> V:
    try:
        return adapter.validate_json(body, strict=True, extra="forbid")
    except ValidationError:
        raise _corrupt() from None


def _corrupt() -> LogError:
    return LogError(
        "store.corrupt",
        "a stored value does not have the shape this version writes",
        advice="Restore the store from a backup and compare it with the published log.",
    )
