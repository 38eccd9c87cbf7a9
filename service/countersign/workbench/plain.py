"""A plain question that decision tables and contexts are completed to.

The same one as `rego/countersign/testing.rego` builds for tests in Rego: a first
Check by a workload in production, on a Wednesday at noon. Pure.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import Any, Final, cast

from pydantic import TypeAdapter, ValidationError

from countersign.model import ActionContext, JsonObject, JsonValue, Principal, Resource
from countersign.policy.question import QUESTION, Context
from countersign.sanitize import Sanitizer

PLAIN_TIME: Final = "2026-11-25T12:00:00.000000Z"
_QUIET: Final[JsonObject] = dict.fromkeys(
    ("checks", "allow", "deny", "needs_approval", "claimed", "rows", "amount"), 0
)
PLAIN: Final[JsonObject] = {
    "context": {
        "action": "example.act",
        "actor": {"type": "workload", "id": "agent"},
        "arguments": {},
        "environment": "production",
        "on_behalf_of": [],
        "reason": "",
        "resource": {"type": "thing", "id": "thing-1", "owner": "", "attributes": {}},
        "session": "",
    },
    "verified": {
        "tenant": "acme",
        "caller": "agent",
        "owners": ["person-owner"],
        "users": [],
        "parent": None,
        "person": None,
        "claimant": None,
    },
    "approval": None,
    "recent": {"hour": _QUIET, "day": _QUIET},
    "time": PLAIN_TIME,
}
APPROVED: Final[JsonObject] = {
    "review": "rev_1",
    "revision": 1,
    "approved_at": "2026-11-25T11:59:00.000000Z",
    "votes": [
        {
            "person": "person-reviewer",
            "choice": "approve",
            "assurance": "channel",
            "groups": [],
            "at": "2026-11-25T11:59:00.000000Z",
        }
    ],
}
"""What an approval is merged over."""
_CONTEXT: Final = TypeAdapter(Context)
_PROBLEMS: Final = {
    "extra_forbidden": "unknown key",
    "missing": "must be given",
    "string_type": "must be a text",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be an object",
}


def union(under: JsonValue, over: JsonValue) -> JsonValue:
    """Objects merged at every depth, of everything else the one above: Rego's `object.union`."""
    if isinstance(under, dict) and isinstance(over, dict):
        both = {key: union(under[key], over[key]) for key in under.keys() & over.keys()}
        return {**under, **over, **both}
    return over


class QuestionError(ValueError):
    """A field of a question is wrong: which one, and how. Quotes keys, never values."""

    def __init__(self, place: tuple[str | int, ...], problem: str) -> None:
        super().__init__(f"{'.'.join(map(str, place))}: {problem}")
        self.place = place
        self.problem = problem


def question(given: JsonObject, sanitizer: Sanitizer) -> JsonObject:
    """The whole question for the fields that are given.

    Findings are computed from the context as the service does it, then those given
    are merged over them. Raises `QuestionError` for what no question has.
    """
    plain = copy.deepcopy(PLAIN)
    if isinstance(given.get("approval"), dict):
        plain["approval"] = copy.deepcopy(APPROVED)
    whole: Any = union(plain, {key: value for key, value in given.items() if key != "findings"})
    with _placed("context"):
        context = _CONTEXT.validate_python(whole["context"])
    findings = sanitizer.detect(context_of(context), known=lambda _name: False)
    whole["findings"] = union(findings.to_policy(), given.get("findings", {}))
    with _placed():
        _ = QUESTION.validate_python(whole)
    return cast(JsonObject, whole)


def context_of(found: Context) -> ActionContext:
    """A context in the form that OPA sees, as the detector takes it."""
    resource = found["resource"]
    return ActionContext(
        actor=Principal(type=found["actor"]["type"], id=found["actor"]["id"]),
        on_behalf_of=tuple(
            Principal(type=each["type"], id=each["id"]) for each in found["on_behalf_of"]
        ),
        action=found["action"],
        resource=Resource(
            type=resource["type"],
            id=resource["id"],
            owner=resource["owner"],
            attributes=resource["attributes"],
        ),
        environment=found["environment"],
        arguments=found["arguments"],
        reason=found["reason"],
        session=found["session"],
    )


@contextlib.contextmanager
def _placed(*prefix: str) -> Iterator[None]:
    """The first thing that a type finds wrong, as a `QuestionError`."""
    try:
        yield
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)[0]
    else:
        return
    problem = _PROBLEMS.get(found["type"], found["msg"].replace("Input should", "must"))
    raise QuestionError((*prefix, *found["loc"]), problem)
