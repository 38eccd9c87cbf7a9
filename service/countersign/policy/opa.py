"""The policy decision point: real OPA, supervised, replaced without a gap.

Invariants: 2 (while OPA is gone, late or hung every question is refused, as
retryable) and 4 (each decision names the revision of the process that made
it: a process serves one bundle all its life). Activation starts a second OPA,
checks it, swaps one reference, lets the first finish and ends it; roll-back is
the same act. Built by `app`; asked by `flow`; watched by the edge.
"""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from countersign.errors import ConfigurationError, PolicyError
from countersign.model import PolicyDecision
from countersign.policy.binary import check_version
from countersign.policy.bundle import Bundle, build
from countersign.policy.child import OpaChild, OpaSettings
from countersign.policy.contract import decode
from countersign.policy.home import sweep
from countersign.policy.pool import unavailable
from countersign.policy.protocol import Answers
from countersign.policy.sources.directory import snapshot

_STABLE_S: Final = 10.0
"""An OPA that lived this long has earned a quick restart again."""
_log: Final = logging.getLogger(__name__)


def _decoded(value: object, revision: str) -> PolicyDecision | PolicyError:
    if isinstance(value, PolicyError):
        return value
    try:
        return decode(value, revision)
    except PolicyError as error:
        return error


def _built(opa: Path, directory: Path) -> Bundle:
    return build(opa, snapshot(directory))


class OpaState(enum.StrEnum):
    """What the supervisor is doing."""

    STOPPED = "stopped"
    READY = "ready"
    UNHEALTHY = "unhealthy"
    RESTARTING = "restarting"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OpaStatus:
    """A picture of the supervisor, for people and metrics."""

    state: OpaState
    path: Path
    version: str
    """Empty before the first start."""
    revision: str
    pid: int | None
    restarts: int


class OpaPolicy:
    """`PolicyPoint` over a supervised OPA. Belongs to one event loop."""

    def __init__(
        self,
        opa: Path,
        directory: Path | None = None,
        *,
        settings: OpaSettings | None = None,
        on_change: Callable[[Bundle], None] | None = None,
    ) -> None:
        """`directory`: what `start` serves; without one, what is activated first.

        `on_change` is called after each activation, the first included; it must not raise.
        """
        self._opa = opa.absolute()  # OPA runs in a directory of its own
        self._directory = directory
        self._settings = settings or OpaSettings()
        self._on_change = on_change
        self._version = ""
        self._restarts = 0
        self._bundle: Bundle | None = None
        self._active: OpaChild | None = None
        self._changing = asyncio.Lock()
        self._ended = False
        self._supervisor: asyncio.Task[None] | None = None
        self._retiring: set[asyncio.Task[None]] = set()

    @property
    def revision(self) -> str:
        return self._bundle.revision if self._bundle else ""

    @property
    def ready(self) -> bool:
        return self._active is not None and self._active.healthy

    def status(self) -> OpaStatus:
        return OpaStatus(
            state=self._state(),
            path=self._opa,
            version=self._version,
            revision=self.revision,
            pid=self._active.pid if self._active else None,
            restarts=self._restarts,
        )

    async def decide(self, input_json: bytes, *, deadline_s: float) -> PolicyDecision:
        """See `PolicyPoint`. Without a running OPA refused at once: nothing queues."""
        child = self._active
        if child is None:
            raise unavailable("OPA is not running")
        value = await child.client.decide(input_json, deadline_s=deadline_s)
        return decode(value, child.bundle.revision)

    async def decide_many(self, inputs: Sequence[bytes], *, deadline_s: float) -> Answers:
        """See `PolicyPoint`. All are asked of the one OPA that is active when it begins."""
        child = self._active
        if child is None:
            gone = unavailable("OPA is not running")
            return Answers(revision=self.revision, each=[gone] * len(inputs))
        revision = child.bundle.revision
        values = await child.client.decide_many(inputs, deadline_s=deadline_s)
        return Answers(revision=revision, each=[_decoded(value, revision) for value in values])

    async def start(self) -> None:
        """Check OPA, and serve the directory if one was named. Raises `ConfigurationError`."""
        self._version = await asyncio.to_thread(check_version, self._opa)
        await asyncio.to_thread(sweep)
        self._ended = False
        if self._directory is not None:
            await self.activate(self._directory)

    async def stop(self) -> None:
        """Let running questions finish, then end OPA. `start` may follow."""
        async with self._changing:
            self._ended = True
            await self._end_supervision()
            child, self._active, self._bundle = self._active, None, None
        if child is not None:
            _ = self._retire(child)  # awaited below, with those retired before
        await asyncio.gather(*self._retiring)

    async def activate(self, directory: Path) -> Bundle:
        """Build a directory's bundle and make it the one that decides.

        Returns when the OPA before it has ended. Raises `ConfigurationError`, and
        then the active revision is what it was.
        """
        bundle = await asyncio.to_thread(_built, self._opa, directory)
        await self.activate_bundle(bundle)
        return bundle

    async def activate_bundle(
        self,
        bundle: Bundle,
        *,
        probe: Callable[[OpaChild], Awaitable[None]] | None = None,
        swapped: Callable[[], None] | None = None,
    ) -> None:
        """Make a bundle that was built before the one that decides.

        `probe` is asked about the new OPA before any request reaches it: what it
        raises is raised, and nothing has changed. `swapped` is called the moment the
        new one answers; it must not raise. Returns when the OPA before it has ended.
        """
        child = await self._candidate(bundle, probe)
        try:
            async with self._changing:
                if self._ended:
                    raise ConfigurationError("opa.not_started", "the policy point was stopped")
                # No await from here to the new supervisor: nobody sees half a swap.
                old, self._active, self._bundle = self._active, child, bundle
                if self._supervisor is not None:
                    self._supervisor.cancel()
                self._supervisor = asyncio.create_task(self._supervise(child))
        except BaseException:
            await asyncio.shield(self._end(child))
            raise
        _log.info("policy revision %s is active", bundle.revision)
        if swapped is not None:
            swapped()
        if self._on_change is not None:
            self._on_change(bundle)
        if old is not None:
            await asyncio.shield(self._retire(old))

    async def try_bundle(
        self, bundle: Bundle, probe: Callable[[OpaChild], Awaitable[None]]
    ) -> None:
        """Probe a bundle on an OPA of its own that no request ever reaches."""
        child = await self._candidate(bundle, probe)
        await child.stop()

    async def _candidate(
        self, bundle: Bundle, probe: Callable[[OpaChild], Awaitable[None]] | None
    ) -> OpaChild:
        """A second OPA that has passed its probe. Beside the lock: a revival never waits for it."""
        child = await OpaChild.start(self._opa, bundle, self._settings)
        if probe is not None:
            try:
                await probe(child)
            except BaseException:
                await asyncio.shield(self._end(child))
                raise
        return child

    def _state(self) -> OpaState:
        if self._bundle is None:
            return OpaState.STOPPED
        if self._active is None:
            return OpaState.RESTARTING
        return OpaState.READY if self._active.healthy else OpaState.UNHEALTHY

    def _retire(self, child: OpaChild) -> asyncio.Task[None]:
        """Let a child that gets no new questions finish the old ones, then end it."""

        async def finish() -> None:
            await child.client.drain(deadline_s=self._settings.drain_timeout_s)
            await child.stop()

        task = asyncio.create_task(finish())
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)
        return task

    async def _end_supervision(self) -> None:
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.wait({self._supervisor})
            self._supervisor = None

    async def _supervise(self, child: OpaChild) -> None:
        """Replace the active child whenever it fails, until cancelled."""
        clock = asyncio.get_running_loop().time
        delay_s = self._settings.restart_delay_s
        while True:
            since = clock()
            why = await child.failed(self._settings)
            self._active = None
            _log.warning("OPA (pid %d) %s; starting another", child.pid, why)
            await asyncio.shield(self._end(child))
            if clock() - since >= _STABLE_S:
                delay_s = self._settings.restart_delay_s
            child, delay_s = await self._revive(child.bundle, delay_s)

    def _end(self, child: OpaChild) -> asyncio.Task[None]:
        """Stop a failed child in a task that `stop` waits for."""
        task = asyncio.create_task(child.stop())
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)
        return task

    async def _revive(self, bundle: Bundle, delay_s: float) -> tuple[OpaChild, float]:
        """Start OPA again until it stays; the child and the delay to use next."""
        while True:
            await asyncio.sleep(delay_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            delay_s = min(2 * delay_s, self._settings.max_restart_delay_s)
            async with self._changing:
                try:
                    child = await OpaChild.start(self._opa, bundle, self._settings)
                except ConfigurationError as error:
                    _log.warning("OPA could not be started again: %s", error.message)
                    continue
                self._active = child
                self._restarts += 1
                return child, delay_s
