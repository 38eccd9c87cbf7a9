"""What is no action context: texts, details, labels, and anything else an agent sends.

The same rules as for a context, and the same invariants: raw stays in memory
(3), what cannot be looked at is masked whole (2), and no method raises on any
input. Only `scrub` tags what it masks; texts and details stand in places
where a tag would mean nothing. Made by `sanitizer`, called by the flow.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import re
from collections.abc import Callable, Sequence
from typing import Final

from countersign.model import JsonObject, JsonValue
from countersign.sanitize import characters, detect, guard, kinds, pointers, report, sql
from countersign.sanitize.bounds import MAX_NAMES, Allowance, TooMuchError
from countersign.sanitize.custom import CustomRules
from countersign.sanitize.keys import KnownKeys
from countersign.sanitize.mask import (
    RECORD_TAG_DIGITS,
    Renderer,
    Tagger,
    mask_text,
    tagger,
    tree,
    without_tags,
)
from countersign.sanitize.patterns import Patterns
from countersign.sanitize.recognized import Asked, Recognized, Recognizers, texts, wanted, words
from countersign.sanitize.survey import MAX_STRING_BYTES, Leaf, Span, Step, Survey
from countersign.sanitize.views import Joined

_LOG: Final = logging.getLogger(__name__)
_ROOT: Final = "content"
_PROFILE: Final = "free"
_RANDOM_ID: Final = re.compile(r"[a-z]{1,12}_[0-9a-f]{32}")
_NUMBER: Final = re.compile(r"[0-9]{9}")
_PLAIN_NAME: Final = re.compile(r"[A-Za-z]{1,16}(?:[_-][A-Za-z]{1,16}){0,3}")
_MAX_KNOWN_NAMES: Final = 1_000
_SIGNS: Final = re.compile(r"=|: |\s-|\n|[\[{]")
"""Of a command, a setting or JSON: such a text is read like one in a context. Most have none,
and a statement that somebody quotes keeps its numbers."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Scrubbed:
    """Any JSON value without what must not be shown, and what was masked in it."""

    value: JsonValue
    report: JsonObject
    complete: bool
    """false: part of it could not be examined and is masked whole."""


@dataclasses.dataclass(frozen=True, slots=True)
class Find:
    """Which rule hit where: a place and a type, never a value."""

    pointer: str
    """Of the value, or of the value below the key that it was found in."""
    start: int
    """In bytes of its UTF-8 form."""
    end: int
    type: str
    rule: str
    in_key: bool = False


class Free:
    """Masks what is no context. Safe to share; all it learns is which plain words are harmless."""

    def __init__(
        self,
        patterns: Patterns,
        known_keys: KnownKeys,
        custom: CustomRules,
        ruleset: str,
        recognizers: Recognizers | None,
        on_guarded: Callable[[int], None],
    ) -> None:
        self._custom = custom
        self._patterns = patterns
        self._known_keys = known_keys
        self._ruleset = ruleset
        self._recognizers = recognizers
        self._on_guarded = on_guarded
        self._known_names: set[str] = set()
        """Words alone that facts named before and in which nothing was found; in memory only."""

    def text(self, text: str, recognized: Recognized | None = None) -> str:
        """Reasons, comments, questions, answers: masked, control and bidi characters gone."""
        try:
            printable = characters.printable(text)
            if _has_signs(printable):
                whole = self._scrubbed(printable, without_tags, recognized).value
                return whole if isinstance(whole, str) else kinds.UNREADABLE.placeholder
            shown = self._said(printable, self._asked(recognized))
            return shown if shown == printable else self._looked_at_again(shown)
        except Exception as error:  # noqa: BLE001 - fail closed
            _LOG.error("a text was masked whole: %s", type(error).__name__)
            return kinds.UNREADABLE.placeholder

    def reference(self, text: str) -> str:
        """An id of somebody's own making: shown, unless it is more than random letters."""
        if _RANDOM_ID.fullmatch(text) and not _NUMBER.search(text):
            return text  # as the SDK makes them: nothing that rules know has this form
        try:
            joined = Joined([text])
            rules = [rule for *_, rule in detect.scan(joined, self._patterns)]
            hidden = [rule for *_, rule in detect.hidden_finds(joined, self._patterns)]
        except Exception as error:  # noqa: BLE001 - fail closed
            _LOG.error("an id was masked whole: %s", type(error).__name__)
            return kinds.UNREADABLE.placeholder
        only_random = all(rule is not None and rule.kind is kinds.RANDOM for rule in rules + hidden)
        return text if only_random else self.text(text)

    def detail(self, value: JsonObject, recognized: Recognized | None = None) -> JsonObject:
        """Outcome detail and labels, without tags."""
        shown = self._scrubbed(value, without_tags, recognized).value
        return shown if isinstance(shown, dict) else {"detail": shown}

    def scrub(
        self, value: JsonValue, *, tag_key: bytes, recognized: Recognized | None = None
    ) -> Scrubbed:
        """Any JSON value. Whoever holds the same key can tell equal values by their tags."""
        return self._scrubbed(value, tagger(tag_key, RECORD_TAG_DIGITS), recognized)

    def asks(self, value: JsonValue) -> list[str]:
        """The texts in a value that recognizers are to look at."""
        if self._recognizers is None:
            return []
        survey = Survey(self._known_keys, self._custom)
        with contextlib.suppress(TooMuchError):  # then all of it is masked, whatever they say
            survey.add(characters.printable_json(_below_a_key(value)), None)
            return texts(wanted(survey, self._recognizers))
        return []

    def asks_of_text(self, text: str) -> list[str]:
        """The same for a text that stands alone."""
        if _has_signs(characters.printable(text)):
            return self.asks(text)
        return words(text, self._recognizers) if self._recognizers else []

    def _asked(self, recognized: Recognized | None) -> Asked | None:
        own = self._recognizers
        return Asked(recognizers=own, answer=recognized) if own else None

    def finds(self, value: JsonValue, recognized: Recognized | None = None) -> list[Find]:
        """Every find in a value, for whoever writes rules. Masked keys in pointers, too."""
        whole = _below_a_key(value)
        survey = Survey(self._known_keys, self._custom)
        survey.add(characters.printable_json(whole), None)
        found = detect.run(survey, self._patterns, asked=self._asked(recognized))
        listed = [
            Find(
                pointer=self._pointer(leaf, value is whole),
                start=span.start,
                end=min(span.end, len(leaf.text.encode("utf-8", "replace"))),
                type=span.kind.name,
                rule=span.rule,
            )
            for leaf in survey.leaves
            for span in leaf.spans
        ]
        return listed + [
            Find(
                pointer=f"/{self.label(key)}",
                start=span.start,
                end=span.end,
                type=span.kind.name,
                rule=span.rule,
                in_key=True,
            )
            for key, spans in found.key_spans.items()
            for span in spans
        ]

    def finds_in_text(self, text: str) -> list[Find] | None:
        """Every find in a text as it is; None when it cannot be looked at."""
        if _too_long(text):
            return None
        survey = Survey(self._known_keys, self._custom)
        leaf = Leaf(text, None, "")
        survey.leaves.append(leaf)
        try:
            detect.run(survey, self._patterns)
        except TooMuchError:
            return None
        size = len(text.encode("utf-8", "replace"))
        found = [
            Find("", span.start, min(span.end, size), span.kind.name, span.rule)
            for span in leaf.spans
        ]
        return found if survey.complete else None

    def _pointer(self, leaf: Leaf, whole: bool) -> str:  # noqa: FBT001 - one caller, beside it
        steps: list[Step] = []
        place = leaf.place
        while place is not None:
            place, step = place
            steps.append(step)
        path = report.visible(tuple(reversed(steps)))
        shown = [step if isinstance(step, int) else self.label(step) for step in path]
        return pointers.render(shown if whole else shown[1:])

    def pointer(self, pointer: str) -> str:
        """A JSON pointer whose steps may hold data."""
        path = pointers.parse(pointer)
        if path is None:
            return self.label(pointer)
        return pointers.render([self.label(step) for step in path])

    def cleaner(self) -> Callable[[str], str]:
        """A function that masks the names in the facts of one context, each looked at once."""
        allowance = Allowance(MAX_NAMES)
        cleaned: dict[str, str] = {}

        def clean(name: str) -> str:
            if name in self._known_names:
                return name
            if name not in cleaned:
                allowance.spend()
                cleaned[name] = shown = self._plain(name)
                room = len(self._known_names) < _MAX_KNOWN_NAMES
                if room and shown == name and _PLAIN_NAME.fullmatch(name):
                    self._known_names.add(name)
            return cleaned[name]

        return clean

    def label(self, name: str) -> str:
        """A name that recognizers are not asked about: a key's, a stage's."""
        try:
            return self._plain(characters.printable(name), prose=True)
        except Exception as error:  # noqa: BLE001 - fail closed
            _LOG.error("a name was masked whole: %s", type(error).__name__)
            return kinds.UNREADABLE.placeholder

    def _said(self, text: str, asked: Asked | None) -> str:
        if asked is None or not asked.recognizers.wants(text):
            return self._plain(text, prose=True)
        found = asked.spans(text)
        if found is None:
            return kinds.UNEXAMINED.placeholder
        return self._plain(text, prose=True, more=found)

    def _looked_at_again(self, text: str) -> str:
        """The last look at a text in which something was masked."""
        shown = guard.guard({_ROOT: text}, self._patterns)
        if not shown.masked:
            return text
        self._on_guarded(len(shown.masked))
        return kinds.GUARD.placeholder

    def _scrubbed(self, value: JsonValue, tag: Tagger, recognized: Recognized | None) -> Scrubbed:
        asked = self._asked(recognized)
        try:
            return self._looked_at(value, tag, asked)
        except TooMuchError:
            return self._dark(kinds.TOO_LONG.placeholder, asked)
        except Exception as error:  # noqa: BLE001 - fail closed
            _LOG.error("a value was masked whole: %s", type(error).__name__)
            return self._dark(kinds.UNREADABLE.placeholder, asked)

    def _looked_at(self, value: JsonValue, tag: Tagger, asked: Asked | None) -> Scrubbed:
        whole = _below_a_key(value)
        printable = characters.printable_json(whole)
        survey = Survey(self._known_keys, self._custom)
        survey.add(printable, None)
        found = detect.run(survey, self._patterns, asked=asked)
        renderer = Renderer(tag=tag, key_spans=found.key_spans)
        rendered = renderer.render(printable, tree(survey.leaves))
        shown = guard.guard({_ROOT: rendered}, self._patterns)
        if shown.masked:
            self._on_guarded(len(shown.masked))
        # The guard saw it below one key, and a text stood below one more.
        seen = [*renderer.masked, *(each._replace(path=each.path[1:]) for each in shown.masked)]
        if whole is not value:
            seen = [each._replace(path=each.path[1:]) for each in seen]
        written = report.build(
            seen,
            ruleset=self._ruleset,
            profile=_PROFILE,
            cut=False,
            guard=len(shown.masked),
            key_spans=found.key_spans,
            tag=tag,
            ner=found.ner,
        )
        clean = shown.value[_ROOT]
        if whole is not value:
            clean = clean[_ROOT] if isinstance(clean, dict) else kinds.UNREADABLE.placeholder
        return Scrubbed(value=clean, report=written, complete=survey.complete)

    def _dark(self, placeholder: str, asked: Asked | None) -> Scrubbed:
        report = dark_report(self._ruleset, _PROFILE, ner=asked.state if asked else "")
        return Scrubbed(value=placeholder, report=report, complete=False)

    def _plain(self, text: str, *, prose: bool = False, more: Sequence[Span] = ()) -> str:
        joined = Joined([text])
        size = len(joined.data)
        if size > MAX_STRING_BYTES:
            return kinds.TOO_LONG.placeholder
        try:
            spans = list(more)
            for _, start, end, rule in detect.scan(joined, self._patterns):
                spans.append(Span(start, end, rule.kind, rule.id))
            for _, start, end, hidden in detect.hidden_finds(joined, self._patterns):
                spans.append(Span(start, end, hidden.kind if hidden else kinds.TOO_LONG, "view"))
            if prose:
                spans += detect.names_in(text)
        except TooMuchError:
            return kinds.TOO_LONG.placeholder
        if not spans:
            return joined.data.decode("utf-8")
        final = detect.resolve(self._custom.believed(spans, text), size)
        return mask_text(text, self._custom.shown(final, size), without_tags)


def _has_signs(text: str) -> bool:
    return bool(_SIGNS.search(text)) and not sql.looks_like(text)


def _too_long(text: str) -> bool:
    return len(text.encode("utf-8", "replace")) > MAX_STRING_BYTES


def _below_a_key(value: JsonValue) -> JsonObject:
    """A text or list alone stands below one key, and so is a leaf like any other."""
    return value if isinstance(value, dict) else {_ROOT: value}


def dark_report(ruleset: str, profile: str, *, ner: str = "") -> JsonObject:
    """The report of what shows nothing."""
    return {
        "ruleset": ruleset,
        "profile": profile,
        "masked": [{"pointer": "", "type": kinds.UNREADABLE.name, "rule": "failure", "count": 1}],
        "total": {kinds.UNREADABLE.name: 1},
        "cut": False,
        "guard": 0,
        **({"ner": ner} if ner else {}),
    }
