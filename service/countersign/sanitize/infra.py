"""What a Terraform plan or a Kubernetes request does, without its values.

Counts, verbs from a list, names of types and kinds; of a namespace only its
class. Nothing in it is taken as harmless that was not read: entries that are
not understood are counted, and only raise the bar. YAML is not read at all.

Pure; called by `facts` with the fields whose names say that they are one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from countersign.model import JsonObject, JsonValue

if TYPE_CHECKING:
    from countersign.sanitize.survey import Field

OTHER: Final = "[OTHER]"
MULTIPLE: Final = "multiple"
_MAX_NAMES: Final = 20
_TYPE: Final = re.compile(r"[a-z][a-z0-9]{0,30}(?:_[a-z0-9]{1,40}){1,9}")
_KIND: Final = re.compile(r"[A-Z][A-Za-z0-9]{1,62}")

# --- Terraform ---------------------------------------------------------------

_ACTIONS: Final = {
    (): "other",
    ("no-op",): "nothing",
    ("read",): "nothing",
    ("create",): "create",
    ("update",): "update",
    ("delete",): "delete",
    ("create", "delete"): "replace",
    ("delete", "create"): "replace",
    ("forget",): "other",
    ("create", "forget"): "other",
}
"""`change.actions` of a plan's JSON output, format 1.x, to what is counted."""
_COUNTED: Final = ("create", "update", "replace", "delete", "other")


def terraform(plans: Sequence[JsonValue], clean: Callable[[str], str]) -> JsonObject:
    """What the `resource_changes` of these plans come to; `unread` for what is none."""
    counts = dict.fromkeys((*_COUNTED, "nothing"), 0)
    types: set[str] = set()
    destroyed: set[str] = set()
    unread = 0
    for plan in plans:
        if not isinstance(plan, list):
            unread += 1
            continue
        for change in plan:
            action, kind = _change(change)
            if action is None:
                unread += 1
                continue
            counts[action] += 1
            if action != "nothing":
                types.add(kind)
            if action in {"replace", "delete", "other"}:
                destroyed.add(kind)
    facts: JsonObject = {"plans": len(plans), "unread": unread}
    facts.update({name: counts[name] for name in _COUNTED})
    _list(facts, "types", types, clean)
    _list(facts, "destroyed", destroyed, clean)
    return facts


def _change(change: JsonValue) -> tuple[str | None, str]:
    """What is done to one resource, and its type; None where it does not say."""
    inner = change.get("change") if isinstance(change, dict) else None
    actions = inner.get("actions") if isinstance(inner, dict) else None
    if not isinstance(change, dict) or not isinstance(actions, list):
        return None, OTHER
    names = tuple(action for action in actions if isinstance(action, str))
    kind = change.get("type")
    plain = isinstance(kind, str) and _TYPE.fullmatch(kind) is not None
    known = _ACTIONS.get(names) if len(names) == len(actions) else None
    return known or "other", str(kind) if plain else OTHER


# --- Kubernetes --------------------------------------------------------------

_VERBS: Final = frozenset(
    """annotate apply autoscale bind cordon create delete deletecollection describe drain escalate
    evict exec expose get impersonate label list logs patch port-forward replace restart rollback
    rollout scale taint uncordon update watch""".split()
)


def kubernetes(fields: Sequence[Field], clean: Callable[[str], str]) -> JsonObject | None:
    """What is asked of a cluster; None where nothing among the arguments says that it is one.

    Every `kind` counts, those that an object refers to as well: more of them
    never make it harmless.
    """
    manifests = [field for field in fields if field.fact == "k8s_manifest"]
    versions = [field for field in fields if field.fact == "k8s_version"]
    named = [field.value for field in fields if field.fact == "k8s_kind"]
    verbs = [field.value for field in fields if field.fact == "k8s_verb"]
    if not manifests and not versions and not (named and verbs):
        return None
    kinds = {
        kind if isinstance(kind, str) and _KIND.fullmatch(kind) is not None else OTHER
        for kind in named
    }
    facts: JsonObject = {
        "objects": len(named),
        "unread": sum(map(_unread, manifests))
        + sum(not isinstance(field.value, str) for field in versions),
    }
    if verbs:
        facts["verb"] = _verb(verbs)
    _list(facts, "kinds", kinds, clean)
    facts["namespaces"] = list[JsonValue](sorted(_namespaces(fields, versions)))
    return facts


def _unread(manifest: Field) -> bool:
    """A text that is no JSON, and so was not walked, may be any manifest."""
    value = manifest.value
    items = value if isinstance(value, list) else [value]
    texts = sum(not isinstance(item, dict) for item in items)
    return texts > sum(leaf.parsed is not None for leaf in manifest.leaves)


def _namespaces(fields: Sequence[Field], versions: Sequence[Field]) -> set[str]:
    """The classes of all namespaces, and whether an object names none of its own."""
    found = {_class(field.value) for field in fields if field.fact == "k8s_namespace"}
    own = {
        id(field.place[0])
        for field in fields
        if field.fact == "k8s_metadata"
        and field.place is not None
        and isinstance(field.value, dict)
        and "namespace" in field.value
    }
    objects = {id(field.place[0]) for field in versions if field.place is not None}
    if objects - own or not found:
        found.add("unstated")
    return found


def _verb(verbs: Sequence[JsonValue]) -> str:
    said = {
        verb.lower() if isinstance(verb, str) and verb.lower() in _VERBS else "other"
        for verb in verbs
    }
    return said.pop() if len(said) == 1 else MULTIPLE


def _class(namespace: JsonValue) -> str:
    if not isinstance(namespace, str) or not namespace:
        return "unreadable"
    if namespace == "default":
        return "default"
    return "system" if namespace.startswith(("kube-", "openshift-")) else "named"


def _list(facts: JsonObject, name: str, found: set[str], clean: Callable[[str], str]) -> None:
    """At most twenty names, first what cannot be told."""
    shown = sorted(
        {clean(each) if each != OTHER else each for each in found},
        key=lambda each: (each != OTHER, each),
    )
    facts[name] = list(shown[:_MAX_NAMES])
    if len(shown) > _MAX_NAMES:
        facts[f"{name}_more"] = len(shown) - _MAX_NAMES
