"""Masking: a raw value and its spans in, the same shape without them out.

Invariants: masking only adds. A number becomes a string, a key that holds data
is masked like a value (`#2` tells two keys apart that read the same), a string
that holds JSON is written anew, objects and lists keep their shape. What has
no span is returned as it is, not copied: treat both sides as frozen.

Called by `sanitizer`.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

from countersign.model import JsonValue, Withheld
from countersign.sanitize import kinds
from countersign.sanitize.characters import unused
from countersign.sanitize.kinds import Kind
from countersign.sanitize.survey import PARSED, Leaf, Place, Span, Step

CARD_TAG_DIGITS: Final = 4
RECORD_TAG_DIGITS: Final = 16

Tagger: TypeAlias = Callable[[Kind, bytes], str]
"""What stands for a value of this kind."""


def without_tags(kind: Kind, value: bytes) -> str:
    """For text that belongs to no review: `[EMAIL]`."""
    return _partly(kind, value) if kind.partly else kind.placeholder


def _partly(kind: Kind, value: bytes) -> str:
    """`[CREDIT_CARD:1111]`: what the operator's rules let be seen, if it is of that form."""
    shown = kind.partly(value) if kind.partly else ""
    return f"[{kind.name}:{shown}]" if shown else kind.placeholder


def tagger(tag_key: bytes, hex_digits: int) -> Tagger:
    """`[EMAIL:9f2c]`: equal values of one kind look equal under one key."""

    def tag(kind: Kind, value: bytes) -> str:
        if not kind.tagged:
            return without_tags(kind, value)
        at = (kind.name, value)
        known = tags.get(at)
        if known is not None:
            return known
        mac = keyed.copy()
        mac.update(kind.name.encode() + b"\x00" + _normalised(value))
        tags[at] = shown = f"[{kind.name}:{mac.hexdigest()[:hex_digits]}]"
        return shown

    tags: dict[tuple[str, bytes], str] = {}
    keyed = hmac.new(tag_key, digestmod="sha256")
    return tag


def _normalised(value: bytes) -> bytes:
    """Case, white space and the quotes of a SQL literal do not make another value."""
    if value.isascii():
        return b"".join(value.strip(b"'\"").lower().split())
    text = value.decode("utf-8", "replace").strip("'\"")
    return "".join(text.casefold().split()).encode("utf-8", "replace")


def mask_text(text: str, spans: Sequence[Span], tag: Tagger) -> str:
    """Replace resolved spans; offsets are UTF-8 bytes."""
    data = text.encode("utf-8", "replace")
    if len(spans) == 1 and spans[0].end - spans[0].start == len(data):
        return tag(spans[0].kind, data)
    parts: list[str] = []
    position = 0
    for span in spans:
        parts.append(data[position : span.start].decode("utf-8", "replace"))
        parts.append(tag(span.kind, data[span.start : span.end]))
        position = span.end
    parts.append(data[position:].decode("utf-8", "replace"))
    return "".join(parts)


class Node(Withheld):
    """The part of a value's tree that leads to something masked."""

    __slots__ = ("below", "cover")

    def __init__(self) -> None:
        self.below: dict[Step, Node | Leaf] = {}
        self.cover: Kind | None = None
        """The whole subtree becomes one placeholder of this kind."""

    def to(self, step: Step) -> Node:
        """The node one step down, made if there is none."""
        node = self.below.get(step)
        if not isinstance(node, Node):
            node = self.below[step] = Node()
        return node

    def down(self, path: Sequence[Step]) -> Node:
        """The node at a path, made if there is none."""
        node = self
        for step in path:
            node = node.to(step)
        return node


def tree(leaves: Sequence[Leaf]) -> Node:
    """The tree of all leaves that have spans."""
    root = Node()
    nodes: dict[int, Node] = {id(None): root}

    def at(place: Place) -> Node:
        """The leaves keep their places alive, so a place is known by its id."""
        node = nodes.get(id(place))
        if node is None and place is not None:
            above = at(place[0])
            # What is masked as one text leads nowhere, whatever JSON it holds.
            masked = isinstance(above.below.get(place[1]), Leaf)
            node = nodes[id(place)] = Node() if masked else above.to(place[1])
        return node or root

    for leaf in leaves:
        if leaf.spans:
            if leaf.place is None:
                root.cover = leaf.spans[0].kind
            else:
                above, step = leaf.place
                at(above).below[step] = leaf
    return root


class Masked(NamedTuple):
    """One thing that was masked. `path` is raw: it never leaves this package."""

    path: tuple[Step, ...]
    kind: Kind
    rule: str
    leaves: int


_NOWHERE: Final[dict[Step, Node | Leaf]] = {}


class Renderer:
    """Renders one value once; `masked` says afterwards what it did."""

    def __init__(
        self,
        *,
        tag: Tagger,
        key_spans: Mapping[str, Sequence[Span]],
        covers: Node | None = None,
        hide_text_below: Sequence[tuple[str, ...]] = (),
    ) -> None:
        self.masked: list[Masked] = []
        self._tag = tag
        self._key_spans = key_spans
        self._covers = covers
        self._hide_text_below = hide_text_below

    def render(self, value: JsonValue, root: Node) -> JsonValue:
        """The value with everything masked that the tree and the covers name."""
        everything = bool(self._key_spans or self._hide_text_below)
        return self._value(value, root, self._covers, (), everything)

    def _value(
        self,
        value: JsonValue,
        node: Node | Leaf | None,
        cover: Node | Leaf | None,
        path: tuple[Step, ...],
        everything: bool,  # noqa: FBT001 - a recursive walk, called by position
    ) -> JsonValue:
        if node is None and cover is None and not everything:
            return value
        if isinstance(cover, Node) and cover.cover is not None:
            self.masked.append(Masked(path, cover.cover, "policy", count_leaves(value)))
            return cover.cover.placeholder
        if isinstance(node, Node) and node.cover is not None:
            self.masked.append(Masked(path, node.cover, "bound.value", 1))
            return node.cover.placeholder
        if isinstance(value, dict):
            return self._object(value, node, cover, path, everything)
        if isinstance(value, list):
            return self._array(value, node, cover, path, everything)
        return self._leaf(value, node, path)

    def _object(
        self,
        items: dict[str, JsonValue],
        node: Node | Leaf | None,
        cover: Node | Leaf | None,
        path: tuple[Step, ...],
        everything: bool,  # noqa: FBT001
    ) -> JsonValue:
        below, covers = _below(node), _below(cover)
        result: dict[str, JsonValue]
        if not everything:
            result = items.copy()
            for key, item in items.items():
                inner = below.get(key)
                if isinstance(inner, Leaf) and not covers:
                    result[key] = self._masked(inner, (*path, key))
                elif inner is not None or key in covers:
                    result[key] = self._value(
                        item, inner, covers.get(key), (*path, key), everything
                    )
            return result
        result = {}
        alike: dict[str, int] = {}
        for key, item in items.items():
            shown = self._key(key, path) if self._key_spans else key
            result[unused(shown, result, alike)] = self._value(
                item, below.get(key), covers.get(key), (*path, key), everything
            )
        return result

    def _array(
        self,
        items: list[JsonValue],
        node: Node | Leaf | None,
        cover: Node | Leaf | None,
        path: tuple[Step, ...],
        everything: bool,  # noqa: FBT001
    ) -> JsonValue:
        below, covers = _below(node), _below(cover)
        if not covers and not everything:
            result = items.copy()
            for step, inner in below.items():
                if isinstance(step, int):
                    result[step] = self._value(items[step], inner, None, (*path, step), everything)
            return result
        return [
            self._value(item, below.get(at), covers.get(str(at)), (*path, at), everything)
            for at, item in enumerate(items)
        ]

    def _key(self, key: str, path: tuple[Step, ...]) -> str:
        spans = self._key_spans.get(key)
        if not spans:
            return key
        self.masked.extend(Masked((*path, key), span.kind, span.rule, 1) for span in spans)
        return mask_text(key, spans, self._tag)

    def _leaf(
        self, value: JsonValue, node: Node | Leaf | None, path: tuple[Step, ...]
    ) -> JsonValue:
        if self._hide_text_below and isinstance(value, str) and value and self._hides_text(path):
            self.masked.append(Masked(path, kinds.TEXT, "profile", 1))
            return kinds.TEXT.placeholder
        if isinstance(node, Leaf):
            return self._masked(node, path)
        if node is not None and PARSED in node.below and isinstance(value, str):
            return self._json_in(value, node.below[PARSED], path)
        if isinstance(value, str) and self._key_spans and value[:1] in _JSON_STARTS:
            return self._json_in(value, node, path)
        return value

    def _masked(self, leaf: Leaf, path: tuple[Step, ...]) -> str:
        for span in leaf.spans:
            self.masked.append(Masked(path, span.kind, span.rule, 1))
        if not leaf.is_text:  # a number shows no digits beside what was found in it
            strongest = max(leaf.spans, key=lambda span: span.kind.strength)
            return self._tag(strongest.kind, leaf.text.encode())
        return mask_text(leaf.text, leaf.spans, self._tag)

    def _json_in(self, text: str, node: Node | Leaf | None, path: tuple[Step, ...]) -> str:
        try:
            parsed = json.loads(text)
        except ValueError:
            return text
        shown = self._value(parsed, node, None, (*path, PARSED), bool(self._key_spans))
        return text if shown == parsed else json.dumps(shown)

    def _hides_text(self, path: tuple[Step, ...]) -> bool:
        return any(path[: len(prefix)] == prefix for prefix in self._hide_text_below)


def _below(node: Node | Leaf | None) -> dict[Step, Node | Leaf]:
    return node.below if isinstance(node, Node) else _NOWHERE


_JSON_STARTS: Final = frozenset('{["' + " \t\r\n")


def count_leaves(value: JsonValue) -> int:
    """Strings, numbers, booleans and nulls in a value."""
    if isinstance(value, dict):
        return sum(map(count_leaves, value.values()))
    if isinstance(value, list):
        return sum(map(count_leaves, value))
    return 1
