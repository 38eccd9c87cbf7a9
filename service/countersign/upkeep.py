"""What a running service does by the clock: heartbeats, and when credentials were used.

Started and cancelled by `app`. A failure is logged and the work goes on: a
store that cannot commit ends the process by itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Final, TypeAlias

from countersign.flow.notices import notice
from countersign.model import Instant, JsonValue, TenantId
from countersign.store.protocol import Store

log = logging.getLogger(__name__)

LAST_USED_EVERY_S: Final = 10.0
Refused: TypeAlias = Mapping[tuple[str, str], int]
"""Calls that led to no decision, by tenant (empty: nobody's) and status code."""


async def heartbeats(
    store: Store,
    refused: Callable[[], Refused],
    tenants: Callable[[], Collection[TenantId]],
    every_s: float,
) -> None:
    """Say in every log that we are there, and what was refused without a record of its own.

    A tenant is told of its own calls and of those that nobody is known to have made.
    """
    told: Refused = {}

    async def beat() -> None:
        nonlocal told
        counts = refused()
        new = {key: count - told.get(key, 0) for key, count in counts.items()}
        told = counts
        nobodys = _by_code(new, "")
        changes = {
            tenant: {"refused_calls": _by_code(new, tenant), "unauthenticated_calls": nobodys}
            for tenant in sorted(tenants())
        }
        await notice(store, "heartbeat", changes)

    await _every(every_s, beat)


def _by_code(counts: Refused, tenant: str) -> JsonValue:
    return {code: count for (whose, code), count in counts.items() if whose == tenant and count}


async def keep_last_used(
    store: Store, drain: Callable[[], Mapping[tuple[TenantId, str], Instant]]
) -> None:
    """Write down now and then when each credential was last used."""

    async def write() -> None:
        used = drain()
        if used:
            await store.note_used(used)

    await _every(LAST_USED_EVERY_S, write)


async def _every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - a beat that is missed must not be the last
            log.error("upkeep failed and goes on: %s", type(error).__name__)
