"""What is said outside a card: notifications, reminders, refusals. Pure.

These strings go where a client may read markup, so of a review they hold names
only that cannot be any: an action's and an environment's.
"""

from __future__ import annotations

import re
from typing import Final

from countersign.v1 import reviews_pb2
from countersign_bot.card import catalogue, moments, state, text
from countersign_bot.card.catalogue import Catalogue
from countersign_bot.card.view import Look

_ACTION: Final = re.compile(r"[a-z0-9_]{1,40}(?:\.[a-z0-9_]{1,40}){0,5}", re.ASCII)
_MAX_MESSAGE: Final = 300
_MARKUP: Final = str.maketrans({"<": "(", ">": ")", "`": "'", "*": "", "[": "(", "]": ")"})
_SENTENCES: Final = (
    ("you are in the requester chain of this action", "vote.self_approval"),
    ("policy excludes you from this decision", "vote.excluded"),
    ("no stage of this review names you", "vote.not_eligible"),
    ("you have already voted", "vote.duplicate"),
    ("your delegate has voted in your place", "vote.duplicate"),
    ("whoever you stand in for has already voted", "vote.duplicate"),
    ("this review needs a vote by your own credential", "vote.assurance"),
)
"""How sentences of the service begin that a review carries without their code."""


def summary(review: reviews_pb2.Review, look: Look) -> str:
    """What a notification says: the state, and the action's name."""
    words = catalogue.of(look.language)
    told = words.say(f"state.{state.of(review).key}")
    return f"{told}: {review.action}" if _ACTION.fullmatch(review.action) else told


def fallback_text(words: Catalogue) -> str:
    """For a client that cannot show the card."""
    return words.say("fallback")


def reminder_text(review: reviews_pb2.Review, look: Look) -> str:
    """That nobody has decided for long."""
    words = catalogue.of(look.language)
    until = moments.whole(moments.at(review.status.approve_by, look.timezone))
    named = f" ({review.action})" if _ACTION.fullmatch(review.action) else ""
    return words.sentences["reminder"].format(action=named, until=until)


def refusal_text(code: str, message: str, look: Look) -> str:
    """Why a click did nothing: a friendly sentence for a code of the service.

    For a code that has none, the service's own `message`, made harmless.
    """
    words = catalogue.of(look.language)
    key = f"refusal.{code.replace('.', '_')}"
    if words.has(key):
        return words.say(key)
    told = text.brief(message, max_chars=_MAX_MESSAGE).lines[0].translate(_MARKUP).strip()
    return f"{words.say('refusal.other')} {told}".strip() if told else words.say("refusal.other")


def code_of(message: str) -> str:
    """The code of a sentence of the service, where it is one of those known; or empty."""
    return next((code for begin, code in _SENTENCES if message.startswith(begin)), "")
