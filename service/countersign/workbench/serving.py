"""What an OPA serves, as a value: nothing here knows how it was asked."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What an OPA has at one moment."""

    url: str
    policies: Mapping[str, str]
    """Text by id."""
    revisions: Mapping[str, str]
    """Of its bundles, by name; empty where it serves none, or does not say."""
    data: Mapping[tuple[str, ...], Any] = dataclasses.field(default_factory=dict)
    """The documents that were asked for, by path; those that are there."""
