"""The flat view of a context: its leaves, its keys, the fields facts come from.

Walks a JSON value once. Key-name rules are applied on the way, because they
need what stands around a leaf: parents, siblings, name/value pairs, the header
of a table, the option before an argument. Strings that are JSON themselves are
walked too. Every other stage (see `detect`) only adds spans to leaves.

Invariants: a string that is too long, or whose walk fails, is covered whole and
makes the survey incomplete; more leaves and keys than are looked at end the walk
with `TooMuchError`. What stands around a leaf is judged once an object, so time
is linear in the value. Nothing here keeps or logs a value.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from countersign.model import JsonObject, JsonValue, Withheld
from countersign.sanitize import characters, keys, kinds
from countersign.sanitize.bounds import MAX_LEAVES, MAX_SPANS, Allowance, TooMuchError
from countersign.sanitize.custom import NONE, CustomRules
from countersign.sanitize.facts import field_of
from countersign.sanitize.keys import KeyInfo, KeyRule, KnownKeys
from countersign.sanitize.kinds import Kind

_LOG: Final = logging.getLogger(__name__)

MAX_STRING_BYTES: Final = 64 << 10
MAX_JSON_IN_STRINGS: Final = 3
_JSON_COST: Final = 3
"""A string with JSON is parsed, walked and written anew: so much for a leaf more."""
MAX_DEPTH: Final = 64
SHORTEST: Final = 5
"""No pattern matches less; a PIN is found by its key."""
LEAST_NUMBER: Final = 10**6
"""Smaller numbers are no card, phone or account."""

Step: TypeAlias = "str | int"
Place: TypeAlias = "tuple[Place, Step] | None"
"""A path as a linked list, so that walking allocates one pair a node."""

PARSED: Final = "\x00parsed"
"""The step from a string into the JSON it holds. No pointer leads through it."""


WHOLE: Final = 1 << 60
"""Where a span ends that covers all of a leaf."""


class Span(NamedTuple):
    """Bytes of a leaf's UTF-8 form that must not be shown."""

    start: int
    end: int
    kind: Kind
    rule: str


class Leaf(Withheld):
    """One string or number, and what was found in it."""

    __slots__ = ("is_text", "key", "parsed", "place", "spans", "text")

    def __init__(self, text: str, place: Place, key: str, *, is_text: bool = True) -> None:
        self.text = text
        self.place = place
        self.key = key
        self.is_text = is_text
        self.parsed: JsonValue = None
        self.spans: list[Span] = []

    def add(self, span: Span) -> None:
        """Mask this much more of it."""
        self.spans.append(span)

    def cover(self, kind: Kind, rule: str) -> None:
        """Mask all of it."""
        self.add(Span(0, WHOLE, kind, rule))


class Texts(Withheld):
    """The strings of a walk that hold no JSON, and all of them joined.

    One search of `joined` tells a stage whether it has anything to do: NUL stands between them.
    """

    __slots__ = ("joined", "leaves", "spaced")

    def __init__(self, leaves: list[Leaf]) -> None:
        self.leaves = [leaf for leaf in leaves if leaf.is_text and leaf.parsed is None]
        self.spaced = [leaf for leaf in self.leaves if " " in leaf.text]
        """Those with a space: nothing else is a command, a statement or a sentence."""
        self.joined = "\x00".join([leaf.text for leaf in self.leaves])


class Row(NamedTuple):
    """A list or object whose parts may be one value together."""

    place: Place
    value: list[JsonValue] | JsonObject


class Run(NamedTuple):
    """A list or object that may hold the words of a command, and what it is called."""

    key: str
    place: Place
    value: list[JsonValue] | JsonObject


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A value that facts are made from, and the leaves it consists of."""

    fact: str
    place: Place
    value: JsonValue
    leaves: list[Leaf]


_UNKNOWN_KEY: Final = KeyInfo(rule=None, fact=None)
_PAIR_VALUES: Final = frozenset({"value", "Value", "values", "val", "new_value", "old_value"})
_PAIR_NAMES: Final = (
    "name", "Name", "key", "Key", "field", "column", "header", "property", "attribute", "variable",
)  # fmt: skip
_TABLE_HEADS: Final = frozenset({"columns", "fields", "headers", "header", "column_names"})
_THINGS: Final = frozenset(
    """apiVersion arn cluster data_type dataType engine host image kind metadata namespace nullable
    path port replicas region schema spec version""".split()
)
"""Keys that stand beside the name of a thing, not of a person."""
_RUN_FACTS: Final = frozenset({"shell", "shell_more"})
_PERSONAL: Final = frozenset({"personal", "contact", "financial", "government_id", "health"})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Around:
    """What stands around a bare `name`, the same for every key of one object."""

    personal: bool
    thing: bool
    technical: bool

    def is_personal(self, value: JsonValue) -> bool:
        """Whether the `name` is a person's: yes, unless everything says thing."""
        if self.personal:
            return True
        if not isinstance(value, str):
            return not self.technical
        if any(char.isspace() for char in value) or not value.isascii():
            return True
        if self.thing or self.technical:
            return False
        return not any(char in "_/:0123456789" for char in value)


class Survey(Withheld):
    """What one walk over a JSON value saw."""

    def __init__(self, known_keys: KnownKeys | None = None, custom: CustomRules = NONE) -> None:
        self.custom: Final = custom
        self.leaves: list[Leaf] = []
        self.fields: list[Field] = []
        self.rows: list[Row] = []
        """Where texts shorter than a leaf, or bytes as numbers, stand side by side."""
        self.run: list[Run] = []
        """Lists with texts in them, and objects with lists: they may be run as commands."""
        self.keys: dict[str, KeyInfo] = {}
        """The keys that were not known before."""
        self.objects = 0
        """Length of the longest list of objects."""
        self.complete = True
        self.spans = Allowance(MAX_SPANS)
        self._room = Allowance(MAX_LEAVES)
        self.known_keys = known_keys or KnownKeys()
        self._texts: tuple[int, Texts] | None = None
        self._arounds: dict[tuple[tuple[str, ...], str], _Around] = {}
        self._technical: dict[str, bool] = {}
        self._with_facts = False
        self._json_depth = 0
        self._short = 0
        """How many texts were met that are shorter than a leaf."""

    def texts(self) -> Texts:
        """The strings among the leaves there are by now."""
        if self._texts is None or self._texts[0] != len(self.leaves):
            self._texts = len(self.leaves), Texts(self.leaves)
        return self._texts[1]

    # --- walking -------------------------------------------------------------

    def add(self, value: JsonValue, place: Place, *, parent: str = "") -> None:
        """Walk a value. `parent` is the name of what holds it."""
        self._value(value, place, None, parent, 0)

    def add_arguments(self, arguments: JsonObject, place: Place) -> None:
        """Walk what the action will do: the only part facts are made from."""
        self._with_facts = True
        self.objects = 0
        self._value(arguments, place, None, "", 0)
        self._with_facts = False

    def _value(
        self, value: JsonValue, place: Place, rule: KeyRule | None, key: str, depth: int
    ) -> None:
        if isinstance(value, str):
            self._string(value, place, rule, key, depth)
        elif isinstance(value, dict):
            self._object(value, place, rule, key, depth + 1)
        elif isinstance(value, list):
            self._array(value, place, rule, key, depth + 1)
        elif isinstance(value, bool):
            if rule is not None and rule.kind is kinds.HEALTH:
                self._cover(Leaf(str(value), place, key, is_text=False), rule)
        elif value is not None:
            self._number(value, place, rule, key)

    def _string(self, text: str, place: Place, rule: KeyRule | None, key: str, depth: int) -> None:
        if rule is None and len(text) < SHORTEST:
            self._short += 1
            self._short_text(text, place, key)
            return
        self._room.spend()
        leaf = Leaf(text, place, key)
        self.leaves.append(leaf)
        if rule is not None and text:
            self.spans.spend()
            leaf.spans.append(Span(0, WHOLE, rule.kind, rule.id))
        if len(text) * 4 > MAX_STRING_BYTES and _size(text) > MAX_STRING_BYTES:
            leaf.text = ""
            leaf.cover(kinds.TOO_LONG, "bound.string")
            self.complete = False
        elif text[:1] in JSON_STARTS and len(text) > 1:
            self._json_in(leaf, rule, depth)

    def _short_text(self, text: str, place: Place, key: str) -> None:
        """Shorter than any pattern: only words that an operator lists are found."""
        short = self.custom.short
        rule = short.get(text.strip().casefold()) if short else None
        if rule is not None:
            self.spans.spend()
            self._leaf(Leaf(text, place, key)).cover(rule.kind, rule.id)

    def _number(self, value: float, place: Place, rule: KeyRule | None, key: str) -> None:
        if rule is not None and rule.kind is kinds.SECRET and keys.counts_tokens(key, value):
            rule = None
        if rule is not None and rule.kind is not kinds.PERSON:
            self._cover(Leaf(spell(value), place, key, is_text=False), rule)
        elif not -LEAST_NUMBER < value < LEAST_NUMBER:
            self._leaf(Leaf(spell(value), place, key, is_text=False))

    def _leaf(self, leaf: Leaf) -> Leaf:
        self._room.spend()
        self.leaves.append(leaf)
        return leaf

    def _cover(self, leaf: Leaf, rule: KeyRule) -> None:
        self.spans.spend()
        self._leaf(leaf).cover(rule.kind, rule.id)

    def _array(
        self,
        items: list[JsonValue],
        place: Place,
        rule: KeyRule | None,
        key: str,
        depth: int,
        columns: Sequence[KeyRule | None] = (),
    ) -> None:
        """A list, or a row of a table: what its columns are called comes first there."""
        if depth > MAX_DEPTH:
            raise _CannotWalkError
        if dict in map(type, items):
            self.objects = max(self.objects, len(items))
        previous: JsonValue = None
        short = self._short
        for index, item in enumerate(items):
            own = columns[index] if index < len(columns) else rule
            if isinstance(previous, str) and previous[:1] == "-":
                own = _option_rule(previous) or own
            self._value(item, (place, index), own, key, depth)
            previous = item
        if len(items) > 1 and (self._short > short or type(items[0]) is int) and rule is None:
            self.rows.append(Row(place, items))
        if str in map(type, items):
            self.run.append(Run(key, place, items))

    def _object(
        self, items: JsonObject, place: Place, rule: KeyRule | None, parent: str, depth: int
    ) -> None:
        if depth > MAX_DEPTH:
            raise _CannotWalkError
        inherited = rule if rule is not None and rule.deep else None
        paired = _paired_rule(items, self.custom) if _is_pair(items) else None
        columns = [] if _TABLE_HEADS.isdisjoint(items) else self._column_rules(items)
        plain = inherited is None and paired is None
        may_run = list in map(type, items.values())
        short = self._short
        around: _Around | None = None
        known = self.known_keys.get
        for key, value in items.items():
            info = known(key) or self.keys.get(key) or self._learn(key)
            if info is _UNKNOWN_KEY and plain and isinstance(value, str):
                may_run = may_run or value[:1] == "-" or key[:1] == "-"
                self._string(value, (place, key), None, key, depth)
                continue  # most strings: nothing around them says anything
            own = info.rule or inherited
            if info.rule is not None and info.rule.if_personal and not inherited:
                around = around or self._around(items, parent)
                own = info.rule if around.is_personal(value) else None
            if paired is not None and key in _PAIR_VALUES:
                own = paired
            before = len(self.leaves)
            if columns and isinstance(value, list) and any(isinstance(row, list) for row in value):
                self._rows(value, (place, key), columns, depth + 1)
            else:
                self._value(value, (place, key), own, key, depth)
            may_run = may_run or info.fact in _RUN_FACTS
            if info.fact is not None and self._with_facts:
                self.fields.append(
                    Field(
                        fact=info.fact,
                        place=(place, key),
                        value=value,
                        leaves=self.leaves[before:],
                    )
                )
        if len(items) > 1 and self._short > short and inherited is None:
            self.rows.append(Row(place, items))
        if may_run:
            self.run.append(Run(parent, place, items))

    def _rows(
        self, rows: list[JsonValue], place: Place, columns: list[KeyRule | None], depth: int
    ) -> None:
        """Rows of a table whose header stands beside them."""
        self.objects = max(self.objects, len(rows))
        for index, row in enumerate(rows):
            if isinstance(row, list):
                # One place for all cells: what stands beside each other is told by it.
                self._array(row, (place, index), None, "", depth + 1, columns)
            else:
                self._value(row, (place, index), None, "", depth)

    def _info(self, key: str) -> KeyInfo:
        return self.known_keys.get(key) or self.keys.get(key) or self._learn(key)

    def _learn(self, key: str) -> KeyInfo:
        """The rules of a key, looked up once a walk."""
        self._room.spend()
        name = characters.plain(key)
        fact = field_of(name)
        rule = self.custom.rule_of(name)
        info = KeyInfo(rule=rule, fact=fact) if rule or fact else _UNKNOWN_KEY
        self.keys[key] = info
        return info

    # --- what stands around a leaf -------------------------------------------

    def _around(self, items: JsonObject, parent: str) -> _Around:
        """What an object says of a bare `name` in it: all rows of a table say the same."""
        at = (tuple(items), parent)
        known = self._arounds.get(at)
        if known is not None:
            return known
        rules = (self._info(key).rule for key in items)
        self._arounds[at] = around = _Around(
            personal=any(
                rule and not rule.if_personal and not _PERSONAL.isdisjoint(rule.kind.classes)
                for rule in rules
            ),
            thing=_is_pair(items) or not _THINGS.isdisjoint(items),
            technical=self._is_technical(parent),
        )
        return around

    def _is_technical(self, parent: str) -> bool:
        known = self._technical.get(parent)
        if known is None:
            known = self._technical[parent] = keys.is_technical(parent)
        return known

    def _column_rules(self, items: JsonObject) -> list[KeyRule | None]:
        for head in sorted(_TABLE_HEADS & items.keys()):
            names = items[head]
            if isinstance(names, list) and any(isinstance(name, str) for name in names):
                return [self._info(n).rule if isinstance(n, str) else None for n in names]
        return []

    # --- JSON in strings -----------------------------------------------------

    def _json_in(self, leaf: Leaf, rule: KeyRule | None, depth: int) -> None:
        """Walk the JSON a string holds; what cannot be walked safely is covered."""
        parsed = parse_json(leaf.text)
        if parsed is NOT_JSON:
            return
        before = len(self.leaves)
        self._room.spend(_JSON_COST)
        self._json_depth += 1
        try:
            if self._json_depth > MAX_JSON_IN_STRINGS or parsed is AMBIGUOUS:
                raise _CannotWalkError
            deep = rule if rule is not None and rule.deep else None
            self._value(parsed, (leaf.place, PARSED), deep, leaf.key, depth + 1)
            leaf.parsed = parsed
        except TooMuchError:
            raise
        except Exception as error:  # noqa: BLE001 - fail closed: the value is covered whole
            _LOG.error("json in a string was masked whole: %s", type(error).__name__)
            del self.leaves[before:]
            leaf.cover(kinds.UNREADABLE, "json")
            self.complete = False
        finally:
            self._json_depth -= 1


class _CannotWalkError(Exception):
    """Nested deeper than is looked into, or ambiguous."""


NOT_JSON: Final[Any] = object()
AMBIGUOUS: Final[Any] = object()
JSON_STARTS: Final = frozenset('{["' + " \t\r\n")


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _CannotWalkError
    return found


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_pairs)


def parse_json(text: str) -> Any:
    """The JSON in a text; `NOT_JSON`, or `AMBIGUOUS` for what two readers may read differently."""
    if text.lstrip(" \t\r\n")[:1] not in {"{", "[", '"'}:
        return NOT_JSON
    try:
        return _DECODER.decode(text)
    except (_CannotWalkError, RecursionError):
        return AMBIGUOUS
    except ValueError:
        return NOT_JSON


def spell(value: float) -> str:
    """A number as its digits, so that a card written as a number is seen."""
    if isinstance(value, float) and abs(value) < 1e21:
        return str(int(value))
    return str(value)


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def _option_rule(option: str) -> KeyRule | None:
    """`--password` before an argument says what the argument is."""
    if "=" in option or " " in option or len(option) > 64:
        return None
    rule = keys.rule_of(option.lstrip("-"))
    return rule if rule is not None and rule.kind is kinds.SECRET else None


def _is_pair(items: JsonObject) -> bool:
    return not _PAIR_VALUES.isdisjoint(items)


def _paired_rule(items: JsonObject, custom: CustomRules) -> KeyRule | None:
    """`{"name": "DB_PASSWORD", "value": …}`: the name says what the value is."""
    for name in _PAIR_NAMES:
        named = items.get(name)
        if isinstance(named, str) and (rule := custom.rule_of(named)) is not None:
            return rule
    return None
