"""What the flow needs from outside, and the bounds it works within.

Built once by `countersign.app`; every verb gets the same `Parts`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Protocol

from countersign.directory import Directory, DirectorySource
from countersign.flow.in_flight import InFlight
from countersign.model import Assurance, Durability, PersonId, Requirement, TenantId
from countersign.permit import PermitKeys
from countersign.policy.protocol import PolicyPoint, ShadowPoint
from countersign.sanitize import Sanitizer
from countersign.sanitize.recognized import Recognizer
from countersign.store.protocol import Store


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """What policy cannot go below in one environment (invariant 8)."""

    least_quorum: int = 1
    """Fewest distinct people over all stages."""
    max_use_within_s: int = 86_400
    least_assurance: Assurance = Assurance.CHANNEL
    require_reason: bool = False
    allow_batch: bool = True
    allow_break_glass: bool = True

    def breach(self, requirement: Requirement) -> str | None:
        """The demand that is below this floor and what it must be; None when none is.

        A breach is refused, not mended: an author whose rule is silently raised
        believes in a rule that nobody wrote.
        """
        quorum = sum(stage.quorum for stage in requirement.stages)
        if quorum < self.least_quorum:
            return f"requirement.stages: quorum is {quorum} in all, at least {self.least_quorum}"
        if requirement.use_within_s > self.max_use_within_s:
            return f"requirement.use_within_s: at most {self.max_use_within_s}"
        if not requirement.min_assurance.meets(self.least_assurance):
            return f'requirement.min_assurance: at least "{self.least_assurance}"'
        if self.require_reason and not requirement.require_reason:
            return "requirement.require_reason: must be true"
        if requirement.batch and not self.allow_batch:
            return "requirement.batch: must be false"
        if requirement.break_glass and not self.allow_break_glass:
            return "requirement.break_glass: must be null"
        return None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """What one tenant may use of the service."""

    max_open_reviews: int = 1000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of the flow. Seconds and counts; the defaults suit one small server."""

    policy_deadline_s: float = 1.0
    """Longest wait for one answer of policy."""
    permit_ttl_s: int = 120
    """How long a permit may be acted on after the claim."""
    max_open_reviews: int = 100
    """Open reviews a caller may have at once."""
    max_open_reviews_behind: int = 50
    """Open reviews one proven person may be behind at once, whoever the callers."""
    deny_cool_down_s: int = 60
    """How long the same request is refused after people denied it."""
    max_await_s: float = 60.0
    """Longest single Await."""
    max_delegation_s: int = 30 * 86_400
    """Longest term of a delegation; 0: nobody delegates."""
    new_account_wait_s: int = 0
    """How long a new way of proving who one is waits until it may decide."""
    durability: Durability = Durability.DURABLE
    """What every answer that lets something happen waits for; policy may demand more."""
    lock_deadline_s: float = 10.0
    """Longest wait for a lock."""
    max_directory_age_s: float = 300.0
    """How old the directory's last confirmation may be for it to approve anything."""
    tag_rotation_days: int = 90
    """How long a tenant's records tag equal values alike; 0: for ever."""
    quotas: Mapping[str, Quota] = dataclasses.field(default_factory=dict)
    """By tenant; `*` is every other."""
    floors: Mapping[str, Floor] = dataclasses.field(default_factory=dict)
    """By environment; `*` is every other."""

    def floor(self, environment: str) -> Floor:
        """The floor of an environment."""
        return self.floors.get(environment) or self.floors.get("*") or Floor()

    def quota(self, tenant: TenantId) -> Quota:
        """The quota of a tenant."""
        return self.quotas.get(tenant) or self.quotas.get("*") or Quota()


class Keeper(Protocol):
    """Who publishes records and has them locked."""

    async def published(self, tenant: TenantId, seq: int) -> None:
        """Return once a record is where it was to go. Raises `LogError` if it never will be."""

    def has_room(self, tenant: TenantId, *, essential: bool) -> bool:
        """Whether more may be recorded; `essential`: a denial or an outcome."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts the verbs are written against."""

    store: Store
    policy: PolicyPoint
    sanitizer: Sanitizer
    source: DirectorySource
    permits: PermitKeys
    limits: Limits
    lockable: bool = False
    """Whether the audit sink enforces retention, so that `locked` can be kept."""
    spend_for: Callable[[TenantId, PersonId], None] = lambda _tenant, _person: None
    """Counts a request of a proven person; raises `ExhaustedError` above their rate."""
    keeper: Keeper | None = None
    """None: records are not published anywhere."""
    recognizer: Recognizer | None = None
    """Who is asked besides the sanitizer's rules."""
    shadow: ShadowPoint | None = None
    """Where a candidate policy is tried on what was decided."""
    in_flight: InFlight = dataclasses.field(default_factory=InFlight)
    """Checks that are being decided now."""

    def directory(self) -> Directory:
        """The current snapshot; one call uses one snapshot throughout."""
        return self.source.current

    @property
    def directory_is_stale(self) -> bool:
        """Whether nobody has confirmed for too long who is registered (invariant 2)."""
        return self.source.age_s() > self.limits.max_directory_age_s
