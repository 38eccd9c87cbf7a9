"""The RE2 rules: a linear pass finds which can match, those alone look where.

Invariants: untrusted text meets RE2 only, so time is linear in its length. A
set that fails inside RE2 looks like a set that matched nothing, so every text
carries a canary; if the canary is not found, every rule is tried alone. A rule
with keywords is tried where one of them stands, and rules are kept in a few sets:
all in one would cost a long random text a hundred times as much, for RE2 builds
the states of a set as it meets them.

Called by `detect` over all leaves of a context joined by NUL (no rule matches
across it), and by `guard` for the last look at what was rendered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, TypeAlias

import re2

from countersign.sanitize import kinds
from countersign.sanitize.bounds import MAX_MATCHES, Allowance
from countersign.sanitize.checks import Parts
from countersign.sanitize.kinds import is_secret
from countersign.sanitize.rules import BUILT_IN, Rule

EndFor: TypeAlias = Callable[[int], int]
"""How much of a text is searched for a kind of this strength, in bytes."""

_NOTHING: Final[frozenset[bytes]] = frozenset()
_CANARY: Final = b"\x00\x01countersign canary\x01"
_SET_MEMORY_BYTES: Final = 64 << 20
_RULE_MEMORY_BYTES: Final = 16 << 20
_LEAST_KEYWORD: Final = 3
"""A shorter one stands in every other text; the pattern itself tells more."""


def _options(max_mem_bytes: int) -> Any:
    options = re2.Options()
    options.max_mem = max_mem_bytes
    options.log_errors = False  # RE2 would print the pattern; a failure is found by the canary
    return options


class _Set:
    """Rules one pass tells from each other."""

    __slots__ = ("_canary_index", "_hinted", "_rules", "re2_set", "strength")

    def __init__(self, rules: Sequence[tuple[int, Rule]]) -> None:
        self._rules = [index for index, _ in rules]
        self.strength: Final = max([rule.kind.strength for _, rule in rules])
        """Of its strongest rule."""
        hints: dict[str, list[int]] = {}
        for index, rule in rules:
            hints.setdefault(_hint(rule), []).append(index)
        self._hinted = list(hints.values())
        """The rules by the index of what the set looks for on their behalf."""
        self.re2_set = re2.Set.SearchSet(_options(_SET_MEMORY_BYTES))
        for hint in hints:
            self.re2_set.Add(hint)
        self._canary_index = self.re2_set.Add(re2.escape(_CANARY.decode()))
        self.re2_set.Compile()

    def candidates(self, with_canary: bytes) -> Sequence[int]:
        hits = self.re2_set.Match(with_canary)
        if not hits or self._canary_index not in hits:
            return self._rules
        if len(hits) == 1:
            return ()
        return [rule for hit in hits if hit != self._canary_index for rule in self._hinted[hit]]


class Patterns:
    """The compiled rules. Immutable after construction, safe to share."""

    __slots__ = ("_allowed", "_groups", "_regexps", "_sets", "rules")

    def __init__(
        self, rules: tuple[Rule, ...] = BUILT_IN, allowed: frozenset[bytes] = _NOTHING
    ) -> None:
        self.rules = rules
        self._allowed = allowed
        options = _options(_RULE_MEMORY_BYTES)
        self._regexps = [re2.compile(rule.pattern, options) for rule in rules]
        self._groups = [regexp.groups for regexp in self._regexps]
        apart: dict[str, list[tuple[int, Rule]]] = {}
        for index, rule in enumerate(rules):
            apart.setdefault(_set_of(rule), []).append((index, rule))
        self._sets = [_Set(together) for together in apart.values()]

    def candidates(self, text: bytes, end_for: EndFor | None = None) -> list[int]:
        """The rules that may match in it; all of a set if RE2 could not tell."""
        found: list[int] = []
        searched = text + _CANARY
        last = whole = len(text)
        for each in self._sets:
            end = end_for(each.strength) if end_for else whole
            if end != last:
                searched, last = text[:end] + _CANARY, end
            found += each.candidates(searched)
        return sorted(found)

    def find(
        self, text: bytes, candidates: Iterable[int], end_for: EndFor | None = None
    ) -> Iterator[tuple[int, int, Rule]]:
        """Every checked match of these rules: start, end (bytes), rule.

        Raises `TooMuchError` when they match in more places than are looked at.
        """
        allowance = Allowance(MAX_MATCHES)
        for index in candidates:
            part = text[: end_for(self.rules[index].kind.strength)] if end_for else text
            yield from self._find_one(index, part, allowance)

    def _find_one(
        self, index: int, text: bytes, allowance: Allowance
    ) -> Iterator[tuple[int, int, Rule]]:
        rule, regexp, groups = self.rules[index], self._regexps[index], self._groups[index]
        check, again = rule.check, rule.again
        allowed = _NOTHING if is_secret(rule.kind) else self._allowed
        position = 0
        while position <= len(text):
            for match in regexp.finditer(text, position):
                allowance.spend()
                start, end = match.span() if not groups else _value_span(match, groups)
                if check is None:
                    parts: Parts = ((0, end - start),)
                elif not (parts := check(text[start:end])) and not again:
                    continue
                for first, last in parts:
                    if allowed and text[start + first : start + last] in allowed:
                        continue
                    yield start + first, start + last, rule
                if again:
                    rest = start + parts[-1][1] if parts else match.start() + 1
                    if rest < match.end():
                        position = rest
                        break
            else:
                return


def _set_of(rule: Rule) -> str:
    """The states of a set are those of its rules multiplied: what matches anything stands alone."""
    if rule.kind is kinds.EMAIL:
        return "email"
    return next((name for name in ("secret", "contact") if name in rule.kind.classes), "")


def _hint(rule: Rule) -> str:
    """What stands in every text the rule matches in."""
    if not rule.keywords or min(map(len, rule.keywords)) < _LEAST_KEYWORD:
        return rule.pattern
    return f"(?i)(?:{'|'.join(map(re2.escape, sorted(rule.keywords)))})"


def _value_span(match: Any, groups: int) -> tuple[int, int]:
    """The first group that took part, or the whole match of a rule without groups."""
    for group in range(1, groups + 1):
        span: tuple[int, int] = match.span(group)
        if span[0] >= 0:
            return span
    whole: tuple[int, int] = match.span()
    return whole
