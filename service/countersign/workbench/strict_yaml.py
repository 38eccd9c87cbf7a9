"""YAML read strictly: nothing twice, nothing guessed, and the line of everything.

Scalars are those of YAML 1.2 (`true`, `false`, `null`, numbers, all else text),
so that `no` is a word, a time is a text and `0123` is refused. Tags are refused,
aliases are allowed. Pure; called by `tables`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

from countersign.model import JsonValue

MAX_BYTES: Final = 1 << 20
MAX_NODES: Final = 100_000
_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)")
_FLOAT: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_LOOKS_OCTAL: Final = re.compile(r"-?0[0-9]+")
_WORDS: Final[Mapping[str, JsonValue]] = {
    "true": True,
    "false": False,
    "null": None,
    "~": None,
    "": None,
}
_DEFAULT_TAGS: Final = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))

Place = tuple[str | int, ...]


class YamlError(ValueError):
    """What is wrong, and in which line."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f"line {line}: {problem}")
        self.line = line
        self.problem = problem


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document and where its parts stand."""

    value: JsonValue
    lines: Mapping[Place, int]

    def line(self, place: Place) -> int:
        """The line of a part, or of the nearest one around it."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)


def read(data: bytes) -> Document:
    """Read one document. Raises `YamlError`, which quotes keys but no values."""
    if len(data) > MAX_BYTES:
        raise YamlError(1, f"the file is over {MAX_BYTES} bytes")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise YamlError(data.count(b"\n", 0, error.start) + 1, "is not UTF-8") from None
    try:
        root = yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlError((mark.line if mark else 0) + 1, error.problem or "is no YAML") from None
    except (yaml.YAMLError, RecursionError):
        raise YamlError(1, "is no YAML") from None
    if root is None:
        return Document(value=None, lines={})
    reader = _Reader()
    return Document(value=reader.value(root, ()), lines=reader.lines)


class _Reader:
    """Turns nodes into values, each at its place."""

    def __init__(self) -> None:
        self.lines: dict[Place, int] = {}
        self._open: set[int] = set()
        self._count = 0

    def value(self, node: Any, place: Place) -> JsonValue:
        line = node.start_mark.line + 1
        self.lines.setdefault(place, line)
        self._count += 1
        if self._count > MAX_NODES:
            raise YamlError(line, f"the file has over {MAX_NODES} values, its aliases included")
        if node.tag not in _DEFAULT_TAGS:
            raise YamlError(line, "tags such as !this are not used here")
        if id(node) in self._open:
            raise YamlError(line, "an alias holds itself")
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node, line)
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self.value(each, (*place, i)) for i, each in enumerate(node.value)]
            return dict(self._pairs(node, place))
        finally:
            self._open.discard(id(node))

    def _pairs(self, node: Any, place: Place) -> Iterator[tuple[str, JsonValue]]:
        seen: set[str] = set()
        for key, item in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise YamlError(line, "a key must be a text")
            name = str(key.value)
            if name in seen:
                raise YamlError(line, f"the key {name} is given twice")
            seen.add(name)
            self.lines[*place, name] = line
            yield name, self.value(item, (*place, name))


def _scalar(node: Any, line: int) -> JsonValue:
    text = str(node.value)
    if node.style is not None:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _LOOKS_OCTAL.fullmatch(text):
        raise YamlError(line, "a number that begins with 0; put it in quotes if it is a text")
    return text
