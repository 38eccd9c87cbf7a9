"""What the flow asks of policy. Called by `flow`; implemented by `opa` and `shadow`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

from countersign.errors import PolicyError
from countersign.model import DecisionId, Effect, PolicyDecision, TenantId


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What one revision of policy says to many questions."""

    revision: str
    """Of every answer and of every fault among them."""
    each: Sequence[PolicyDecision | PolicyError]
    """In the order of the questions."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A question that policy has answered, for another policy to be tried on."""

    tenant: TenantId
    decision: DecisionId
    input_json: bytes = dataclasses.field(repr=False)
    said: PolicyDecision | PolicyError
    revision: str
    """The one in force that said it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ShadowSaid:
    """What one of the two policies said, as far as it is told."""

    effect: Effect
    codes: tuple[str, ...]
    revision: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ShadowDifference:
    """Two policies' answers to the same question."""

    tenant: TenantId
    decision: DecisionId
    live: ShadowSaid
    candidate: ShadowSaid
    changed: tuple[str, ...]
    """Of `effect`, `reasons`, `requirement` and `mask`, those that are not the same."""


class ShadowPoint(Protocol):
    """Where a candidate is tried beside the policy in force."""

    def offer(self, trial: Trial) -> None:
        """Try it on this, if it has the time. Returns at once and never raises."""


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
