"""Requests a second, by who sends them: a token bucket each, in memory.

Three kinds of subject have buckets: each credential's, each tenant (so that no
tenant's machines crowd out another's), and each person who is proven to be
behind calls (so that nobody gets more by going through several callers).
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Final, TypeAlias

from countersign.errors import ExhaustedError
from countersign.model import PersonId, TenantId

MAX_BUCKETS: Final = 10_000
Limit: TypeAlias = tuple[float, int]
"""Requests a second on average, and at once; 0 a second is no limit."""
NO_LIMIT: Final[Limit] = (0.0, 1)


class RateLimit:
    """At most `per_s` requests a second on average, `burst` at once; 0 is no limit."""

    def __init__(
        self,
        per_s: float,
        burst: int,
        clock: Callable[[], float] = time.monotonic,
        *,
        tenant_limits: Callable[[TenantId], Limit] = lambda _: NO_LIMIT,
        person_limit: Limit = NO_LIMIT,
    ) -> None:
        self._limit: Limit = (per_s, burst)
        self._tenant_limits = tenant_limits
        self._person_limit = person_limit
        self._subjects = _Buckets(clock)
        self._tenants = _Buckets(clock)
        self._people = _Buckets(clock)

    def spend(self, tenant: TenantId, kind: str, id: str) -> None:
        """Take one from a credential's and its tenant's. Raises `ExhaustedError`."""
        if not self._subjects.take((tenant, kind, id), self._limit):
            raise ExhaustedError(
                "caller.rate", "too many requests from this credential; slow down and try again"
            )
        if not self._tenants.take((tenant,), self._tenant_limits(tenant)):
            raise ExhaustedError(
                "tenant.rate", "too many requests from this tenant; slow down and try again"
            )

    def spend_for_person(self, tenant: TenantId, person: PersonId) -> None:
        """Take one from whoever is proven to be behind a call. Raises `ExhaustedError`."""
        if not self._people.take((tenant, person), self._person_limit):
            raise ExhaustedError(
                "person.rate",
                "too many requests in the name of the person behind this call; "
                "slow down and try again",
            )


@dataclasses.dataclass(slots=True)
class _Buckets:
    """What is left to each key, and since when. The least recently used one goes first."""

    clock: Callable[[], float]
    left: dict[tuple[str, ...], tuple[float, float]] = dataclasses.field(default_factory=dict)

    def take(self, key: tuple[str, ...], limit: Limit) -> bool:
        """Whether one was left to take."""
        per_s, burst = limit
        if per_s <= 0:
            return True
        now = self.clock()
        left, at = self.left.pop(key, (float(burst), now))
        left = min(float(burst), left + (now - at) * per_s)
        if len(self.left) >= MAX_BUCKETS:
            del self.left[next(iter(self.left))]
        self.left[key] = (left - 1 if left >= 1 else left, now)
        return left >= 1
