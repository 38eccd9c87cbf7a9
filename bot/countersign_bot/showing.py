"""A review as the card that stands somewhere: the one place where a card is made to be sent.

What is not as every card of ours has to be is not sent (invariant 2): a mistake of
ours must not become a button that means something else.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from countersign.errors import CountersignError
from countersign.v1 import deliveries_pb2, reviews_pb2
from countersign_bot.card import Card, Handle, Look, View, review_card
from countersign_bot.card.lint import problems

log = logging.getLogger(__name__)


class UnfitCardError(CountersignError):
    """A card that is not as ours have to be."""


def card_of(
    review: reviews_pb2.Review,
    sent: deliveries_pb2.Card,
    *,
    personal: bool,
    look: Look,
    viewers: Sequence[str] = (),
    notice: str = "",
) -> Card:
    """The card `sent` with the review as it is now. `personal`: as one person reads it.

    Raises `UnfitCardError`.
    """
    made = review_card(
        review,
        handle=Handle.of(review, card_id=sent.card_id, nonce=sent.nonce),
        view=View(audience=sent.audience, personal=personal),
        look=look,
        viewers=viewers,
        notice=notice,
    )
    found = problems(made, console_url=look.console_url)
    if found:
        log.error("card %s was not sent: %s", sent.card_id, found[0])
        raise UnfitCardError("card.unfit", "the card is not as it has to be")
    return made
