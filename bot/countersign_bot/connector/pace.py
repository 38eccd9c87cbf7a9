"""Not faster than Teams allows: per conversation, and per tenant.

A bot may send 7 messages a second into one thread, but 60 in half a minute and 1,800 in
an hour ("Optimize your bot: Rate limiting" in the Teams documentation); so one a second
with a burst of five is what lasts. Whoever is too fast waits for a reserved moment, and
only up to a bound: beyond it nothing is queued here, and whoever leases deliveries hands
them back with the time to try again.
"""

from __future__ import annotations

import asyncio
import collections
import dataclasses
from collections.abc import Awaitable, Callable
from typing import Final

from countersign_bot.connector.errors import PassingError

MAX_WAIT_S: Final = 5.0
MAX_CONVERSATIONS: Final = 10_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """So many a second, and so many at once."""

    per_s: float
    burst: int


class _Bucket:
    """A token bucket, as the moment at which it will be full again (GCRA)."""

    def __init__(self, rate: Rate) -> None:
        self._interval_s = 1 / rate.per_s
        self._slack_s = (rate.burst - 1) * self._interval_s
        self._full_at = 0.0

    def wait_s(self, now: float) -> float:
        return max(0.0, max(self._full_at, now) - now - self._slack_s)

    def take(self, now: float) -> None:
        self._full_at = max(self._full_at, now) + self._interval_s


class Pace:
    """`clock` is monotonic."""

    def __init__(
        self,
        *,
        conversation: Rate,
        tenant: Rate,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        max_wait_s: float = MAX_WAIT_S,
    ) -> None:
        self._conversation = conversation
        self._tenant = tenant
        self._clock = clock
        self._sleep = sleep
        self._max_wait_s = max_wait_s
        self._tenants: dict[str, _Bucket] = {}
        """One per tenant that is served: few."""
        self._conversations: collections.OrderedDict[tuple[str, str], _Bucket] = (
            collections.OrderedDict()
        )

    async def turn(self, tenant: str, conversation_id: str | None = None) -> None:
        """Wait until one more request may go out. Raises `PassingError` for a long wait.

        Without a conversation only the tenant's rate counts.
        """
        await self._sleep(self.reserve(tenant, conversation_id))

    def reserve(self, tenant: str, conversation_id: str | None = None) -> float:
        """In how many seconds it may go out; that moment is taken. Raises `PassingError`."""
        now = self._clock()
        buckets = [self._tenants.setdefault(tenant, _Bucket(self._tenant))]
        if conversation_id is not None:
            buckets.append(self._bucket(tenant, conversation_id))
        wait_s = max(bucket.wait_s(now) for bucket in buckets)
        if wait_s > self._max_wait_s:
            raise PassingError(
                "teams.pace", "too many messages at once for Teams", retry_after_s=wait_s
            )
        for bucket in buckets:
            bucket.take(now)
        return wait_s

    def _bucket(self, tenant: str, conversation_id: str) -> _Bucket:
        key = (tenant, conversation_id)
        bucket = self._conversations.get(key)
        if bucket is None:
            while len(self._conversations) >= MAX_CONVERSATIONS:
                self._conversations.popitem(last=False)  # the one unused for longest
            bucket = self._conversations[key] = _Bucket(self._conversation)
        self._conversations.move_to_end(key)
        return bucket
