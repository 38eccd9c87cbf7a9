"""A review exactly as it was shown: what a vote names (invariant 4).

One vote or many in one act, each names the revision and the hash of the preview
that was on the screen, so it cannot count for anything that was not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

from countersign.client.errors import InvalidRequest, ProtocolError
from countersign.model import Reason, new_id
from countersign.v1 import reviews_pb2

MAX_BATCH: Final = 25

Shown: TypeAlias = reviews_pb2.Review | tuple[reviews_pb2.Review, str]
"""A review, or a review and the profile of the preview that was shown."""


def shown_in(shown: Shown) -> reviews_pb2.BatchItem:
    """What a vote on this names. Raises `InvalidRequest` when it is unclear what was seen."""
    review, profile = shown if isinstance(shown, tuple) else (shown, "")
    if not profile and len(review.previews) == 1:
        profile = next(iter(review.previews))
    if profile not in review.previews:
        raise InvalidRequest("profile", "must name the preview that was shown")
    return reviews_pb2.BatchItem(
        review_id=review.status.review_id,
        revision=review.status.revision,
        profile=profile,
        preview_hash=review.previews[profile].hash,
    )


def batch_request(items: Sequence[Shown], reason: str) -> reviews_pb2.BatchDecideRequest:
    """One act for several reviews. Raises `InvalidRequest`."""
    if not 1 <= len(items) <= MAX_BATCH:
        raise InvalidRequest("items", f"must be 1 to {MAX_BATCH} reviews")
    named = [shown_in(item) for item in items]
    if len({item.review_id for item in named}) < len(named):
        raise InvalidRequest("items", "name one review twice")
    return reviews_pb2.BatchDecideRequest(items=named, reason=reason, request_id=new_id("bat"))


def batch_results(
    answer: reviews_pb2.BatchDecideResponse, request: reviews_pb2.BatchDecideRequest
) -> tuple[reviews_pb2.Review | Reason, ...]:
    """What came of each item, in order. Raises `ProtocolError`: no vote is taken for granted."""
    if [result.review_id for result in answer.results] != [
        item.review_id for item in request.items
    ]:
        raise _unclear()
    return tuple(map(_result, answer.results))


def _result(result: reviews_pb2.BatchResult) -> reviews_pb2.Review | Reason:
    if result.HasField("review") == result.HasField("refusal"):
        raise _unclear()
    if result.HasField("review"):
        return result.review
    return Reason(code=result.refusal.code, message=result.refusal.message)


def _unclear() -> ProtocolError:
    return ProtocolError(
        "protocol.review",
        "the server did not say what came of each review",
        advice="Look at them one by one. Upgrade the countersign package.",
    )
