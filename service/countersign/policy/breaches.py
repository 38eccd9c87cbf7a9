"""Broken rules of the contract, in the words of somebody who writes Rego.

Invariant 3: a policy can copy input into its answer, by accident or not. So
only numbers of modest size and key names that look like the contract's own are
ever repeated. Pure; called by `contract`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from pydantic_core import ErrorDetails

MAX_LISTED: Final = 50
_MAX_SHOWN_NUMBER: Final = 10**8
_CONTRACT_LIKE: Final = re.compile(r"[a-z]+(?:_[a-z]+)*")
_MAX_SHOWN_KEY: Final = 24
_FREE_KEYS: Final = "profiles"
_KINDS: Final = {
    "string_type": "text",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "list_type": "an array",
    "dict_type": "an object",
    "model_type": "an object",
}
_PLAIN: Final = {
    "missing": "must be given",
    "extra_forbidden": "unknown key",
    "string_unicode": "must be valid Unicode",
}
_PATTERNS: Final = {
    "code": "must be lower-case words joined by dots, such as export.production",
    "must_show": "must be a JSON pointer (* is any one step) or facts:<dotted name>",
    "mask": "must be a JSON pointer (* is any one step)",
}


def author_words(errors: Sequence[ErrorDetails]) -> list[str]:
    """One line a broken rule: where, what was found if that is safe, the rule."""
    lines = [f"{_place(error['loc'])}: {_rule(error)}" for error in errors[:MAX_LISTED]]
    if len(errors) > MAX_LISTED:
        lines.append(f"and {len(errors) - MAX_LISTED} more")
    return lines


def _place(location: tuple[int | str, ...]) -> str:
    """`requirement.stages[0].quorum`; keys that policy made up are withheld."""
    place, free = "", False
    for step in location:
        if isinstance(step, int):
            place += f"[{step}]"
        elif free or not _is_contract_like(step):
            place += "[key withheld]"
            break
        else:
            place += f".{step}" if place else step
            free = step == _FREE_KEYS
    return place or "decision"


def _is_contract_like(key: str) -> bool:
    return len(key) <= _MAX_SHOWN_KEY and _CONTRACT_LIKE.fullmatch(key) is not None


def _rule(error: ErrorDetails) -> str:
    kind, bounds = error["type"], error.get("ctx", {})
    if kind in _KINDS:
        return f"must be {_KINDS[kind]}"
    if kind in ("greater_than_equal", "less_than_equal"):
        sign, bound = ("≥", bounds["ge"]) if "ge" in bounds else ("≤", bounds["le"])
        return f"{_shown(error['input'])}must be {sign} {bound}"
    if kind in ("too_short", "too_long", "string_too_short", "string_too_long"):
        return _length(kind, bounds)
    if kind == "string_pattern_mismatch":
        field = next(step for step in reversed(error["loc"]) if isinstance(step, str))
        return _PATTERNS[field]
    if kind == "literal_error":
        return f"must be {bounds['expected'].replace(chr(39), '')}"
    return _PLAIN.get(kind, error["msg"])


def _shown(value: Any) -> str:
    return f"{value}, " if isinstance(value, int) and abs(value) < _MAX_SHOWN_NUMBER else ""


def _length(kind: str, bounds: dict[str, Any]) -> str:
    unit = "characters" if kind.startswith("string") else "entries"
    if kind.endswith("short"):
        return f"must have at least {bounds['min_length']} {unit}"
    return f"must have at most {bounds['max_length']} {unit}"
