"""How much a recorded context added: exactly where that is certain, else between bounds.

Policy is told exact numbers (`findings.quantity`); records hold the power of
ten. Where nothing of the context was masked, the detector counts again what is
there and must come to what was recorded; otherwise the recorded bucket bounds
the number. Called by `recorded`.
"""

from __future__ import annotations

from typing import Any, Final

from countersign.model import ActionContext, JsonObject, Principal, Resource
from countersign.sanitize import Sanitizer
from countersign.sanitize.quantities import MAX_QUANTITY
from countersign.workbench.impact.unknowns import Sort, Unknown

_BUCKETS: Final = {
    "0": (0, 0),
    "1-9": (1, 9),
    "10-99": (10, 99),
    "100-999": (100, 999),
    "1k-10k": (1_000, 9_999),
    "10k-100k": (10_000, 99_999),
    "100k-1M": (100_000, 999_999),
    "1M+": (1_000_000, MAX_QUANTITY),
}
NAMES: Final = ("rows", "amount")


def bounds(findings: JsonObject, name: str) -> tuple[int, int]:
    """What `findings.quantity` of this name can have been, by the recorded facts."""
    facts = findings.get("facts")
    if findings.get("complete") is not True or not isinstance(facts, dict):
        return 0, MAX_QUANTITY
    if name not in facts:
        return 0, 0
    fact = facts[name]
    bucket = fact.get("bucket") if isinstance(fact, dict) else None
    return _BUCKETS.get(bucket, (0, MAX_QUANTITY)) if isinstance(bucket, str) else (0, MAX_QUANTITY)


def known(
    context: JsonObject, findings: JsonObject, sanitizer: Sanitizer, *, masked: bool
) -> tuple[JsonObject, list[Unknown]]:
    """`findings.quantity` as policy is told it, and which parts of it are not certain."""
    limits = {name: bounds(findings, name) for name in NAMES}
    exact = {name: least for name, (least, most) in limits.items() if least == most}
    if len(exact) < len(NAMES) and not masked:
        exact.update(_counted(context, findings, sanitizer))
    unknown = [
        Unknown(path=("findings", "quantity", name), sort=Sort.NUMBER, least=least, most=most)
        for name, (least, most) in limits.items()
        if name not in exact
    ]
    return {name: exact.get(name, limits[name][0]) for name in NAMES}, unknown


def _counted(context: JsonObject, findings: JsonObject, sanitizer: Sanitizer) -> dict[str, int]:
    """What the detector counts in a context that nothing was masked in."""
    try:
        found = sanitizer.detect(_parsed(context), known=lambda _name: False)
    except (KeyError, TypeError, ValueError):
        return {}
    facts = findings.get("facts")
    said = facts if isinstance(facts, dict) else {}
    again = found.quantity.to_json()
    return {
        name: int(str(again[name]))
        for name in NAMES
        if found.complete and found.facts.get(name) == said.get(name)
    }


def _parsed(context: JsonObject) -> ActionContext:
    """A recorded context as the detector takes it. Raises when it has another form."""
    said: Any = context
    resource = said["resource"]
    return ActionContext(
        actor=Principal(type=said["actor"]["type"], id=said["actor"]["id"]),
        on_behalf_of=tuple(
            Principal(type=each["type"], id=each["id"]) for each in said["on_behalf_of"]
        ),
        action=said["action"],
        resource=Resource(
            type=resource["type"],
            id=resource["id"],
            owner=resource["owner"],
            attributes=resource["attributes"],
        ),
        environment=said["environment"],
        arguments=said["arguments"],
        reason=said["reason"],
        session=said["session"],
    )
