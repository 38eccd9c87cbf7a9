"""One attempt at a time, each to its end, and the urgent ones first. Used by `activation`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from countersign.policy.versions import Attempt


class OvertakenError(Exception):
    """Somebody who could not wait came first."""


class Turns:
    """Belongs to one event loop."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._patient: set[asyncio.Task[Attempt]] = set()
        self._urgent: set[asyncio.Task[Attempt]] = set()

    async def take(
        self, work: Callable[[], Awaitable[Attempt]], *, urgent: bool = False
    ) -> Attempt:
        """Do this once nothing else is done; whoever asked may hang up meanwhile.

        Urgent work waits for none that is not, which then raises `OvertakenError`.
        """
        if urgent:
            self._overtake()

        async def turn() -> Attempt:
            async with self._lock:
                return await work()

        task = asyncio.create_task(turn())
        works = self._urgent if urgent else self._patient
        works.add(task)
        task.add_done_callback(works.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            me = asyncio.current_task()
            if task.cancelled() and not (me is not None and me.cancelling()):
                raise OvertakenError from None
            raise

    def _overtake(self) -> None:
        for task in self._patient:
            task.cancel()

    async def close(self) -> None:
        """End what can be ended, and wait for the rest."""
        self._overtake()
        await asyncio.gather(*self._patient, *self._urgent, return_exceptions=True)
