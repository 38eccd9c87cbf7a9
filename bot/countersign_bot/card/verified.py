"""What the service knows, whatever anybody says: who asks, for what, where. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from countersign.v1 import reviews_pb2
from countersign_bot.card import facts as in_words
from countersign_bot.card.demands import Demands
from countersign_bot.card.page import Page, line, run
from countersign_bot.card.text import Clean
from countersign_bot.card.view import Element


def rows(
    page: Page,
    review: reviews_pb2.Review,
    context: Mapping[str, Any],
    facts: Mapping[str, Any],
    demands: Demands,
) -> Iterator[Element]:
    """A row for each thing that is verified."""
    verified = review.verified
    yield page.row(
        "verified.resource",
        line(*_resource(page, context)),
        demanded=demands.covers("resource"),
    )
    yield page.row(
        "verified.environment",
        line(page.text(str(context.get("environment", "")), bold=True)),
        demanded=demands.covers("environment"),
    )
    yield from in_words.rows(page, facts, demands.covers_fact)
    if verified.requester:
        proven = page.sentence("verified.proven", who=verified.requester)
        yield page.row("verified.requester", line(*proven))
    else:
        yield page.row("verified.requester", line(page.say("verified.not_proven")))
    yield page.row("verified.caller", line(*_caller(page, verified)))
    if review.reasons:
        yield page.row("verified.why", *_why(page, review))


def _why(page: Page, review: reviews_pb2.Review) -> Iterator[Element]:
    """Why policy wants a person."""
    kept = review.reasons[: page.room.entries]
    for reason in kept:
        lines = page.long(reason.message) or [line()]
        code = page.text(reason.code, subtle=True, size="Small")
        lines[-1]["inlines"] += [run(Clean("  ")), code]
        yield from lines
    if len(kept) < len(review.reasons):
        page.cut = True
        yield line(page.say("cut.more", n=len(review.reasons) - len(kept), color="Warning"))


def _resource(page: Page, context: Mapping[str, Any]) -> list[Element]:
    """The resource by its id, and what kind of thing it is."""
    value = context.get("resource")
    if not isinstance(value, dict):
        return [page.text(str(value), bold=True)]  # masked whole
    runs = [page.text(str(value.get("id", "")), bold=True)]
    if value.get("type"):
        runs += [run(Clean(" ")), page.text(str(value["type"]), subtle=True)]
    return runs


def _caller(page: Page, verified: reviews_pb2.Verified) -> list[Element]:
    if not verified.owners:
        return [page.text(verified.caller_id, bold=True)]
    owners = page.texts(verified.owners)
    return page.sentence("verified.owned", who=verified.caller_id, owners=owners)
