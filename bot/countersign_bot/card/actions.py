"""The buttons of a card. Pure.

Each is an `Action.Execute`, with an `Action.Submit` for clients that know no
such thing; both carry the same handle. At most three stand in a row. What needs
words opens a part of the card with one required input.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

from countersign_bot.card.catalogue import Words
from countersign_bot.card.handle import INPUTS, Handle, Verb, data
from countersign_bot.card.page import Page
from countersign_bot.card.view import Element

MAX_PRIMARY: Final = 3
MAX_VIEWERS: Final = 20
_MAX_INPUT_CHARS: Final = 1000
"""Four bytes each still fit what the service takes."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What this card lets its reader do."""

    approve: bool = False
    deny: bool = False
    ask: bool = False
    revoke: bool = False
    refresh: bool = False
    read_in_full: bool = False
    reason_required: bool = False


def buttons(page: Page, offer: Offer, handle: Handle) -> list[Element]:
    """The buttons, most important first."""
    made: list[Element] = []
    if offer.approve and offer.reason_required:
        made.append(_asking(page, Verb.APPROVE, handle, style="positive", required=True))
    elif offer.approve:
        made.append(_execute(page, Verb.APPROVE, handle, style="positive"))
    if offer.deny:
        made.append(_asking(page, Verb.DENY, handle, style="destructive", required=True))
    if offer.ask:
        made.append(_asking(page, Verb.INFO, handle, style="", required=True))
    if offer.revoke:
        made.append(_asking(page, Verb.REVOKE, handle, style="destructive", required=False))
    url = page.look.console_url
    if offer.read_in_full and url and len(made) < MAX_PRIMARY:
        made.append(_open(page, f"{url}{quote(handle.review_id, safe='')}"))
    if offer.refresh and len(made) < MAX_PRIMARY:
        made.append(_execute(page, Verb.REFRESH, handle))
    return made


def refresh(page: Page, handle: Handle, viewers: Sequence[str]) -> Element:
    """Lets clients of those people ask by themselves for a view of their own."""
    return {
        "action": _execute(page, Verb.REFRESH, handle),
        "userIds": list(viewers[:MAX_VIEWERS]),
    }


def _execute(page: Page, verb: Verb, handle: Handle, *, style: str = "") -> Element:
    title: Words = page.words.say(f"action.{verb}")
    sent: dict[str, Any] = data(handle, verb)
    styled = {"style": style} if style else {}
    return {
        "type": "Action.Execute",
        "title": title,
        "verb": verb.value,
        "data": sent,
        **styled,
        "fallback": {"type": "Action.Submit", "title": title, "data": sent, **styled},
    }


def _asking(page: Page, verb: Verb, handle: Handle, *, style: str, required: bool) -> Element:
    words = page.words
    asked: Element = {
        "type": "Input.Text",
        "id": INPUTS[verb],
        "label": words.say(f"input.{verb}.label"),
        "placeholder": words.say(f"input.{verb}.placeholder"),
        "isMultiline": True,
        "maxLength": _MAX_INPUT_CHARS,
    }
    if required:
        asked |= {"isRequired": True, "errorMessage": words.say(f"input.{verb}.missing")}
    inner = _execute(page, verb, handle, style=style)
    for action in (inner, inner["fallback"]):
        action["title"] = words.say(f"input.{verb}.send")
    return {
        "type": "Action.ShowCard",
        "title": words.say(f"action.{verb}"),
        **({"style": style} if style else {}),
        "card": {"type": "AdaptiveCard", "body": [asked], "actions": [inner]},
    }


def _open(page: Page, url: str) -> Element:
    return {"type": "Action.OpenUrl", "title": page.words.say("action.open"), "url": url}
