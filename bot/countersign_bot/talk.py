"""What people type to the bot: who am I, what waits for me, what became of it.

Answers are plain text. Of a review they hold names only that cannot be markup;
everything else is on its card.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from countersign.client import CountersignClientError
from countersign.v1 import deliveries_pb2, reviews_pb2
from countersign_bot.card import Look, catalogue, code_of, line_of, refusal_text
from countersign_bot.inbound.activity import Inbound
from countersign_bot.service import LISTED, Service, Who

COMMANDS: Final = ("whoami", "pending", "history", "help")
MAX_WORD: Final = 40


class Talk:
    """Answers what is said to the bot."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def answer(
        self, inbound: Inbound, endpoint: deliveries_pb2.Endpoint | None, look: Look
    ) -> str:
        """What to say. `endpoint` is where it was said, as the service knows it."""
        word = inbound.text.strip().lower().lstrip("/")[:MAX_WORD]
        if inbound.conversation_type != "personal":
            return _of_conversation(inbound, endpoint, look)
        if word == "whoami":
            return _whoami(inbound, endpoint, look)
        if word in ("pending", "history"):
            try:
                found = await self._service.listed(Who.of(inbound), ended=word == "history")
            except CountersignClientError as error:
                if error.code == "channel.unknown_account":
                    return _whoami(inbound, endpoint, look)
                return refusal_text(error.code, error.message, look)
            return _listed(word, found, look)
        words = catalogue.of(look.language)
        return words.say("talk.help") if word == "help" else words.say("talk.unknown")


def welcome(inbound: Inbound, endpoint: deliveries_pb2.Endpoint | None, look: Look) -> str:
    """What the bot says where it was just installed."""
    if inbound.conversation_type == "personal":
        return _whoami(inbound, endpoint, look)
    return _of_conversation(inbound, endpoint, look)


def _whoami(inbound: Inbound, endpoint: deliveries_pb2.Endpoint | None, look: Look) -> str:
    """Who the service takes somebody for, and the line that an operator needs."""
    words = catalogue.of(look.language).sentences
    line = f"accounts = [{_table(issuer=inbound.issuer, subject=inbound.subject)}]"
    if endpoint is not None and endpoint.person_id:
        return f"{words['talk.known'].format(person=endpoint.person_id)}\n\n{line}"
    return f"{words['talk.stranger']}\n\n{line}"


def _of_conversation(inbound: Inbound, endpoint: deliveries_pb2.Endpoint | None, look: Look) -> str:
    words = catalogue.of(look.language).sentences
    if endpoint is not None and endpoint.name:
        return words["talk.bound"].format(name=endpoint.name)
    line = f"conversations = [{_table(name='NAME', id=inbound.conversation_id)}]"
    return f"{words['talk.unbound']}\n\n{line}"


def _listed(word: str, found: Sequence[reviews_pb2.Review], look: Look) -> str:
    words = catalogue.of(look.language)
    if word == "pending":
        found = [each for each in found if _waits(each)]
    if not found:
        return words.say(f"talk.no_{word}")
    lines = [line_of(review, look) for review in found[:LISTED]]
    if len(found) > LISTED:
        lines.append(words.say("talk.more", n=len(found) - LISTED))
    return "\n\n".join([words.say(f"talk.{word}"), *lines])


def _waits(review: reviews_pb2.Review) -> bool:
    """Whether they can still decide it: here, or with a credential of their own."""
    hindered = review.cannot_approve and code_of(review.cannot_approve) != "vote.assurance"
    return not (hindered or review.cannot_decide)


def _table(**values: str) -> str:
    """An inline table of TOML, whose basic strings are written as JSON's."""
    pairs = ", ".join(f"{name} = {json.dumps(text)}" for name, text in values.items())
    return f"{{ {pairs} }}"
