"""A review as an Adaptive Card: verified first, then what the agent asserts.

What is on the card is what an approval names, so where anything of it had to be
cut, is masked though policy demands it, or is not there, the card offers to
deny and to read the review in full, never to approve. A card that would be too
large is built again with less room, arguments first. Pure: the same review,
view and look make the same card.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from countersign.v1 import reviews_pb2
from countersign_bot.card import actions, asserted, heads, legend, progress, state, verified
from countersign_bot.card.actions import Offer
from countersign_bot.card.catalogue import Catalogue
from countersign_bot.card.demands import Demands
from countersign_bot.card.handle import Handle, profile_shown
from countersign_bot.card.page import Page, Room, block, container, line
from countersign_bot.card.view import Card, Element, Look, View
from countersign_bot.card.words import fallback_text, summary

VERSION: Final = "1.5"
MAX_CARD_BYTES: Final = 20_000
"""Of the card as UTF-8 JSON, whatever is in it."""
_ROOMS: Final = (
    Room(past_chars=1_500, past_entries=25, chars=4_000, lines=60, rows=60, entries=25),
    Room(past_chars=300, past_entries=8, chars=4_000, lines=60, rows=60, entries=25),
    Room(past_chars=80, past_entries=3, chars=4_000, lines=60, rows=60, entries=25),
    Room(past_chars=80, past_entries=3, chars=2_000, lines=40, rows=25, entries=15),
    Room(past_chars=80, past_entries=3, chars=800, lines=20, rows=10, entries=8),
    Room(past_chars=80, past_entries=2, chars=300, lines=8, rows=4, entries=4),
    Room(past_chars=40, past_entries=1, chars=60, lines=2, rows=0, entries=2),
)


def review_card(
    review: reviews_pb2.Review,
    *,
    handle: Handle,
    view: View,
    look: Look,
    viewers: Sequence[str] = (),
    notice: str = "",
) -> Card:
    """The card of a review.

    `viewers` are the channel's ids of those whose client may ask for a view of
    their own; beyond 20 they are left out. `notice` is a friendly word at the
    top. Raises `ValueError` when the handle names another review, revision or
    preview than the one shown.
    """
    _check(review, handle)
    for room in _ROOMS:
        body = _card(Page(look, room), review, handle, view, viewers, notice)
        if _size(body) <= MAX_CARD_BYTES:
            break
    else:
        body = _tiny(Page(look, _ROOMS[-1]), review, handle, view, viewers)
    return Card(body=body, summary=summary(review, look))


def closed_card(look: Look) -> Card:
    """In place of a review that its reader may see no longer."""
    return _bare(look, "closed")


def gone_card(look: Look) -> Card:
    """In place of a copy that a newer card below has replaced."""
    return _bare(look, "gone")


def _check(review: reviews_pb2.Review, handle: Handle) -> None:
    profile = profile_shown(review)
    shown = review.previews[profile].hash.hex() if profile else ""
    named = (handle.review_id, handle.revision, handle.profile, handle.preview_hash)
    if named != (review.status.review_id, review.status.revision, profile, shown):
        raise ValueError("handle: names another review, revision or preview than is shown")


def _card(
    page: Page,
    review: reviews_pb2.Review,
    handle: Handle,
    view: View,
    viewers: Sequence[str],
    notice: str,
) -> Element:
    profile = profile_shown(review)
    preview = review.previews[profile] if profile else reviews_pb2.Preview()
    context = _json(preview.context_json)
    facts = _json(preview.facts_json)
    report = _json(preview.mask_report_json)
    demands = Demands.of(review.must_show)
    title = heads.title(page, review, context)
    known = [
        page.heading("section.verified", spacing="Medium"),
        *verified.rows(page, review, context, facts, demands),
    ]
    said = [
        page.heading("section.asserted"),
        block(page.words.say("section.asserted_note"), subtle=True, size="Small", spacing="None"),
        *asserted.rows(page, context, demands),
    ]
    after = _after(page, review, report, handle)
    # All that an approval names has been written now: whether it fitted is known.
    whole = bool(profile) and preview.reviewable and demands.met(context, facts)
    offer = _offer(review, view, whole=whole and not page.cut)
    top = [
        *([container([*page.long(notice, counts=False)], style="emphasis")] if notice else []),
        heads.band(page, review),
        *title,
        *heads.notes(page, review, handle, view, offer, whole=whole),
    ]
    shown = [*known, container(said, style="emphasis")] if profile else []
    return _framed(page, [*top, *shown, *after], offer, handle, viewers)


def _after(
    page: Page, review: reviews_pb2.Review, report: Mapping[str, Any], handle: Handle
) -> list[Element]:
    parts: list[Element] = [legend.masked(page, report)] if handle.profile else []
    decided = [*progress.decision(page, review)]
    if decided:
        parts += [page.heading("section.decision", spacing="Medium"), *decided]
    if review.thread:
        parts += [page.heading("section.thread", spacing="Medium"), *progress.thread(page, review)]
    return [*parts, *legend.names(page, review, report, handle)]


def _offer(review: reviews_pb2.Review, view: View, *, whole: bool) -> Offer:
    """What may be offered. The service judges every click again; this only spares refusals."""
    now = state.of(review)
    mine = view.personal
    if view.asked_for_it or (mine and review.cannot_decide):
        return Offer(refresh=now.moves)
    if not now.asks:
        return Offer(revoke=now.key == "approved", refresh=now.moves)
    if not profile_shown(review):
        return Offer(refresh=True, read_in_full=True)
    by_channel = review.min_assurance != "person"
    return Offer(
        approve=whole and by_channel and not (mine and review.cannot_approve),
        deny=True,
        ask=whole and by_channel,
        refresh=True,
        read_in_full=not whole,
        reason_required=review.require_reason,
    )


def _framed(
    page: Page, body: list[Element], offer: Offer, handle: Handle, viewers: Sequence[str]
) -> Element:
    made: Element = {
        "type": "AdaptiveCard",
        "version": VERSION,
        "lang": page.words.language,
        "fallbackText": fallback_text(page.words),
        "body": body,
    }
    offered = actions.buttons(page, offer, handle)
    if offered:
        made["actions"] = offered
    if offer.refresh and viewers:
        made["refresh"] = actions.refresh(page, handle, viewers)
    return made


def _tiny(
    page: Page, review: reviews_pb2.Review, handle: Handle, view: View, viewers: Sequence[str]
) -> Element:
    """For a review of which nothing would fit: its state, and where to read it."""
    offer = _offer(review, view, whole=False)
    body = [
        heads.band(page, review),
        line(page.say("note.too_large", color="Attention")),
        *heads.in_full(page, handle),
    ]
    return _framed(page, body, offer, handle, viewers)


def _bare(look: Look, key: str) -> Card:
    page = Page(look, _ROOMS[0])
    words: Catalogue = page.words
    body: Element = {
        "type": "AdaptiveCard",
        "version": VERSION,
        "lang": words.language,
        "fallbackText": fallback_text(words),
        "body": [
            block(words.say(f"{key}.title"), heading=True),
            block(words.say(f"{key}.text"), subtle=True),
        ],
    }
    return Card(body=body, summary=words.say(f"{key}.title"))


def _json(data: bytes) -> dict[str, Any]:
    parsed = json.loads(data) if data else {}
    return parsed if isinstance(parsed, dict) else {}


def _size(body: Element) -> int:
    return len(json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8"))
