"""Which rule a wrong answer comes from, so that its author finds the line.

An answer is a merge of what several rules gave. The part that is wrong is
looked for in their contributions, and those in the syntax tree: a row is named
only where that leads to one. Pure; called by `probing`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from countersign.policy.syntax import CONTRIBUTIONS, RULES, Rule

_STEP: Final = re.compile(r"([A-Za-z_*]+)|\[(\d+)\]")
_ENTRY: Final = ("countersign", "decision")
_NAMES: Final = {"approvers": ("groups", "people"), "review_by": ("groups", "people")}


class _Given(NamedTuple):
    """One item of one set of one rule package."""

    package: str
    name: str
    item: Any


def place(breach: str, decision: object, contributions: object, rules: Sequence[Rule]) -> str:
    """`rego/pay.rego:41` for a line of the contract about this decision; empty if unknown."""
    steps = _steps(breach.partition(": ")[0])
    entry = (rule for rule in rules if (rule.package, rule.name) == _ENTRY)
    rule = next(_rules_of(steps, decision, contributions, rules), None) or next(entry, None)
    if rule is None:
        return ""
    terms = [*(step for step in steps if isinstance(step, str))][::-1]
    named = [name for term in terms for name in (term, *_NAMES.get(term, ()))]
    row = next((rule.terms[name] for name in named if name in rule.terms), rule.row)
    return f"{rule.file}:{row}"


def _steps(path: str) -> tuple[str | int, ...]:
    return tuple(name or int(index) for name, index in _STEP.findall(path))


def _rules_of(
    steps: tuple[str | int, ...], decision: object, contributions: object, rules: Sequence[Rule]
) -> Iterator[Rule]:
    for given in _contributed(contributions):
        if _holds(steps, decision, given):
            yield from _written(given, rules)


def _contributed(contributions: object) -> Iterator[_Given]:
    packages = contributions if isinstance(contributions, dict) else {}
    for package, sets in packages.items():
        for name in CONTRIBUTIONS:
            items = sets.get(name) if isinstance(sets, dict) else None
            for item in items if isinstance(items, list) else ():
                yield _Given(f"{RULES}{package}", name, item)


def _holds(steps: tuple[str | int, ...], decision: object, given: _Given) -> bool:
    """Whether the part of the answer at these steps may come from this contribution."""
    match steps:
        case ("mask", int(), *_):
            return given.name == "mask" and given.item == _at(decision, steps[:2])
        case ("reasons", int(), *_):
            reason = _at(decision, steps[:2])
            wrong = given.item if isinstance(given.item, dict) else {}
            both = isinstance(reason, dict) and given.name != "mask"
            return both and all(reason.get(key) == wrong.get(key) for key in ("code", "message"))
        case ("requirement", "stages", int(), *rest) if rest:
            return _holds_stage(_at(decision, steps[:3]), rest, given)
        case ("requirement", str(term), *_) if given.name == "needs":
            whole = _at(decision, steps[:2])
            return isinstance(given.item, dict) and _gives(given.item.get(term), whole)
    return False


def _holds_stage(stage: Any, rest: Sequence[str | int], given: _Given) -> bool:
    if given.name != "needs" or not isinstance(given.item, dict) or not isinstance(stage, dict):
        return False
    term, title = str(rest[0]), stage.get("name")
    for own in given.item.get("stages") or ():
        if not isinstance(own, dict):
            continue
        same = isinstance(title, str) and str(own.get("name")) and title.startswith(own["name"])
        if term == "approvers":
            if same and _names(own) == _names(stage.get("approvers", {})):
                return True
        elif same and own.get(term, stage.get(term)) == stage.get(term):
            return True
    return False


def _names(approvers: Mapping[str, Any]) -> list[list[str]]:
    return [sorted(approvers.get(kind, [])) for kind in ("groups", "people")]


def _gives(own: Any, whole: Any) -> bool:
    """Whether a term of a need is, or is part of, what was merged."""
    if own is None:
        return False
    if isinstance(whole, list) and isinstance(own, list):
        return any(item in whole for item in own) or not own
    if isinstance(whole, dict) and isinstance(own, dict):
        return any(key in whole for key in own)
    return bool(own == whole)


def _at(document: object, steps: Sequence[str | int]) -> Any:
    for step in steps:
        if isinstance(step, int):
            if not isinstance(document, list) or step >= len(document):
                return None
            document = document[step]
        elif isinstance(document, Mapping):
            document = document.get(step)
        else:
            return None
    return document


def _written(given: _Given, rules: Sequence[Rule]) -> Iterator[Rule]:
    """The rules that can have given it: those with its code and words, else all of the set."""
    item = given.item if isinstance(given.item, dict) else {}
    same = [r for r in rules if (r.package, r.name) == (given.package, given.name)]
    exact = [r for r in same if r.code and r.code == item.get("code")]
    worded = [r for r in exact if r.message == item.get("message")]
    yield from worded or exact or same
