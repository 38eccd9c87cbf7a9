"""A candidate policy beside the one in force: asked the same, believed nothing.

Invariants: 2 (whatever the candidate does or is, answers are what they would be
without it: it is asked afterwards, by nobody who waits), 3 (the input goes to its
OPA and nowhere else; of its answers only effect and codes are told). Its cost is
bounded: a child of its own that yields to everything else, one question at a
time, each with a deadline, and then a rest in proportion; whatever comes meanwhile
is dropped. Built and run by `app`; offered decisions by `flow`.
"""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import enum
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from countersign.errors import ConfigurationError, PolicyError
from countersign.model import Effect, PolicyDecision
from countersign.policy.bundle import Bundle, build
from countersign.policy.child import OpaChild, OpaSettings
from countersign.policy.contract import decode
from countersign.policy.protocol import ShadowDifference, ShadowSaid, Trial
from countersign.policy.snapshot import Source

CHILD: Final = OpaSettings(max_connections=1, memory_limit_bytes=256 * 1024 * 1024, background=True)
_MAX_RESTART_DELAY_S: Final = 60.0
_MINUTE_S: Final = 60.0
_log: Final = logging.getLogger(__name__)


class Result(enum.StrEnum):
    """What became of one decision that was offered."""

    SAME = "same"
    DIFFERENT = "different"
    LATE = "late"
    """The candidate had no answer by its deadline, or died over it."""
    DROPPED = "dropped"
    """It was busy, resting or not there."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ShadowSettings:
    """What the candidate may cost."""

    sample: float = 1.0
    """The share of decisions that are offered at all, 0 to 1."""
    deadline_s: float = 0.25
    """Longest it may take over one."""
    max_share: float = 0.1
    """Of the time, it is asked for at most so much."""
    max_records_per_minute: int = 60
    """Differences beyond that are counted and not recorded."""
    poll_s: float = 10.0
    """How often its source is looked at."""
    restart_delay_s: float = 0.5
    """After it died; doubled each time, up to a minute."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ShadowStatus:
    """A picture of the candidate, for people."""

    origin: str
    ready: bool
    revision: str
    """Empty before the first that could be run."""
    error: str
    """Why what its source has now is not what runs; empty when it is."""
    results: Mapping[Result, int]
    """Of the revision that runs."""
    effects: Mapping[tuple[Effect, Effect], int]
    """Differences by the effect in force and that of the candidate."""
    unrecorded: int
    """Differences that were more than may be recorded in a minute."""


class Shadow:
    """Asks a candidate what it would have said. Belongs to one event loop."""

    def __init__(
        self,
        opa: Path,
        source: Source,
        *,
        settings: ShadowSettings | None = None,
        on_result: Callable[[Result], None] = lambda _: None,
        on_difference: Callable[[ShadowDifference], Awaitable[bool]],
    ) -> None:
        """`on_difference` puts one on record, or says that it did not; failing costs no more."""
        self._opa = opa.absolute()
        self._source = source
        self._settings = settings or ShadowSettings()
        self._on_result = on_result
        self._on_difference = on_difference
        self._child: OpaChild | None = None
        self._bundle: Bundle | None = None
        self._version = self._error = ""
        self._asking: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[str] | None = None
        """Ends with why the child is of no use any more."""
        self._rest_until = 0.0
        self._pace = _Pace(self._settings.max_records_per_minute)
        self._forget()

    def _forget(self) -> None:
        self._results: collections.Counter[Result] = collections.Counter()
        self._effects: collections.Counter[tuple[Effect, Effect]] = collections.Counter()
        self._unrecorded = 0

    @property
    def ready(self) -> bool:
        return self._child is not None and self._child.healthy

    def status(self) -> ShadowStatus:
        return ShadowStatus(
            origin=self._source.origin,
            ready=self.ready,
            revision=self._bundle.revision if self._bundle else "",
            error=self._error,
            results=dict(self._results),
            effects=dict(self._effects),
            unrecorded=self._unrecorded,
        )

    # --- one decision ---

    def offer(self, trial: Trial) -> None:
        """See `ShadowPoint`. Asks in a task of its own, or not at all."""
        if random.random() >= self._settings.sample:  # noqa: S311 - a sample
            return
        child, now = self._child, asyncio.get_running_loop().time()
        busy = self._asking is not None and not self._asking.done()
        if child is None or busy or now < self._rest_until:
            self._count(Result.DROPPED)
            return
        self._asking = asyncio.create_task(self._ask(child, trial))

    async def _ask(self, child: OpaChild, trial: Trial) -> None:
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            said = await _said(child, trial.input_json, self._settings.deadline_s)
        finally:
            self._rest_until = clock() + (clock() - began) * (1 / self._settings.max_share - 1)
        if isinstance(said, PolicyError) and said.retryable:
            self._count(Result.LATE)
            return
        found = difference(trial, said, child.bundle.revision)
        self._count(Result.DIFFERENT if found else Result.SAME)
        if found:
            await self._record(found)

    async def _record(self, found: ShadowDifference) -> None:
        self._effects[found.live.effect, found.candidate.effect] += 1
        recorded = False
        if self._pace.take(asyncio.get_running_loop().time()):
            try:
                recorded = await self._on_difference(found)
            except Exception as error:  # noqa: BLE001 - nobody waits for this
                _log.warning("the candidate's difference is not kept: %s", type(error).__name__)
        self._unrecorded += not recorded

    def _count(self, result: Result) -> None:
        self._results[result] += 1
        self._on_result(result)

    # --- the candidate's life ---

    async def run(self) -> None:
        """Follow the source and keep the candidate running, until cancelled."""
        delay_s = self._settings.restart_delay_s
        try:
            while True:
                await self._refresh()
                if await self._outlives(self._settings.poll_s):
                    delay_s = self._settings.restart_delay_s
                    continue
                await self._let_go()
                await asyncio.sleep(delay_s)
                delay_s = min(2 * delay_s, _MAX_RESTART_DELAY_S)
                await self._start(self._bundle)
        finally:
            await asyncio.shield(self._let_go())

    async def _refresh(self) -> None:
        """Run what the source has now, if that is something else."""
        try:
            fresh = await asyncio.to_thread(self._source.fetch, self._version)
            bundle = await asyncio.to_thread(build, self._opa, fresh) if fresh else None
        except ConfigurationError as error:
            self._failed(error)
            return
        if fresh is None or bundle is None:
            return
        self._version = fresh.version
        if await self._start(bundle):
            self._bundle = bundle
            self._forget()
            _log.info("policy revision %s is tried in shadow", bundle.revision)

    async def _start(self, bundle: Bundle | None) -> bool:
        if bundle is None:
            return False
        try:
            child = await OpaChild.start(self._opa, bundle, CHILD)
        except ConfigurationError as error:
            self._failed(error)
            return False
        await self._let_go()
        self._child, self._error = child, ""
        self._watching = asyncio.create_task(child.failed(CHILD))
        return True

    async def _outlives(self, seconds: float) -> bool:
        """Whether the candidate, if there is one, still answers after that time."""
        if self._watching is None:
            await asyncio.sleep(seconds)
            return True
        await asyncio.wait({self._watching}, timeout=seconds)
        if not self._watching.done():
            return True
        self._error = f"the candidate's OPA {self._watching.result()}"
        _log.warning("%s; it is started again", self._error)
        return False

    async def _let_go(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait({self._asking})
            self._asking = None
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait({self._watching})
            self._watching = None
        child, self._child = self._child, None
        if child is not None:
            await child.stop()

    def _failed(self, error: ConfigurationError) -> None:
        if error.message != self._error:
            self._error = error.message
            _log.warning("the candidate policy is not tried: %s", error.message)


async def _said(
    child: OpaChild, input_json: bytes, deadline_s: float
) -> PolicyDecision | PolicyError:
    try:
        value = await child.client.decide(input_json, deadline_s=deadline_s)
        return decode(value, child.bundle.revision)
    except PolicyError as error:
        return error


def difference(
    trial: Trial, candidate: PolicyDecision | PolicyError, revision: str
) -> ShadowDifference | None:
    """In what the candidate's answer is another; None when it is in nothing. Pure.

    A fault counts as the denial that whoever asked would have been given.
    """
    live = trial.said
    terms = {name: (_term(live, name), _term(candidate, name)) for name in _TERMS}
    changed = tuple(name for name, (ours, theirs) in terms.items() if ours != theirs)
    if not changed:
        return None
    return ShadowDifference(
        tenant=trial.tenant,
        decision=trial.decision,
        live=_told(live, trial.revision),
        candidate=_told(candidate, revision),
        changed=changed,
    )


_TERMS: Final = ("effect", "reasons", "requirement", "mask")


def _term(said: PolicyDecision | PolicyError, name: str) -> object:
    """What has to be the same. The words of a reason, and the order of anything, need not."""
    if isinstance(said, PolicyError):
        told = {"effect": Effect.DENY, "reasons": {said.code}, "mask": frozenset()}
        return told.get(name)
    if name == "reasons":
        return {reason.code for reason in said.reasons}
    if name == "mask":
        return frozenset(said.mask)
    return getattr(said, name)


def _told(said: PolicyDecision | PolicyError, revision: str) -> ShadowSaid:
    if isinstance(said, PolicyError):
        return ShadowSaid(effect=Effect.DENY, codes=(said.code,), revision=revision)
    codes = tuple(sorted({reason.code for reason in said.reasons}))
    return ShadowSaid(effect=said.effect, codes=codes, revision=revision)


class _Pace:
    """So many a minute, and as many at once."""

    def __init__(self, per_minute: int) -> None:
        self._most = float(per_minute)
        self._left = self._most
        self._at = 0.0

    def take(self, now: float) -> bool:
        self._left = min(self._most, self._left + (now - self._at) * self._most / _MINUTE_S)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
