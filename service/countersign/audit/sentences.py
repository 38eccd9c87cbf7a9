"""Words for the pieces of a record: what every part of a story is told with.

Pure. Text from outside is printed without control and direction characters,
and in bounds. What is absent is an empty text.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, TypeAlias

from countersign.model import JsonObject, JsonValue

_MAX_TEXT: Final = 300
_UNPRINTABLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})

Fact: TypeAlias = tuple[str, str]
"""What it is about, and what it is."""


def plain(value: JsonValue, max_chars: int = _MAX_TEXT) -> str:
    """A value as one line that cannot move the cursor or hide its end."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    text = "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(char) in _UNPRINTABLE else char
        for char in text[: max_chars + 1]
    )
    return text if len(text) <= max_chars else text[:max_chars] + "…"


def who(record: JsonObject) -> str:
    """Who asked: the actor, and as which caller."""
    name, caller = name_of(object_of(record, "actor")), text_of(record, "caller")
    return f"{name or 'an unnamed actor'} (as caller {caller})" if caller else name or "somebody"


def what(record: JsonObject) -> str:
    """What was asked for, in a phrase."""
    name = name_of(object_of(record, "resource"))
    where = text_of(record, "environment")
    parts = [text_of(record, "action") or "an unnamed action"]
    parts += [f"on {name}"] if name else []
    parts += [f"in {where}"] if where else []
    return " ".join(parts)


def principals(value: JsonValue) -> str:
    """Principals by name."""
    given = value if isinstance(value, list) else []
    return ", ".join(name_of(principal) for principal in given if isinstance(principal, dict))


def name_of(thing: JsonObject) -> str:
    """`type:id` of a principal or resource, as far as it has them."""
    return ":".join(filter(None, (text_of(thing, "type"), text_of(thing, "id"))))


def policy_of(record: JsonObject) -> Iterator[Fact]:
    """What policy said and why."""
    policy = object_of(record, "policy")
    effect = text_of(policy, "effect") or text_of(record, "effect")
    revision = text_of(policy, "revision")
    if not policy:
        yield "policy", "not asked" if effect else ""
    elif effect:
        yield "policy", f"{effect}{f' (revision {revision})' if revision else ''}"
    yield "because", all_coded(record.get("reasons"))


def findings_of(findings: JsonObject) -> Iterator[Fact]:
    """What the sanitizer saw."""
    found = object_of(findings, "entities")
    yield "found", ", ".join(f"{plain(found[kind])} {plain(kind)}" for kind in sorted(found))
    yield "data classes", joined(findings.get("classes"))
    facts = object_of(findings, "facts")
    for name in sorted(facts):
        yield f"fact {plain(name)}", brief(facts[name])
    if findings.get("complete") is False:
        yield "note", "part of the context could not be examined"


def permit_of(record: JsonObject) -> Iterator[Fact]:
    """A permit, if there is one."""
    permit = object_of(record, "permit")
    if permit:
        yield "permit", f"{text_of(permit, 'jti')} for {text_of(permit, 'aud') or 'nobody named'}"
        yield "permit expires", second(permit.get("exp"))


def ballot(vote: JsonObject, shown: set[str]) -> Iterator[Fact]:
    """What a vote rests on."""
    digest = text_of(vote, "preview_hash")
    known = "which this review showed" if digest in shown else "NOT a preview of this story"
    yield "on screen", f"preview {digest} ({text_of(vote, 'profile')}), {known}" if digest else ""
    yield "assurance", text_of(vote, "assurance")
    yield "groups then", joined(vote.get("groups"))
    yield "through channel", text_of(vote, "channel")
    revision, stage = vote.get("revision"), vote.get("stage")
    yield "revision", "" if revision is None else plain(revision)
    yield "stage", "" if not isinstance(stage, int) else str(stage + 1)
    yield "reason given", text_of(vote, "reason")


def standing(record: JsonObject) -> Iterator[Fact]:
    """Where the review stands after it."""
    yield "review is now", text_of(object_of(record, "review_state"), "state")


def stage_line(stage: JsonObject) -> str:
    """Whom a stage asks."""
    eligible = ", ".join(filter(None, (joined(stage.get("groups")), joined(stage.get("people")))))
    return f"{text_of(stage, 'name')}: {plain(stage.get('quorum', 1))} of {eligible or 'nobody'}"


def coded(value: JsonValue) -> str:
    """A code with its message."""
    if not isinstance(value, dict):
        return ""
    return ": ".join(filter(None, (text_of(value, "code"), text_of(value, "message"))))


def all_coded(value: JsonValue) -> str:
    """Codes with their messages."""
    return "; ".join(filter(None, map(coded, value if isinstance(value, list) else ())))


def joined(value: JsonValue) -> str:
    """A list as one line."""
    return ", ".join(map(plain, value)) if isinstance(value, list) else ""


def brief(value: JsonValue) -> str:
    """Any value as one line."""
    return plain(value) if value else ""


def second(value: JsonValue) -> str:
    """Seconds since 1970, as RFC 3339."""
    if not isinstance(value, int) or not 0 <= value < 253_402_300_800:
        return ""
    return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def object_of(record: JsonObject, field: str) -> JsonObject:
    """A field that is an object; empty otherwise."""
    value = record.get(field)
    return value if isinstance(value, dict) else {}


def text_of(record: JsonObject, field: str) -> str:
    """A field that is text; empty otherwise."""
    value = record.get(field)
    return plain(value) if isinstance(value, str) else ""
