"""What the flow needs from outside, and the bounds it works within.

Built once by `countersign.app`; every verb gets the same `Parts`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from countersign.directory import Directory
from countersign.model import Requirement
from countersign.permit import PermitKeys
from countersign.policy.protocol import PolicyPoint
from countersign.sanitize import Sanitizer
from countersign.store.protocol import Store


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """What policy cannot go below in one environment (invariant 8)."""

    least_quorum: int = 1
    """Fewest distinct people over all stages."""
    max_use_within_s: int = 86_400

    def apply(self, requirement: Requirement) -> Requirement:
        """The requirement, raised to this floor: the last stage takes what lacks."""
        lacking = self.least_quorum - sum(stage.quorum for stage in requirement.stages)
        stages = requirement.stages
        if lacking > 0:
            last = dataclasses.replace(stages[-1], quorum=stages[-1].quorum + lacking)
            stages = (*stages[:-1], last)
        use_within_s = min(requirement.use_within_s, self.max_use_within_s)
        return dataclasses.replace(requirement, stages=stages, use_within_s=use_within_s)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of the flow. Seconds and counts; the defaults suit one small server."""

    policy_deadline_s: float = 1.0
    """Longest wait for one answer of policy."""
    permit_ttl_s: int = 120
    """How long a permit may be acted on after the claim."""
    max_open_reviews: int = 100
    """Open reviews a caller may have at once."""
    deny_cool_down_s: int = 60
    """How long the same request is refused after people denied it."""
    max_await_s: float = 60.0
    """Longest single Await."""
    floors: Mapping[str, Floor] = dataclasses.field(default_factory=dict)
    """By environment; `*` is every other."""

    def floor(self, environment: str) -> Floor:
        """The floor of an environment."""
        return self.floors.get(environment) or self.floors.get("*") or Floor()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts the verbs are written against."""

    store: Store
    policy: PolicyPoint
    sanitizer: Sanitizer
    directory: Callable[[], Directory]
    """The current snapshot; one call uses one snapshot throughout."""
    permits: PermitKeys
    limits: Limits
    lockable: bool = False
    """Whether the audit sink enforces retention, so that `locked` can be kept."""
