"""Why a policy decided as it did, from OPA's trace: which rules held, which did not, and where.

For people who review and for authors: each rule is told by its code, its words
and its place, each condition as it is written, with what it looked at. Pure;
called by `explain`.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from countersign.model import JsonObject
from countersign.policy.syntax import CONTRIBUTIONS, RULES, Module, Rule
from countersign.workbench import merged, trace

_ACTION: Final = ("context", "action")
_MAX_VALUES: Final = 4
_MAX_SHOWN: Final = 80
_NO_RULE: Final = "policy.no_rule"
_ABSENT: Final = "absent"
_MISSING: Final = object()
_QUOTED: Final = re.compile(r'"([^"]*)"')


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One condition of a rule."""

    text: str
    place: str
    looked_at: tuple[tuple[str, str], ...]
    """Fields of the input and what stood there, as JSON; `absent`, or `masked, unknown`."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A rule whose conditions all held."""

    set: str
    """`deny`, `needs`, `allow`, `mask`, or `library` for what the library itself said."""
    package: str
    title: str
    place: str
    code: str
    message: str
    conditions: tuple[Condition, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """A rule about this action that did not apply, and the first condition that failed."""

    set: str
    package: str
    place: str
    code: str
    message: str
    condition: Condition | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The whole of it."""

    action: str
    effect: str
    """`undefined` when policy gave no answer."""
    reasons: tuple[tuple[str, str], ...]
    revision: str
    held: tuple[Held, ...]
    stopped: tuple[Stopped, ...]
    merged: tuple[merged.Term, ...]
    nearest: str
    """What to say where no rule knows the action; empty otherwise."""
    unknown: tuple[str, ...]
    """Pointers of the input that are not what policy saw: masked, or not recorded."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """One evaluation of a policy."""

    revision: str
    modules: Sequence[Module]
    events: Sequence[Mapping[str, Any]]
    """OPA's trace, with indexing and early exit off."""
    decision: Any
    """None when it was undefined."""
    contributions: Any
    question: JsonObject
    unknown: tuple[str, ...] = ()


def explain(evaluated: Evaluated) -> Explanation:
    """Explain one evaluation."""
    telling = _Telling(evaluated)
    decision = evaluated.decision if isinstance(evaluated.decision, dict) else {}
    reasons = tuple((each["code"], each["message"]) for each in decision.get("reasons", []))
    context: Any = evaluated.question["context"]
    held = tuple(telling.held())
    codes = {each.code for each in held}
    return Explanation(
        action=context["action"],
        effect=str(decision.get("effect", "undefined")),
        reasons=reasons,
        revision=evaluated.revision,
        held=(*held, *telling.library(reasons, codes)),
        stopped=tuple(telling.stopped()),
        merged=merged.terms(decision, evaluated.contributions),
        nearest=_nearest(context["action"], reasons, decision, evaluated.modules),
        unknown=evaluated.unknown,
    )


class _Telling:
    """Puts trace and syntax tree together."""

    def __init__(self, evaluated: Evaluated) -> None:
        self._question = evaluated.question
        self._unknown = evaluated.unknown
        self._titles = {module.package: module.title for module in evaluated.modules}
        self._rules: dict[str, list[Rule]] = {}
        for module in evaluated.modules:
            self._rules[str(module.file)] = sorted(module.rules, key=lambda rule: rule.row)
        self._tries: list[tuple[Rule, trace.Try]] = []
        for each in trace.tries(evaluated.events):
            rule = self._rule(each.place)
            if rule is not None:
                self._tries.append((rule, each))
        self._reads = self._reads_of_rules()

    def _rule(self, place: trace.Place) -> Rule | None:
        """The rule that begins in this row, or whose `else` or further body does."""
        before = [rule for rule in self._rules.get(place[0], ()) if rule.row <= place[1]]
        return before[-1] if before else None

    def held(self) -> Iterator[Held]:
        seen: set[str] = set()
        for rule, each in self._contributing():
            if not each.held or rule.place in seen:
                continue
            seen.add(rule.place)
            yield Held(
                set=rule.name,
                package=rule.package,
                title=self._titles.get(rule.package, ""),
                place=rule.place,
                code=rule.code,
                message=rule.message,
                conditions=tuple(self._conditions(rule, each)),
            )

    def library(self, reasons: Sequence[tuple[str, str]], known: set[str]) -> Iterator[Held]:
        """What the library itself had to say: an incomplete finding, needs that do not merge."""
        every = [rule for rules in self._rules.values() for rule in rules]
        for code, message in reasons:
            rule = next((r for r in every if r.code == code and code not in known), None)
            if rule is not None and not rule.package.startswith(RULES):
                yield Held(
                    set="library",
                    package=rule.package,
                    title=self._titles.get(rule.package, ""),
                    place=rule.place,
                    code=code,
                    message=message,
                    conditions=(),
                )

    def stopped(self) -> Iterator[Stopped]:
        """Rules that know this action and did not hold in any of their tries."""
        found: dict[tuple[str, int], tuple[Rule, trace.Try]] = {}
        held = {(str(rule.file), rule.row) for rule, each in self._contributing() if each.held}
        for rule, each in self._contributing():
            key = (str(rule.file), rule.row)
            if key not in held and self._is_about(each):
                known = found.get(key)
                if known is None or _depth(each) > _depth(known[1]):
                    found[key] = (rule, each)
        for rule, each in found.values():
            step = each.failing()
            yield Stopped(
                set=rule.name,
                package=rule.package,
                place=rule.place,
                code=rule.code,
                message=rule.message,
                condition=None if step is None else self._condition(rule, [step]),
            )

    def _contributing(self) -> Iterator[tuple[Rule, trace.Try]]:
        """Tries of what rule packages give, denials first, in the order of the files."""
        found = [
            (rule, each)
            for rule, each in self._tries
            if rule.package.startswith(RULES) and rule.name in CONTRIBUTIONS
        ]
        yield from sorted(
            found, key=lambda both: (CONTRIBUTIONS.index(both[0].name), both[0].file, both[0].row)
        )

    def _is_about(self, each: trace.Try) -> bool:
        """Whether it stopped at something else than the action."""
        step = each.failing()
        return step is None or _ACTION not in self._reads_of(step)

    # --- conditions ----------------------------------------------------------

    def _conditions(self, rule: Rule, each: trace.Try) -> Iterator[Condition]:
        """Those that held, but the one about the action, which everybody knows."""
        rows = [row for row, _ in rule.conditions]
        grouped: dict[int, list[trace.Step]] = {}
        for step in each.conditions():
            at = [row for row in rows if row <= step.place[1]]
            if at:
                grouped.setdefault(at[-1], []).append(step)
        for row in sorted(grouped):
            steps = grouped[row]
            read = set().union(*(self._reads_of(step) for step in steps))
            if read != {_ACTION}:
                yield self._condition(rule, steps)

    def _condition(self, rule: Rule, steps: Sequence[trace.Step]) -> Condition:
        row = steps[0].place[1]
        written = [(at, text) for at, text in rule.conditions if at <= row]
        read = set().union(*(self._reads_of(step) for step in steps))
        text = written[-1][1] if written else "its own value"
        return Condition(
            text=text,
            place=f"{rule.file}:{written[-1][0] if written else row}",
            looked_at=tuple(self._looked_at(read, _QUOTED.findall(text))),
        )

    def _looked_at(self, read: set[trace.Path], words: Sequence[str]) -> Iterator[tuple[str, str]]:
        """What stood where it looked; of a whole and a part of it only the part.

        A step that is no constant may be one of the words of the condition, such as
        `lib.below("rows", 1000)`.
        """
        plain = {each for path in read for each in self._spelt(path, (), words)}
        leaves = sorted(
            path
            for path in plain
            if path and not any(other[: len(path)] == path != other for other in plain)
        )
        for path in leaves[:_MAX_VALUES]:
            yield ".".join(path), self._shown(path)

    def _spelt(
        self, path: trace.Path, done: trace.Path, words: Sequence[str]
    ) -> Iterator[trace.Path]:
        if not path:
            yield done
        elif path[0] != "*":
            yield from self._spelt(path[1:], (*done, path[0]), words)
        else:
            value = self._at(done)
            named = [word for word in words if isinstance(value, dict) and word in value]
            for word in named:
                yield from self._spelt(path[1:], (*done, word), words)
            if not named:
                yield done

    def _at(self, path: trace.Path) -> Any:
        value: Any = self._question
        for step in path:
            if not isinstance(value, dict) or step not in value:
                return _MISSING
            value = value[step]
        return value

    def _shown(self, path: trace.Path) -> str:
        pointer = "/" + "/".join(path)
        for masked in self._unknown:
            if f"{pointer}/".startswith(f"{masked}/") or f"{masked}/".startswith(f"{pointer}/"):
                return "masked, unknown" if pointer.startswith(masked) else "masked in part"
        value = self._at(path)
        if value is _MISSING:
            return _ABSENT
        text = json.dumps(value, ensure_ascii=False)
        return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 1]}…"

    # --- what a condition reads ----------------------------------------------

    def _reads_of(self, step: trace.Step) -> set[trace.Path]:
        found = set(step.reads)
        for asked in step.asks:
            for name, read in self._reads.items():
                if asked == name or asked.startswith(f"{name}."):
                    found |= read
        return found

    def _reads_of_rules(self) -> dict[str, set[trace.Path]]:
        """What each rule reads of the input, itself or through those it asks."""
        own: dict[str, set[trace.Path]] = {}
        asks: dict[str, set[str]] = {}
        for rule, each in self._tries:
            name = f"data.{rule.package}.{rule.name}"
            for step in each.steps.values():
                own.setdefault(name, set()).update(step.reads)
                asks.setdefault(name, set()).update(step.asks)
        known = set(own)
        below = {
            name: {k for k in known for a in asked if a == k or a.startswith(f"{k}.")}
            for name, asked in asks.items()
        }
        found: dict[str, set[trace.Path]] = {}
        for name in known:
            seen, todo = {name}, [name]
            while todo:
                todo += (more := below.get(todo.pop(), set()) - seen)
                seen |= more
            found[name] = set().union(*(own[each] for each in seen))
        return found


def _depth(each: trace.Try) -> int:
    step = each.failing()
    return step.index if step else -1


def _nearest(
    action: str,
    reasons: Sequence[tuple[str, str]],
    decision: Mapping[str, Any],
    modules: Sequence[Module],
) -> str:
    """What to say of an action that no rule knows."""
    if decision and _NO_RULE not in {code for code, _ in reasons}:
        return ""
    known = sorted({text for module in modules for text in module.paths.get(_ACTION, ())})
    if action in known:
        return f'there are rules for "{action}", and none of them applies'
    near = difflib.get_close_matches(action, known, n=1, cutoff=0.5)
    if near:
        return f'no rule for "{action}"; nearest "{near[0]}"'
    return f'no rule for "{action}"; there are rules for {", ".join(known) or "no action"}'
