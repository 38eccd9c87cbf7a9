"""Trying again what passes, which the SDK does not: briefly, and not all at one moment.

What is not over within the budget goes back to whoever asked, with the time that Teams
named: a card is leased by somebody who can wait longer.
"""

from __future__ import annotations

import asyncio
import dataclasses
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from countersign_bot.connector.errors import PassingError

BUDGET_S: Final = 8.0
FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 4.0
_T = TypeVar("_T")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How long, and by which clock. `jitter` gives numbers from 0 to 1."""

    budget_s: float = BUDGET_S
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    jitter: Callable[[], float] = random.random

    async def run(self, attempt: Callable[[], Awaitable[_T]]) -> _T:
        """What the first attempt that works answers. Raises what the last one raised."""
        ends_at = self.clock() + self.budget_s
        wait_s = FIRST_WAIT_S
        while True:
            try:
                return await attempt()
            except PassingError as error:
                # Never sooner than asked; and never exactly then, as everybody else.
                pause_s = max(error.retry_after_s or 0.0, wait_s / 2) + wait_s / 2 * self.jitter()
                if self.clock() + pause_s >= ends_at:
                    raise
            await self.sleep(pause_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)
