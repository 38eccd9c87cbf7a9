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
from typing import Any, Final

from countersign.model import JsonObject, JsonValue
from countersign.sanitize import kinds
from countersign.sanitize.detect import hidden_finds, is_digest, scan
from countersign.sanitize.mask import Masked
from countersign.sanitize.patterns import Patterns
from countersign.sanitize.survey import LEAST_NUMBER, SHORTEST, spell
from countersign.sanitize.views import Joined

Exempt = Mapping[str, Any]
"""Nested like the value; `True` at what must not be looked at."""

_NOTHING: Final[Exempt] = {}
_TAGGED: Final = (
    r"\[[A-Z][A-Z0-9_]{2,30}:(?:[0-9a-f]{4}|[0-9a-f]{16}|-?[0-9kM]{1,4}[+-]?[0-9kM]{0,4})\]"
)
_PLACEHOLDER: Final = re.compile(_TAGGED)
_PLACEHOLDER_BYTES: Final = re.compile(_TAGGED.encode())
"""What masking itself wrote: `[ORDER_ID:9f2c]` would announce an id otherwise."""


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
    texts: list[str] = []
    owners: list[str] = []
    _collect(value, "", texts, owners, exempt)
    joined = Joined([_PLACEHOLDER.sub("[]", text) for text in texts])
    bad = {
        texts[index]
        for index, _, _, rule in itertools.chain(
            scan(joined, patterns), hidden_finds(joined, patterns)
        )
        if rule is None or not is_digest(rule, owners[index], texts[index])
    }
    if not bad:
        return Guarded(value, ())
    masked: list[Masked] = []
    result = _without(value, bad, exempt, (), masked)
    return Guarded(result if isinstance(result, dict) else {}, tuple(masked))


def _is_clear(encoded: bytes, patterns: Patterns, ids: Sequence[bytes]) -> bool:
    """Whether canonical JSON holds nothing but the ids, each no more often than exempt.

    Without escapes it holds every text as it is, between quotes, for which NUL
    stands so that no rule crosses them. With escapes it may not, and the texts
    themselves must be searched.
    """
    if b"\\" in encoded:
        return False
    encoded = _PLACEHOLDER_BYTES.sub(b"[]", encoded.replace(b'"', b"\x00"))
    left = list(ids)
    for start, end, _ in patterns.find(encoded, patterns.candidates(encoded)):
        if encoded[start:end] not in left:
            return False
        left.remove(encoded[start:end])
    joined = Joined.of_one(encoded)
    if not joined.is_plain() or any(sign in encoded for sign in b"%&="):  # read text by text
        joined = Joined(encoded.split(b"\x00"))
    return not hidden_finds(joined, patterns)


def _collect(value: JsonValue, key: str, texts: list[str], owners: list[str], exempt: Any) -> None:
    if isinstance(value, dict):
        for name, item in value.items():
            inner = exempt.get(name, _NOTHING) if exempt else _NOTHING
            if inner is True:
                continue
            if len(name) >= SHORTEST:
                texts.append(name)
                owners.append("")
            _collect_item(item, name, texts, owners, inner)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            inner = exempt.get(str(index), _NOTHING) if exempt else _NOTHING
            _collect_item(item, key, texts, owners, inner)


def _collect_item(
    item: JsonValue, key: str, texts: list[str], owners: list[str], exempt: Any
) -> None:
    if isinstance(item, dict | list):
        _collect(item, key, texts, owners, exempt)
    elif (text := _text(item)) is not None:
        texts.append(text)
        owners.append(key)


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
