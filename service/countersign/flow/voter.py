"""Who decides, and how well that is proven.

Made by the edge for every call of a person, by their own credential or through
a channel; the flow and the record take it from here (invariant 7).
"""

from __future__ import annotations

import dataclasses

from countersign.model import Assurance, ChannelId, Person, PersonId


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Voter:
    """A person in one call."""

    person: Person
    assurance: Assurance
    proof: str
    """By what they proved themselves; see `credentials.proof_of_account` and its like."""
    channel: ChannelId | None = None
    """Who asserted the person; None: they proved themselves."""
    channel_proof: str = ""
    """By what that channel proved itself."""
    made_by: PersonId | None = None
    """Who has seen the token that this call came with, because they made it."""
    message_ref: str = ""
    """The channel's word for the message that was acted on."""
