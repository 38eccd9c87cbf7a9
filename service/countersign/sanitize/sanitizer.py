"""`Sanitizer`: the only way data leaves a raw context.

`detect` looks once and says what is there; `preview` and `clean` render it for
a reviewer and for a record. Invariants: raw stays in memory (3); a value that
cannot be looked at is masked whole and the review cannot be approved (2); a
preview that is cut, or hides what policy wants shown, is not reviewable (9).
No method raises on any input: what fails comes out masked.

Called by the flow for contexts, and by whoever writes text or detail that
people or records will see.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from countersign import canonical
from countersign.model import (
    MASK_PROFILES,
    ActionContext,
    JsonObject,
    JsonValue,
    Preview,
    Withheld,
)
from countersign.sanitize import (
    characters,
    detect,
    envelope,
    facts,
    guard,
    kinds,
    manifest,
    report,
    ruleset,
)
from countersign.sanitize.bounds import TooMuchError
from countersign.sanitize.custom import NONE, CustomRules
from countersign.sanitize.free import Find, Free, Scrubbed, dark_report
from countersign.sanitize.keys import KnownKeys
from countersign.sanitize.kinds import Kind
from countersign.sanitize.mask import (
    CARD_TAG_DIGITS,
    RECORD_TAG_DIGITS,
    Masked,
    Node,
    Renderer,
    Tagger,
    tagger,
    tree,
)
from countersign.sanitize.patterns import Patterns
from countersign.sanitize.quantities import UNKNOWN, Quantity
from countersign.sanitize.recognized import Asked, Recognized, Recognizers, texts, wanted
from countersign.sanitize.rules import BUILT_IN
from countersign.sanitize.survey import Span, Survey

_LOG: Final = logging.getLogger(__name__)

REVIEWER, RESTRICTED = MASK_PROFILES
_RECORD: Final = "record"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Findings(Withheld):
    """What one look at a context found. Holds raw data; `to_record` does not."""

    context: ActionContext
    entities: Mapping[str, int]
    classes: tuple[str, ...]
    facts: JsonObject
    """As people see them: the last look is behind them."""
    guarded: int
    """How many facts the last look had to mask."""
    ner: str
    """How recognizers beside the rules fared: see `recognized`; empty: there are none."""
    quantity: Quantity
    """What the action adds to `Store.recent`; exact, so never for cards or records."""
    complete: bool
    root: Node
    key_spans: Mapping[str, Sequence[Span]]
    exempt: Mapping[str, Any]
    """Identifiers and registered ids: never masked where they stand."""

    def to_policy(self) -> JsonObject:
        """What records hold, and the exact quantities: policy reads the context itself."""
        return {**self.to_record(), "quantity": self.quantity.to_json()}

    def to_record(self) -> JsonObject:
        """Types, counts, classes and facts; never a value."""
        return {
            "entities": dict(sorted(self.entities.items())),
            "classes": list(self.classes),
            "facts": self.facts,
            "complete": self.complete,
            **({"ner": self.ner} if self.ner else {}),
        }


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Clean:
    """A context as records keep it, and what was masked in it."""

    context: JsonObject
    report: JsonObject


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """One rendering of a context, before it is written down."""

    context: JsonObject
    encoded: bytes
    """Its canonical form."""
    facts: JsonObject
    masked: list[Masked]
    guarded: int


class Sanitizer:
    """Detects and masks. Immutable after construction, safe to share."""

    profiles: Final = frozenset(MASK_PROFILES)
    """The mask profiles there are; the flow refuses others before asking."""

    def __init__(
        self,
        *,
        internal_domains: Sequence[str] = (),
        max_preview_bytes: int = 20_000,
        custom: CustomRules = NONE,
        recognizers: Recognizers | None = None,
        on_guarded: Callable[[int], None] = lambda _count: None,
    ) -> None:
        self._custom = custom
        self._recognizers = recognizers
        self._patterns = Patterns((*BUILT_IN, *custom.rules), allowed=custom.allowed_values)
        self._known_keys = KnownKeys()
        self._internal = tuple(name.lower().strip(".") for name in internal_domains if name)
        self._max_preview_bytes = max_preview_bytes
        beside = recognizers.id if recognizers else ""
        self._ruleset = ruleset.id_of(self._patterns.rules, custom, beside)
        self._on_guarded = on_guarded
        """Told how much the last look had to mask: every time is a bug of ours."""
        self._free = Free(
            self._patterns, self._known_keys, custom, self._ruleset, recognizers, on_guarded
        )

    @property
    def ruleset(self) -> str:
        """Names exactly the rules that are active: `builtin-1:<16 hex>`, or `custom-1:…`."""
        return self._ruleset

    def manifest(self) -> JsonObject:
        """What the rules find and how they show it: see `manifest.weaker`."""
        return manifest.build(self._ruleset, self._patterns.rules, self._custom, self._recognizers)

    # --- looking -------------------------------------------------------------
    # Where there are recognizers beside the rules, they are asked first, about the texts
    # that `asks…` names. Without an answer those texts are masked whole.

    def asks(self, context: ActionContext, *, known: Callable[[str], bool]) -> list[str]:
        """The texts of a context that recognizers are to look at."""
        if self._recognizers is None:
            return []
        survey = Survey(self._known_keys, self._custom)
        with contextlib.suppress(TooMuchError):  # only who does what is looked at then
            envelope.walk(survey, context, known)
        return texts(wanted(survey, self._recognizers))

    def detect(
        self,
        context: ActionContext,
        *,
        known: Callable[[str], bool],
        recognized: Recognized | None = None,
    ) -> Findings:
        """Everything sensitive in a context. `known` tells ids of the registry."""
        own = self._recognizers
        asked = Asked(recognizers=own, answer=recognized) if own else None
        try:
            return self._detect(context, known, asked)
        except Exception as error:  # noqa: BLE001 - fail closed: nothing of it will be shown
            _LOG.error("detection failed, the context is masked whole: %s", type(error).__name__)
            root = Node()
            root.cover = kinds.UNREADABLE
            return Findings(
                context=context,
                entities={},
                classes=(),
                facts={},
                guarded=0,
                ner=asked.state if asked else "",
                quantity=UNKNOWN,
                complete=False,
                root=root,
                key_spans={},
                exempt={},
            )

    def _detect(
        self, context: ActionContext, known: Callable[[str], bool], asked: Asked | None
    ) -> Findings:
        try:
            return self._look(context, known, asked, data=True)
        except TooMuchError:
            return self._look(context, known, asked, data=False)

    def _look(
        self,
        context: ActionContext,
        known: Callable[[str], bool],
        asked: Asked | None,
        *,
        data: bool,
    ) -> Findings:
        """Without `data` only who does what is looked at and shown, the rest is covered."""
        survey = Survey(self._known_keys, self._custom)
        exempt = envelope.walk(survey, context, known, data=data)
        found = detect.run(survey, self._patterns, known=known, asked=asked)
        measures = facts.measure(survey.fields, objects=survey.objects)
        known_facts = facts.build(
            survey.fields,
            found.statements,
            measures,
            internal_domains=self._internal,
            clean=self._free.cleaner(),
        )
        entities = found.entities
        shown = guard.guard(known_facts, self._patterns, encoded=canonical.encode(known_facts))
        if shown.masked:
            self._on_guarded(len(shown.masked))
        columns = known_facts.get("columns")
        classes = {data_class for kind in entities for data_class in kind.classes}
        if isinstance(columns, dict):  # touching a column is touching its data
            classes.update(columns)
        root = tree(survey.leaves)
        for path in () if data else envelope.DATA:
            root.down(path).cover = kinds.TOO_LONG
        return Findings(
            context=context,
            entities=_by_name(entities),
            classes=tuple(sorted(classes - {"total"})),
            facts=characters.visible_json(shown.value),
            guarded=len(shown.masked),
            ner=found.ner,
            quantity=measures.quantity if data else UNKNOWN,
            complete=survey.complete and data,
            root=root,
            key_spans=found.key_spans,
            exempt=exempt,
        )

    # --- rendering -----------------------------------------------------------

    def preview(
        self,
        context: ActionContext,
        findings: Findings,
        *,
        profile: str,
        policy_mask: Sequence[str],
        must_show: Sequence[str],
        tag_key: bytes,
    ) -> Preview:
        """One rendering for the people of one mask profile."""
        tag = tagger(tag_key, CARD_TAG_DIGITS)
        try:
            hide = () if profile == REVIEWER else envelope.FREE_TEXT
            view = self._view(context, findings, policy_mask, tag, hide)
            shown, cut = self._fit(view)
            written = report.build(
                view.masked,
                ruleset=self._ruleset,
                profile=profile,
                cut=cut,
                guard=view.guarded,
                key_spans=findings.key_spans,
                tag=tag,
                ner=findings.ner,
            )
            reviewable = (
                findings.complete
                and not cut
                and profile in self.profiles
                and report.shows(must_show, context.to_json(), view.facts, view.masked)
            )
            return _written(profile, shown, view.facts, written, reviewable=reviewable)
        except Exception as error:  # noqa: BLE001 - fail closed: show nothing
            _LOG.error("a preview failed and shows nothing: %s", type(error).__name__)
            dark = dark_report(self._ruleset, profile, ner=findings.ner)
            return _written(profile, canonical.encode(envelope.dark()), {}, dark, reviewable=False)

    def clean(
        self,
        context: ActionContext,
        findings: Findings,
        *,
        policy_mask: Sequence[str],
        tag_key: bytes,
    ) -> Clean:
        """The rendering for records, with longer tags."""
        tag = tagger(tag_key, RECORD_TAG_DIGITS)
        try:
            view = self._view(context, findings, policy_mask, tag, ())
            written = report.build(
                view.masked,
                ruleset=self._ruleset,
                profile=_RECORD,
                cut=False,
                guard=view.guarded,
                key_spans=findings.key_spans,
                tag=tag,
                ner=findings.ner,
            )
            return Clean(context=view.context, report=written)
        except Exception as error:  # noqa: BLE001 - fail closed: record nothing of it
            _LOG.error("a record shows nothing of its context: %s", type(error).__name__)
            return Clean(
                context=envelope.dark(),
                report=dark_report(self._ruleset, _RECORD, ner=findings.ner),
            )

    def _view(
        self,
        context: ActionContext,
        findings: Findings,
        policy_mask: Sequence[str],
        tag: Tagger,
        hide: Sequence[tuple[str, ...]],
    ) -> _View:
        if findings.context is not context or findings.root.cover is not None:
            raise _NotDetectedError
        raw = context.to_json()
        renderer = Renderer(
            tag=tag,
            key_spans=findings.key_spans,
            covers=envelope.covers(raw, policy_mask),
            hide_text_below=hide,
        )
        rendered = renderer.render(raw, findings.root)
        if not isinstance(rendered, dict):
            raise _NotDetectedError
        encoded = canonical.encode(rendered)
        ids = envelope.exempt_ids(context, findings.exempt)
        shown = guard.guard(rendered, self._patterns, findings.exempt, encoded=encoded, ids=ids)
        rendered = shown.value
        if shown.masked:
            self._on_guarded(len(shown.masked))
            encoded = canonical.encode(rendered)
        if not characters.is_plain_json(encoded):
            rendered = characters.visible_json(rendered)
            encoded = canonical.encode(rendered)
        return _View(
            context=rendered,
            encoded=encoded,
            facts=findings.facts,
            masked=[*renderer.masked, *shown.masked],
            guarded=len(shown.masked) + findings.guarded,
        )

    def _fit(self, view: _View) -> tuple[bytes, bool]:
        """The context, or the longest cut of it that is small enough to show."""
        if len(view.encoded) <= self._max_preview_bytes:
            return view.encoded, False
        for shorter in report.cuts(view.context):
            encoded = canonical.encode(shorter)
            if len(encoded) <= self._max_preview_bytes:
                return encoded, True
        return b"{}", True

    # --- what is not a context: see `free` ---

    def asks_of(self, value: JsonValue) -> list[str]:
        """The texts of any JSON value that recognizers are to look at."""
        return self._free.asks(value)

    def asks_of_text(self, text: str) -> list[str]:
        """The same for a text that stands alone."""
        return self._free.asks_of_text(text)

    def text(self, text: str, recognized: Recognized | None = None) -> str:
        """Reasons, comments, questions, answers."""
        return self._free.text(text, recognized)

    def label(self, text: str) -> str:
        """A short name that no recognizer is asked about, such as a stage's."""
        return self._free.label(text)

    def reference(self, text: str) -> str:
        """An id of somebody's own making, such as an idempotency key."""
        return self._free.reference(text)

    def detail(self, value: JsonObject, recognized: Recognized | None = None) -> JsonObject:
        """Outcome detail and labels."""
        return self._free.detail(value, recognized)

    def scrub(
        self, value: JsonValue, *, tag_key: bytes, recognized: Recognized | None = None
    ) -> Scrubbed:
        """Any JSON value that is no context."""
        return self._free.scrub(value, tag_key=tag_key, recognized=recognized)

    def finds(self, value: JsonValue, recognized: Recognized | None = None) -> list[Find]:
        """Which rules hit where in a value that is no context."""
        return self._free.finds(value, recognized)

    def finds_in_text(self, text: str) -> list[Find] | None:
        """The same for a text as it is; None when it cannot be looked at."""
        return self._free.finds_in_text(text)

    @property
    def types(self) -> frozenset[str]:
        """The names of all entities that the rules find."""
        return frozenset(kinds.ENTITIES) | frozenset(self._custom.kinds)

    def pointer(self, pointer: str) -> str:
        """A JSON pointer whose steps may hold data."""
        return self._free.pointer(pointer)


def _by_name(entities: Mapping[Kind, int]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for kind, count in entities.items():
        counts[kind.name] = counts.get(kind.name, 0) + count
    return counts


class _NotDetectedError(Exception):
    """There are no findings for this context, so nothing of it may be shown."""


def _written(
    profile: str, context: bytes, known: JsonObject, written: JsonObject, *, reviewable: bool
) -> Preview:
    context_json = context.decode()
    facts_json = canonical.encode(known).decode()
    report_json = canonical.encode(written).decode()
    return Preview(
        profile=profile,
        context_json=context_json,
        facts_json=facts_json,
        report_json=report_json,
        hash=canonical.preview_hash(profile, context_json, facts_json, report_json),
        reviewable=reviewable,
    )
