"""The state of a review in words, a colour and a sign; never in colour alone. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Final

from countersign.v1 import context_pb2, reviews_pb2


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """How a state is shown."""

    key: str
    """Of the catalogue, below `state.`."""
    ground: str
    """Style of the container it stands on."""
    sign: str
    """A letter-like sign before the words; no picture, so every client draws it."""
    asks: bool = False
    """Votes are awaited."""
    moves: bool = False
    """Something can still happen to it."""


_PENDING: Final = State(key="pending", ground="accent", sign="●", asks=True, moves=True)
_STATES: Final[Mapping[int, State]] = {
    context_pb2.REVIEW_STATE_PENDING: _PENDING,
    context_pb2.REVIEW_STATE_INFO_REQUESTED: State(
        key="info_requested", ground="warning", sign="?", asks=True, moves=True
    ),
    context_pb2.REVIEW_STATE_APPROVED: State(key="approved", ground="good", sign="✓", moves=True),
    context_pb2.REVIEW_STATE_DENIED: State(key="denied", ground="attention", sign="✕"),
    context_pb2.REVIEW_STATE_EXPIRED: State(key="expired", ground="warning", sign="○"),
    context_pb2.REVIEW_STATE_CANCELLED: State(key="cancelled", ground="emphasis", sign="○"),
    context_pb2.REVIEW_STATE_LAPSED: State(key="lapsed", ground="warning", sign="○"),
    context_pb2.REVIEW_STATE_REVOKED: State(key="revoked", ground="attention", sign="✕"),
}
_UNKNOWN: Final = State(key="unknown", ground="warning", sign="?")
_RUNNING: Final = State(key="running", ground="accent", sign="»", moves=True)
_ENDED: Final[Mapping[int, State]] = {
    context_pb2.OUTCOME_SUCCEEDED: State(key="succeeded", ground="good", sign="✓"),
    context_pb2.OUTCOME_FAILED: State(key="failed", ground="attention", sign="✕"),
    context_pb2.OUTCOME_AMBIGUOUS: State(key="ambiguous", ground="warning", sign="?", moves=True),
}
SIGNS: Final = frozenset(
    state.sign for state in (*_STATES.values(), *_ENDED.values(), _RUNNING, _UNKNOWN)
)


def outcome(review: reviews_pb2.Review) -> int:
    """How it ended, by whichever field says so."""
    return int(review.execution.outcome or review.status.outcome)


def of(review: reviews_pb2.Review) -> State:
    """The state of a review; one that this bot does not know asks nobody anything."""
    if review.status.state == context_pb2.REVIEW_STATE_CLAIMED:
        return _ENDED.get(outcome(review), _RUNNING)
    return _STATES.get(review.status.state, _UNKNOWN)
