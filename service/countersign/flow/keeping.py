"""Whether what is decided can be kept as promised.

Invariant 1: an answer that lets something happen stands in the log before it is
given; where `locked` is demanded, under a lock that the server has confirmed. A
claim whose lock is late stays spent and unreleased: the same request id collects
it once the lock is there, as long as its permit is good. When the log has waited
too long for its sink, or is frozen, nothing more is let through (`audit.unavailable`); denials
and outcomes are recorded as long as there is room.
"""

from __future__ import annotations

import asyncio

from countersign.errors import LogError, UnavailableError
from countersign.flow.answer import Answer
from countersign.flow.parts import Parts
from countersign.model import Durability, Effect, TenantId


async def kept(parts: Parts, tenant: TenantId, answer: Answer, *, deadline_s: float) -> Answer:
    """The answer, once what it lets happen is kept as demanded.

    Raises `UnavailableError audit.unavailable` when that takes too long.
    """
    if parts.keeper is None or answer.decision.effect is not Effect.ALLOW:
        return answer
    demanded = answer.review.requirement.durability if answer.review else None
    if Durability.LOCKED not in {demanded, parts.limits.durability}:
        return answer
    try:
        async with asyncio.timeout(min(deadline_s, parts.limits.lock_deadline_s)):
            await parts.keeper.published(tenant, answer.decision.record.seq)
    except (TimeoutError, LogError):
        raise UnavailableError(
            "audit.unavailable",
            "the record of this answer is not locked yet, so it is not given; "
            "ask again with the same request_id",
        ) from None
    return answer


def require_room(parts: Parts, tenant: TenantId, *, essential: bool = False) -> None:
    """Refuse what cannot be recorded; `essential` is what lets nothing happen."""
    if parts.keeper is None or parts.keeper.has_room(tenant, essential=essential):
        return
    raise UnavailableError(
        "audit.unavailable",
        "the audit log cannot be published and has waited too long, grown too large or is "
        "frozen: nothing more is let through until it can",
    )
