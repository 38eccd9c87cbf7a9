"""Await: a long poll on one review. Writes nothing."""

from __future__ import annotations

import asyncio
import dataclasses

from countersign.errors import InvalidRequestError
from countersign.flow.parts import Parts
from countersign.flow.transition import unknown_review
from countersign.model import Caller, Review, ReviewId
from countersign.waiters import Waiters


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Waited:
    """A snapshot, and whether it is news."""

    review: Review
    changed: bool
    reconnect: bool


def cursor(review: Review) -> str:
    """The opaque cursor of a snapshot."""
    return f"v{review.version}"


def parse_cursor(text: str) -> int:
    """The version a cursor stands for; 0 for none. Raises `InvalidRequestError`."""
    if not text:
        return 0
    if text[0] != "v" or not text[1:].isascii() or not text[1:].isdigit() or len(text) > 16:
        raise InvalidRequestError("after", "is not a cursor of this server; leave it out")
    return int(text[1:])


async def wait(
    parts: Parts,
    waiters: Waiters,
    caller: Caller,
    review_id: ReviewId,
    *,
    after: str,
    max_wait_s: float,
) -> Waited:
    """Return once the review is newer than `after`, or after `max_wait_s` seconds."""
    seen = parse_cursor(after)
    with waiters.register(caller.tenant, caller.id, review_id) as changed:
        review = await _own(parts, caller, review_id)
        if review.version > seen or max_wait_s <= 0 or waiters.released():
            return Waited(
                review=review, changed=review.version > seen, reconnect=waiters.released()
            )
        del review  # ten thousand who wait must not keep ten thousand snapshots
        await asyncio.wait([changed], timeout=min(max_wait_s, parts.limits.max_await_s))
    review = await _own(parts, caller, review_id)
    news = review.version > seen
    return Waited(review=review, changed=news, reconnect=waiters.released() and not news)


async def _own(parts: Parts, caller: Caller, review_id: ReviewId) -> Review:
    review = await parts.store.review(caller.tenant, review_id)
    if review is None or review.caller != caller.id:
        raise unknown_review()
    return review
