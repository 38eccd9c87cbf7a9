"""Timers: reviews that nobody decided, used or reported on in time.

Expiry is a transition like any other, with its record (invariant 10). It is
never approval.
"""

from __future__ import annotations

import asyncio
import logging

from countersign.errors import UnavailableError
from countersign.flow.parts import Parts
from countersign.flow.request import Named
from countersign.flow.transition import current
from countersign.model import SECOND_US, ReviewId, TenantId
from countersign.store.protocol import Transaction

log = logging.getLogger(__name__)

MAX_IDLE_S = 1.0
"""Longest sleep between looks: a new review's timer may be the earliest."""
_BATCH = 200


async def fire_due(parts: Parts) -> int:
    """Fire every timer that is due now; returns how many reviews were due."""
    due = await parts.store.due(parts.store.now(), _BATCH)
    if due:
        await asyncio.gather(*(_fire(parts, tenant, review) for tenant, review in due))
    return len(due)


async def _fire(parts: Parts, tenant: TenantId, review: ReviewId) -> None:
    def run(tx: Transaction) -> None:
        current(tx, tenant, review)

    await parts.store.apply(Named(name="sweep", run=run))


async def sweeper(parts: Parts) -> None:
    """Fire timers until cancelled; delete what its term has passed."""
    last_sweep = 0
    while True:
        try:
            if await fire_due(parts) < _BATCH:
                await asyncio.sleep(await _idle_s(parts))
            now = parts.store.now()
            if now - last_sweep > 600 * SECOND_US:
                last_sweep = now
                await parts.store.sweep(now)
        except asyncio.CancelledError:
            raise
        except UnavailableError as error:  # the store says why
            log.error("sweeper: trying again: %s", error.message)
            await asyncio.sleep(MAX_IDLE_S)
        except Exception:
            log.exception("sweeper: trying again")
            await asyncio.sleep(MAX_IDLE_S)


async def _idle_s(parts: Parts) -> float:
    due = await parts.store.next_due()
    if due is None:
        return MAX_IDLE_S
    return min(max((due - parts.store.now()) / SECOND_US, 0.001), MAX_IDLE_S)
