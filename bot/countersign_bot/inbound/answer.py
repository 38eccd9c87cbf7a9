"""What an invoke is answered with: plain JSON, in the forms that Teams renders.

The SDK's own answer types cannot be serialised, or are twice; Teams says "Unable to
reach app" and does the action again when it gets nothing it can show. So each answer
has a body, and is a plain dict until the route writes it out, once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Final, Self

from countersign.model import JsonValue

CARD_ACTION: Final = "adaptiveCard/action"
"""The invoke of an `Action.Execute`."""
_CARD: Final = "application/vnd.microsoft.card.adaptive"
_MESSAGE: Final = "application/vnd.microsoft.activity.message"
_ERROR: Final = "application/vnd.microsoft.error"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class InvokeAnswer:
    """The HTTP body of an invoke's answer."""

    body: Mapping[str, JsonValue]

    @classmethod
    def card(cls, card: Mapping[str, JsonValue]) -> Self:
        """Show this card to whoever clicked, and to nobody else."""
        return cls(body={"statusCode": 200, "type": _CARD, "value": dict(card)})

    @classmethod
    def message(cls, text: str) -> Self:
        """Show a sentence under the card, as for a refusal."""
        return cls(body={"statusCode": 200, "type": _MESSAGE, "value": text})

    @classmethod
    def fault(cls, code: str, text: str, *, status: int = 400) -> Self:
        """Say that it did not work. 400: what was sent is wrong; 500: we are."""
        return cls(
            body={
                "statusCode": status,
                "type": _ERROR,
                "value": {"code": code, "message": text},
            }
        )
