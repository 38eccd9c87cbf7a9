"""What a version of policy has to pass before it may answer a request.

In order: it compiles with restricted capabilities, its own tests pass, and an OPA of
its own answers plausible questions in time and as the contract says. Each refusal is a
`ConfigurationError` whose code says at which of these it failed. A fault of this
machine (`is_machine`) is none of the policy's: the same version may pass later.
Invariants kept: 2 (what is slow, broken or talks another language never answers), 3
(a failed test is named; what it printed is thrown away). Called by `activation`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final, TypeAlias

from countersign.errors import ConfigurationError, PolicyError
from countersign.policy import probing
from countersign.policy.binary import CommandError, lacks_room
from countersign.policy.bundle import Bundle, allowed, build, unusable
from countersign.policy.child import OpaChild, OpaSettings
from countersign.policy.client import OpaClient
from countersign.policy.patience import PATIENCE, STARVED, TOO_SLOW, PatientClient, spent
from countersign.policy.process import Process
from countersign.policy.snapshot import Snapshot

Probes: TypeAlias = Callable[[OpaClient], Awaitable[Sequence[str]]]
"""Asks a candidate; the breaches it found. Raises `PolicyError` when an answer was late."""
MAX_NAMED: Final = 10
"""Failed tests or breaches that a refusal names."""
_MAX_OUTPUT_BYTES: Final = 16 * 1024 * 1024
_FAILED_TESTS: Final = 2
"""OPA's exit code when tests failed, and Go's when it ends itself; 1: they could not be run."""
_TESTS_ROOM: Final = 2
"""Tests may have so many times the memory at which OPA begins to save it, and no more."""
APPROVAL_FAILED: Final = "policy.approval_failed"
_MACHINE_CODES: Final = frozenset({"policy.not_built", APPROVAL_FAILED})
_FIX: Final = (
    "Correct the policy; the active one stays until then. "
    "`countersign policy check` and `test` tell more."
)
_SETTINGS_TEST: Final = ".test_the_settings_are_well_formed"
"""The library's own. Where a setting is malformed most others fail as well: it goes first."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionSettings:
    """What is asked of a candidate."""

    tests: bool = True
    """Run its own tests, if it has any."""
    test_timeout_s: float = 60.0
    """For all of them together."""
    probes: bool = True
    deadline_s: float = 1.0
    """For each answer; what a request would wait."""


def is_machine(error: ConfigurationError) -> bool:
    """Whether this machine is at fault, so that trying again is right."""
    return error.code.startswith("opa.") or error.code in _MACHINE_CODES


class Admission:
    """Examines candidates with one OPA."""

    def __init__(
        self,
        opa: Path,
        *,
        settings: AdmissionSettings | None = None,
        opa_settings: OpaSettings | None = None,
        probes: Probes | None = None,
    ) -> None:
        """`probes`: what is asked instead of the questions of `probing`."""
        self._opa = opa.absolute()
        self._settings = settings or AdmissionSettings()
        self._memory_bytes = (opa_settings or OpaSettings()).memory_limit_bytes
        self._probes = probes

    async def admit(self, snapshot: Snapshot) -> Bundle:
        """Compile a version and run its tests. Raises `ConfigurationError`."""
        bundle = await asyncio.to_thread(build, self._opa, snapshot)
        if self._settings.tests and has_tests(snapshot):
            await self._test(snapshot)
        return bundle

    async def probe(self, child: OpaChild) -> None:
        """Ask a candidate's own OPA what callers might. Raises `ConfigurationError`."""
        if not self._settings.probes:
            return
        client = PatientClient(child.client, child.pid)
        try:
            breaches = await (
                self._probes(client) if self._probes else self._generated(client, child.bundle)
            )
        except PolicyError as error:
            raise _unanswered(error) from error
        if breaches:
            raise ConfigurationError(
                "policy.contract",
                f"policy answers what the contract does not allow: {_listed(breaches)}",
                advice=_FIX,
            )

    async def _generated(self, client: OpaClient, bundle: Bundle) -> Sequence[str]:
        """Questions made of what this very policy mentions."""
        return await probing.probe(
            client, self._opa, bundle.archive, deadline_s=self._settings.deadline_s
        )

    # --- its own tests ---

    async def _test(self, snapshot: Snapshot) -> None:
        try:
            with tempfile.TemporaryDirectory(prefix="countersign-test-") as scratch:
                folder = Path(scratch)
                await asyncio.to_thread(_write, folder / "policy", snapshot.files)
                rules = await asyncio.to_thread(allowed, self._opa)
                (folder / "rules.json").write_bytes(rules)
                code, output = await self._run_tests(folder)
        except OSError as error:
            raise ConfigurationError(
                "policy.not_built",
                f"policy cannot be written down to be tested: {error.strerror}",
                advice="Make room in the temporary directory, or make it writable.",
            ) from error
        if code != 0:
            raise _tests_failed(code, output)

    async def _run_tests(self, folder: Path) -> tuple[int, bytes]:
        limit_s = self._settings.test_timeout_s
        command = [
            *(str(self._opa), "test", "--bundle", "."),
            *("--capabilities", str(folder / "rules.json")),
            *("--format", "json", "--timeout", f"{int(PATIENCE * limit_s)}s"),
        ]
        process = await Process.start(
            command,
            cwd=folder / "policy",
            # One thread: callers are answered meanwhile.
            environment=["GOMAXPROCS=1", f"GOMEMLIMIT={self._memory_bytes}B"],
            max_memory_bytes=_TESTS_ROOM * self._memory_bytes,
        )
        try:
            return await self._ended(process, limit_s)
        except TimeoutError:
            raise ConfigurationError(
                "policy.tests_failed",
                f"the policy's tests did not finish in {limit_s:g} s",
                advice=_FIX,
            ) from None
        finally:
            process.kill()
            await process.wait()

    async def _ended(self, process: Process, limit_s: float) -> tuple[int, bytes]:
        """Its exit code and output. Raises `TimeoutError` once it had its time and more."""
        reading = asyncio.ensure_future(_read(process))
        try:
            for _ in range(PATIENCE):
                await asyncio.wait({reading}, timeout=limit_s)
                if reading.done():
                    return await process.wait(), await reading
                if spent(process.pid, 0.0, limit_s):
                    raise TimeoutError
            raise _starved(f"its tests did not finish in {PATIENCE * limit_s:g} s")
        finally:
            process.kill()  # what is left of its output ends with it
            await asyncio.wait({reading})


def has_tests(snapshot: Snapshot) -> bool:
    """Whether a version brings tests in Rego."""
    return any(path.name.endswith("_test.rego") for path in snapshot.files)


def _write(folder: Path, files: Mapping[PurePosixPath, bytes]) -> None:
    folder.mkdir()
    for name, content in files.items():
        if not name.name.startswith("."):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


async def _read(process: Process) -> bytes:
    """What it says, up to a bound; the rest is read and thrown away."""
    output = bytearray()
    while chunk := await process.stdout.read(65_536):
        if len(output) < _MAX_OUTPUT_BYTES:
            output += chunk
    return bytes(output)


def _tests_failed(code: int, output: bytes) -> ConfigurationError:
    """The refusal that tells which tests failed, or why none could be run."""
    words = output.decode("utf-8", "replace").strip()
    if code < 0 or (code != _FAILED_TESTS and lacks_room(words)):
        said = f"was ended by signal {-code}" if code < 0 else words
        return unusable(CommandError(f"opa test: {said}"))
    failed = _named(output) if code == _FAILED_TESTS else []
    what = _listed(failed) if failed else words[:2000]
    if not failed and lacks_room(words):
        what = "they need more memory than tests may have"
    return ConfigurationError(
        "policy.tests_failed", f"the policy's own tests fail: {what}", advice=_FIX
    )


def _named(output: bytes) -> list[str]:
    """`pay_test.rego:12 data.pay_test.test_large: failed` for each that did not pass."""
    try:
        results: Any = json.loads(output)
    except ValueError:
        return []
    failed = [
        f"{result['location']['file'].lstrip('/')}:{result['location']['row']} "
        f"{result['package']}.{result['name']}: "
        + (f"error {result['error'].get('code', '')}" if result.get("error") else "failed")
        for result in results
        if isinstance(result, dict) and (result.get("fail") or result.get("error"))
    ]
    return sorted(failed, key=lambda told: _SETTINGS_TEST not in told)


def _unanswered(error: PolicyError) -> ConfigurationError:
    """A question to which there was no answer that could be judged."""
    if error.code == STARVED:
        return _starved(error.detail)
    if error.code == TOO_SLOW:
        return ConfigurationError(
            "policy.too_slow",
            f"policy is too slow: {error.detail}",
            advice="Find the rule whose cost grows with its input. The active policy stays "
            "until then.",
        )
    if "HTTP" in error.detail:  # an answer that is too long, for one
        return ConfigurationError(
            "policy.contract", f"policy gives no usable answer: {error.detail}", advice=_FIX
        )
    return unusable(CommandError(error.detail))


def _starved(why: str) -> ConfigurationError:
    return ConfigurationError(
        "opa.starved",
        f"OPA had too little of the processor to be judged: {why}",
        advice="It is tried again by itself. Give the service more processor if it stays so.",
    )


def _listed(lines: Sequence[str]) -> str:
    told = "; ".join(lines[:MAX_NAMED])
    return told if len(lines) <= MAX_NAMED else f"{told}; and {len(lines) - MAX_NAMED} more"
