"""What happened, for an auditor: records of one subject as a readable story.

Pure. Takes records as parsed JSON, in the order of the log, and tells who
asked what, what policy said, what was shown to whom, who voted with what
assurance, what was claimed and how it ended. Kinds and fields it does not know
it passes over or shows as they are: the schema only grows. Records hold
sanitized text, but text from outside all the same: it is printed without
control and direction characters. Called by the command line.
"""

from __future__ import annotations

import dataclasses
import json
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from countersign.model import JsonObject, JsonValue

_MAX_TEXT: Final = 300
_UNPRINTABLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_SUBJECTS: Final = ("review", "decision", "session", "trace")

Fact = tuple[str, str]
"""What it is about, and what it is."""


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


def story(records: Sequence[JsonObject], subject: str) -> Story:
    """Tell the records of a review, decision, permit, session or trace.

    Everything about a review that the subject led to belongs to it.
    """
    direct = [record for record in records if _is_about(record, subject)]
    reviews = {record["review"] for record in direct if isinstance(record.get("review"), str)}
    chosen = [
        record
        for record in records
        if _is_about(record, subject) or _text(record, "review") in reviews
    ]
    shown = {
        digest
        for record in chosen
        for digest in _object(record, "previews").values()
        if isinstance(digest, str)
    }
    return Story(subject=subject, entries=tuple(_entry(record, shown) for record in chosen))


def _is_about(record: JsonObject, subject: str) -> bool:
    names = (*(record.get(field) for field in _SUBJECTS), _object(record, "permit").get("jti"))
    return subject in names


def plain(value: JsonValue, max_chars: int = _MAX_TEXT) -> str:
    """A value as one line that cannot move the cursor or hide its end."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    text = "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(char) in _UNPRINTABLE else char
        for char in text[: max_chars + 1]
    )
    return text if len(text) <= max_chars else text[:max_chars] + "…"


# --- one record ---


def _entry(record: JsonObject, shown: set[str]) -> Entry:
    kind = _text(record, "kind") or "unknown"
    teller = _TELLERS.get(kind, _tell_other)
    title, *facts = teller(record, shown)
    seq = record.get("seq")
    return Entry(
        seq=seq if isinstance(seq, int) else None,
        time=_text(record, "time") or "without a time",
        kind=kind,
        title=title[1],
        facts=tuple((label, value) for label, value in facts if value),
    )


_Teller = Callable[[JsonObject, set[str]], Iterator[Fact]]
"""The first fact is the title."""


def _tell_decision(record: JsonObject, _shown: set[str]) -> Iterator[Fact]:
    yield "", f"{_who(record)} asked to {_what(record)}"
    yield "on behalf of", _principals(_object(record, "clean").get("on_behalf_of"))
    yield from _policy(record)
    yield "reason given", _text(_object(record, "clean"), "reason")
    yield "excluded from deciding", _joined(_object(record, "chain").get("excluded"))
    yield from _findings(_object(record, "findings"))
    yield "commitment", _text(record, "commitment")
    yield "review", _text(record, "review")
    yield from _permit(record)


def _tell_created(record: JsonObject, _shown: set[str]) -> Iterator[Fact]:
    yield "", f"review {_text(record, 'review')} was opened"
    state = _object(record, "review_state")
    stages = _object(record, "requirement").get("stages") or state.get("stages")
    for number, stage in enumerate(stages if isinstance(stages, list) else (), 1):
        if isinstance(stage, dict):
            yield f"stage {number}", _stage(stage)
    for profile, digest in _object(record, "previews").items():
        yield f"shown to {plain(profile)}", f"preview {plain(digest)}"
    yield "approve by", _text(state, "approve_by")


def _tell_updated(record: JsonObject, _shown: set[str]) -> Iterator[Fact]:
    question = _object(record, "question")
    if "answer" in question or "answer" in record:
        answer = question.get("answer", record.get("answer"))
        yield "", f"the requester answered: {plain(answer)}"
    elif question:
        text = question.get("text", question.get("question", ""))
        yield "", f"{_text(question, 'asked_by') or 'somebody'} asked: {plain(text)}"
    else:
        yield "", "the review changed"
    yield from _standing(record)


def _tell_vote(record: JsonObject, shown: set[str]) -> Iterator[Fact]:
    vote = _object(record, "vote")
    verb = {"approve": "approved", "deny": "denied"}.get(_text(vote, "choice"), "voted")
    yield "", f"{_text(vote, 'person') or 'somebody'} {verb}"
    yield from _ballot(vote, shown)
    yield from _standing(record)


def _tell_refused(record: JsonObject, shown: set[str]) -> Iterator[Fact]:
    vote, refusal = _object(record, "vote"), _object(record, "refusal")
    tried = {"approve": "to approve", "deny": "to deny"}.get(_text(vote, "choice"), "to act")
    yield "", f"{_text(vote, 'person') or 'somebody'} tried {tried} and was refused"
    yield "refused because", _coded(refusal)
    yield from _ballot(vote, shown)


def _tell_closed(record: JsonObject, _shown: set[str]) -> Iterator[Fact]:
    state = _object(record, "review_state")
    yield "", f"the review ended: {_text(state, 'state') or 'unknown state'}"
    yield "because", _all_coded(state.get("reasons"))
    revocation = _object(record, "revocation")
    yield "revoked by", _text(revocation, "person")
    yield "reason given", _text(revocation, "reason")
    yield "superseded by", _text(state, "superseded_by")


def _tell_claim(record: JsonObject, _shown: set[str]) -> Iterator[Fact]:
    granted = record.get("effect") == "allow"
    yield (
        "",
        f"{_text(record, 'caller')} claimed the approval: {'granted' if granted else 'refused'}",
    )
    yield from _policy(record)
    yield from _permit(record)
    yield from _standing(record)


def _tell_outcome(record: JsonObject, _shown: set[str]) -> Iterator[Fact]:
    outcome = _object(record, "outcome")
    ended = _text(outcome, "outcome") or _text(_object(record, "review_state"), "outcome")
    told = f"{_text(record, 'caller')} reported" if outcome else "no report came in time"
    yield "", f"{told}: {ended or 'unknown outcome'}"
    yield "detail", _brief(outcome.get("detail"))
    yield "permit", _text(_object(record, "permit"), "jti")


def _tell_other(record: JsonObject, _shown: set[str]) -> Iterator[Fact]:
    yield "", _text(record, "kind") or "a record of unknown kind"
    change = record.get("change")
    yield "change", _brief(change)


_TELLERS: Final[dict[str, _Teller]] = {
    "decision": _tell_decision,
    "review.created": _tell_created,
    "review.updated": _tell_updated,
    "vote": _tell_vote,
    "vote.refused": _tell_refused,
    "review.closed": _tell_closed,
    "claim": _tell_claim,
    "outcome": _tell_outcome,
}


# --- pieces of sentences ---


def _who(record: JsonObject) -> str:
    name, caller = _name(_object(record, "actor")), _text(record, "caller")
    return f"{name or 'an unnamed actor'} (as caller {caller})" if caller else name or "somebody"


def _what(record: JsonObject) -> str:
    name = _name(_object(record, "resource"))
    where = _text(record, "environment")
    parts = [_text(record, "action") or "an unnamed action"]
    parts += [f"on {name}"] if name else []
    parts += [f"in {where}"] if where else []
    return " ".join(parts)


def _principals(value: JsonValue) -> str:
    given = value if isinstance(value, list) else []
    return ", ".join(_name(principal) for principal in given if isinstance(principal, dict))


def _name(thing: JsonObject) -> str:
    """`type:id` of a principal or resource, as far as it has them."""
    return ":".join(filter(None, (_text(thing, "type"), _text(thing, "id"))))


def _policy(record: JsonObject) -> Iterator[Fact]:
    policy = _object(record, "policy")
    effect = _text(policy, "effect") or _text(record, "effect")
    revision = _text(policy, "revision")
    if not policy:
        yield "policy", "not asked" if effect else ""
    elif effect:
        yield "policy", f"{effect}{f' (revision {revision})' if revision else ''}"
    yield "because", _all_coded(record.get("reasons"))


def _findings(findings: JsonObject) -> Iterator[Fact]:
    found = _object(findings, "entities")
    yield "found", ", ".join(f"{plain(found[kind])} {plain(kind)}" for kind in sorted(found))
    yield "data classes", _joined(findings.get("classes"))
    facts = _object(findings, "facts")
    for name in sorted(facts):
        yield f"fact {plain(name)}", _brief(facts[name])
    if findings.get("complete") is False:
        yield "note", "part of the context could not be examined"


def _permit(record: JsonObject) -> Iterator[Fact]:
    permit = _object(record, "permit")
    if permit:
        yield "permit", f"{_text(permit, 'jti')} for {_text(permit, 'aud') or 'nobody named'}"
        yield "permit expires", _second(permit.get("exp"))


def _ballot(vote: JsonObject, shown: set[str]) -> Iterator[Fact]:
    digest = _text(vote, "preview_hash")
    known = "which this review showed" if digest in shown else "NOT a preview of this story"
    yield "on screen", f"preview {digest} ({_text(vote, 'profile')}), {known}" if digest else ""
    yield "assurance", _text(vote, "assurance")
    revision, stage = vote.get("revision"), vote.get("stage")
    yield "revision", "" if revision is None else plain(revision)
    yield "stage", "" if not isinstance(stage, int) else str(stage + 1)
    yield "reason given", _text(vote, "reason")


def _standing(record: JsonObject) -> Iterator[Fact]:
    yield "review is now", _text(_object(record, "review_state"), "state")


def _stage(stage: JsonObject) -> str:
    eligible = ", ".join(filter(None, (_joined(stage.get("groups")), _joined(stage.get("people")))))
    return f"{_text(stage, 'name')}: {plain(stage.get('quorum', 1))} of {eligible or 'nobody'}"


def _coded(value: JsonValue) -> str:
    if not isinstance(value, dict):
        return ""
    return ": ".join(filter(None, (_text(value, "code"), _text(value, "message"))))


def _all_coded(value: JsonValue) -> str:
    return "; ".join(filter(None, map(_coded, value if isinstance(value, list) else ())))


def _joined(value: JsonValue) -> str:
    return ", ".join(map(plain, value)) if isinstance(value, list) else ""


def _brief(value: JsonValue) -> str:
    return plain(value) if value else ""


def _second(value: JsonValue) -> str:
    if not isinstance(value, int) or not 0 <= value < 253_402_300_800:
        return ""
    return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _object(record: JsonObject, field: str) -> JsonObject:
    value = record.get(field)
    return value if isinstance(value, dict) else {}


def _text(record: JsonObject, field: str) -> str:
    value = record.get(field)
    return plain(value) if isinstance(value, str) else ""
