"""What the report says was masked, and what a reviewer is shown of it.

A report names pointers, types and rules, never values: keys that hold data are
masked inside pointers too. It stays small: beyond `MAX_ENTRIES` list indices
fold into `*`, and beyond that again into one entry a type. Also here: whether
a preview shows what policy demands, and cutting one that is too large.
Used by `sanitizer`. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from countersign.canonical import escape
from countersign.model import JsonObject, JsonValue
from countersign.sanitize import characters, kinds, pointers
from countersign.sanitize.mask import Masked, Tagger, mask_text
from countersign.sanitize.pointers import Path
from countersign.sanitize.survey import PARSED, Span, Step

MAX_ENTRIES: Final = 64
_FACTS: Final = "facts:"


def build(
    masked: Sequence[Masked],
    *,
    ruleset: str,
    profile: str,
    cut: bool,
    guard: int,
    key_spans: Mapping[str, Sequence[Span]],
    tag: Tagger,
    ner: str = "",
) -> JsonObject:
    """The report of one rendering. `ner` says how recognizers beside the rules fared, if any."""
    total: dict[str, int] = {}
    for each in masked:
        total[each.kind.name] = total.get(each.kind.name, 0) + each.leaves
    return {
        "ruleset": ruleset,
        "profile": profile,
        "masked": _entries(masked, key_spans, tag),
        "total": {name: total[name] for name in sorted(total)},
        "cut": cut,
        "guard": guard,
        **({"ner": ner} if ner else {}),
    }


_Group: TypeAlias = "tuple[tuple[Step, ...], str, str]"


def _entries(
    masked: Sequence[Masked], key_spans: Mapping[str, Sequence[Span]], tag: Tagger
) -> list[JsonValue]:
    groups = _grouped(masked, fold=False) or _grouped(masked, fold=True) or {}
    found: dict[tuple[str, str, str], int] = {}
    said: dict[Step, str] = {}  # many paths share their steps
    for step in {step for path, _, _ in groups for step in path}:
        said[step] = f"/{step if isinstance(step, int) else escape(_name(step, key_spans, tag))}"
    for (path, kind, rule), count in groups.items():
        at = ("".join([said[step] for step in path]), kind, rule)
        found[at] = found.get(at, 0) + count
    return [
        {"pointer": pointer, "type": kind, "rule": rule, "count": count}
        for (pointer, kind, rule), count in found.items()
    ]


def _grouped(masked: Sequence[Masked], *, fold: bool) -> dict[_Group, int] | None:
    """Counts by path, kind and rule, still raw; None when unfolded there are too many."""
    found: dict[_Group, int] = {}
    for each in masked:
        path = visible(each.path)
        if fold:
            path = tuple(["*" if isinstance(step, int) else step for step in path])
        at: _Group = (path, each.kind.name, each.rule)
        count = found.get(at)
        if count is None and len(found) >= MAX_ENTRIES:
            if not fold:
                return None
            at = ((), each.kind.name, "more")
            count = found.get(at)
        found[at] = (count or 0) + each.leaves
    return found


def _name(step: str, key_spans: Mapping[str, Sequence[Span]], tag: Tagger) -> str:
    return characters.visible(mask_text(step, key_spans[step], tag) if step in key_spans else step)


def visible(path: tuple[Step, ...]) -> tuple[Step, ...]:
    """The path as far as a pointer can lead: to the string, not into its JSON."""
    return path[: path.index(PARSED)] if PARSED in path else path


# --- what must be shown ------------------------------------------------------


def shows(
    must_show: Sequence[str], context: JsonObject, facts: JsonObject, masked: Sequence[Masked]
) -> bool:
    """Whether everything policy demands is there and nothing of it is masked."""
    if not must_show:
        return True
    lengths = {pointer.count("/") for pointer in must_show}  # as many as a path has steps
    end = max(lengths) + 1  # further down a path leads nowhere policy asks about
    places = {each.path[:end] for each in masked}
    hidden = {tuple(map(str, visible(place))) for place in places}
    touched = {path[:length] for length in lengths for path in hidden}
    return all(
        _has_fact(facts, pointer.removeprefix(_FACTS))
        if pointer.startswith(_FACTS)
        else _is_shown(context, pointer, hidden, touched)
        for pointer in must_show
    )


def _is_shown(context: JsonObject, pointer: str, hidden: set[Path], touched: set[Path]) -> bool:
    path = pointers.parse(pointer)
    if path is None:
        return False
    found = list(pointers.matches(context, path))
    return bool(found) and all(
        len(each) == len(path)
        and each not in touched
        and not any(each[:length] in hidden for length in range(len(each)))
        for each in found
    )


def _has_fact(facts: JsonObject, name: str) -> bool:
    value: JsonValue = facts
    for step in name.split("."):
        if not isinstance(value, dict) or step not in value:
            return False
        value = value[step]
    return True


# --- too large to show -------------------------------------------------------

_CUTS: Final = ((2_000, 50), (500, 20), (120, 8))


def cuts(context: JsonObject) -> Iterable[JsonObject]:
    """Ever shorter forms of a masked context that is too large; the last is tiny."""
    for max_chars, max_items in _CUTS:
        yield {key: _cut(value, max_chars, max_items) for key, value in context.items()}
    yield dict.fromkeys(context, kinds.CUT.placeholder)


def _cut(value: JsonValue, max_chars: int, max_items: int) -> JsonValue:
    if isinstance(value, str) and len(value) > max_chars:
        return value[:max_chars] + kinds.CUT.placeholder
    if isinstance(value, list):
        kept = [_cut(item, max_chars, max_items) for item in value[:max_items]]
        return [*kept, kinds.CUT.placeholder] if len(value) > max_items else kept
    if isinstance(value, dict):
        short = {
            key[:max_chars]: _cut(item, max_chars, max_items)
            for key, item in list(value.items())[:max_items]
        }
        if len(value) > max_items:
            short[kinds.CUT.placeholder] = kinds.CUT.placeholder
        return short
    return value
