"""What the agent says: its reason, its names, its arguments. Pure.

All of it is in the preview that an approval names, so what does not fit is said
to be cut, and the card cannot be approved. What policy demands comes first and
is never left out for want of room.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from countersign_bot.card.demands import Demands
from countersign_bot.card.page import Page, line, run
from countersign_bot.card.text import Clean
from countersign_bot.card.view import Element

_SIGN: Final = "\u203a"
_BELOW: Final = f" {_SIGN} "
_LIKE_JSON: Final = frozenset({"", "null", "true", "false"})
_SHOWN_ELSEWHERE: Final = frozenset({"action", "environment"})
_KNOWN: Final = frozenset(
    {"actor", "on_behalf_of", "resource", "reason", "session", "arguments", *_SHOWN_ELSEWHERE}
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """One value of the context, or a list of plain ones, and where it stands."""

    path: tuple[str, ...]
    values: tuple[str, ...]


def rows(page: Page, context: Mapping[str, Any], demands: Demands) -> Iterator[Element]:
    """Everything asserted: first what policy demands, then the rest."""
    leaves = [*_leaves(context)]
    demanded = [leaf for leaf in leaves if demands.holds(leaf.path)]
    for leaf in demanded:
        yield _row(page, leaf, demanded=True)
    yield from _said(page, context)
    others = [leaf for leaf in leaves if not demands.holds(leaf.path)]
    for leaf in others[: page.room.rows]:
        yield _row(page, leaf, demanded=False)
    left = len(others) - page.room.rows
    if left > 0:
        page.cut = True
        yield page.row("asserted.arguments", line(page.say("cut.rows", n=left, color="Warning")))


def _said(page: Page, context: Mapping[str, Any]) -> Iterator[Element]:
    reason = context.get("reason")
    if reason:
        yield page.row("asserted.reason", *page.long(_written(reason), italic=True))
    else:
        yield page.row("asserted.reason", line(page.say("asserted.no_reason", subtle=True)))
    yield page.row("asserted.actor", line(*_principals(page, [context.get("actor", "")])))
    behind = context.get("on_behalf_of")
    if behind:
        listed = behind if isinstance(behind, list) else [behind]
        yield page.row("asserted.on_behalf_of", line(*_principals(page, listed)))


def _principals(page: Page, given: list[Any]) -> list[Element]:
    named = []
    for each in given:
        if isinstance(each, dict):
            kind = each.get("type")
            more = "".join(f", {key} {_scalar(item)}" for key, item in _beyond(each))
            named.append(f"{_scalar(each.get('id', ''))}{f' ({kind}{more})' if kind else more}")
        else:
            named.append(_scalar(each))
    return page.texts(named)


def _beyond(principal: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(key, item) for key, item in principal.items() if key not in {"id", "type"}]


def _leaves(context: Mapping[str, Any]) -> Iterator[Leaf]:
    """Arguments, what is said of the resource, and anything this bot does not know."""
    yield from _below(("arguments",), context.get("arguments", {}), quiet=True)
    resource = context.get("resource")
    if isinstance(resource, dict):
        for name in sorted(resource.keys() - {"type", "id"}):
            if resource[name] not in ("", {}):
                yield from _below(("resource", name), resource[name], quiet=True)
    for name in sorted(context.keys() - _KNOWN):
        yield from _below((name,), context[name])
    if context.get("session"):
        yield from _below(("session",), context["session"])


def _below(path: tuple[str, ...], value: Any, *, quiet: bool = False) -> Iterator[Leaf]:
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from _below((*path, name), item)
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        for index, item in enumerate(value):
            yield from _below((*path, str(index)), item)
    elif isinstance(value, list) and value:
        yield Leaf(path=path, values=tuple(_item(item) for item in value))
    elif not (quiet and value == {}):
        yield Leaf(path=path, values=(_scalar(value),))


def _scalar(value: Any) -> str:
    """A value as it reads: strings bare, unless they would read as something else."""
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    bare = value == value.strip() and value not in _LIKE_JSON and not _is_number(value)
    return value if bare else json.dumps(value, ensure_ascii=False)


def _item(value: Any) -> str:
    """An item of a list stands on one line, so that no line passes for another item."""
    told = _scalar(value)
    return json.dumps(told, ensure_ascii=False) if "\n" in told else told


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _row(page: Page, leaf: Leaf, *, demanded: bool) -> Element:
    lines: list[Element] = []
    kept = leaf.values[: page.room.entries]
    for value in kept:
        lines += page.long(value, mono=True, bold=demanded)
    if len(kept) < len(leaf.values):
        page.cut = True
        left = len(leaf.values) - len(kept)
        lines.append(line(page.say("cut.more", n=left, color="Warning")))
    return page.named(_label(page, leaf.path, demanded=demanded), lines)


def _label(page: Page, path: tuple[str, ...], *, demanded: bool) -> list[Element]:
    top, *names = path
    if top == "arguments" and names:
        shown = [page.name(_BELOW.join(map(_name, names)))]
    elif page.words.has(f"asserted.{top}"):
        shown = [page.say(f"asserted.{top}", subtle=True)]
        shown += [page.name(_BELOW + _BELOW.join(map(_name, names)))] if names else []
    else:
        shown = [page.name(_BELOW.join(map(_name, path)))]
    return [run(Clean("◆ "), subtle=True), *shown] if demanded else shown


def _name(step: str) -> str:
    return json.dumps(step, ensure_ascii=False) if step in _LIKE_JSON or _SIGN in step else step
