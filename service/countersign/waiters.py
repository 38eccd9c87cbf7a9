"""In-memory wake-ups for those who wait for a review to change.

A wake-up is a hint: whoever waits registers first, then reads the store, then
waits, then reads again (design of Await). Runs on one event loop; called by
the flow (waiting), the store's change feed (waking) and shutdown (releasing).
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from countersign.errors import ExhaustedError
from countersign.model import CallerId, PersonId, ReviewId, TenantId

_Key = tuple[TenantId, ReviewId]


class Waiters:
    """Who waits for which review."""

    def __init__(self, *, max_waits: int = 20_000, max_watches: int = 20) -> None:
        """`max_waits` and `max_watches` are what one subject may have at once."""
        self._max_waits = max_waits
        self._max_watches = max_watches
        self._held: Counter[tuple[str, TenantId, str]] = Counter()
        self._waiting: dict[_Key, set[asyncio.Future[None]]] = {}
        self._everything: set[asyncio.Event] = set()
        self._released = False

    def released(self) -> bool:
        """The server is going away; waiters must ask elsewhere."""
        return self._released

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    @contextmanager
    def register(
        self, tenant: TenantId, caller: CallerId, review: ReviewId
    ) -> Iterator[asyncio.Future[None]]:
        """A future that is done once the review may have changed.

        Raises `ExhaustedError` when this caller waits too often already.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        key = (tenant, review)
        with self._holding(("await", tenant, caller), self._max_waits):
            self._waiting.setdefault(key, set()).add(future)
            try:
                yield future
            finally:
                waiting = self._waiting[key]
                waiting.discard(future)
                if not waiting:
                    del self._waiting[key]

    @contextmanager
    def watch(self, tenant: TenantId, person: PersonId) -> Iterator[asyncio.Event]:
        """An event that is set after every change of any review.

        Raises `ExhaustedError` when this person watches too often already.
        """
        event = asyncio.Event()
        with self._holding(("watch", tenant, person), self._max_watches):
            self._everything.add(event)
            try:
                yield event
            finally:
                self._everything.discard(event)

    @contextmanager
    def _holding(self, key: tuple[str, TenantId, str], most: int) -> Iterator[None]:
        if self._held[key] >= most:
            raise ExhaustedError(
                "caller.waits", f"this credential has {most} calls waiting; end some first"
            )
        self._held[key] += 1
        try:
            yield
        finally:
            self._held[key] -= 1
            if not self._held[key]:
                del self._held[key]

    def notify(self, changes: Sequence[tuple[TenantId, ReviewId, int]]) -> None:
        """Wake everybody who waits for one of these reviews."""
        for tenant, review, _version in changes:
            for future in self._waiting.get((tenant, review), ()):
                _wake(future)
        for event in self._everything if changes else ():
            event.set()

    def release(self, *, spread_s: float) -> None:
        """Let everybody go, for good, not all in the same moment."""
        self._released = True
        loop = asyncio.get_running_loop()
        for waiting in self._waiting.values():
            for future in waiting:
                loop.call_later(random.uniform(0, spread_s), _wake, future)  # noqa: S311
        for event in self._everything:
            event.set()


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
