"""How much each caller did of each action lately, in memory.

`recent` stands on the way of every Check, so a question costs the same however
much happened: each window keeps its running total and drops whole minutes as
they leave. A window covers at least its length and at most a minute more, for a
limit that errs must err on the strict side. Only committed decisions are added.
What an action touches and moves is told by its context, so no number is trusted
to be sane: each is saturated, and so is what is read.

Used on the event loop alone, by every backend; restored from its decisions.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

from countersign.model import SECOND_US, CallerId, Effect, Instant, TenantId

MINUTE_US: Final = 60 * SECOND_US
HOUR_MINUTES: Final = 60
DAY_MINUTES: Final = 24 * 60

MAX_ACTIONS: Final = 500
"""Actions of one caller that are counted apart; the rest are counted together,
which errs on the strict side."""
_OTHER: Final = "*"

MAX_SUM: Final = 2**53 - 1
"""The largest integer that RFC 8785 can carry."""

_NAMES: Final = ("checks", "allow", "deny", "needs_approval", "claimed", "rows", "amount")
_CHECKS: Final = _NAMES.index("checks")
_CLAIMED: Final = _NAMES.index("claimed")
_ROWS: Final = _NAMES.index("rows")
_AMOUNT: Final = _NAMES.index("amount")
_OF_EFFECT: Final = {effect: _NAMES.index(effect.value) for effect in Effect}

_Key: TypeAlias = tuple[TenantId, CallerId, str]


def saturated(number: int) -> int:
    """The number, or the nearest that can be counted: 0 to `MAX_SUM`."""
    return min(max(number, 0), MAX_SUM)


class _Window:
    """Counts of the last `minutes` whole minutes and the current one."""

    __slots__ = ("_buckets", "_minutes", "_totals")

    def __init__(self, minutes: int) -> None:
        self._minutes = minutes
        self._totals = [0] * len(_NAMES)
        self._buckets: deque[tuple[int, list[int]]] = deque()

    def add(self, minute: int, counted: Iterable[tuple[int, int]]) -> None:
        if not self._buckets or self._buckets[-1][0] < minute:
            self._buckets.append((minute, [0] * len(_NAMES)))
        bucket = self._buckets[-1][1]
        for which, number in counted:
            bucket[which] += number
            self._totals[which] += number

    def totals(self, minute: int) -> dict[str, int]:
        while self._buckets and self._buckets[0][0] < minute - self._minutes:
            _, left = self._buckets.popleft()
            self._totals = [total - gone for total, gone in zip(self._totals, left, strict=True)]
        totals = dict(zip(_NAMES, self._totals, strict=True))
        # Saturated only here: what left could not be taken from a total that was cut.
        if totals["rows"] > MAX_SUM or totals["amount"] > MAX_SUM:
            totals = {name: saturated(total) for name, total in totals.items()}
        return totals


class RecentCounts:
    """Decisions of the last hour and day by tenant, caller and action.

    `checks` and the effects count Checks, `claimed` counts the Claims that were
    allowed; so what was let through is `allow + claimed`, and nothing twice. `rows`
    and `amount` are summed over just that.
    """

    def __init__(self) -> None:
        self._windows: dict[_Key, tuple[_Window, _Window]] = {}
        self._actions: Counter[tuple[TenantId, CallerId]] = Counter()

    def add(
        self,
        tenant: TenantId,
        caller: CallerId,
        action: str,
        *,
        method: str,
        effect: Effect,
        minute: int,
        count: int = 1,
        rows: int = 0,
        amount: int = 0,
    ) -> None:
        """Count committed decisions of one minute; minutes never go back.

        `rows` and `amount` are of all of them together.
        """
        if method == "check":
            counted = [(_CHECKS, count), (_OF_EFFECT[effect], count)]
        elif method == "claim" and effect is Effect.ALLOW:
            counted = [(_CLAIMED, count)]
        else:
            return
        if effect is Effect.ALLOW and (rows or amount):
            counted += [(_ROWS, saturated(rows)), (_AMOUNT, saturated(amount))]
        key = self._key(tenant, caller, action)
        windows = self._windows.get(key)
        if windows is None:
            windows = self._windows[key] = (_Window(HOUR_MINUTES), _Window(DAY_MINUTES))
            self._actions[tenant, caller] += 1
        for window in windows:
            window.add(minute, counted)

    def read(
        self, tenant: TenantId, caller: CallerId, action: str, now: Instant
    ) -> Mapping[str, Mapping[str, int]]:
        """The counts, zero where nothing happened; see `Store.recent`."""
        windows = self._windows.get(self._key(tenant, caller, action))
        if windows is None:
            return {"hour": dict.fromkeys(_NAMES, 0), "day": dict.fromkeys(_NAMES, 0)}
        minute = now // MINUTE_US
        hour, day = windows
        return {"hour": hour.totals(minute), "day": day.totals(minute)}

    def forget_idle(self, now: Instant) -> None:
        """Drop who did nothing for a day."""
        minute = now // MINUTE_US
        idle = [
            key for key, (_, day) in self._windows.items() if not any(day.totals(minute).values())
        ]
        for key in idle:
            del self._windows[key]
            self._actions[key[:2]] -= 1

    def _key(self, tenant: TenantId, caller: CallerId, action: str) -> _Key:
        """Where an action is counted: with all others, once a caller names too many."""
        key = (tenant, caller, action)
        if key in self._windows or self._actions[tenant, caller] < MAX_ACTIONS:
            return key
        return (tenant, caller, _OTHER)
