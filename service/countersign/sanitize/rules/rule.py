"""What a rule is: a pattern for RE2, a check, and the kind of what it finds.

A rule's pattern marks the value by its first group, or else by the whole match.
Called by the tables beside it and by `patterns`, which runs them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from countersign.sanitize.checks import Parts
from countersign.sanitize.kinds import Kind


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One pattern and what its match is."""

    id: str
    kind: Kind
    pattern: str
    check: Callable[[bytes], Parts] | None = None
    keywords: tuple[str, ...] = ()
    """One of them, in whatever case, stands somewhere in every text it matches in."""
    again: bool = False
    """What is left of a match, or all of one that failed its check, may hide another."""
