"""What a rule set finds and how it shows it, and whether another one is weaker.

A manifest holds ids, types, classes and actions, and of an operator's words,
examples and allowed values only hashes: it is kept in the store. An expression
cannot be compared, so its examples are: as long as all of them stay, each of
them is still found. Pure; called by `sanitizer` and at the start of the service.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from countersign.model import JsonObject, JsonValue
from countersign.sanitize import kinds
from countersign.sanitize.custom import CustomRules
from countersign.sanitize.kinds import Kind
from countersign.sanitize.recognized import Recognizers
from countersign.sanitize.rules.rule import Rule

_STRICTNESS: Final = {"drop": 3, "mask": 2, "tag": 1, "partly": 0}
_SHOWN: Final = 20
"""Of what is weaker; the rest is counted."""


def build(
    ruleset: str,
    rules: Sequence[Rule],
    custom: CustomRules,
    recognizers: Recognizers | None = None,
) -> JsonObject:
    """The manifest of a rule set."""
    table = custom.table
    own: dict[str, JsonValue] = {
        entry["id"]: {
            "type": entry["type"],
            "regex": "regex" in entry,
            **{part: _hashes(entry.get(part, ())) for part in ("keys", "words", "examples")},
        }
        for entry in table.get("rules", ())
    }
    shown = {**kinds.ENTITIES, **custom.kinds}
    allow = table.get("allow", {})
    return {
        "ruleset": ruleset,
        "rules": list[JsonValue](
            sorted({rule.id for rule in rules} - {rule.id for rule in custom.rules})
        ),
        "custom": own,
        "entities": {name: _entity(kind) for name, kind in sorted(shown.items())},
        "allow": {part: _hashes(allow.get(part, ())) for part in ("keys", "values")},
        "recognized": _recognized(recognizers) if recognizers else {},
    }


def _recognized(recognizers: Recognizers) -> JsonObject:
    reach = "all" if recognizers.every_text else "prose"
    return {kind.name: reach for kind in recognizers.kinds}


def _hashes(values: Sequence[str]) -> list[JsonValue]:
    hashes = {hashlib.sha256(value.encode()).hexdigest()[:16] for value in values}
    return list[JsonValue](sorted(hashes))


def _entity(kind: Kind) -> JsonObject:
    return {"action": _action(kind), "classes": list[JsonValue](sorted(kind.classes))}


def _action(kind: Kind) -> str:
    if kind.whole:
        return "drop"
    if kind.partly is not None:
        return "partly"
    return "tag" if kind.tagged else "mask"


def weaker(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What the rule set before found or hid and this one does not; no values."""
    gone = [f"rule {each} is gone" for each in before["rules"] if each not in now["rules"]]
    for name, old in before["entities"].items():
        gone += _of_entity(name, old, now["entities"].get(name))
    for name, old in before["custom"].items():
        new = now["custom"].get(name)
        gone += _of_rule(name, old, new) if new else [f"rule {name} is gone"]
    for name, reach in before.get("recognized", {}).items():
        gone += _of_recognized(name, reach, now["recognized"].get(name))
    for part, allowed in now["allow"].items():
        added = set(allowed) - set(before["allow"][part])
        gone += [f"allow.{part}: {len(added)} added"] if added else []
    gone = list(dict.fromkeys(gone))
    return gone if len(gone) <= _SHOWN else [*gone[:_SHOWN], f"{len(gone) - _SHOWN} more"]


def _of_entity(name: str, old: Mapping[str, Any], new: Mapping[str, Any] | None) -> list[str]:
    if new is None:
        return [f"entity {name} is gone"]
    found = []
    if _STRICTNESS[new["action"]] < _STRICTNESS[old["action"]]:
        found.append(f"entity {name} shows more: {new['action']}, it was {old['action']}")
    lost = sorted(set(old["classes"]) - set(new["classes"]))
    return found + [f"entity {name} is no {each} any more" for each in lost]


def _of_recognized(name: str, old: str, new: str | None) -> list[str]:
    if new is None:
        return [f"no recognizer looks for {name} any more"]
    return [f"recognizers look for {name} in prose only"] if old == "all" and new != old else []


def _of_rule(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    found = []
    if old["type"] != new["type"]:
        found.append(f"rule {name} finds {new['type']}, no {old['type']}")
    if old["regex"] and not new["regex"]:
        found.append(f"rule {name} has no regex any more")
    for part in ("keys", "words", "examples"):
        lost = set(old[part]) - set(new[part])
        found += [f"rule {name}: {len(lost)} of its {part} gone"] if lost else []
    return found
