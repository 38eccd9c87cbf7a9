"""How the needs of several rules became one requirement: what each term is because of.

Pure; called by `explaining`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

_LISTED: Final = ("must_show", "exclude", "claim_by")
_DEFAULTS: Final[Mapping[str, Any]] = {
    "approve_within_s": 3600,
    "use_within_s": 300,
    "report_within_s": 900,
    "channel": "",
    "profiles": {"*": "reviewer"},
    "require_reason": False,
    "min_assurance": "channel",
    "durability": "durable",
    "batch": False,
    "break_glass": None,
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One term of the requirement."""

    name: str
    value: str
    """In words."""
    because: tuple[str, ...]
    """Codes of the needs that ask for exactly this."""
    weaker: tuple[str, ...] = ()
    """Codes of needs that ask for less of it."""


def terms(decision: Mapping[str, Any], contributions: Any) -> tuple[Term, ...]:
    """The terms of a decision's requirement that some rule asked for."""
    requirement = decision.get("requirement")
    if not isinstance(requirement, dict):
        return ()
    needs = list(_needs(contributions))
    return (*_stages(requirement, needs), *_others(requirement, needs))


def _needs(contributions: Any) -> Iterator[dict[str, Any]]:
    packages = contributions if isinstance(contributions, dict) else {}
    for sets in packages.values():
        items = sets.get("needs") if isinstance(sets, dict) else None
        for item in items if isinstance(items, list) else ():
            if isinstance(item, dict):
                yield item


def _stages(requirement: dict[str, Any], needs: list[dict[str, Any]]) -> Iterator[Term]:
    for stage in requirement.get("stages", []):
        exact: list[str] = []
        weaker: list[str] = []
        for need in needs:
            for own in need.get("stages", []):
                if _named(own) == _named(stage["approvers"]) and stage["name"].startswith(
                    own.get("name", "")
                ):
                    same = own.get("quorum", 1) == stage["quorum"]
                    (exact if same else weaker).append(str(need.get("code")))
        yield Term(
            name=f"stage {stage['name']}",
            value=f"{stage['quorum']} of {_who(stage['approvers'])}",
            because=_codes(exact),
            weaker=_codes(weaker),
        )


def _named(approvers: Mapping[str, Any]) -> list[list[str]]:
    return [sorted(approvers.get(kind, [])) for kind in ("groups", "people")]


def _who(approvers: Mapping[str, Any]) -> str:
    groups = [f"group {name}" for name in approvers.get("groups", [])]
    return ", ".join([*groups, *approvers.get("people", [])])


def _others(requirement: dict[str, Any], needs: list[dict[str, Any]]) -> Iterator[Term]:
    for name in _LISTED:
        for value in requirement.get(name, []):
            because = [str(need.get("code")) for need in needs if value in need.get(name, [])]
            yield Term(name=name, value=str(value), because=_codes(because))
    for name, default in _DEFAULTS.items():
        value = requirement.get(name, default)
        exact = [str(n.get("code")) for n in needs if name in n and _same(n[name], value)]
        weaker = [str(n.get("code")) for n in needs if name in n and not _same(n[name], value)]
        if value != default or exact:
            shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            yield Term(name=name, value=shown, because=_codes(exact), weaker=_codes(weaker))


def _same(own: Any, value: Any) -> bool:
    """Whether a need's own term is what came out, or a part of it."""
    if isinstance(own, dict) and isinstance(value, dict):
        return all(value.get(key) == each for key, each in own.items() if key in value)
    return bool(own == value)


def _codes(found: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(sorted(found)))
