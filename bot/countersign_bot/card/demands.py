"""What policy demands to be seen, found in a preview. Pure.

`must_show` holds JSON pointers (RFC 6901) into the context, `*` for any one
step, subtrees included; `facts:NAME` is a dotted path in the facts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, Final

Path = tuple[str, ...]
_FACTS: Final = "facts:"
_ANY: Final = "*"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """Where it is."""

    pointers: tuple[Path, ...]
    facts: tuple[Path, ...]

    @classmethod
    def of(cls, must_show: Iterable[str]) -> Demands:
        """From the words of policy."""
        given = list(must_show)
        return cls(
            pointers=tuple(_path(each) for each in given if not each.startswith(_FACTS)),
            facts=tuple(
                tuple(each.removeprefix(_FACTS).split("."))
                for each in given
                if each.startswith(_FACTS)
            ),
        )

    def covers(self, *path: str) -> bool:
        """Whether something at, below or above this place is demanded."""
        return any(_meets(demanded, path) for demanded in self.pointers)

    def holds(self, path: Sequence[str]) -> bool:
        """Whether this place is demanded, or below what is."""
        return any(
            len(demanded) <= len(path) and _meets(demanded, path) for demanded in self.pointers
        )

    def covers_fact(self, name: str) -> bool:
        """Whether something of this fact is demanded."""
        return any(path[0] == name for path in self.facts)

    def met(self, context: Any, facts: Any) -> bool:
        """Whether all of it is there at all."""
        return all(_there(context, path) for path in self.pointers) and all(
            _there(facts, path) for path in self.facts
        )


def _path(pointer: str) -> Path:
    steps = pointer.split("/")[1:] if pointer.startswith("/") else [pointer]
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in steps)


def _meets(demanded: Path, path: Sequence[str]) -> bool:
    return all(step in (_ANY, at) for step, at in zip(demanded, path, strict=False))


def _there(value: Any, path: Path) -> bool:
    if not path:
        return True
    step, *rest = path
    if isinstance(value, dict):
        below = list(value.values()) if step == _ANY else [value[step]] if step in value else []
    elif isinstance(value, list):
        found = range(len(value)) if step == _ANY else [int(step)] if step.isdecimal() else []
        below = [value[index] for index in found if index < len(value)]
    else:
        return False
    return bool(below) and all(_there(each, tuple(rest)) for each in below)
