"""RFC 6901 pointers into a context: policy masks and `must_show`.

`*` stands for one step. A pointer that is malformed or leads nowhere matches
nothing: a mask then masks nothing, a `must_show` fails. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from countersign.canonical import escape
from countersign.model import JsonValue

Path = tuple[str, ...]


def parse(pointer: str) -> Path | None:
    """The steps of a pointer, or None when it is malformed."""
    if pointer == "":
        return ()
    if not pointer.startswith("/"):
        return None
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in pointer[1:].split("/"))


def render(path: Sequence[str | int]) -> str:
    """The pointer of a path."""
    return "".join(f"/{escape(str(step))}" for step in path)


def matches(root: JsonValue, path: Path) -> Iterator[Path]:
    """The paths of everything in the value that the pointer's path names.

    A path that goes on below a string which may hold JSON ends at the string:
    what is named is inside it, so it counts as named.
    """
    yield from _descend(root, path, ())


def _descend(value: JsonValue, rest: Path, done: Path) -> Iterator[Path]:
    if not rest:
        yield done
        return
    step = rest[0]
    if isinstance(value, dict):
        keys = list(value) if step == "*" and "*" not in value else [step]
        for key in keys:
            if key in value:
                yield from _descend(value[key], rest[1:], (*done, key))
    elif isinstance(value, list):
        indexes = range(len(value)) if step == "*" else _index(step, len(value))
        for index in indexes:
            yield from _descend(value[index], rest[1:], (*done, str(index)))
    elif isinstance(value, str) and value.lstrip()[:1] in {"{", "["}:
        yield done


def _index(step: str, size: int) -> Sequence[int]:
    """RFC 6901: no sign, no leading zero."""
    plain = step.isascii() and step.isdigit() and len(step) < 10 and (step == "0" or step[0] != "0")
    return [int(step)] if plain and int(step) < size else []


def overlap(one: Path, other: Path) -> bool:
    """Whether one path leads to the other or into it."""
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]
