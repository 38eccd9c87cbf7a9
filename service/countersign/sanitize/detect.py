"""Detection: stages that add spans to the leaves of a survey.

A stage takes the survey and only ever adds. Key names are applied during the
walk (`survey`); then come the patterns, over all leaves and keys at once, and
statements. What a stage cannot read it covers and marks incomplete; a failure
costs the one value it happened on its visibility, never its mask.

Called by `sanitizer` only.
"""

from __future__ import annotations

import bisect
import logging
import operator
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from countersign.model import JsonValue, Withheld
from countersign.sanitize import (
    fragments,
    kinds,
    names,
    recognized,
    shell_lists,
    shell_secrets,
    siblings,
    sql,
    views,
)
from countersign.sanitize.bounds import MAX_STATEMENTS, Allowance, TooMuchError
from countersign.sanitize.custom import NONE, CustomRules
from countersign.sanitize.keys import words
from countersign.sanitize.kinds import Kind
from countersign.sanitize.offsets import Reading
from countersign.sanitize.patterns import EndFor, Patterns
from countersign.sanitize.recognized import Asked
from countersign.sanitize.rules import Rule
from countersign.sanitize.survey import SHORTEST, WHOLE, Leaf, Span, Survey
from countersign.sanitize.views import Joined

_LOG: Final = logging.getLogger(__name__)

_DIGEST_WORDS: Final = frozenset({"sha", "sha1", "sha256", "digest", "checksum", "commit", "etag"})
_DIGEST: Final = re.compile(r"(?:^|:)[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")
_MAX_DIGEST: Final = 256
_TRACE: Final = re.compile(r"[0-9a-f]{16}(?:[0-9a-f]{16})?")
_TRACE_WORDS: Final = frozenset({"trace", "span", "traceid", "spanid"})


class Detected(Withheld):
    """What the stages found: a survey whose spans are resolved."""

    __slots__ = ("entities", "key_spans", "ner", "statements", "survey")

    def __init__(self, survey: Survey) -> None:
        self.survey = survey
        self.key_spans: dict[str, Sequence[Span]] = {}
        self.statements: list[sql.Statement] = []
        self.entities: dict[Kind, int] = {}
        """How many of each kind; a find counts once however many rules saw it."""
        self.ner = ""
        """Whether other recognizers looked at all they were to look at; empty: there are none."""

    def count(self) -> dict[Kind, int]:
        """The entities in what is resolved by now."""
        found = [span.kind for leaf in self.survey.leaves if leaf.spans for span in leaf.spans]
        found += [span.kind for spans in self.key_spans.values() for span in spans]
        same = {id(kind): kind for kind in found}  # a kind's hash is that of all it says
        counts: Counter[Kind] = Counter()
        for each, count in Counter(map(id, found)).items():
            if same[each] not in kinds.NOT_ENTITIES:
                counts[same[each]] += count
        return counts


def run(
    survey: Survey,
    patterns: Patterns,
    *,
    known: Callable[[str], bool] | None = None,
    asked: Asked | None = None,
) -> Detected:
    """Every stage in order, then overlapping spans made one."""
    detected = Detected(survey)
    _statements(detected)
    shell_lists.mark(survey)
    shell_secrets.mark(survey)
    fragments.mark(survey)
    _patterns(detected, patterns)
    _names(survey, known)
    unseen = _recognized(survey, asked) if asked else []
    custom = survey.custom
    for leaf in survey.leaves:
        if leaf.spans:
            leaf.spans = _final(leaf.spans, leaf.text, custom)
    for key, spans in detected.key_spans.items():
        detected.key_spans[key] = resolve(spans, _size(key))
    for key, info in survey.keys.items():
        if key not in detected.key_spans:
            survey.known_keys.learn(key, info)
    detected.entities = detected.count()
    if asked:
        detected.ner = recognized.FAILED if unseen else recognized.RAN
        _assume(detected, unseen, asked)
    return detected


def _final(spans: Sequence[Span], text: str, custom: CustomRules) -> list[Span]:
    """What is masked of a value in the end, and how it is shown."""
    size = len(text) if text.isascii() else _size(text)
    if custom is NONE:
        return resolve(spans, size)
    return custom.shown(resolve(custom.believed(spans, text), size), size)


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


_start: Final = operator.attrgetter("start")


def resolve(spans: Sequence[Span], size: int) -> list[Span]:
    """Merge what overlaps: nothing is lost, the strongest kind names the whole."""
    if len(spans) == 1:
        only = spans[0]
        return [only] if only.end <= size else [Span(only.start, size, only.kind, only.rule)]
    merged: list[Span] = []
    for span in sorted(spans, key=_start):
        end = min(span.end, size)
        if merged and (span.start < merged[-1].end or span.start == merged[-1].start):
            last = merged[-1]
            strong = span if span.kind.strength > last.kind.strength else last
            merged[-1] = Span(last.start, max(last.end, end), strong.kind, strong.rule)
        else:
            merged.append(Span(span.start, end, span.kind, span.rule))
    return merged


# --- patterns ----------------------------------------------------------------


def _patterns(detected: Detected, patterns: Patterns) -> None:
    """All rules over all leaves and keys, as they are and as they may be read."""
    survey = detected.survey
    keys = [Leaf(key, None, "") for key in survey.keys if len(key) >= SHORTEST]
    by_cover = _by_cover(survey, keys)
    leaves = [leaf for _, leaf in by_cover]
    joined = Joined([leaf.text for leaf in leaves])
    strengths = [strength for strength, _ in by_cover]

    def end_for(strength: int) -> int:
        return max(joined.starts[bisect.bisect_left(strengths, strength)] - 1, 0)

    try:
        found = list(_checked(scan(joined, patterns, end_for=end_for), leaves, survey))
    except TooMuchError:
        raise
    except Exception as error:  # noqa: BLE001 - fail closed: try each value alone
        _LOG.error("a joined scan failed: %s", type(error).__name__)
        found = list(_checked(_one_by_one(leaves, patterns, survey), leaves, survey))
    for index, start, end, rule in found:
        leaves[index].spans.append(Span(start, end, rule.kind, rule.id))
    _disguised(leaves, joined, patterns, survey, found)
    for leaf in keys:
        if leaf.spans:
            detected.key_spans[leaf.text] = leaf.spans
    siblings.cover(
        survey,
        lambda texts: list(scan(texts, patterns, views.believed_apart)),
        lambda texts: [*scan(texts, patterns), *hidden_finds(texts, patterns)],
        detected.key_spans,
    )


def _by_cover(survey: Survey, keys: list[Leaf]) -> list[tuple[int, Leaf]]:
    """Every text to search with the strength of what covers it whole, the weakest first.

    What is weaker than a cover changes nothing, so it is not looked for below one.
    """
    bare: list[tuple[int, Leaf]] = []
    covered: list[tuple[int, Leaf]] = []
    believed = not survey.custom.allowed_values  # they take covers away again
    for leaf in survey.leaves:
        if leaf.parsed is None and len(leaf.text) >= SHORTEST:
            strength = _strength_of_cover(leaf.spans) if leaf.spans and believed else 0
            (covered if strength else bare).append((strength, leaf))
    return [*bare, *((0, key) for key in keys), *sorted(covered, key=_strength)]


def _strength_of_cover(spans: Sequence[Span]) -> int:
    strength = 0
    for span in spans:
        if span.end >= WHOLE and span.kind.strength > strength:
            strength = span.kind.strength
    return strength


_strength: Final = operator.itemgetter(0)


def _checked(
    found: Iterator[tuple[int, int, int, Rule]], leaves: list[Leaf], survey: Survey
) -> Iterator[tuple[int, int, int, Rule]]:
    for each in found:
        leaf, rule = leaves[each[0]], each[3]
        if not is_digest(rule, leaf.key, leaf.text):
            survey.spans.spend(0 if leaf.spans else 1)  # what a stage before counted counts once
            yield each


def _disguised(
    leaves: list[Leaf],
    joined: Joined,
    patterns: Patterns,
    survey: Survey,
    found: Sequence[tuple[int, int, int, Rule]],
) -> None:
    """What is found in another reading of a text covers the part that reads so."""
    hidden = hidden_finds(joined, patterns)
    seen = {(index, start, end, rule.id) for index, start, end, rule in found} if hidden else ()
    for index, start, end, rule in hidden:
        leaf = leaves[index]
        if rule is not None and (index, start, end, rule.id) in seen:
            continue
        if rule is None:
            survey.complete = False
            leaf.add(Span(start, end, kinds.TOO_LONG, "bound.view"))
        elif not is_digest(rule, leaf.key, leaf.text):
            survey.spans.spend()
            leaf.add(Span(start, end, rule.kind, f"view.{rule.id}"))


def hidden_finds(joined: Joined, patterns: Patterns) -> list[tuple[int, int, int, Rule | None]]:
    """Finds in other readings, as `scan` has them; no rule: too much to look at."""
    readings, unread = views.read(joined)
    found: dict[tuple[int, int, int, Rule | None], None] = {}
    for owner, start, end in unread:
        found[owner, start, end, None] = None
    alike: dict[bytes, list[Reading]] = {}
    for reading in readings:
        alike.setdefault(reading.data, []).append(reading)
    if alike:
        texts = list(alike.values())
        for index, start, end, rule in scan(Joined(alike), patterns):
            for reading in texts[index]:
                if reading.accepts is None or reading.accepts(rule):
                    found[reading.owner, *reading.origin(start, end), rule] = None
    return list(found)


def scan(
    joined: Joined,
    patterns: Patterns,
    believed: Callable[[Rule], bool] | None = None,
    end_for: EndFor | None = None,
) -> Iterator[tuple[int, int, int, Rule]]:
    """Matches as (index of text, start, end, rule), offsets in UTF-8 bytes."""
    candidates = patterns.candidates(joined.data, end_for)
    if believed is not None:
        candidates = [index for index in candidates if believed(patterns.rules[index])]
    if not candidates:
        return
    starts, parts = joined.starts, joined.parts
    for start, end, rule in patterns.find(joined.data, candidates, end_for):
        index = bisect.bisect_right(starts, start) - 1
        while index < len(parts) and starts[index] < end:
            low, high = max(start - starts[index], 0), min(end - starts[index], len(parts[index]))
            if low < high:
                yield index, low, high, rule
            index += 1


def _one_by_one(
    leaves: list[Leaf], patterns: Patterns, survey: Survey
) -> Iterator[tuple[int, int, int, Rule]]:
    for index, leaf in enumerate(leaves):
        try:
            yield from [
                (index, start, end, rule)
                for _, start, end, rule in scan(Joined([leaf.text]), patterns)
            ]
        except TooMuchError:
            raise
        except Exception as error:  # noqa: BLE001 - fail closed: this value is covered
            _LOG.error("a value was masked whole: %s", type(error).__name__)
            leaf.cover(kinds.UNREADABLE, "scan")
            survey.complete = False


def is_digest(rule: Rule, key: str, text: str) -> bool:
    """A Git commit, SHA-256 or W3C trace id under a key that says so is no secret."""
    if rule.id != "random" or len(text) > _MAX_DIGEST:
        return False
    if _TRACE.fullmatch(text):
        return not _TRACE_WORDS.isdisjoint(words(key))
    if not _DIGEST.search(text):
        return False
    return text.startswith("sha256:") or not _DIGEST_WORDS.isdisjoint(words(key))


# --- names -------------------------------------------------------------------


def _names(survey: Survey, known: Callable[[str], bool] | None) -> None:
    """Names of people in prose: not in what will be run, nor in what is masked already."""
    run = {id(leaf) for leaf in recognized.to_run(survey)}
    said: dict[str, list[Span]] = {}  # rows say the same again and again
    for leaf in survey.leaves:
        if " " not in leaf.text or not leaf.is_text or leaf.parsed is not None or id(leaf) in run:
            continue
        if any(span.end >= WHOLE for span in leaf.spans):
            continue
        try:
            found = said.get(leaf.text)
            if found is None:
                found = said[leaf.text] = names_in(leaf.text, known)
        except Exception as error:  # noqa: BLE001 - fail closed: this value is covered
            _LOG.error("a value was masked whole: %s", type(error).__name__)
            leaf.cover(kinds.UNREADABLE, "names")
            survey.complete = False
            continue
        if found:
            survey.spans.spend(len(found))
            leaf.spans += found


def names_in(text: str, known: Callable[[str], bool] | None = None) -> list[Span]:
    """Where names of people stand in a text, if it is prose."""
    if not names.is_prose(text):
        return []
    spans: list[Span] = []
    seen = at = 0
    for first, last in names.find(text, known):
        start = at + _size(text[seen:first])
        seen, at = last, start + _size(text[first:last])
        spans.append(Span(start, at, kinds.PERSON, "names"))
    return spans


# --- recognizers beside the rules ---------------------------------------------


def _recognized(survey: Survey, asked: Asked) -> list[Leaf]:
    """Add what they found; returns the leaves they were to look at and did not."""
    unseen: list[Leaf] = []
    for leaf in recognized.wanted(survey, asked.recognizers):
        found = asked.spans(leaf.text)
        if found is None:
            unseen.append(leaf)
        elif found:
            survey.spans.spend(len(found))
            leaf.spans += found
    return unseen


def _assume(detected: Detected, unseen: Sequence[Leaf], asked: Asked) -> None:
    """What nobody looked at is hidden whole and counts as holding all they look for."""
    for leaf in unseen:
        leaf.spans = [recognized.UNSEEN]
    for kind in asked.recognizers.kinds if unseen else ():
        detected.entities[kind] = detected.entities.get(kind, 0) + len(unseen)


# --- statements --------------------------------------------------------------


def _statements(detected: Detected) -> None:
    """Literals and comments of SQL, wherever it stands; facts only where it is run.

    Under a key that promises SQL, what cannot be read makes the review
    unreviewable. Text that merely looks like SQL is covered whole instead.
    """
    survey = detected.survey
    allowance = Allowance(MAX_STATEMENTS)
    promised: dict[int, str] = {}
    for field in survey.fields:
        if field.fact in {"sql", "query"}:
            promise = field.fact if _is_texts(field.value) else "query"
            promised.update((id(leaf), promise) for leaf in field.leaves)
    texts = survey.texts()
    for leaf in texts.leaves if promised else texts.spaced:
        if not leaf.text:
            continue
        fact = promised.get(id(leaf))
        if fact == "sql" or (fact == "query" and sql.begins_statement(leaf.text)):
            allowance.spend()
            _statement(detected, leaf, promised=True)
        elif " " in leaf.text and sql.looks_like(leaf.text):
            allowance.spend()
            _statement(detected, leaf, promised=False)


def _is_texts(value: JsonValue) -> bool:
    """A statement or a list of them; policies have a `Statement` of objects as well."""
    return isinstance(value, str) or (
        isinstance(value, list) and not any(isinstance(item, dict | list) for item in value)
    )


def _statement(detected: Detected, leaf: Leaf, *, promised: bool) -> None:
    try:
        statement = sql.read(leaf.text)
    except Exception as error:  # noqa: BLE001 - fail closed: covered whole
        if not isinstance(error, sql.UnreadableSqlError):
            _LOG.error("a statement was masked whole: %s", type(error).__name__)
        leaf.cover(kinds.LITERAL, "sql.unreadable")
        if promised:
            detected.survey.complete = False
        return
    detected.survey.spans.spend(len(statement.hidden))
    leaf.spans.extend(Span(start, end, kinds.LITERAL, "sql") for start, end in statement.hidden)
    if promised:
        detected.statements.append(statement)
