"""What the flow asks of policy. Called by `flow`; implemented by `opa`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

from countersign.errors import PolicyError
from countersign.model import PolicyDecision


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What one revision of policy says to many questions."""

    revision: str
    """Of every answer and of every fault among them."""
    each: Sequence[PolicyDecision | PolicyError]
    """In the order of the questions."""


class PolicyPoint(Protocol):
    """One place that decides."""

    @property
    def revision(self) -> str:
        """The active revision. An answer may still name the one before it."""

    @property
    def ready(self) -> bool:
        """Whether policy can be asked now."""

    async def decide(self, input_json: bytes, *, deadline_s: float) -> PolicyDecision:
        """Policy's answer on one canonical input document, within `deadline_s`.

        Raises `PolicyError` with code `policy.unavailable` (gone or late, may be
        retried), `policy.undefined` (no answer) or `policy.invalid` (an answer
        the contract does not allow). Each is a DENY to whoever asked.
        """

    async def decide_many(self, inputs: Sequence[bytes], *, deadline_s: float) -> Answers:
        """What `decide` says of each, its errors as values, all within `deadline_s`.

        A question that fails or is slow costs the others nothing but time: half of
        the deadline at most.
        """
