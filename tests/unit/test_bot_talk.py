"""What the bot says waits for somebody."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from test_bot_clicks import a_review, click

from countersign.v1 import reviews_pb2
from countersign_bot.card import Look
from countersign_bot.talk import Talk

LOOK = Look(language="en", timezone="UTC", now=datetime(2027, 1, 1, tzinfo=UTC))
OWN_CREDENTIAL = (
    "this review needs a vote by your own credential, not through a channel or a delegation "
    "given through one"
)


class Service:
    """Lists what the test put there."""

    def __init__(self, *reviews: reviews_pb2.Review) -> None:
        self.reviews = reviews

    async def listed(self, who: Any, *, ended: bool) -> Sequence[reviews_pb2.Review]:
        return self.reviews


async def says(word: str, *reviews: reviews_pb2.Review) -> str:
    service: Any = Service(*reviews)
    said = click(type="message", text=word, value={}, reply_to_id="")
    return await Talk(service).answer(said, None, LOOK)


@pytest.mark.parametrize(
    ("cannot_approve", "cannot_decide", "waits"),
    [
        ("", False, True),
        (OWN_CREDENTIAL, False, True),
        ("you have already voted on this revision", False, False),
        ("you are in the requester chain of this action", True, False),
    ],
)
async def test_what_waits_is_what_one_can_still_decide_by_whatever_way(
    cannot_approve: str, cannot_decide: bool, waits: bool
) -> None:
    review = a_review()
    review.cannot_approve, review.cannot_decide = cannot_approve, cannot_decide
    told = await says("pending", review)
    assert ("rev_1" in told) is waits
    assert ("Nothing waits for you" in told) is not waits
