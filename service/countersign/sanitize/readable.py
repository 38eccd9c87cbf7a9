"""What can still be read of masked fields, so that no fact tells more.

Pure; called by `facts`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from countersign.model import JsonValue
from countersign.sanitize import kinds, shell

if TYPE_CHECKING:
    from countersign.sanitize.survey import Field, Leaf

SHORTEST: Final = 5
"""The survey keeps no shorter text, so nothing read or masked it."""


def only(fields: Sequence[Field], clean: Callable[[str], str]) -> Callable[[str], str]:
    """`clean` for names that the spans of these fields, too, leave to be read.

    What can be read is put together at the first name: most contexts name none.
    """
    visible: list[str | None] = []

    def shown(name: str) -> str:
        cleaned = clean(name)
        if cleaned != name or name == shell.OTHER:
            return cleaned
        if not visible:
            visible.append(_all_visible(fields))
        text = visible[0]
        if text is None or all(part in text for part in name.casefold().split(".")):
            return name
        return shell.OTHER

    return shown


def spared(fields: Sequence[Field], clean: Callable[[str], str]) -> Callable[[str], str]:
    """`clean` for names that recognizers beside the rules leave alone.

    What the rules mask may still name itself: whose an address is says where it leads.
    """
    hidden = [part for field in fields for leaf in field.leaves for part in _recognized(leaf)]

    def shown(name: str) -> str:
        folded = name.casefold()
        if any(part in folded or folded in part for part in hidden):
            return shell.OTHER
        return clean(name)

    return shown if hidden else clean


def _recognized(leaf: Leaf) -> Iterator[str]:
    """What of a text recognizers found, or all of it where they did not look."""
    data = leaf.text.encode("utf-8", "replace")
    for span in leaf.spans:
        if span.rule.startswith("presidio.") or span.kind is kinds.UNEXAMINED:
            yield data[span.start : span.end].decode("utf-8", "replace").casefold()


def _all_visible(fields: Sequence[Field]) -> str | None:
    """Everything in these fields that no span hides, folded; None where nothing is hidden."""
    found = {id(leaf): leaf for field in fields for leaf in field.leaves}
    if not any(leaf.spans for leaf in found.values()):
        return None
    texts = {leaf.text for leaf in found.values()}
    parts = [part for leaf in found.values() for part in _visible(leaf)]
    # What is no leaf is too short to be masked.
    parts += [
        text
        for field in fields
        for text in leaves(field.value)
        if isinstance(text, str) and len(text) < SHORTEST and text not in texts
    ]
    return "\x00".join(parts).casefold()


def _visible(leaf: Leaf) -> Iterator[str]:
    """What of a text stands outside its spans."""
    if leaf.parsed is not None:
        return  # what stands in it are leaves themselves
    data = leaf.text.encode("utf-8", "replace")
    at = 0
    for span in sorted(leaf.spans, key=lambda span: span.start):
        if span.start > at:
            yield data[at : span.start].decode("utf-8", "replace")
        at = max(at, span.end)
    if at < len(data):
        yield data[at:].decode("utf-8", "replace")


def leaves(value: JsonValue) -> Iterator[JsonValue]:
    """Everything in a value that is neither list nor object."""
    if isinstance(value, list):
        for item in value:
            yield from leaves(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from leaves(item)
    else:
        yield value
