"""What policy was asked, from a record of the log, as far as the record still says it.

Records are sanitized: what is masked in them, and the exact quantities, are not
what policy saw. Such pointers are named, so that nobody takes a guess for the
answer. Pure; called by the command line.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Final

from countersign.model import JsonObject
from countersign.workbench.plain import PLAIN, union

_HEAD: Final = ("action", "actor", "environment", "resource", "session")
_KINDS: Final = ("decision", "claim")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A question as a record has it."""

    question: JsonObject = dataclasses.field(repr=False)
    unknown: tuple[str, ...]
    """Pointers into it that are not what policy saw."""
    revision: str
    """Of the policy that decided."""
    effect: str
    seq: int


def recorded(record: JsonObject) -> Recorded | None:
    """The question of a decision or a claim; None for a record that holds none."""
    policy, clean, findings = (record.get(key) for key in ("policy", "clean", "findings"))
    if record.get("kind") not in _KINDS or not isinstance(policy, dict):
        return None
    if not isinstance(clean, dict) or "object" in clean or not isinstance(findings, dict):
        return None
    head: JsonObject = {name: record[name] for name in _HEAD if name in record}
    context: Any = union({**_empty(), "reason": ""}, {**head, **clean})
    report: Any = record.get("mask_report") or {}
    masked = [f"/context{each['pointer']}" for each in report.get("masked", [])]
    question: JsonObject = {
        "context": context,
        "findings": {**findings, "quantity": _at_least(findings)},
        "verified": policy["verified"],
        "approval": policy.get("approval"),
        "recent": policy["recent"],
        "time": policy["time"],
    }
    seq: Any = record.get("seq", -1)
    return Recorded(
        question=question,
        unknown=(*dict.fromkeys(masked), "/findings/quantity"),
        revision=str(policy.get("revision", "")),
        effect=str(policy.get("effect") or record.get("effect") or ""),
        seq=seq,
    )


def _empty() -> JsonObject:
    plain: Any = PLAIN["context"]
    return {
        **plain,
        "session": "",
        "resource": {"type": "", "id": "", "owner": "", "attributes": {}},
    }


def _at_least(findings: JsonObject) -> JsonObject:
    """The least that the facts allow: the numbers themselves are in no record."""
    facts: Any = findings.get("facts") or {}
    return {name: facts.get(name, {}).get("at_least", 0) for name in ("rows", "amount")}
