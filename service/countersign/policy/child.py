"""One OPA process and the socket it answers on, from start to end.

Invariant 3: what OPA prints is kept only until it is ready, that is before it
has seen any input; afterwards it is read and thrown away. Called by `opa`.
"""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import Final, Self

from countersign.errors import ConfigurationError, PolicyError
from countersign.policy.bundle import Bundle
from countersign.policy.client import OpaClient
from countersign.policy.home import Home
from countersign.policy.process import Process

_MAX_OUTPUT_BYTES: Final = 4096
_START_POLL_S: Final = 0.005


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OpaSettings:
    """How an OPA is run and watched."""

    max_connections: int = 16
    memory_limit_bytes: int = 512 * 1024 * 1024
    start_timeout_s: float = 30.0
    """Callers wait for none of it: the OPA before answers until then."""
    drain_timeout_s: float = 10.0
    """How long a replaced OPA may take to finish what it was asked."""
    probe_interval_s: float = 1.0
    probe_timeout_s: float = 1.0
    max_failed_probes: int = 3
    """In a row; then OPA counts as hung and is replaced."""
    restart_delay_s: float = 0.05
    """Doubled with each failure, with jitter, up to the longest one."""
    max_restart_delay_s: float = 10.0
    background: bool = False
    """Runs on one processor, when nothing else needs it, and is the first to go for memory."""


class OpaChild:
    """A running OPA that serves one bundle. Made by `start` only."""

    def __init__(self, process: Process, client: OpaClient, home: Home, bundle: Bundle) -> None:
        self.client = client
        self.bundle = bundle
        self.healthy = False
        self._process = process
        self._home = home
        self._output: bytearray | None = bytearray()
        self._reading = asyncio.create_task(self._read_output())
        self._exit = asyncio.create_task(process.wait())

    @property
    def pid(self) -> int:
        return self._process.pid

    @classmethod
    async def start(cls, opa: Path, bundle: Bundle, settings: OpaSettings) -> Self:
        """Run OPA on a bundle; return once it answers and names the revision.

        Raises `ConfigurationError` with what OPA said, and leaves nothing behind.
        """
        home = Home(bundle.archive)
        try:
            process = await _spawn(opa, home, settings)
        except BaseException:
            home.remove()
            raise
        client = OpaClient(str(home.socket), max_connections=settings.max_connections)
        child = cls(process, client, home, bundle)
        try:
            await child._become_ready(settings)
        except BaseException:
            await child.stop()
            raise
        return child

    async def failed(self, settings: OpaSettings) -> str:
        """Keep `healthy` true to `/health`; return why this child is of no use any more."""
        failures = 0
        while failures < settings.max_failed_probes:
            await asyncio.wait({self._exit}, timeout=settings.probe_interval_s)
            if self._exit.done():
                return self._exit_words()
            self.healthy = await self.client.healthy(deadline_s=settings.probe_timeout_s)
            failures = 0 if self.healthy else failures + 1
        return f"did not answer {failures} health probes in a row"

    async def stop(self) -> None:
        """End it at once: OPA keeps nothing that a farewell could save."""
        self.healthy = False
        self.client.close()
        self._process.kill()
        self._home.remove()
        await asyncio.wait({self._exit, self._reading})

    async def _become_ready(self, settings: OpaSettings) -> None:
        try:
            async with asyncio.timeout(settings.start_timeout_s):
                while not await self.client.healthy(deadline_s=settings.probe_timeout_s):
                    if self._exit.done():
                        await asyncio.wait({self._reading})
                        raise self._not_started(self._exit_words())
                    await asyncio.sleep(_START_POLL_S)
                revision = await self.client.revision(deadline_s=settings.start_timeout_s)
        except TimeoutError:
            raise self._not_started(f"was not ready in {settings.start_timeout_s} s") from None
        except PolicyError as error:
            raise self._not_started(error.detail) from error
        if revision != self.bundle.revision:
            raise self._not_started("serves another revision than it was given")
        self._home.bundle.unlink()
        self._output = None
        self.healthy = True

    def _not_started(self, why: str) -> ConfigurationError:
        said = (self._output or b"").decode("utf-8", "replace").strip()
        return ConfigurationError(
            "opa.not_started",
            f"OPA {why}" + (f"; it said: {said}" if said else ""),
            advice="Check the policy bundle, free memory and the temporary directory.",
        )

    def _exit_words(self) -> str:
        code = self._exit.result()
        return f"was ended by signal {-code}" if code < 0 else f"ended with exit status {code}"

    async def _read_output(self) -> None:
        while chunk := await self._process.stdout.read(_MAX_OUTPUT_BYTES):
            if self._output is not None:
                self._output = (self._output + chunk)[-_MAX_OUTPUT_BYTES:]


async def _spawn(opa: Path, home: Home, settings: OpaSettings) -> Process:
    command = [
        *(str(opa), "run", "--server", "--bundle", home.bundle.name),
        *("--addr", f"unix://{home.socket}", "--unix-socket-perm", "600"),
        *("--skip-version-check", "--log-level", "error", "--log-format", "json"),
    ]
    environment = ["GOGC=400", f"GOMEMLIMIT={settings.memory_limit_bytes}B"]
    if settings.background:
        environment.append("GOMAXPROCS=1")
    try:
        return await Process.start(
            command, cwd=home.path, environment=environment, background=settings.background
        )
    except OSError as error:
        raise ConfigurationError(
            "opa.not_started",
            f"OPA cannot be run: {error.strerror}",
            advice="Check that the server's Python and OPA are still installed.",
        ) from error
