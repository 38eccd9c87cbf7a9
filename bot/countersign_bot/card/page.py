"""Parts of a card, and the only place that makes them.

What people or agents wrote goes through `text` into a `TextRun`; a `TextBlock`,
a title and a label take `Words` of the catalogue alone. A page has so much room:
what does not fit is said to be cut, and `cut` tells that something was which an
approval would have to have seen. Used by the sections. Pure but for that.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp

from countersign_bot.card import catalogue, moments, text
from countersign_bot.card.catalogue import Words
from countersign_bot.card.text import Clean
from countersign_bot.card.view import Element, Look

DEMANDED: Final = "◆"
"""Stands before what policy demands to be seen."""
_MAX_BRIEF: Final = 300
_LONGEST_WORD: Final = 18
_LONGEST_NAME: Final = 8
"""Characters of a word that find room beside each other on a phone."""
_LABEL_WIDTH: Final = 3
_VALUE_WIDTH: Final = 7


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How much of each thing is shown."""

    past_chars: int
    """Of one text that a decision does not rest on, such as the reason of an earlier vote."""
    past_entries: int
    """Of a list of such things."""
    chars: int
    """Of any other text."""
    lines: int
    """Of one text."""
    rows: int
    """Of arguments and attributes together, beside those that policy demands."""
    entries: int
    """Of any other list: items, questions, people."""


class Page:
    """Where one card is written."""

    def __init__(self, look: Look, room: Room) -> None:
        self.look = look
        self.room = room
        self.words = catalogue.of(look.language)
        self.cut = False
        """Something that a reviewer would have to see is not all there."""

    # --- runs ---

    def text(self, raw: str, **style: object) -> Element:
        """A short untrusted text in one run; what is too long ends in an ellipsis."""
        shown = text.brief(raw, max_chars=_MAX_BRIEF)
        self.cut = self.cut or shown.is_cut
        return run(text.breakable(shown.lines[0], _LONGEST_WORD), **style)

    def name(self, raw: str) -> Element:
        """The same for the left side, where words have less room."""
        shown = text.brief(raw, max_chars=_MAX_BRIEF)
        self.cut = self.cut or shown.is_cut
        return run(text.breakable(shown.lines[0], _LONGEST_NAME), subtle=True)

    def command(self, told: str, **style: object) -> Element:
        """What is to be typed as it stands, of nothing but our own words and ids."""
        shown = text.brief(told, max_chars=_MAX_BRIEF).lines[0]
        return run(shown, mono=True, **({"size": "Small"} | style))

    def texts(self, raw: Iterable[str], *, past: bool = False, **style: object) -> list[Element]:
        """Short untrusted texts, one run each, with commas between; beyond the room a count."""
        given = list(raw)
        kept = given[: self.room.past_entries if past else self.room.entries]
        runs: list[Element] = []
        for each in kept:
            if runs:
                runs.append(run(Clean(", "), **style))
            runs.append(self.text(each, **style))
        if len(given) > len(kept):
            self.cut = True
            runs.append(run(Clean(" ")))
            runs.append(self.say("cut.more", n=len(given) - len(kept), color="Warning"))
        return runs

    def say(self, key: str, *, n: int | None = None, **style: object) -> Element:
        """A sentence of the catalogue in a run."""
        return run(self.words.say(key, **({} if n is None else {"n": n})), **style)

    def sentence(
        self,
        key: str,
        n: int | None = None,
        style: Mapping[str, Any] | None = None,
        **holes: object,
    ) -> list[Element]:
        """A sentence about values: the words and each hole are runs of their own.

        A hole is a run, several, a number or one short untrusted text.
        """
        runs: list[Element] = []
        given = holes if n is None else {**holes, "n": n}
        for words, hole in self.words.parts(key, n):
            if words:
                runs.append(run(words, **(style or {})))
            if hole:
                runs += self._hole(given[hole], style or {})
        return runs

    def _hole(self, value: object, style: Mapping[str, Any]) -> list[Element]:
        match value:
            case int():
                return [run(Clean(self.words.number(value)), **style)]
            case str():
                return [self.text(value, **{"bold": True, **style})]
            case dict():
                return [value]
            case list():
                return value
        raise TypeError(type(value).__name__)

    def moment(self, stamp: Timestamp, *, far: bool = False, **style: object) -> list[Element]:
        """A time with its date and zone; with how `far` away it is."""
        moment = moments.at(stamp, self.look.timezone)
        runs = [run(Clean(moments.whole(moment)), **style)]
        if far:
            words = moments.distance(moment, self.look.now, self.words)
            runs += [run(Clean(" · "), subtle=True), run(words, subtle=True)]
        return runs

    def clock(self, stamp: Timestamp) -> Element:
        """A time of day with its zone, and its date when that is another than today's."""
        moment = moments.at(stamp, self.look.timezone)
        today = self.look.now.astimezone(moment.tzinfo).date()
        told = moments.clock(moment) if moment.date() == today else moments.whole(moment)
        return run(Clean(told))

    # --- lines ---

    def long(self, raw: str, *, counts: bool = True, **style: object) -> list[Element]:
        """A longer untrusted text in lines. `counts`: an approval has to have seen all of it."""
        max_chars = self.room.chars if counts else self.room.past_chars
        shown = text.shown(raw, max_chars=max_chars, max_lines=self.room.lines)
        broken = [text.breakable(each, _LONGEST_WORD) for each in shown.lines]
        lines = [line(run(each, **style)) for each in broken]
        if shown.is_cut:
            self.cut = self.cut or counts
            warned = {"color": "Warning"}
            digest = run(text.digest(raw), **warned)
            told = self.sentence("cut.text", n=len(raw), style=warned, digest=digest)
            lines.append(line(*told))
        return lines

    def heading(self, key: str, **style: object) -> Element:
        """The heading of a section: told by its weight, not by its size."""
        return block(self.words.say(key), heading=True, size="Default", **style)

    def row(self, label: str, *lines: Element, demanded: bool = False) -> Element:
        """Words of the catalogue on the left, lines on the right."""
        words = self.words.say(label)
        told = Words(f"{DEMANDED} {words}") if demanded else words
        return _columns(block(told, subtle=True), lines)

    def named(self, name: Sequence[Element], lines: Sequence[Element]) -> Element:
        """The same with an untrusted name on the left."""
        return _columns(line(*name), lines)


def run(words: Words | Clean, **style: object) -> Element:
    """A `TextRun`. Styles: bold, subtle, mono, italic, color, size."""
    made: Element = {"type": "TextRun", "text": words}
    if style.get("bold"):
        made["weight"] = "Bolder"
    if style.get("subtle"):
        made["isSubtle"] = True
    if style.get("mono"):
        made["fontType"] = "Monospace"
    if style.get("italic"):
        made["italic"] = True
    for name in ("color", "size"):
        if style.get(name):
            made[name] = style[name]
    return made


def line(*runs: Element, spacing: str = "") -> Element:
    """One paragraph of runs; it wraps. Neighbours of one style become one run."""
    inlines: list[Element] = []
    for each in runs:
        if inlines and _joins(inlines[-1], each):
            inlines[-1] = {**inlines[-1], "text": f"{inlines[-1]['text']}{each['text']}"}
        else:
            inlines.append(each)
    made: Element = {"type": "RichTextBlock", "inlines": inlines}
    if spacing:
        made["spacing"] = spacing
    return made


def _joins(before: Element, run: Element) -> bool:
    """Whether two runs look alike, and braces that stand apart would stay so."""
    alike = {**before, "text": ""} == {**run, "text": ""}
    return alike and not (before["text"].endswith("{") and run["text"].startswith("{"))


def block(words: Words, *, heading: bool = False, **style: object) -> Element:
    """A `TextBlock` of our own words. Styles: subtle, bold, color, size, spacing."""
    made: Element = {"type": "TextBlock", "text": words, "wrap": True}
    if heading:
        made |= {"style": "heading", "weight": "Bolder"}
    if style.get("subtle"):
        made["isSubtle"] = True
    if style.get("bold"):
        made["weight"] = "Bolder"
    for name in ("color", "size", "spacing"):
        if style.get(name):
            made[name] = style[name]
    return made


def container(
    items: list[Element], *, style: str, spacing: str = "Medium", bleed: bool = False
) -> Element:
    """Several parts together, on a ground of their own."""
    made: Element = {"type": "Container", "style": style, "items": items, "spacing": spacing}
    if bleed:
        made["bleed"] = True
    return made


def _columns(label: Element, lines: Sequence[Element]) -> Element:
    told = [dict(each, spacing="None") if index else each for index, each in enumerate(lines)]
    return {
        "type": "ColumnSet",
        "spacing": "Small",
        "columns": [
            {"type": "Column", "width": _LABEL_WIDTH, "items": [label]},
            {"type": "Column", "width": _VALUE_WIDTH, "items": told},
        ],
    }
