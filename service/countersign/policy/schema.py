"""JSON Schemas of what policy is asked and what it may answer, from the code that judges both.

OPA's type checker follows no `$ref` out of a file and no remote one, so the
schemas are written out in full. Pure; called by `scripts/schemas` and by the
author's tools.
"""

from __future__ import annotations

import json
from typing import Any, Final

from countersign.policy.contract import decision_schema
from countersign.policy.question import QUESTION

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_DROPPED: Final = ("title", "$defs")


def question() -> dict[str, Any]:
    """Of `input`. Unknown keys are refused; `arguments` and `attributes` are open."""
    return _whole("Policy input", QUESTION.json_schema())


def decision() -> dict[str, Any]:
    """Of `data.countersign.decision`. The contract knows rules beyond it: see `contract`."""
    return _whole("Policy decision", decision_schema())


def text(schema: dict[str, Any]) -> str:
    """As it is written to a file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _whole(title: str, found: dict[str, Any]) -> dict[str, Any]:
    inlined = _inlined(found, found.get("$defs", {}))
    return {"$schema": _DIALECT, "title": title, **inlined}


def _inlined(node: Any, definitions: dict[str, Any]) -> Any:
    """The same schema without references, and without what only the code needs."""
    if isinstance(node, list):
        return [_inlined(each, definitions) for each in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        named = definitions[node["$ref"].rpartition("/")[2]]
        node = {**named, **{key: value for key, value in node.items() if key != "$ref"}}
    if isinstance(node.get("pattern"), str):
        # Python's anchors; JSON Schema has those of ECMA 262.
        node = {**node, "pattern": node["pattern"].replace(r"\A", "^").replace(r"\z", "$")}
    return {
        key: _properties(value, definitions)
        if key == "properties"
        else _inlined(value, definitions)
        for key, value in node.items()
        if key not in _DROPPED
    }


def _properties(fields: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Fields may be called as words of the schema are, `title` among them."""
    return {name: _inlined(value, definitions) for name, value in fields.items()}
