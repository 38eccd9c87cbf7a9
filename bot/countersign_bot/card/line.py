"""A review in one line of plain text, for lists. Pure."""

from __future__ import annotations

from typing import Final

from countersign.v1 import context_pb2, reviews_pb2
from countersign_bot.card import moments
from countersign_bot.card.view import Look
from countersign_bot.card.words import summary

_AWAITS: Final = frozenset(
    {context_pb2.REVIEW_STATE_PENDING, context_pb2.REVIEW_STATE_INFO_REQUESTED}
)


def line_of(review: reviews_pb2.Review, look: Look) -> str:
    """What it is about and until when, with its id. Names only that cannot be markup."""
    until = moments.whole(moments.at(review.status.approve_by, look.timezone))
    ends = f", {until}" if review.status.state in _AWAITS else ""
    return f"{summary(review, look)}{ends} ({review.status.review_id})"
