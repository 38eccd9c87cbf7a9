"""The reference of policy's input and answer, written from the types that judge them.

Pure; called by `scripts/schemas`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from countersign.policy import schema

_HEAD: Final = """# Schemas of policy's input and answer

Written by `scripts/schemas` from the code that judges both; `make lint` finds it out of date.
What the fields mean, with examples, is in [policy input and answer](policy-input.md). The schemas
themselves are [rego/schemas/input.json](../../rego/schemas/input.json), which `countersign policy
check` gives to `opa check --schema`, and
[policy-decision.schema.json](policy-decision.schema.json).

A field that is not listed here is refused: in Rego when the policy is checked, in an answer when
it is decoded. `…[]` is each item of a list.
"""
_RULES: Final = """
Between the fields: `reasons` is not empty when the effect is `deny` or `needs_approval`;
`requirement` is given exactly with `needs_approval`.
"""


def page() -> str:
    """The page, in Markdown."""
    asked = _table(schema.question(), with_default=False)
    said = _table(schema.decision(), with_default=True)
    return f"{_HEAD}\n## Input\n\n{asked}\n## Answer\n\n{said}{_RULES}"


def _table(found: dict[str, Any], *, with_default: bool) -> str:
    last = "Default" if with_default else "Always there"
    lines = [f"| Field | Type | {last} | Meaning |", "|---|---|---|---|"]
    for path, node, required, told in _fields("", found):
        default = _default(node, required=required) if with_default else _there(required=required)
        lines.append(f"| `{path}` | {_type(node)} | {default} | {told} |")
    return "\n".join(lines) + "\n"


def _default(node: dict[str, Any], *, required: bool) -> str:
    return "must be given" if required else f"`{json.dumps(node.get('default'))}`"


def _there(*, required: bool) -> str:
    return "yes" if required else "no"


def _fields(prefix: str, node: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], bool, str]]:
    """Each field below a node: its path, its schema, whether it must be there, its meaning."""
    for name, field in node.get("properties", {}).items():
        path = f"{prefix}{name}"
        yield path, field, name in node.get("required", []), str(field.get("description", ""))
        yield from _below(path, field)


def _below(path: str, field: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], bool, str]]:
    for choice in field.get("anyOf", [field]):
        if "properties" in choice:
            yield from _fields(f"{path}.", choice)
        elif isinstance(choice.get("items"), dict):
            yield from _below(f"{path}[]", choice["items"])


def _type(field: dict[str, Any]) -> str:
    if "anyOf" in field:
        return " or ".join(map(_type, field["anyOf"]))
    if "enum" in field:
        return " or ".join(f"`{json.dumps(each)}`" for each in field["enum"])
    kind = str(field.get("type", "any"))
    words = {"array": "list", "integer": "whole number", "boolean": "truth value"}.get(kind, kind)
    return words + _bounds(field)


def _bounds(field: dict[str, Any]) -> str:
    """`, 1 to 20`, as far as the schema says it."""
    for unit, least, most in (
        ("", "minimum", "maximum"),
        (" items", "minItems", "maxItems"),
        (" characters", "minLength", "maxLength"),
        (" entries", "minProperties", "maxProperties"),
    ):
        low, high = field.get(least), field.get(most)
        if low is not None and high is not None:
            return f", {low} to {high}{unit}"
        if high is not None:
            return f", at most {high}{unit}"
        if low:
            return f", at least {low}{unit}"
    return ""
