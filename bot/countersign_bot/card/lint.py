"""What must be true of every card, whatever made it; looked at before it is sent.

Elements, properties and values of a list and no others, so no picture, no link
but to the console, no text where a client reads markup but sentences of the
catalogue. `problems` answers in words for a log or a test; it quotes no value.
Pure.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from countersign_bot.card import catalogue, handle, state, text
from countersign_bot.card.actions import MAX_PRIMARY, MAX_VIEWERS
from countersign_bot.card.build import MAX_CARD_BYTES, VERSION
from countersign_bot.card.catalogue import Catalogue
from countersign_bot.card.page import DEMANDED
from countersign_bot.card.view import Card

_MAX_SUMMARY: Final = 250
_SIZES: Final = frozenset({"Small", "Default", "Medium", "Large"})
_COLORS: Final = frozenset({"Good", "Warning", "Attention", "Accent"})
_SPACINGS: Final = frozenset({"None", "Small", "Medium"})
_GROUNDS: Final = frozenset({"emphasis", "accent", "good", "warning", "attention"})
_PROPERTIES: Final[Mapping[str, frozenset[str]]] = {
    name: frozenset(("type", *properties.split()))
    for name, properties in {
        "AdaptiveCard": "version lang fallbackText body actions refresh",
        "Container": "items style bleed spacing",
        "ColumnSet": "columns spacing",
        "Column": "width items",
        "TextBlock": "text wrap style weight size color isSubtle spacing",
        "RichTextBlock": "inlines spacing",
        "TextRun": "text weight size color isSubtle italic fontType",
        "Input.Text": "id label placeholder isMultiline maxLength isRequired errorMessage",
        "Action.Execute": "title verb data style fallback",
        "Action.Submit": "title data style",
        "Action.ShowCard": "title style card",
        "Action.OpenUrl": "title url",
    }.items()
}
_VALUES: Final[Mapping[str, frozenset[Any]]] = {
    "size": _SIZES,
    "color": _COLORS,
    "spacing": _SPACINGS,
    "weight": frozenset({"Bolder"}),
    "fontType": frozenset({"Monospace"}),
    "wrap": frozenset({True}),
    "isSubtle": frozenset({True}),
    "italic": frozenset({True}),
    "bleed": frozenset({True}),
    "isMultiline": frozenset({True}),
    "isRequired": frozenset({True}),
}
_STYLES: Final[Mapping[str, frozenset[str]]] = {
    "Container": _GROUNDS,
    "TextBlock": frozenset({"heading"}),
    **dict.fromkeys(
        ("Action.Execute", "Action.Submit", "Action.ShowCard"),
        frozenset({"positive", "destructive"}),
    ),
}
_SPOKEN: Final = ("label", "placeholder", "errorMessage", "title", "fallbackText")
_BELOW: Final[Mapping[str, frozenset[str]]] = {
    "body": frozenset({"Container", "ColumnSet", "TextBlock", "RichTextBlock", "Input.Text"}),
    "items": frozenset({"Container", "ColumnSet", "TextBlock", "RichTextBlock"}),
    "columns": frozenset({"Column"}),
    "inlines": frozenset({"TextRun"}),
    "actions": frozenset({"Action.Execute", "Action.ShowCard", "Action.OpenUrl"}),
    "card": frozenset({"AdaptiveCard"}),
    "fallback": frozenset({"Action.Submit"}),
}
_SIGNS: Final = frozenset((*state.SIGNS, DEMANDED))
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_BREAK: Final = re.compile(rf"(?<=[^\s{text.BREAK}]){text.BREAK}(?=[^\s{text.BREAK}])")
"""One within a word, as `text` puts it there."""
_ISOLATES: Final = frozenset((text.ISOLATE, text.END_ISOLATE))


def problems(card: Card, *, console_url: str = "") -> list[str]:
    """What is wrong with a card, in words; empty when nothing is."""
    return [*_Look(console_url=console_url).at(card)]


class _Look:
    """One look at one card: the words it may use, and the ids it has seen."""

    def __init__(self, *, console_url: str) -> None:
        self._console_url = console_url
        self._words: Catalogue = catalogue.of(catalogue.DEFAULT)
        self._ids: set[str] = set()

    def at(self, card: Card) -> Iterator[str]:
        body = card.body
        if body.get("type") != "AdaptiveCard":
            yield "card: not an AdaptiveCard"
            return
        if body.get("version") != VERSION:
            yield f"version: not {VERSION}"
        if body.get("lang") not in catalogue.LANGUAGES:
            yield "lang: missing, or a language without a catalogue"
            return
        self._words = catalogue.of(body["lang"])
        if not body.get("fallbackText"):
            yield "fallbackText: missing"
        if not body.get("body"):
            yield "body: empty"
        if not card.summary or len(card.summary) > _MAX_SUMMARY or _hidden(card.summary):
            yield "summary: missing, too long or with hidden characters"
        yield from self._size(body)
        yield from self._element(body, "card")
        yield from self._refresh(body.get("refresh"))
        if len(body.get("actions", ())) > MAX_PRIMARY:
            yield f"actions: more than {MAX_PRIMARY}"

    def _size(self, body: Mapping[str, Any]) -> Iterator[str]:
        written = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        try:
            size = len(written.encode("utf-8"))
        except UnicodeEncodeError:
            yield "card: holds half a character"
            return
        if size > MAX_CARD_BYTES:
            yield f"card: {size} bytes, more than {MAX_CARD_BYTES}"

    def _element(self, element: object, at: str) -> Iterator[str]:
        kind = element.get("type") if isinstance(element, dict) else None
        if not isinstance(element, dict) or not isinstance(kind, str) or kind not in _PROPERTIES:
            yield f"{at}: not an element that is allowed"
            return
        at = f"{at} {kind}"
        if unknown := element.keys() - _PROPERTIES[kind]:
            yield f"{at}: {len(unknown)} properties that are not allowed"
        yield from self._values(element, kind, at)
        yield from self._spoken(element, kind, at)
        yield from self._required(element, kind, at)
        for name, kinds in _BELOW.items():
            below = element.get(name, [])
            for each in below if isinstance(below, list) else [below]:
                if not isinstance(each, dict) or each.get("type") not in kinds:
                    yield f"{at}.{name}: something that does not belong there"
                else:
                    yield from self._element(each, f"{at}.{name}")

    def _values(self, element: Mapping[str, Any], kind: str, at: str) -> Iterator[str]:
        for name, allowed in _VALUES.items():
            if name in element and element[name] not in allowed:
                yield f"{at}.{name}: not a value that is allowed"
        if "style" in element and element["style"] not in _STYLES.get(kind, ()):
            yield f"{at}.style: not a value that is allowed"

    def _spoken(self, element: Mapping[str, Any], kind: str, at: str) -> Iterator[str]:
        """Texts: ours where markup is read, anybody's in a TextRun, nothing hidden anywhere."""
        spoken = [name for name in _SPOKEN if name in element]
        spoken += ["text"] if kind == "TextBlock" else []
        for name in spoken:
            if not isinstance(element.get(name), str) or not self._is_ours(element[name]):
                yield f"{at}.{name}: not a sentence of the catalogue"
        if kind == "TextRun":
            told = element.get("text")
            if not isinstance(told, str) or _hidden(told) or not _isolates_close(told):
                yield f"{at}.text: missing, or with hidden characters"
            elif "{{" in told:
                yield f"{at}.text: holds what a client may expand"

    def _is_ours(self, told: str) -> bool:
        sign, _, rest = told.partition(" ")
        return self._words.says(rest if sign in _SIGNS else told)

    def _required(self, element: Mapping[str, Any], kind: str, at: str) -> Iterator[str]:
        match kind:
            case "TextBlock":
                if not element.get("wrap"):
                    yield f"{at}: does not wrap"
            case "Input.Text":
                yield from self._input(element, at)
            case "Action.Execute" | "Action.Submit":
                yield from _action(element, kind, at)
            case "Action.OpenUrl":
                if not self._may_open(element.get("url")):
                    yield f"{at}.url: not the console's"

    def _input(self, element: Mapping[str, Any], at: str) -> Iterator[str]:
        if not element.get("label"):
            yield f"{at}: has no label"
        if element.get("isRequired") and not element.get("errorMessage"):
            yield f"{at}: required, without errorMessage"
        if not isinstance(element.get("maxLength"), int):
            yield f"{at}: has no maxLength"
        if element.get("id") not in handle.INPUTS.values() or element["id"] in self._ids:
            yield f"{at}: an id that is not ours, or not unique"
        self._ids.add(str(element.get("id")))

    def _may_open(self, url: object) -> bool:
        base = self._console_url
        if not base.startswith("https://") or not isinstance(url, str):
            return False
        return re.fullmatch(r"[A-Za-z0-9._~%-]+", url.removeprefix(base)) is not None

    def _refresh(self, refresh: object) -> Iterator[str]:
        if refresh is None:
            return
        if not isinstance(refresh, dict) or refresh.keys() != {"action", "userIds"}:
            yield "refresh: not an action and userIds"
            return
        users: Sequence[object] = refresh["userIds"]
        if not 1 <= len(users) <= MAX_VIEWERS or not all(isinstance(each, str) for each in users):
            yield f"refresh.userIds: not 1 to {MAX_VIEWERS} ids"
        if refresh["action"].get("verb") != handle.Verb.REFRESH:
            yield "refresh.action: does more than read"
        yield from self._element(refresh["action"], "refresh")


def _action(element: Mapping[str, Any], kind: str, at: str) -> Iterator[str]:
    execute = kind == "Action.Execute"
    try:
        click = handle.read(element.get("data"), verb=element.get("verb") if execute else None)
    except handle.HandleError:
        yield f"{at}.data: not a handle"
        return
    if execute:
        below = element.get("fallback")
        if not isinstance(below, dict) or below.get("data") != element["data"]:
            yield f"{at}: no fallback with the same handle"
        if element.get("verb") != click.verb:
            yield f"{at}.verb: missing"


def _hidden(told: str) -> bool:
    """Whether a text holds a character that nobody sees; isolates that close are ours."""
    if told.isascii():
        return not told.isprintable()
    bare = _BREAK.sub("", told)
    return any(unicodedata.category(char) in _HIDDEN and char not in _ISOLATES for char in bare)


def _isolates_close(told: str) -> bool:
    depth = 0
    for char in told:
        if char == text.ISOLATE:
            depth += 1
        elif char == text.END_ISOLATE:
            depth -= 1
            if depth < 0:
                return False
    return depth == 0
