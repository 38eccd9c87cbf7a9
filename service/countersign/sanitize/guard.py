"""The last look: what was rendered is searched again before it leaves.

Knows nothing of how masking went; it walks the rendered value itself. A field
in which a pattern still finds something, as it stands or in another reading,
is masked whole and counted, so a mistake anywhere before costs visibility and
is seen in the report. What is split over siblings is not looked for again.
Called by `sanitizer` on every preview, record and detail.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from countersign.model import JsonObject, JsonValue
from countersign.sanitize import kinds
from countersign.sanitize.detect import hidden_finds, is_digest, scan
from countersign.sanitize.mask import Masked
from countersign.sanitize.patterns import Patterns
from countersign.sanitize.survey import (
    JSON_STARTS,
    LEAST_NUMBER,
    SHORTEST,
    parse_json,
    spell,
)
from countersign.sanitize.views import Joined

Exempt = Mapping[str, Any]
"""Nested like the value; `True` at what must not be looked at."""

_NOTHING: Final[Exempt] = {}
_TAG: Final = r"(?:[0-9a-f]{4}|[0-9a-f]{16}|-?[0-9kM]{1,4}[+-]?[0-9kM]{0,4})"
_OWN: Final = "|".join(sorted({*kinds.ENTITIES, *(kind.name for kind in kinds.NOT_ENTITIES)}))
_WRITTEN: Final = rf"\[(?:[A-Z][A-Z0-9_]{{2,30}}:{_TAG}|{_OWN})\]"
_PLACEHOLDER: Final = re.compile(_WRITTEN)
_PLACEHOLDER_BYTES: Final = re.compile(_WRITTEN.encode())
"""What masking itself wrote. Texts are looked at between them: `[ORDER_ID:9f2c]` would announce
an id, and `password=[SECRET].` be one. Without a tag only our own names count: `[AKIA…]` is a
secret that was forgotten."""


@dataclasses.dataclass(frozen=True, slots=True)
class Guarded:
    """The value that may leave, and what the last look had to mask."""

    value: JsonObject
    masked: tuple[Masked, ...]


def guard(
    value: JsonObject,
    patterns: Patterns,
    exempt: Exempt = _NOTHING,
    *,
    encoded: bytes | None = None,
    ids: Sequence[bytes] = (),
) -> Guarded:
    """The value, with every field masked whole in which something is still found.

    `encoded` is its canonical form, if there is one, and `ids` what stands in
    it at the exempt places: a search of it is enough if it finds nothing else.
    """
    if encoded is not None and _is_clear(encoded, patterns, ids):
        return Guarded(value, ())
    seen = _Seen()
    _collect(value, "", seen, exempt)
    whole, parts = _between([each.text for each in seen])
    joined = Joined(parts)
    found = itertools.chain(scan(joined, patterns), hidden_finds(joined, patterns))
    bad: set[str] = set()
    for index, _, _, rule in found:
        each = seen[whole[index]]
        if rule is None or not is_digest(rule, each.key, each.text):
            bad.add(each.field)
    if not bad:
        return Guarded(value, ())
    masked: list[Masked] = []
    result = _without(value, bad, exempt, (), masked)
    return Guarded(result if isinstance(result, dict) else {}, tuple(masked))


def _between(texts: Sequence[str]) -> tuple[list[int], list[str]]:
    """The parts of the texts that masking did not write, and which text each is of."""
    whole: list[int] = []
    parts: list[str] = []
    for index, text in enumerate(texts):
        for part in _PLACEHOLDER.split(text) if "[" in text else (text,):
            whole.append(index)
            parts.append(part)
    return whole, parts


def _is_clear(encoded: bytes, patterns: Patterns, ids: Sequence[bytes]) -> bool:
    """Whether canonical JSON holds nothing but the ids, each no more often than exempt.

    Without escapes it holds every text as it is, between quotes, for which NUL
    stands so that no rule crosses them. With escapes it may not, and the texts
    themselves must be searched.
    """
    if b"\\" in encoded:
        return False
    encoded = _PLACEHOLDER_BYTES.sub(b"\x00", encoded.replace(b'"', b"\x00"))
    left = list(ids)
    for start, end, _ in patterns.find(encoded, patterns.candidates(encoded)):
        if encoded[start:end] not in left:
            return False
        left.remove(encoded[start:end])
    joined = Joined.of_one(encoded)
    if not joined.is_plain() or any(sign in encoded for sign in b"%&="):  # read text by text
        joined = Joined(encoded.split(b"\x00"))
    return not hidden_finds(joined, patterns)


class _Text(NamedTuple):
    """One thing to look at."""

    text: str
    key: str
    """Below which it stands; empty for a key itself."""
    field: str
    """What is masked if something is found: the text, or the one whose JSON it stands in."""


_Seen = list[_Text]


def _collect(value: JsonValue, key: str, seen: _Seen, exempt: Any, field: str = "") -> None:
    if isinstance(value, dict):
        for name, item in value.items():
            inner = exempt.get(name, _NOTHING) if exempt else _NOTHING
            if inner is True:
                continue
            if len(name) >= SHORTEST:
                seen.append(_Text(name, "", field or name))
            _collect_item(item, name, seen, inner, field)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            inner = exempt.get(str(index), _NOTHING) if exempt else _NOTHING
            _collect_item(item, key, seen, inner, field)


def _collect_item(item: JsonValue, key: str, seen: _Seen, exempt: Any, field: str) -> None:
    if isinstance(item, dict | list):
        _collect(item, key, seen, exempt, field)
    elif (text := _text(item)) is not None:
        parsed = _json_in(text)
        if parsed is not None:  # looked at as it was when it was masked
            _collect(parsed, key, seen, _NOTHING, field or text)
        else:
            seen.append(_Text(text, key, field or text))


def _json_in(text: str) -> JsonValue:
    """The object or list that a text holds."""
    parsed: JsonValue | object = parse_json(text) if text[0] in JSON_STARTS else None
    return parsed if isinstance(parsed, dict | list) else None


def _text(value: JsonValue) -> str | None:
    if isinstance(value, str):
        return value if len(value) >= SHORTEST else None
    if value is None or isinstance(value, bool | dict | list):
        return None
    return None if -LEAST_NUMBER < value < LEAST_NUMBER else spell(value)


def _without(
    value: JsonValue, bad: set[str], exempt: Any, path: tuple[str | int, ...], masked: list[Masked]
) -> JsonValue:
    if exempt is True:
        return value
    inner = exempt or _NOTHING
    if isinstance(value, dict):
        result: JsonObject = {}
        for key, item in value.items():
            if key in bad and inner.get(key) is not True:
                masked.append(Masked((*path, key), kinds.GUARD, "guard", 1))
                result[f"{kinds.GUARD.placeholder}#{len(result)}"] = kinds.GUARD.placeholder
            else:
                below = inner.get(key, _NOTHING)
                result[key] = _without(item, bad, below, (*path, key), masked)
        return result
    if isinstance(value, list):
        return [
            _without(item, bad, inner.get(str(index), _NOTHING), (*path, index), masked)
            for index, item in enumerate(value)
        ]
    if _text(value) in bad:
        masked.append(Masked(path, kinds.GUARD, "guard", 1))
        return kinds.GUARD.placeholder
    return value
