"""The top of a card: its state, what would run, and what keeps one from deciding. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from countersign.v1 import reviews_pb2
from countersign_bot.card import outcome, state
from countersign_bot.card.actions import Offer
from countersign_bot.card.catalogue import Words
from countersign_bot.card.handle import Handle
from countersign_bot.card.page import Page, block, container, line, run
from countersign_bot.card.text import Clean
from countersign_bot.card.view import Element, View
from countersign_bot.card.words import code_of

_HASH_CHARS: Final = 16


def band(page: Page, review: reviews_pb2.Review) -> Element:
    """The state, on a ground of its colour, and the time that counts."""
    now = state.of(review)
    words = page.words.say(f"state.{now.key}")
    items = [block(Words(f"{now.sign} {words}"), heading=True)]
    under = [*outcome.told(page, review), *_deadline(page, review)]
    if review.status.revision > 1:
        under.append(page.sentence("state.revision", number=int(review.status.revision)))
    items += [line(*told, spacing="None") for told in under]
    items += outcome.reason(page, review)
    return container(items, style=now.ground, bleed=True)


def _deadline(page: Page, review: reviews_pb2.Review) -> Iterator[list[Element]]:
    now = state.of(review)
    if now.asks:
        when = page.moment(review.status.approve_by, far=True, bold=True)
        yield page.sentence("state.decide_by", when=when)
    elif now.key == "approved" and review.status.HasField("use_by"):
        yield page.sentence("state.use_by", when=page.moment(review.status.use_by, far=True))


def title(page: Page, review: reviews_pb2.Review, context: Mapping[str, Any]) -> list[Element]:
    """What is to happen, in words."""
    action = review.action or str(context.get("action", ""))
    key = f"does.{action.replace('.', '_')}"
    if page.words.has(key):
        told = [page.say(key, bold=True, size="Large")]
        told += [run(Clean("  ")), page.text(action, subtle=True, mono=True)]
    else:
        told = [page.text(action, bold=True, size="Large")]
    lines = [line(*told, spacing="Medium")]
    if review.action and context and review.action != context.get("action"):
        lines.append(line(page.text(str(context.get("action", "")), subtle=True)))
    return lines


def notes(
    page: Page,
    review: reviews_pb2.Review,
    handle: Handle,
    view: View,
    offer: Offer,
    *,
    whole: bool,
) -> list[Element]:
    """What keeps this reader from approving, and what they can do instead."""
    told: list[Element] = []
    if review.HasField("after_review"):
        told += _glass(page, review)
    if state.of(review).asks:
        told += _hindrance(page, review, handle, view, offer, whole=whole)
    elif review.status.reasons and state.of(review).key in {"revoked", "cancelled", "unknown"}:
        for reason in review.status.reasons[: page.room.entries]:
            told += page.long(reason.message, counts=False)
    if review.status.superseded_by:
        told.append(line(*page.sentence("note.superseded", by=review.status.superseded_by)))
    return [container(told, style="warning")] if told else []


def _hindrance(
    page: Page,
    review: reviews_pb2.Review,
    handle: Handle,
    view: View,
    offer: Offer,
    *,
    whole: bool,
) -> list[Element]:
    if view.asked_for_it:
        return [line(page.say("note.you_asked"))]
    if view.personal and review.cannot_decide:
        return [line(page.say("note.no_say", bold=True)), *_why_not(page, review)]
    if not whole:
        key = "note.unreviewable" if handle.profile else "note.no_preview"
        return [line(page.say(key)), *in_full(page, handle)]
    if page.cut:
        return [line(page.say("note.cut")), *in_full(page, handle)]
    if review.min_assurance == "person":
        command = (
            f"countersign review approve {handle.review_id} "
            f"--preview {handle.preview_hash[:_HASH_CHARS]}"
        )
        return [line(page.say("note.own_credential")), line(page.command(command))]
    if view.personal and not offer.approve:
        return _why_not(page, review)
    return []


def _why_not(page: Page, review: reviews_pb2.Review) -> list[Element]:
    """The service's own words, in the reader's language where they are known."""
    code = code_of(review.cannot_approve)
    if code:
        return [line(page.say(f"refusal.{code.replace('.', '_')}"))]
    if review.cannot_approve:
        label = page.say("note.cannot_approve")
        return [line(label), *page.long(review.cannot_approve, counts=False)]
    return []


def in_full(page: Page, handle: Handle) -> list[Element]:
    """Where the whole review can be read."""
    if page.look.console_url:
        return []
    command = page.command(f"countersign review show {handle.review_id}")
    return [line(page.say("note.in_full"), run(Clean(" ")), command)]


def _glass(page: Page, review: reviews_pb2.Review) -> list[Element]:
    owed = review.after_review
    broken = page.sentence(
        "glass.broken", who=owed.person_id, when=[page.clock(owed.broken_at)], style={"bold": True}
    )
    if not owed.closed_by:
        return [line(*broken), line(page.say("glass.open"))]
    key = "glass.justified" if owed.justified else "glass.not_justified"
    found = page.sentence(key, who=owed.closed_by, when=[page.clock(owed.closed_at)])
    return [line(*broken), line(*found), *page.long(owed.note, counts=False, italic=True)]
