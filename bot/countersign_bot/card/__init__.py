"""Reviews as Adaptive Cards 1.5: words for people, and nothing that decides.

Pure: a review, who looks, in which language and when make a card; no clock, no
network, no Bot Framework. What people and agents wrote stands in `TextRun`s
alone (`text`, `page`), which `lint` checks of any card before it is sent. Used
by the bot for every card it posts, updates or answers with.
"""

from countersign_bot.card.build import MAX_CARD_BYTES, closed_card, gone_card, review_card
from countersign_bot.card.handle import Click, Handle, HandleError, Verb, profile_shown, read
from countersign_bot.card.line import line_of
from countersign_bot.card.view import Card, Look, View
from countersign_bot.card.words import code_of, refusal_text, reminder_text

__all__ = [
    "MAX_CARD_BYTES",
    "Card",
    "Click",
    "Handle",
    "HandleError",
    "Look",
    "Verb",
    "View",
    "closed_card",
    "code_of",
    "gone_card",
    "line_of",
    "profile_shown",
    "read",
    "refusal_text",
    "reminder_text",
    "review_card",
]
