"""Which records somebody looks for.

Pure. All criteria given must fit. A name may end in `*`. Times are the records'
own text, which sorts as time does. Called by `search`, `export` and the
evidence pack.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime

from countersign.audit.plan import SegmentName
from countersign.audit.sentences import object_of
from countersign.model import JsonObject, JsonValue

_PEOPLE = ("vote", "revocation", "question", "after_review", "change", "delegation")
_NAMED = ("person", "asked_by", "by", "delegator", "delegate")


def stamp(moment: datetime) -> str:
    """A time as records say it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """What to look for; what is empty is not looked at."""

    since: str = ""
    """The first time that counts."""
    until: str = ""
    """The first time that does not count any more."""
    kind: str = ""
    actor: str = ""
    """The agent, or the caller it came as."""
    action: str = ""
    person: str = ""
    """Who voted, asked, revoked, looked or changed something."""
    effect: str = ""
    subject: str = ""
    """A decision, review, permit, session or trace."""

    def fit(self, record: JsonObject) -> bool:
        """Whether a record is one of those."""
        return (
            self.in_time(record)
            and _like(self.kind, record.get("kind"))
            and _like(self.action, record.get("action"))
            and _like(self.effect, record.get("effect"))
            and (not self.actor or any(_like(self.actor, name) for name in _actors(record)))
            and (not self.person or any(_like(self.person, name) for name in _people(record)))
            and (not self.subject or self.subject in _subjects(record))
        )

    def in_time(self, record: JsonObject) -> bool:
        """Whether it is from that time."""
        time = record.get("time")
        known = isinstance(time, str)
        return (not self.since or (known and str(time) >= self.since)) and (
            not self.until or (known and str(time) < self.until)
        )

    def may_hold(self, segment: SegmentName, following: SegmentName | None) -> bool:
        """Whether a segment may hold such records: times never go back in a log."""
        starts = f"{segment.day}T{segment.hour}"
        ends = f"{following.day}T{following.hour}" if following else "9"
        return (not self.until or starts < self.until) and (
            not self.since or ends >= self.since[: len("2026-01-01T00")]
        )


def _like(wanted: str, found: JsonValue) -> bool:
    if not wanted:
        return True
    if not isinstance(found, str):
        return False
    return found.startswith(wanted[:-1]) if wanted.endswith("*") else found == wanted


def _actors(record: JsonObject) -> Iterator[JsonValue]:
    yield object_of(record, "actor").get("id")
    yield record.get("caller")


def _people(record: JsonObject) -> Iterator[JsonValue]:
    for part in _PEOPLE:
        told = object_of(record, part)
        yield from (told.get(name) for name in _NAMED)


def _subjects(record: JsonObject) -> Iterator[JsonValue]:
    yield from (record.get(name) for name in ("decision", "review", "session", "trace"))
    yield object_of(record, "permit").get("jti")
