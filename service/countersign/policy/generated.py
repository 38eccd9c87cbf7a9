"""Questions made up to try a policy with: the same ones for the same policy and seed.

They keep to the type `Question`, and take their values from what the policy
itself mentions (actions, classes, names of arguments, thresholds and what lies
just beside them), so that every rule is likely to be reached. Pure; called by
`probing`.
"""

from __future__ import annotations

import dataclasses
import random
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from countersign.policy.syntax import Module

CLASSES: Final = (
    *("contact", "financial", "government_id", "health", "network", "personal", "secret"),
)
_ENVIRONMENTS: Final = ("dev", "staging", "production", "elsewhere")
_VERBS: Final = (
    *("select", "insert", "update", "delete", "merge", "drop", "alter", "create", "truncate"),
    *("grant", "other", "multiple"),
)
_PREDICATES: Final = ("by_key", "range", "none", "always_true", "other")
_PROGRAMS: Final = ("cat", "grep", "rm", "sudo", "kubectl", "terraform", "[OTHER]")
_FLAGS: Final = ("-rf", "--force", "-l", "--hard")
_NUMBERS: Final = (0, 1, 9, 10, 100, 999, 1000, 10_000, 100_000, 1_000_000, 2**53 - 1)
_ACTION: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)+")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,40}")
_MAX_QUANTITY: Final = 2**53 - 1
_UNKNOWN_ACTION: Final = "nobody.knows"
_NOON: Final = "2026-11-25T12:00:00.000000Z"
"""A Wednesday."""
_TIMES: Final = (_NOON, "2026-11-25T02:30:00.000000Z", "2026-11-28T12:00:00.000000Z")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """What a policy mentions. Sorted, so that a seed means the same everywhere."""

    actions: tuple[str, ...]
    environments: tuple[str, ...]
    texts: tuple[str, ...]
    numbers: tuple[int, ...]
    arguments: tuple[str, ...]
    """Names of arguments."""
    paths: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]
    """Open paths into arguments and attributes, and texts they are compared with."""
    times: tuple[str, ...]


def vocabulary(modules: Sequence[Module]) -> Vocabulary:
    """What these modules mention."""
    texts = {text for module in modules for text in module.texts if len(text) <= 200}
    numbers = {number for module in modules for number in module.numbers}
    compared: dict[tuple[str, ...], set[str]] = {}
    for module in modules:
        for path, found in module.paths.items():
            compared.setdefault(path, set()).update(found)
    actions = {text for text in compared.get(("context", "action"), ()) if text}
    opened = {path: found for path, found in compared.items() if _is_open(path)}
    asked = {text for module in modules for text in module.asked if _NAME.fullmatch(text)}
    return Vocabulary(
        actions=(*sorted(actions or filter(_ACTION.fullmatch, texts)), _UNKNOWN_ACTION),
        environments=tuple(sorted({*_ENVIRONMENTS, *compared.get(("context", "environment"), ())})),
        texts=tuple(sorted(texts)) or ("text",),
        numbers=tuple(sorted(_around({*numbers, *_NUMBERS}))),
        arguments=tuple(sorted({path[2] for path in opened if path[1] == "arguments"} | asked)),
        paths=tuple((path, tuple(sorted(found))) for path, found in sorted(opened.items())),
        times=tuple(sorted({*_TIMES, *_moments(texts)})),
    )


def _is_open(path: tuple[str, ...]) -> bool:
    """Whether it leads into what callers fill as they like, to a key with a name."""
    return any(
        path[: len(root)] == root and path[len(root) : len(root) + 1] not in {(), ("*",)}
        for root in (("context", "arguments"), ("context", "resource", "attributes"))
    )


def _around(numbers: set[int]) -> set[int]:
    beside = {number + step for number in numbers for step in (-1, 0, 1)}
    return {number for number in beside if 0 <= number <= _MAX_QUANTITY}


def _moments(texts: set[str]) -> Iterator[str]:
    """Instants that the policy names, and those just beside them."""
    for text in texts:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            continue
        if "T" in text and moment.tzinfo is not None:
            for step in (-1, 0, 1):
                at = moment.astimezone(UTC) + timedelta(seconds=step)
                yield at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def questions(words: Vocabulary, *, count: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """That many questions. Each action has its turn; the first of each is a plain one."""
    draw = _Draw(random.Random(seed), words)  # noqa: S311 - no secret is made of it
    for number in range(count):
        turn, index = divmod(number, len(words.actions))
        yield draw.question(words.actions[index], plain=turn == 0)


class _Draw:
    """Draws parts of a question."""

    def __init__(self, chance: random.Random, words: Vocabulary) -> None:
        self._chance = chance
        self._words = words

    def question(self, action: str, *, plain: bool) -> dict[str, Any]:
        maybe = self._maybe
        claim = not plain and maybe(0.2)
        return {
            "context": self._context(action, plain=plain),
            "findings": {
                "entities": {} if plain else self._entities(),
                "classes": [] if plain else sorted(self._some(CLASSES)),
                "facts": {} if plain else self._facts(),
                "complete": plain or maybe(0.9),
                "quantity": {"rows": self._number(), "amount": self._number()},
            },
            "verified": {
                "tenant": "default",
                "caller": "agent",
                "owners": ["owner"],
                "users": ["user"] if maybe(0.3) else [],
                "parent": "parent" if maybe(0.2) else None,
                "person": "person" if maybe(0.4) else None,
                "claimant": "executor" if claim else None,
            },
            "approval": self._approval() if claim else None,
            "recent": {"hour": self._counts(), "day": self._counts()},
            "time": self._one(self._words.times),
        }

    def _maybe(self, share: float) -> bool:
        return self._chance.random() < share

    def _one(self, choices: Sequence[Any]) -> Any:
        return self._chance.choice(choices)

    def _some(self, choices: Sequence[str]) -> list[str]:
        share = self._one((0.0, 0.15, 0.5, 1.0))
        return [each for each in choices if self._maybe(share)]

    def _number(self) -> int:
        return int(self._one(self._words.numbers)) if self._maybe(0.7) else 0

    def _text(self, likely: Sequence[str] = ()) -> str:
        if likely and self._maybe(0.7):
            return str(self._one(likely))
        return str(self._one(("", "text", self._one(self._words.texts))))

    def _context(self, action: str, *, plain: bool) -> dict[str, Any]:
        resource: dict[str, Any] = {
            "type": self._text(),
            "id": self._text() or "thing",
            "owner": self._text(),
            "attributes": {},
        }
        context = {
            "action": action,
            "actor": {"type": "workload", "id": "agent"},
            "arguments": {},
            "environment": self._one(self._words.environments),
            "on_behalf_of": [{"type": "person", "id": "user"}] if self._maybe(0.3) else [],
            "reason": "because" if self._maybe(0.5) else "",
            "resource": resource,
            "session": "",
        }
        if not plain:
            context["arguments"] = self._arguments()
            for path, likely in self._words.paths:
                if self._maybe(0.5):
                    self._put(context, path[1:], likely)
        return context

    def _arguments(self) -> dict[str, Any]:
        return {name: self._value() for name in self._some(self._words.arguments)}

    def _put(self, at: Any, path: tuple[str, ...], likely: Sequence[str]) -> None:
        """A value at a path; where something else stands already, that stays."""
        for step, following in zip(path, (*path[1:], None), strict=True):
            if not isinstance(at, dict):
                return
            if following == "*":
                at[step] = [self._value(likely) for _ in range(self._one((0, 1, 2)))]
                return
            if following is None:
                at[step] = self._value(likely)
            elif not isinstance(at.get(step), dict):
                at[step] = {}
            at = at[step]

    def _value(self, likely: Sequence[str] = ()) -> Any:
        kind = self._one(("text", "text", "text", "number", "list", "object", "null", "truth"))
        match kind:
            case "number":
                return self._number()
            case "list":
                return [self._text(likely) for _ in range(self._one((0, 1, 3)))]
            case "object":
                return {self._one(self._words.arguments or ("key",)): self._text(likely)}
            case "null":
                return None
            case "truth":
                return self._maybe(0.5)
        return self._text(likely)

    # --- findings ------------------------------------------------------------

    def _entities(self) -> dict[str, int]:
        return {name: self._one((1, 2, 50)) for name in self._some(("EMAIL", "PERSON", "SECRET"))}

    def _facts(self) -> dict[str, Any]:
        kinds: dict[str, Callable[[], Any]] = {
            "rows": self._measure,
            "bytes": self._measure,
            "amount": self._measure,
            "destination": self._destination,
            "sql": self._sql,
            "shell": self._shell,
            "grants": self._grants,
            "terraform": self._terraform,
            "kubernetes": self._kubernetes,
            "columns": self._columns,
            "columns_unread": lambda: self._one((0, 0, 1, 3)),
        }
        return {name: make() for name, make in kinds.items() if self._maybe(0.6)}

    def _measure(self) -> dict[str, Any]:
        digits = self._one(range(7))
        found = {"at_least": 10**digits if digits else 0, "bucket": "1k-10k"}
        return {**found, "unread": 1} if self._maybe(0.1) else found

    def _destination(self) -> dict[str, Any]:
        domain = self._text(self._words.texts) or "example.org"
        found = {
            "domain": domain,
            "scheme": self._one(("s3", "https", "", "multiple")),
            "internal": self._maybe(0.5),
            "count": self._one((1, 1, 2, 40)),
            "domains": [domain],
            "unread": self._one((0, 0, 1)),
        }
        return {**found, "more": 20} if self._maybe(0.1) else found

    def _sql(self) -> dict[str, Any]:
        found = {
            "verb": self._one(_VERBS),
            "tables": self._listed(("customers", "orders")),
            "predicate": self._one(_PREDICATES),
            "all_columns": self._maybe(0.3),
            "calls": self._maybe(0.3),
            "statements": self._one((1, 1, 1, 2)),
        }
        return {**found, "limit": min(self._number(), 1_000_000)} if self._maybe(0.5) else found

    def _shell(self) -> dict[str, Any]:
        programs = self._listed(_PROGRAMS) or ["cat"]
        return {
            "program": programs[0],
            "programs": programs,
            "flags": self._listed(_FLAGS),
            "reads": self._maybe(0.4),
        }

    def _grants(self) -> dict[str, Any]:
        rights = ("reader", "admin", "storage.*", "[OTHER]", "editor")
        found: dict[str, Any] = {}
        for change in ("added", "removed"):
            if self._maybe(0.6):
                found[change] = self._listed(rights) or ["reader"]
                if self._maybe(0.1):
                    found[f"{change}_more"] = 3
        return found

    def _terraform(self) -> dict[str, Any]:
        counted = ("unread", "create", "update", "replace", "delete", "other")
        types = self._listed(("aws_instance", "aws_s3_bucket", "[OTHER]"))
        return {
            "plans": 1,
            **{name: self._one((0, 0, 1, 30)) for name in counted},
            "types": types,
            "destroyed": types[:2],
        }

    def _kubernetes(self) -> dict[str, Any]:
        verbs = ("get", "apply", "delete", "exec", "other", "multiple")
        namespaces = ("default", "named", "system", "unreadable", "unstated")
        found = {
            "objects": self._one((0, 1, 5)),
            "unread": self._one((0, 0, 1)),
            "kinds": self._listed(("Deployment", "Secret", "ClusterRoleBinding", "[OTHER]")),
            "namespaces": self._some(namespaces),
        }
        return {**found, "verb": self._one(verbs)} if self._maybe(0.8) else found

    def _columns(self) -> dict[str, int]:
        return {"total": 3, **dict.fromkeys(self._some(CLASSES), 1)}

    def _listed(self, names: Sequence[str]) -> list[str]:
        return self._some((*names, *(f"name_{i}" for i in range(20)))[: self._one((2, 5, 20))])

    # --- what went before ----------------------------------------------------

    def _counts(self) -> dict[str, int]:
        names = ("checks", "allow", "deny", "needs_approval", "claimed", "rows", "amount")
        return {name: self._number() for name in names}

    def _approval(self) -> dict[str, Any]:
        return {
            "review": "rev_1",
            "revision": 1,
            "approved_at": _NOON,
            "votes": [
                {
                    "person": "reviewer",
                    "choice": "approve",
                    "delegated_by": None,
                    "break_glass": False,
                    "assurance": self._one(("channel", "person")),
                    "groups": self._listed(("data-owners", "security")),
                    "at": _NOON,
                }
            ],
        }
