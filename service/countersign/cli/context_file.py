"""The action context as a JSON file: read strictly, nothing guessed.

What a message says starts with the file and the place in it, and never quotes
a value. Called by the verbs of `agent.py`; docs/reference/action-context.md is
the format.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from countersign.canonical import StrictJsonError, parse_object
from countersign.client import Context, InvalidContext, Person, Resource, Workload
from countersign.client.principals import External, Principal
from countersign.errors import ConfigurationError

KEYS: Final = frozenset(
    "action actor arguments environment on_behalf_of reason resource session".split()
)
RESOURCE_KEYS: Final = frozenset("attributes id owner type".split())
_KINDS: Final[dict[str, type[Person | Workload | External]]] = {
    kind.type: kind for kind in (Person, Workload, External)
}


def read_context(path: Path) -> Context:
    """A context from a JSON file. Raises `ConfigurationError` or `InvalidContext`."""
    try:
        data: Any = parse_object(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(
            "context.unreadable",
            f"{path}: {error.strerror}",
            advice="Name a JSON file; docs/reference/action-context.md shows one.",
        ) from None
    except StrictJsonError as error:
        raise InvalidContext(_place(path, error.pointer), error.problem) from None
    try:
        return _context(data)
    except InvalidContext as error:
        raise InvalidContext(_place(path, error.field), error.problem) from None


def _place(path: Path, field: str) -> str:
    return f"{path}: {field}" if field else str(path)


def _context(data: Mapping[str, Any]) -> Context:
    _only("", data, KEYS)
    resource = data.get("resource")
    if not isinstance(resource, dict):
        raise InvalidContext("resource", "must be an object with type and id")
    _only("resource", resource, RESOURCE_KEYS)
    behind = data.get("on_behalf_of", [])
    if not isinstance(behind, list):
        raise InvalidContext("on_behalf_of", "must be a list of principals")
    actor = data.get("actor", "")
    return Context(
        action=data.get("action", ""),
        actor=Workload(actor) if isinstance(actor, str) else _principal("actor", actor),
        arguments=data.get("arguments", {}),
        environment=data.get("environment", ""),
        on_behalf_of=[
            _principal(f"on_behalf_of[{index}]", item) for index, item in enumerate(behind)
        ],
        reason=data.get("reason", ""),
        resource=Resource(
            resource.get("type", ""),
            resource.get("id", ""),
            owner=resource.get("owner", ""),
            attributes=resource.get("attributes", {}),
        ),
        session=data.get("session", ""),
    )


def _only(field: str, found: Mapping[str, Any], known: frozenset[str]) -> None:
    if set(found) - known:
        problem = f"has a key that is none of: {', '.join(sorted(known))}"
        raise InvalidContext(field or "the context", problem)


def _principal(field: str, value: object) -> Principal:
    """A type is never guessed: a person taken for a workload would not have to be known."""
    match value:
        case {"type": str(kind), "id": str(name), **more} if kind in _KINDS and not more:
            return _KINDS[kind](name)
        case {"evidence": _}:
            raise InvalidContext(field, "holds evidence, which is not kept; use --evidence-file")
    raise InvalidContext(field, 'must be {"type": "person", "workload" or "external", "id": …}')
