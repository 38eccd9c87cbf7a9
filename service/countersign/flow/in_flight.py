"""Checks that are being decided now: what was sent at once adds up like what was sent in turn.

`Store.recent` counts what is committed. Each of a hundred Checks sent at the same
moment would be told of none of the others, and each be small. So policy is told
of those that began before it as well, as though they had been allowed: a limit
that errs must err on the strict side. In memory, on the event loop alone; used
by `check` and `judge`.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

from countersign.model import CallerId, TenantId

MAX_SUM: Final = 2**53 - 1
"""The largest integer that RFC 8785 can carry."""
_Key: TypeAlias = tuple[TenantId, CallerId, str]


@dataclasses.dataclass(slots=True)
class _Sum:
    checks: int = 0
    rows: int = 0
    amount: int = 0


class Flight:
    """One Check on its way. `InFlight.begin` makes it."""

    def __init__(self, sum_: _Sum) -> None:
        self._sum = sum_
        self._own: tuple[int, int] | None = None

    def add(self, rows: int, amount: int) -> Mapping[str, int]:
        """Count this one from now on; returns what those before it may come to, by window."""
        before = self._sum
        others = {
            "checks": before.checks,
            "allow": before.checks,
            "rows": before.rows,
            "amount": before.amount,
        }
        self._own = (rows, amount)
        before.checks += 1
        before.rows += rows
        before.amount += amount
        return others

    def land(self) -> None:
        """It is decided, and counted by the store if it was allowed."""
        if self._own is not None:
            rows, amount = self._own
            self._sum.checks -= 1
            self._sum.rows -= rows
            self._sum.amount -= amount


class InFlight:
    """All Checks on their way, by tenant, caller and action."""

    def __init__(self) -> None:
        self._sums: dict[_Key, tuple[_Sum, set[Flight]]] = {}

    @contextlib.contextmanager
    def begin(self, tenant: TenantId, caller: CallerId, action: str) -> Iterator[Flight]:
        """A Check that is on its way until the block ends, however it does."""
        key = (tenant, caller, action)
        sum_, flying = self._sums.setdefault(key, (_Sum(), set()))
        flight = Flight(sum_)
        flying.add(flight)
        try:
            yield flight
        finally:
            flight.land()
            flying.remove(flight)
            if not flying:
                del self._sums[key]


def together(counts: Mapping[str, int], others: Mapping[str, int]) -> dict[str, int]:
    """What is committed and what is on its way, saturated."""
    return {
        name: min(count + others[name], MAX_SUM) if name in others else count
        for name, count in counts.items()
    }
