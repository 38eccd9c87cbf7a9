"""Work whose cost grows with a request, out of the way of other requests.

Sanitizing is CPU work in bounds; for a small context it is done at once, which
is cheapest. A large one goes to a thread, so that those who wait on the event
loop are not kept from it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

LARGE_BYTES: Final = 8_192


async def aside(size_bytes: int, work: Callable[[], T]) -> T:
    """Do the work of a request of that size, and return what it returns."""
    if size_bytes <= LARGE_BYTES:
        return work()
    return await asyncio.to_thread(work)
