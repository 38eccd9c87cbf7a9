"""How the story ended: who decided, whether it ran, what came of it. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from countersign.v1 import context_pb2, reviews_pb2
from countersign_bot.card import state
from countersign_bot.card.page import Page, run
from countersign_bot.card.text import Clean
from countersign_bot.card.view import Element


def told(page: Page, review: reviews_pb2.Review) -> Iterator[list[Element]]:
    """One line for the end of a review, or none while it has not ended."""
    now = review.status.state
    if now == context_pb2.REVIEW_STATE_CLAIMED:
        yield _ran(page, review)
    elif now == context_pb2.REVIEW_STATE_DENIED:
        yield from _denied(page, review)
    elif now == context_pb2.REVIEW_STATE_EXPIRED:
        yield page.sentence("ended.expired", when=page.moment(review.status.approve_by))
    elif now == context_pb2.REVIEW_STATE_LAPSED:
        yield page.sentence("ended.lapsed", when=page.moment(review.status.use_by))


def _denied(page: Page, review: reviews_pb2.Review) -> Iterator[list[Element]]:
    if vote := _denial(review):
        yield page.sentence("ended.denied", who=vote.person_id, when=page.moment(vote.cast_at))


def reason(page: Page, review: reviews_pb2.Review) -> list[Element]:
    """Why it was denied, as whoever denied it wrote."""
    if review.status.state != context_pb2.REVIEW_STATE_DENIED:
        return []
    vote = _denial(review)
    return page.long(vote.reason, counts=False, italic=True) if vote else []


def _denial(review: reviews_pb2.Review) -> reviews_pb2.VoteView | None:
    denials = [vote for vote in review.votes if vote.vote == reviews_pb2.VOTE_DENY]
    return denials[-1] if denials else None


def _ran(page: Page, review: reviews_pb2.Review) -> list[Element]:
    """`Ran 14:03 UTC, succeeded, 1,204 rows, record 812`."""
    kept = page.cut  # what came of it is no part of what was approved
    done = review.execution
    runs: list[Element] = []
    if done.HasField("claimed_at"):
        ended = bool(state.outcome(review))
        key = "ended.ran" if ended else "ended.claimed"
        runs += page.sentence(key, when=page.moment(done.claimed_at))
    if state.outcome(review):
        words = page.say(f"ended.{state.of(review).key}", bold=True)
        runs += [run(Clean(", ")), words] if runs else [words]
    for detail in _details(page, done.detail_json):
        runs += [run(Clean(", ")), *detail]
    if done.record_seq:
        number = run(Clean(page.words.number(done.record_seq)))
        runs += [run(Clean(", ")), *page.sentence("ended.record", number=number)]
    page.cut = kept
    return runs


def _details(page: Page, detail_json: bytes) -> Iterator[list[Element]]:
    try:
        detail: Any = json.loads(detail_json) if detail_json else {}
    except ValueError:
        return
    if not isinstance(detail, dict):
        return
    for name, value in [*detail.items()][: page.room.entries]:
        if isinstance(value, int) and not isinstance(value, bool):
            if page.words.has(f"detail.{name}"):
                yield [page.say(f"detail.{name}", n=value)]
            else:
                number = run(Clean(page.words.number(value)))
                yield [page.text(name.replace("_", " ")), run(Clean(" ")), number]
        else:
            written = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            yield [page.text(f"{name.replace('_', ' ')}: "), page.text(written)]
