"""Who looks at a card, and how: what `build` needs to know beside the review. Pure."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import Any

from countersign.v1 import deliveries_pb2

Element = dict[str, Any]
"""A part of an Adaptive Card, as JSON."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Who looks."""

    audience: int
    """A `deliveries_pb2.Audience`."""
    personal: bool
    """The review was read as one person, so `cannot_approve` and `cannot_decide` are theirs;
    otherwise one body is for everybody there."""

    @property
    def asked_for_it(self) -> bool:
        """Whether this is the requester's card, who is told and not asked."""
        return self.audience == int(deliveries_pb2.AUDIENCE_REQUESTER)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """In what words and whose time."""

    language: str
    """A BCP 47 tag; English for a language that has no catalogue."""
    timezone: str
    """A name of the IANA data base; UTC for one that is not known here."""
    now: datetime
    """With a zone."""
    console_url: str = ""
    """Where reviews can be read in full: https, before the review's id. Or empty."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """An Adaptive Card, and what a notification says of it."""

    body: Element
    summary: str
