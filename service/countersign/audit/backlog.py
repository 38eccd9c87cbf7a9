"""How much may wait for a sink that does not answer.

Records are never dropped: what cannot be kept is not decided. The store is the
spool; it has bounds in bytes and age, and some room beyond them for what must
still be written down when nothing is let through any more: denials and outcomes.
Pure. Used by `publisher`.
"""

from __future__ import annotations

import dataclasses
import enum

from countersign.audit.sink import Backlog
from countersign.model import SECOND_US, Instant


class Room(enum.Enum):
    """What may still be recorded."""

    FREE = "free"
    DENIALS = "denials"
    """Nothing is let through; denials and outcomes are still recorded."""
    NONE = "none"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Of what waits to be published, for each log."""

    max_bytes: int = 256 << 20
    max_age_s: float = 3600.0
    head_room: float = 0.25
    """So much more than `max_bytes` for denials and outcomes."""

    def room(self, backlog: Backlog, now: Instant) -> Room:
        """What is left of it."""
        if backlog.size_bytes >= self.max_bytes * (1 + self.head_room):
            return Room.NONE
        age_s = (now - backlog.oldest) / SECOND_US if backlog.oldest is not None else 0
        full = backlog.size_bytes >= self.max_bytes or age_s >= self.max_age_s
        return Room.DENIALS if full else Room.FREE
