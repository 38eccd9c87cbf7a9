"""Strict JSON, its RFC 8785 form, commitments and fingerprints.

Invariant 4 rests here: one changed byte in the canonical context is another
commitment. OPA, the detector and the commitment all see the bytes `encode`
makes. Pure; used by the edge (parsing), the flow (binding) and the client
(checking a permit against what is about to run).

A number is accepted only if its exact decimal value equals that of its RFC
8785 form, so nothing is rounded on the way to a reviewer: `1.0` and `1` are
one number, 2^53 + 1 and 100.000000000000001 are refused.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import re
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Never

import orjson

from countersign.model import JsonObject, JsonValue

MAX_DEPTH: Final = 32
SALT_BYTES: Final = 32
_COMMITMENT_DOMAIN: Final = b"countersign/context/v1"
_PREVIEW_DOMAIN: Final = b"countersign/preview/v1"
_MAX_SAFE: Final = 2**53
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class StrictJsonError(ValueError):
    """JSON that cannot be taken without guessing.

    `pointer` is the RFC 6901 pointer of the place below the parsed document;
    `problem` says what is wrong and what to do, and never quotes a value.
    """

    def __init__(self, pointer: str, problem: str) -> None:
        super().__init__(f"{pointer or '/'}: {problem}")
        self.pointer = pointer
        self.problem = problem

    def below(self, step: str) -> StrictJsonError:
        """The same error, one reference token further from the root."""
        return StrictJsonError(f"/{step}{self.pointer}", self.problem)


class _Number:
    """A number token that is not an integer anybody can hold, until it is looked at."""

    __slots__ = ("token",)

    def __init__(self, token: str) -> None:
        self.token = token


class _DuplicateKey:
    """Stands where an object named one key twice, until its place is known."""

    __slots__ = ("key",)

    def __init__(self, key: str) -> None:
        self.key = key


def _pairs(pairs: list[tuple[str, Any]]) -> Any:
    result = dict(pairs)
    if len(result) == len(pairs):
        return result
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            return _DuplicateKey(key)
        seen.add(key)
    raise AssertionError("unreachable")


class _Constant:
    """Stands where NaN or an infinity was written."""


def _constant(_: str) -> _Constant:
    return _Constant()


def _integer(token: str) -> int | _Number:
    return int(token) if len(token) < 16 else _Number(token)


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_pairs,
    parse_int=_integer,
    parse_float=_Number,
    parse_constant=_constant,
    strict=True,
)


def parse_object(data: bytes, *, max_depth: int = MAX_DEPTH) -> JsonObject:
    """Parse one strict JSON object; empty bytes are `{}`.

    Raises `StrictJsonError` on anything but one UTF-8 JSON object, on duplicate
    keys, NaN and infinities, lone surrogates, numbers RFC 8785 would change,
    and nesting deeper than `max_depth`.
    """
    if not data:
        return {}
    value = parse_value(data, max_depth=max_depth)
    if not isinstance(value, dict):
        raise StrictJsonError("", "must be a JSON object")
    return value


def parse_value(data: bytes, *, max_depth: int = MAX_DEPTH) -> JsonValue:
    """Parse one strict JSON value of any sort, as `parse_object` parses objects."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise StrictJsonError("", "is not UTF-8") from None
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise StrictJsonError(
            "", f"is not JSON: syntax error at line {error.lineno}, column {error.colno}"
        ) from None
    except RecursionError:
        raise StrictJsonError("", f"is nested deeper than {max_depth}") from None
    except ValueError:
        raise StrictJsonError("", "is not JSON: a number has too many digits") from None
    if isinstance(value, _DuplicateKey):
        _refuse_duplicate(value)
    return _settle(value, max_depth)


_CHANGED: Final = "is a number that RFC 8785 would change; send it as a string"
_SETTLED: Final = frozenset({int, bool, type(None)})


def _settle(value: Any, depth: int) -> JsonValue:
    """Check one parsed value and replace number tokens by exact numbers.

    An error names the place below this value; each object and list on its way
    out puts its own step in front, so that only what is refused needs a pointer.
    """
    if isinstance(value, str):
        if not value.isascii() and _SURROGATE.search(value):
            raise StrictJsonError("", "holds a lone surrogate; send valid Unicode")
        return value
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, dict):
        return _settle_object(value, depth)
    if isinstance(value, list):
        return _settle_list(value, depth)
    if isinstance(value, _Number):
        return _exact(value.token)
    if isinstance(value, _DuplicateKey):
        _refuse_duplicate(value)
    raise StrictJsonError("", "NaN and infinities are not JSON; send null or a string")


def _settle_object(items: dict[str, Any], depth: int) -> JsonObject:
    _refuse_depth(depth)
    for key, item in items.items():
        if not key.isascii() and _SURROGATE.search(key):
            raise StrictJsonError("", "has a key with a lone surrogate")
        if type(item) in _SETTLED or (isinstance(item, str) and item.isascii()):
            continue
        try:
            items[key] = _settle(item, depth - 1)
        except StrictJsonError as error:
            raise error.below(escape(key)) from None
    return items


def _settle_list(items: list[Any], depth: int) -> list[JsonValue]:
    _refuse_depth(depth)
    for index, item in enumerate(items):
        try:
            items[index] = _settle(item, depth - 1)
        except StrictJsonError as error:
            raise error.below(str(index)) from None
    return items


def _refuse_depth(depth: int) -> None:
    if depth <= 0:
        raise StrictJsonError("", f"is nested deeper than {MAX_DEPTH}")


def _refuse_duplicate(found: _DuplicateKey) -> Never:
    raise StrictJsonError(f"/{escape(found.key)}", "is given twice; send each key once")


def _exact(token: str) -> int | float:
    """The number of a token, if RFC 8785 keeps its exact decimal value."""
    number = float(token)
    if repr(number) == token and "e" not in token:
        # Python's shortest form is ECMAScript's where neither has an exponent.
        return int(number) if token.endswith(".0") else number
    try:
        kept = not math.isinf(number) and Decimal(_es_number(number)) == Decimal(token)
    except InvalidOperation:
        kept = False
    if not kept:
        raise StrictJsonError("", _CHANGED)
    if number.is_integer() and abs(number) < _MAX_SAFE:
        return int(number)
    return number


def escape(key: str) -> str:
    """One reference token of an RFC 6901 pointer."""
    return key.replace("~", "~0").replace("/", "~1")


def _es_number(number: float) -> str:
    """ECMAScript's Number::toString, as RFC 8785 section 3.2.2.3 requires."""
    if number == 0:
        return "0"
    sign, digits, exponent = Decimal(repr(number)).normalize().as_tuple()
    assert isinstance(exponent, int)  # noqa: S101 - finite numbers have one
    text = "".join(map(str, digits))
    point = len(text) + exponent
    if len(text) <= point <= 21:
        body = text + "0" * (point - len(text))
    elif 0 < point <= 21:
        body = f"{text[:point]}.{text[point:]}"
    elif -6 < point <= 0:
        body = "0." + "0" * -point + text
    else:
        mantissa = text if len(text) == 1 else f"{text[0]}.{text[1:]}"
        body = f"{mantissa}e{point - 1:+d}"
    return f"-{body}" if sign else body


_FLOAT_TOKEN: Final = re.compile(
    rb'[:\[,](?=[-0-9])(?<![^"]:)-?[0-9]+(?:\.0|(?:\.[0-9]+)?e[+-]?[0-9]+)[,\]}]'
)
"""A float that orjson prints otherwise than ECMAScript: with an exponent, or `.0`.
It stands between a key or a separator and whatever may follow a value, so a time
such as 12:00:07.0 in a string is none. Starts with a set of characters, which `re`
looks for three times as fast as for a choice."""
_SIGNS: Final = bytes.maketrans(b"[e", b",.")
_LEFT_OF_FLOATS: Final = (b'":.', b",.")
"""How any float begins, behind a key or a separator, without digits and with few signs told
apart: cheap to look for, and in few texts by chance."""
_ASTRAL: Final = re.compile(b"[\xf0-\xf4]")
"""The first byte of a character above U+FFFF in UTF-8."""


def encode(value: JsonValue) -> bytes:
    """The RFC 8785 form of a value that `parse_object` could have returned.

    orjson with sorted keys differs from RFC 8785 in two ways only: how some
    floats print, and the order of keys above U+FFFF. Both are rare, so the
    fast path is tried first and searched for what would betray it; a string
    that only looks like it costs time, not correctness.
    """
    data = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    if _has_floats(data) or (not data.isascii() and _ASTRAL.search(data)):
        return _spell(value).encode()
    return data


def _has_floats(data: bytes) -> bool:
    """Whether a token is a float that orjson prints otherwise; most contexts have no float."""
    rest = data.translate(_SIGNS, b"0123456789-")
    if not any(left in rest for left in _LEFT_OF_FLOATS):
        return False
    return _FLOAT_TOKEN.search(data) is not None


def _spell(value: JsonValue) -> str:
    """RFC 8785 section 3.2, spelled out."""
    if isinstance(value, float):
        return _es_number(value)
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        return "{" + ",".join(f"{_spell(key)}:{_spell(value[key])}" for key in keys) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_spell, value)) + "]"
    return orjson.dumps(value).decode()


def commitment(canonical: bytes, salt: bytes) -> bytes:
    """SHA-256("countersign/context/v1" || salt || canonical {tenant, context})."""
    return hashlib.sha256(_COMMITMENT_DOMAIN + salt + canonical).digest()


def bound_bytes(tenant: str, context_bytes: bytes) -> bytes:
    """Canonical `{"context": …, "tenant": …}` from the canonical context."""
    return b'{"context":' + context_bytes + b',"tenant":' + encode(tenant) + b"}"


def keyed_hash(key: bytes, purpose: str, *parts: bytes) -> str:
    """HMAC-SHA256 as hex over length-prefixed parts, separated by purpose."""
    mac = hmac.new(key, purpose.encode(), hashlib.sha256)
    for part in parts:
        mac.update(len(part).to_bytes(8, "big"))
        mac.update(part)
    return mac.hexdigest()


def preview_hash(profile: str, context_json: str, facts_json: str, report_json: str) -> str:
    """Hex SHA-256 that a vote names: what was on the screen, all of it."""
    digest = hashlib.sha256(_PREVIEW_DOMAIN)
    for part in (profile, context_json, facts_json, report_json):
        data = part.encode("utf-8")
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.hexdigest()
