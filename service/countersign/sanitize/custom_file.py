"""What `sanitizer.toml` says, checked and made ready as `custom.CustomRules`.

`parse` takes the parsed table and refuses whatever could not work: a rule that
does not find its own examples, an action that its type cannot have, a find in
the placeholders themselves. Invariants: rules only add, except for `[allow]`
and looser actions, of which none reaches a secret; expressions run in RE2 and
never across texts. Errors name table, key and remedy, never a value. Pure.
Called by `config`.
"""

from __future__ import annotations

import dataclasses
import enum
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import re2

from countersign.errors import ConfigurationError
from countersign.sanitize import keys, kinds
from countersign.sanitize.custom import CustomRules, joined
from countersign.sanitize.keys import KeyRule
from countersign.sanitize.kinds import Kind, is_secret
from countersign.sanitize.partly import bucket, last_4
from countersign.sanitize.patterns import Patterns
from countersign.sanitize.portable import UnusableError, apart_from_others
from countersign.sanitize.rules.rule import Rule
from countersign.sanitize.survey import SHORTEST

STRENGTH: Final = 85
"""Of every type that only an operator knows: above all but secrets."""
MAX_RULES: Final = 200
MAX_LIST: Final = 1_000
MAX_TEXT: Final = 500
_ID: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
_TYPE: Final = re.compile(r"[A-Z][A-Z0-9_]{2,30}")
_CLASS: Final = re.compile(r"[a-z][a-z0-9_]{1,30}")


class Action(enum.Enum):
    """What stands for a value, the strictest first."""

    DROP = "drop"
    MASK = "mask"
    TAG = "tag"
    BUCKET = "bucket"
    KEEP_LAST_4 = "keep_last_4"


def parse(table: Mapping[str, Any], *, name: str) -> CustomRules:
    """The rules of a file. Raises `ConfigurationError` (`sanitizer.rules`)."""
    at = _At(name, "")
    at.only(table, ("rules", "allow", "entities"))
    entries = at.tables(table, "rules", MAX_RULES)
    own = _kinds(at, entries)
    shown = {**own, **_entities(at, at.table(table, "entities"))}
    read = [_rule(at.below(f"rules[{n}]"), entry, own) for n, entry in enumerate(entries)]
    _unique(at, [each.id for each in read])
    rules = tuple(rule for each in read for rule in each.rules)
    _check(read, rules, shown)
    allow, below = at.table(table, "allow"), at.below("allow")
    below.only(allow, ("values", "keys"))
    return CustomRules(
        rules=rules,
        names={key: each.names for each in read if each.names for key in each.keys},
        short={
            word.casefold(): each.rules[-1]
            for each in read
            for word in each.words
            if len(word) < SHORTEST
        },
        kinds=shown,
        allowed_values=_allowed_values(below, allow, rules),
        allowed_names=_allowed_names(below, allow),
        table=dict(table),
    )


# --- reading, strictly --------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class _At:
    """Where in which file we are, for errors."""

    name: str
    where: str

    def below(self, step: str) -> _At:
        return _At(self.name, f"{self.where}.{step}" if self.where else step)

    def wrong(self, key: str, problem: str, advice: str = "") -> ConfigurationError:
        where = ".".join(part for part in (self.where, key) if part)
        return ConfigurationError(
            "sanitizer.rules", f"{self.name}: {where}: {problem}", advice=advice
        )

    def only(self, table: Mapping[str, Any], known: Iterable[str]) -> None:
        for position, key in enumerate(table):
            if key not in known:
                word = key if re.fullmatch(r"[A-Za-z_]{1,40}", key) else f"key {position + 1}"
                raise self.wrong(word, "is unknown", f"Known are {', '.join(known)}.")

    def table(self, table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        value = table.get(key, {})
        if not isinstance(value, Mapping):
            raise self.wrong(key, "is no table", f"Write [{key}].")
        return value

    def tables(self, table: Mapping[str, Any], key: str, most: int) -> list[Mapping[str, Any]]:
        value = table.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
            raise self.wrong(key, "is no array of tables", f"Write [[{key}]].")
        if len(value) > most:
            raise self.wrong(key, f"has more than {most} entries", "Join rules of one type.")
        return value

    def text(self, table: Mapping[str, Any], key: str, form: re.Pattern[str]) -> str:
        value = table.get(key)
        if not isinstance(value, str) or not form.fullmatch(value):
            raise self.wrong(key, "is missing or not of its form", f"It must match {form.pattern}.")
        return value

    def texts(self, table: Mapping[str, Any], key: str) -> list[str]:
        value = table.get(key, [])
        if not isinstance(value, list) or not all(
            isinstance(item, str) and item.strip() and len(item) <= MAX_TEXT for item in value
        ):
            raise self.wrong(key, f"is no list of texts of 1 to {MAX_TEXT} characters")
        if len(value) > MAX_LIST:
            raise self.wrong(key, f"has more than {MAX_LIST} entries")
        return value

    def action(self, table: Mapping[str, Any], default: Action | None = None) -> Action:
        value = table.get("action")
        if value is None and default is not None:
            return default
        try:
            return Action(value)
        except ValueError:
            known = ", ".join(action.value for action in Action)
            raise self.wrong("action", "is missing or unknown", f"Known are {known}.") from None


# --- kinds ---------------------------------------------------------------------


_PARTLY: Final[Mapping[Action, Callable[[bytes], str]]] = {
    Action.BUCKET: bucket,
    Action.KEEP_LAST_4: last_4,
}


def _acted(kind: Kind, action: Action) -> Kind:
    return dataclasses.replace(
        kind,
        tagged=action is Action.TAG,
        partly=_PARTLY.get(action),
        whole=action is Action.DROP,
    )


def _kinds(at: _At, entries: Sequence[Mapping[str, Any]]) -> dict[str, Kind]:
    """The types that only these rules know."""
    found: dict[str, Kind] = {}
    reserved = {kind.name for kind in kinds.NOT_ENTITIES}
    for number, entry in enumerate(entries):
        here = at.below(f"rules[{number}]")
        name = here.text(entry, "type", _TYPE)
        if name in reserved:
            raise here.wrong("type", "means something else", "Name the sort of value.")
        if name in kinds.ENTITIES:
            if "action" in entry or "classes" in entry:
                raise here.wrong(
                    "type", "is built in, with its classes", f"Set action in [entities.{name}]."
                )
            continue
        action = here.action(entry, Action.MASK)
        if action is Action.KEEP_LAST_4:
            raise here.wrong("action", "keep_last_4 is for cards", "Use mask, tag or bucket.")
        classes = here.texts(entry, "classes")
        if not all(map(_CLASS.fullmatch, classes)):
            raise here.wrong("classes", "is not of its form", f"Each matches {_CLASS.pattern}.")
        plain = Kind(name=name, strength=STRENGTH, classes=tuple(classes))
        kind = _acted(plain, action)
        if found.setdefault(name, kind) != kind:
            raise here.wrong("type", "has another action or other classes above", "Make them one.")
    return found


def _entities(at: _At, table: Mapping[str, Any]) -> dict[str, Kind]:
    """Built-in entities that are shown otherwise."""
    found: dict[str, Kind] = {}
    here = at.below("entities")
    here.only(table, kinds.ENTITIES)
    for name in table:
        each, settings = here.below(name), here.table(table, name)
        each.only(settings, ("action",))
        action = each.action(settings)
        strict = action in {Action.DROP, Action.MASK}
        if name == kinds.SECRET.name and not strict:
            raise each.wrong("action", "would tell of a secret", "Use mask or drop.")
        if action is Action.KEEP_LAST_4 and name != kinds.CREDIT_CARD.name:
            raise each.wrong("action", "keep_last_4 is for cards", "Use mask or tag.")
        if action is Action.BUCKET and name != kinds.FINANCIAL.name:
            raise each.wrong("action", "bucket is for numbers", "Use mask or tag.")
        found[name] = _acted(kinds.ENTITIES[name], action)
    return found


# --- rules ---------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """One `[[rules]]`."""

    at: _At
    id: str
    rules: tuple[Rule, ...]
    names: KeyRule | None
    keys: tuple[str, ...]
    words: tuple[str, ...]
    examples: tuple[str, ...]


def _rule(at: _At, entry: Mapping[str, Any], own: Mapping[str, Kind]) -> _Read:
    at.only(entry, ("id", "type", "regex", "keys", "words", "classes", "action", "examples"))
    name = at.text(entry, "id", _ID)
    kind = own.get(entry["type"]) or kinds.ENTITIES[entry["type"]]
    names = [joined(key) for key in at.texts(entry, "keys")]
    if not all(names):
        raise at.wrong("keys", "one has no letters", "Name keys by words, such as order_total.")
    words = at.texts(entry, "words")
    rules: list[Rule] = []
    if "regex" in entry:
        pattern = _pattern(at, entry["regex"])
        rules.append(Rule(id=f"custom.{name}", kind=kind, pattern=pattern, again=True))
    if words:
        rules.append(
            Rule(
                id=f"custom.{name}",
                kind=kind,
                pattern=_of_words(words),
                keywords=tuple(max(word.split(), key=len) for word in words),
                again=True,
            )
        )
    if not rules and not names:
        raise at.wrong("", "finds nothing", "Give regex, keys or words.")
    examples = at.texts(entry, "examples")
    if bool(rules) != bool(examples):
        why = (
            "are missing: a rule that cannot fire is an error" if rules else "are for regex, words"
        )
        raise at.wrong("examples", why, "Give made-up values that regex or words must find.")
    return _Read(
        at=at,
        id=name,
        rules=tuple(rules),
        names=KeyRule(kind=kind, id=f"key.custom.{name}", deep=True) if names else None,
        keys=tuple(names),
        words=tuple(words),
        examples=tuple(examples),
    )


def _pattern(at: _At, regex: Any) -> str:
    if not isinstance(regex, str) or not 0 < len(regex) <= MAX_TEXT:
        raise at.wrong("regex", f"is no text of 1 to {MAX_TEXT} characters")
    try:
        pattern = apart_from_others(regex)
    except UnusableError as error:
        raise at.wrong("regex", "cannot be used", f"{error}.") from None
    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(pattern, options)
    except re2.error:
        raise at.wrong(
            "regex", "is not RE2 syntax", "RE2 has no look-around and no back-references."
        ) from None
    if compiled.search("") is not None:
        raise at.wrong("regex", "matches the empty text", "Say what must be there.")
    return pattern


def _of_words(words: Sequence[str]) -> str:
    """Whole words in any case; blanks in a phrase may be any white space."""
    spelled = [r"\s+".join(map(re2.escape, word.split())) for word in sorted(words, key=_longest)]
    return rf"(?i)(?:^|[^\pL\pN_])({'|'.join(spelled)})(?:$|[^\pL\pN_])"


def _longest(word: str) -> tuple[int, str]:
    return -len(word), word


# --- what must hold of all together --------------------------------------------


def _unique(at: _At, ids: Sequence[str]) -> None:
    for number, name in enumerate(ids):
        if name in ids[:number]:
            raise at.wrong(f"rules[{number}].id", "is taken above", "Ids name rules in reports.")


def _check(read: Sequence[_Read], rules: tuple[Rule, ...], shown: Mapping[str, Kind]) -> None:
    """Each example is found by its own rule, and nothing finds a placeholder."""
    patterns = Patterns(rules)
    everything = range(len(rules))
    for each in read:
        own = {index for index in everything if rules[index] in each.rules}
        for number, example in enumerate(each.examples):
            text = example.encode()
            if len(example) < SHORTEST and example.casefold() in map(str.casefold, each.words):
                continue
            if len(example) < SHORTEST or not any(patterns.find(text, own)):
                raise each.at.wrong(
                    f"examples[{number}]",
                    "is not found by its own rule",
                    f"Correct one of them; a regex looks at no text below {SHORTEST} characters.",
                )
    names = {*shown, *kinds.ENTITIES, *(kind.name for kind in kinds.NOT_ENTITIES)}
    placeholders = "\x00".join(f"[{name}]" for name in sorted(names))
    for _, _, rule in patterns.find(placeholders.encode(), everything):
        owner = next(each for each in read if rule in each.rules)
        raise owner.at.wrong(
            "regex or words",
            "finds the placeholders that stand for masked values",
            "Narrow it, or choose a type that does not hold the word.",
        )


def _allowed_values(at: _At, allow: Mapping[str, Any], rules: tuple[Rule, ...]) -> frozenset[bytes]:
    values = at.texts(allow, "values")
    patterns = Patterns((*Patterns().rules, *rules)) if values else None
    for number, value in enumerate(values):
        text = value.encode()
        found = patterns.find(text, patterns.candidates(text)) if patterns else ()
        if any(is_secret(rule.kind) for _, _, rule in found):
            raise at.wrong(
                f"values[{number}]", "is or holds a credential", "Secrets are always masked."
            )
    return frozenset(value.encode() for value in values)


def _allowed_names(at: _At, allow: Mapping[str, Any]) -> frozenset[str]:
    names = at.texts(allow, "keys")
    for number, name in enumerate(names):
        rule = keys.rule_of(name)
        if rule is not None and is_secret(rule.kind):
            raise at.wrong(f"keys[{number}]", "names a credential", "Secrets are always masked.")
        if not joined(name):
            raise at.wrong(f"keys[{number}]", "has no letters", "Name keys by words.")
    return frozenset(map(joined, names))
