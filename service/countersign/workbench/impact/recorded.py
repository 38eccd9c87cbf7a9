"""Recorded decisions as questions that can be put again.

Pure but for reading objects that records name. A record of a Check or Claim
holds what policy was asked, sanitized, and what it said. What it cannot tell is
listed in `unknowns`; what cannot be put again has a reason (`Unreplayed`).
Records are data to judge: whatever has another form than ours is unreadable.
Called by `replay`.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import orjson

from countersign import canonical
from countersign.model import Effect, JsonObject, JsonValue
from countersign.sanitize import Sanitizer, kinds
from countersign.store.protocol import MAX_RECORD_BYTES
from countersign.workbench.impact import quantity
from countersign.workbench.impact.answers import Answer, outermost
from countersign.workbench.impact.unknowns import Path, Unknown, masked_in, placeholders

ReadObject = Callable[[str], bytes | None]
KINDS: Final = ("decision", "claim")
_HEAD: Final = ("actor", "action", "resource", "environment", "session")
_CONTEXT: Final = frozenset({*_HEAD, "arguments", "on_behalf_of", "reason"})
_HASH: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_MAX_REVIEWS: Final = 10_000
"""Whose requirement is remembered for later Checks that reuse them."""
_NEVER_ASKED: Final = frozenset({"context.not_permitted", "requester.unresolved"})
_OVERRULED: Final = frozenset(
    {"sanitizer.incomplete", "audit.not_lockable", "review.unsatisfiable", "directory.stale"}
)
_BELOW_THE_FLOOR: Final = "policy is below the floor"


class Unreplayed(enum.StrEnum):
    """Why a record was not replayed."""

    OTHER_KIND = "other kind"
    NOT_ASKED = "policy was not asked"
    UNAVAILABLE = "policy could not be asked then"
    OVERRULED = "the service refused, whatever policy said"
    PURGED = "what it names is gone"
    UNREADABLE = "not in a form that can be read"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One decision to replay."""

    seq: int
    decision: str
    kind: str
    action: str
    time: str
    revision: str
    input: JsonObject
    """What policy was asked, masked."""
    unknowns: tuple[Unknown, ...]
    names: frozenset[str]
    """Kinds that were masked in it."""
    recorded: Answer

    @property
    def context(self) -> JsonObject:
        context = self.input["context"]
        return context if isinstance(context, dict) else {}


class _GoneError(Exception):
    """An object that a record names is not there, or is another."""


def cases(
    records: Iterable[JsonObject], read_object: ReadObject, sanitizer: Sanitizer
) -> Iterator[Case | Unreplayed]:
    """The decisions in a log, in order. A case waits for the record of its review."""
    waiting: tuple[Case, str] | None = None
    requirements: OrderedDict[str, JsonObject] = OrderedDict()
    for record in records:
        if record.get("kind") == "review.created":
            _remember(requirements, record, read_object)
        if waiting:
            case, review = waiting
            yield _with_requirement(case, requirements.get(review))
            waiting = None
        if record.get("kind") not in KINDS:
            yield Unreplayed.OTHER_KIND
            continue
        found = read(record, read_object, sanitizer)
        review = str(record.get("review", ""))
        if isinstance(found, Case) and found.recorded.requirement is None and review:
            waiting = found, review
        else:
            yield found
    if waiting:
        yield waiting[0]


def _remember(
    requirements: OrderedDict[str, JsonObject], record: JsonObject, read_object: ReadObject
) -> None:
    try:
        demanded = _whole(record, read_object).get("requirement")
    except _GoneError:
        return
    if isinstance(demanded, dict):
        requirements[str(record.get("review", ""))] = demanded
        if len(requirements) > _MAX_REVIEWS:
            requirements.popitem(last=False)


def _with_requirement(case: Case, demanded: JsonObject | None) -> Case:
    # Of a Claim today's requirement is not recorded: policy was asked anew.
    if demanded is None or case.kind != "decision":
        return case
    recorded = dataclasses.replace(case.recorded, requirement=demanded)
    return dataclasses.replace(case, recorded=recorded)


def read(record: JsonObject, read_object: ReadObject, sanitizer: Sanitizer) -> Case | Unreplayed:
    """One record of a decision as a case, or why it is none."""
    policy = record.get("policy")
    if not isinstance(policy, dict):
        return Unreplayed.NOT_ASKED  # a Claim that was no claim of this approval
    answer = _recorded(record, policy)
    if isinstance(answer, Unreplayed):
        return answer
    try:
        return _case(_whole(record, read_object), answer, sanitizer)
    except _GoneError:
        return Unreplayed.PURGED
    except (KeyError, TypeError, ValueError):
        return Unreplayed.UNREADABLE


def _recorded(record: JsonObject, policy: JsonObject) -> Answer | Unreplayed:
    """What policy said, as far as the record tells it from what the service said."""
    effect, reasons = policy.get("effect"), record.get("reasons", [])
    if effect not in {each.value for each in Effect} or not isinstance(reasons, list):
        return Unreplayed.UNREADABLE
    codes = frozenset(str(each.get("code")) for each in reasons if isinstance(each, dict))
    own = record.get("effect") == effect and (record.get("kind") == "decision" or effect == "deny")
    if effect == Effect.DENY.value and own:
        if codes & _NEVER_ASKED or any(code.startswith("evidence.") for code in codes):
            return Unreplayed.NOT_ASKED
        if "policy.unavailable" in codes:
            return Unreplayed.UNAVAILABLE
        if codes & _OVERRULED or any(_is_floor(each) for each in reasons):
            return Unreplayed.OVERRULED
    needs = effect == Effect.NEEDS_APPROVAL.value
    return Answer(
        effect=str(effect), codes=codes if own else None, requirement=None if needs else {}
    )


def _is_floor(reason: JsonValue) -> bool:
    return isinstance(reason, dict) and (
        str(reason.get("message", "")).startswith(_BELOW_THE_FLOOR)
    )


def _case(record: JsonObject, answer: Answer, sanitizer: Sanitizer) -> Case:
    said: Any = record
    policy, findings, report = said["policy"], said["findings"], said["mask_report"]
    if not all(isinstance(each, dict) for each in (said["clean"], policy, findings, report)):
        raise TypeError
    context = {**said["clean"], **{name: said[name] for name in _HEAD if name in said}}
    if frozenset(context) != _CONTEXT or not isinstance(report.get("total", {}), dict):
        raise ValueError
    unknowns = masked_in(context, report)
    quantities, uncertain = quantity.known(context, findings, sanitizer, masked=bool(unknowns))
    names = frozenset(report.get("total", {}))
    masked = outermost(_by_policy(context, (), names))
    return Case(
        seq=int(said["seq"]),
        decision=str(said["decision"]),
        kind=str(said["kind"]),
        action=str(context["action"]),
        time=str(said["time"]),
        revision=str(policy.get("revision", "")),
        input={
            "context": context,
            "findings": {**findings, "quantity": quantities},
            "verified": policy["verified"],
            "approval": policy["approval"],
            "recent": policy["recent"],
            "time": policy["time"],
        },
        unknowns=(*unknowns, *uncertain),
        names=names,
        recorded=dataclasses.replace(answer, masked=masked),
    )


def _by_policy(value: JsonValue, path: Path, names: frozenset[str]) -> Iterator[Path]:
    """Where a record says that policy's own mask lies."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _by_policy(item, (*path, key), names)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _by_policy(item, (*path, index), names)
    elif value == kinds.POLICY.placeholder and placeholders(value, names):
        yield path


def _whole(record: JsonObject, read_object: ReadObject) -> JsonObject:
    """The record with the objects it names in their places. Raises `_GoneError`."""
    clean = record.get("clean")
    if isinstance(clean, dict) and set(clean) == {"object"} and "mask_report" not in record:
        large = _json(_object(clean["object"], read_object))
        return {**record, **large}
    whole, moved = dict(record), 0
    for name, field in record.items():
        if isinstance(field, dict):
            parts = {key: item for key, item in field.items() if _is_named(item)}
            found = {key: _object_of(item, read_object) for key, item in parts.items()}
            if found:
                moved += sum(map(len, found.values()))
                read = {key: orjson.loads(data) for key, data in found.items()}
                whole[name] = {**field, **read}
    # A context may say `{"object": …}` itself: only what was too large has parts elsewhere.
    return whole if moved + len(canonical.encode(record)) > MAX_RECORD_BYTES - 256 else record


def _is_named(item: JsonValue) -> bool:
    return (
        isinstance(item, dict)
        and set(item) == {"object"}
        and isinstance(item["object"], str)
        and _HASH.fullmatch(item["object"]) is not None
    )


def _object_of(item: JsonValue, read_object: ReadObject) -> bytes:
    return _object(item["object"] if isinstance(item, dict) else None, read_object)


def _object(name: JsonValue, read_object: ReadObject) -> bytes:
    if not isinstance(name, str) or not _HASH.fullmatch(name):
        raise _GoneError
    data = read_object(name)
    if data is None or hashlib.sha256(data).hexdigest() != name:
        raise _GoneError
    return data


def _json(data: bytes) -> JsonObject:
    value = orjson.loads(data)
    if not isinstance(value, dict):
        raise _GoneError
    return value
