"""The parts of a context, and which of them may stand as they are.

`action`, `environment` and `resource.type` are identifiers; ids of the registry
stay where they stand as a whole id. Everything else is data. Used by
`sanitizer`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from countersign.model import ActionContext, JsonObject
from countersign.sanitize import kinds, pointers
from countersign.sanitize.mask import Node
from countersign.sanitize.survey import Place, Survey

FREE_TEXT: Final = (("arguments",), ("resource", "attributes"))
"""The parts whose strings the restricted profile hides."""
DATA: Final = (*FREE_TEXT, ("reason",), ("session",))
"""The parts whose size the caller chooses."""
_IDENTIFIER: Final = re.compile(r"[a-z0-9_.-]{1,128}")
_ARGUMENTS: Final[Place] = (None, "arguments")
_ATTRIBUTES: Final[Place] = ((None, "resource"), "attributes")


def walk(
    survey: Survey, context: ActionContext, known: Callable[[str], bool], *, data: bool = True
) -> dict[str, Any]:
    """Walk a context; returns what is never masked, nested like the context.

    Without `data` only the parts that say who and what: not those in `DATA`.
    """
    resource = context.resource
    exempt: dict[str, Any] = {"actor": {}, "resource": {}, "on_behalf_of": {}}

    def identifier(text: str, place: Place, at: dict[str, Any], key: str) -> None:
        if _IDENTIFIER.fullmatch(text):
            at[key] = True
        else:
            survey.add(text, place)

    def subject(text: str, place: Place, at: dict[str, Any], key: str) -> None:
        if text and known(text):
            at[key] = True
        else:
            survey.add(text, place)

    identifier(context.action, (None, "action"), exempt, "action")
    identifier(context.environment, (None, "environment"), exempt, "environment")
    in_resource: Place = (None, "resource")
    identifier(resource.type, (in_resource, "type"), exempt["resource"], "type")
    subject(resource.owner, (in_resource, "owner"), exempt["resource"], "owner")
    survey.add(resource.id, (in_resource, "id"))
    in_actor: Place = (None, "actor")
    subject(context.actor.id, (in_actor, "id"), exempt["actor"], "id")
    survey.add(context.actor.type, (in_actor, "type"))
    for index, principal in enumerate(context.on_behalf_of):
        at = exempt["on_behalf_of"].setdefault(str(index), {})
        place: Place = ((None, "on_behalf_of"), index)
        subject(principal.id, (place, "id"), at, "id")
        survey.add(principal.type, (place, "type"))
    if data:
        survey.add(context.reason, (None, "reason"))
        survey.add(context.session, (None, "session"))
        survey.add(resource.attributes, _ATTRIBUTES, parent=resource.type)
        survey.add_arguments(context.arguments, _ARGUMENTS)
    return exempt


def exempt_ids(context: ActionContext, exempt: Mapping[str, Any]) -> list[bytes]:
    """The registered ids that stay, one for each place where they do."""
    ids = [context.actor.id] if "id" in exempt["actor"] else []
    if "owner" in exempt["resource"]:
        ids.append(context.resource.owner)
    people = exempt["on_behalf_of"]
    ids += [p.id for i, p in enumerate(context.on_behalf_of) if "id" in people[str(i)]]
    return [name.encode("utf-8", "replace") for name in ids]


def covers(raw: JsonObject, policy_mask: Sequence[str]) -> Node | None:
    """Everything policy wants masked, as a tree."""
    if not policy_mask:
        return None
    root = Node()
    for pointer in policy_mask:
        path = pointers.parse(pointer)
        for found in pointers.matches(raw, path) if path else ():
            root.down(found).cover = kinds.POLICY
    return root


def dark() -> JsonObject:
    """A context of which nothing is shown."""
    names = ("action", "actor", "arguments", "environment", "on_behalf_of", "reason", "resource")
    return dict.fromkeys((*names, "session"), kinds.UNREADABLE.placeholder)
