"""What happened, for an auditor: records of one subject as a readable story.

Pure. Takes records as parsed JSON, in the order of the log, and tells who
asked what, what policy said, what was shown to whom, who voted with what
assurance, what was claimed and how it ended. Kinds and fields it does not know
it passes over or shows as they are: the schema only grows. `tellers` tells one
record, `sentences` its pieces. Called by the command line.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable
from typing import Final

from countersign.audit.sentences import Fact, object_of, plain, text_of
from countersign.audit.tellers import TELLERS, tell_other
from countersign.model import JsonObject

_SUBJECTS: Final = ("review", "decision", "session", "trace")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One record, told."""

    seq: int | None
    time: str
    kind: str
    title: str
    facts: tuple[Fact, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """The entries about one subject, oldest first."""

    subject: str
    entries: tuple[Entry, ...]

    def text(self) -> str:
        """As plain text."""
        lines = [f"Story of {plain(self.subject)}: {len(self.entries)} records", ""]
        for entry in self.entries:
            seq = "?" if entry.seq is None else entry.seq
            lines.append(f"#{seq}  {entry.time}  {entry.kind}")
            lines.append(f"    {entry.title}")
            lines += [f"    {label}: {value}" for label, value in entry.facts]
            lines.append("")
        return "\n".join(lines)

    def json(self) -> JsonObject:
        """As JSON."""
        return {
            "subject": self.subject,
            "entries": [
                {
                    "seq": entry.seq,
                    "time": entry.time,
                    "kind": entry.kind,
                    "title": entry.title,
                    "facts": [{"label": label, "value": value} for label, value in entry.facts],
                }
                for entry in self.entries
            ],
        }


def story(records: Iterable[JsonObject], subject: str) -> Story:
    """Tell the records of a review, decision, permit, session or trace.

    Everything about a review that the subject led to belongs to it. The records
    are gone through twice, and only those that are told are kept.
    """
    reviews = {
        record["review"]
        for record in records
        if isinstance(record.get("review"), str) and _is_about(record, subject)
    }
    chosen = [
        record
        for record in records
        if _is_about(record, subject) or text_of(record, "review") in reviews
    ]
    shown = {
        digest
        for record in chosen
        for digest in object_of(record, "previews").values()
        if isinstance(digest, str)
    }
    return Story(subject=subject, entries=tuple(tell(record, shown) for record in chosen))


def _is_about(record: JsonObject, subject: str) -> bool:
    names = (*(record.get(field) for field in _SUBJECTS), object_of(record, "permit").get("jti"))
    return subject in names


def tell(record: JsonObject, shown: Collection[str] = ()) -> Entry:
    """One record, given the previews its review showed."""
    kind = text_of(record, "kind") or "unknown"
    teller = TELLERS.get(kind, tell_other)
    title, *facts = teller(record, set(shown))
    seq = record.get("seq")
    return Entry(
        seq=seq if isinstance(seq, int) else None,
        time=text_of(record, "time") or "without a time",
        kind=kind,
        title=title[1],
        facts=tuple((label, value) for label, value in facts if value),
    )
