"""The id of a rule set: a hash of everything that says what is found and masked.

Two processes with the same rules have the same id, and one with other patterns,
keywords, thresholds, tables or provider's rules has another. What only code says
is told by `_REVISION`. Pure; called by `sanitizer` when one is made.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from types import ModuleType
from typing import Any, Final

from countersign.sanitize import (
    assignments,
    checks_secrets,
    fragments,
    keys,
    name_lists,
    shell_lists,
    shell_secrets,
    shell_words,
)
from countersign.sanitize.custom import CustomRules
from countersign.sanitize.rules import Rule, providers

_REVISION: Final = 5
"""Grows when a rule's meaning changes without its pattern."""
_READERS: Final = (assignments, checks_secrets, shell_lists, shell_secrets, shell_words, fragments)
"""Modules whose tables, patterns and thresholds are rules as well."""
_PLAIN: Final = (str, bytes, int, float, tuple, list, dict)


def id_of(rules: Sequence[Rule], custom: CustomRules, recognizers: str = "") -> str:
    """`builtin-1:<16 hex>`, or `custom-1:…` where an operator added rules or recognizers."""
    tables = (keys.table_id(), name_lists.table_id(), providers.VERSION, _readers())
    own = (custom.id, recognizers) if recognizers else custom.id
    material = repr((_REVISION, [_said_by(rule) for rule in rules], tables, own))
    name = "custom-1" if own else "builtin-1"
    return f"{name}:{hashlib.sha256(material.encode()).hexdigest()[:16]}"


def _said_by(rule: Rule) -> tuple[Any, ...]:
    """Everything but the code of its check."""
    bound = rule.check.keywords if isinstance(rule.check, functools.partial) else {}
    kind = rule.kind.name
    return rule.id, kind, rule.pattern, sorted(rule.keywords), rule.again, sorted(bound.items())


@functools.cache
def _readers() -> str:
    return repr([sorted(_constants(module).items()) for module in _READERS])


def _constants(module: ModuleType) -> dict[str, str]:
    found = {name: _said(value) for name, value in vars(module).items() if name.isupper()}
    return {name: said for name, said in found.items() if said}


def _said(value: Any) -> str:
    """The same in every process: sets have no order. Empty for what is no table."""
    if isinstance(value, set | frozenset):
        return repr(sorted(map(repr, value)))
    if isinstance(value, _PLAIN):
        return repr(value)
    pattern = getattr(value, "pattern", None)  # of `re` or of RE2
    return repr(pattern) if isinstance(pattern, str | bytes) else ""
