"""An operator's own rules, ready to be used beside the built-in ones.

Invariants: rules only add, except for allowed values and names and for looser
ways to show an entity, of which none reaches a secret. Pure. Read from a file
by `custom_file`, used by `sanitizer`, `survey` and `detect`.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from countersign import canonical
from countersign.sanitize import keys, kinds
from countersign.sanitize.keys import KeyRule
from countersign.sanitize.kinds import Kind, is_secret
from countersign.sanitize.rules.rule import Rule

if TYPE_CHECKING:
    from countersign.sanitize.survey import Span


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class CustomRules:
    """What an operator added to the built-in rules, and how entities are shown."""

    rules: tuple[Rule, ...] = ()
    names: Mapping[str, KeyRule] = dataclasses.field(default_factory=dict)
    """By the words that the name of a key ends with, joined."""
    short: Mapping[str, Rule] = dataclasses.field(default_factory=dict)
    """Words that patterns do not look at where they stand alone."""
    kinds: Mapping[str, Kind] = dataclasses.field(default_factory=dict)
    """Entities that are not shown as the built-in table says, by name."""
    allowed_values: frozenset[bytes] = frozenset()
    allowed_names: frozenset[str] = frozenset()
    table: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """As it was written."""

    @property
    def id(self) -> str:
        """The hash of all of it; empty without any."""
        if not self.table:
            return ""
        return hashlib.sha256(canonical.encode(dict(self.table))).hexdigest()

    def rule_of(self, key: str) -> KeyRule | None:
        """What the name of a key says; a secret stays one whatever an operator says."""
        built_in = keys.rule_of(key)
        if built_in is not None and is_secret(built_in.kind):
            return built_in
        if not self.names and not self.allowed_names:
            return built_in
        parts = keys.words(key)
        for first in range(len(parts)):  # it is about the end of the name
            own = self.names.get("".join(parts[first:]))
            if own is not None:
                return own
        return None if "".join(parts) in self.allowed_names else built_in

    def believed(self, spans: Sequence[Span], text: str) -> Sequence[Span]:
        """The finds but for those that are exactly an allowed value."""
        if not self.allowed_values:
            return spans
        data = text.encode("utf-8", "replace")
        return [
            span
            for span in spans
            if is_secret(span.kind)
            or span.kind in kinds.NOT_ENTITIES
            or data[span.start : span.end] not in self.allowed_values
        ]

    def shown(self, spans: list[Span], size: int) -> list[Span]:
        """Resolved finds with the kinds that say how they are shown."""
        if not self.kinds or not spans:
            return spans
        own = [span._replace(kind=self.kinds.get(span.kind.name, span.kind)) for span in spans]
        if not any(span.kind.whole for span in own):
            return own
        strongest = max(own, key=lambda span: span.kind.strength)
        return [strongest._replace(start=0, end=size)]


NONE: Final = CustomRules()


def joined(key: str) -> str:
    """The words of a key's name, as `keys` splits it."""
    return "".join(keys.words(key))
