"""The OPA processes that serve a candidate policy: two that answer, one for each trace.

The candidate is rebuilt with our capabilities, as a service would. Answers come
over a private socket, as a service gets them; compiling is asked of a second
process on loopback, since that is what `opa-python-client` speaks to. All of
them end with the command. Called by `judging` and `replay`.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import orjson

from countersign import canonical, launch
from countersign.errors import ConfigurationError, PolicyError
from countersign.model import JsonObject, JsonValue
from countersign.policy.bundle import ENTRYPOINT, Bundle, build
from countersign.policy.child import OpaChild, OpaSettings
from countersign.policy.snapshot import Snapshot
from countersign.workbench.impact.compiling import Compiler

_DEADLINE_S: Final = 5.0
_TRACE_TIMEOUT_S: Final = 60.0
_MAX_TRACE_BYTES: Final = 256 * 1024 * 1024
_STARTS: Final = 5
_TEXT: Final = re.compile(rb'"((?:[^"\\\n]|\\.){0,64})"')
_REFUSED: Final = frozenset({"policy.undefined", "policy.invalid"})


class NoAnswerError(Exception):
    """Policy has none: `code` is what the service would answer."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A candidate policy that can be asked."""

    revision: str
    constants: tuple[str, ...]
    """Texts that stand in its source, sorted."""
    compiler: Compiler
    _child: OpaChild
    _opa: Path
    _archive: Path

    async def answer(self, document: JsonObject) -> JsonValue:
        """The value of the entry point. Raises `NoAnswerError`; `PolicyError` if OPA is gone."""
        try:
            value = await self._child.client.decide(
                canonical.encode(document), deadline_s=_DEADLINE_S
            )
        except PolicyError as error:
            if error.code in _REFUSED:
                raise NoAnswerError(error.code) from None
            raise
        return value  # type: ignore[return-value]  # parsed JSON

    def trace(self, document: JsonObject) -> list[dict[str, Any]] | None:
        """Every expression of a full evaluation; None when it failed or is too large. Blocking."""
        command = [
            *(str(self._opa), "eval", "--bundle", str(self._archive), "--stdin-input"),
            *("--format", "json", "--explain", "full"),
            *("--disable-indexing", "--disable-early-exit", ENTRYPOINT),
        ]
        # A file, since ten megabytes through a pipe cost more than the evaluation.
        with tempfile.TemporaryFile(dir=self._archive.parent) as output:
            try:
                subprocess.run(  # noqa: S603 - a fixed command; no shell
                    command,
                    input=canonical.encode(document),
                    stdout=output,
                    stderr=subprocess.DEVNULL,
                    cwd=self._archive.parent,
                    env={"GOGC": "400"},
                    timeout=_TRACE_TIMEOUT_S,
                    check=True,
                )
            except (subprocess.SubprocessError, OSError):
                return None
            output.seek(0)
            data = output.read(_MAX_TRACE_BYTES + 1)
        if len(data) > _MAX_TRACE_BYTES:
            return None
        told = orjson.loads(data)
        return None if told.get("errors") else told.get("explanation")


@contextlib.asynccontextmanager
async def serving(opa: Path, snapshot: Snapshot) -> AsyncIterator[Candidate]:
    """Build and serve a candidate. `opa` is an absolute path. Raises `ConfigurationError`."""
    bundle = await asyncio.to_thread(build, opa, snapshot)
    async with contextlib.AsyncExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="countersign-impact-")))
        archive = home / "bundle.tar.gz"
        archive.write_bytes(bundle.archive)
        child = await OpaChild.start(opa, bundle, OpaSettings())
        stack.push_async_callback(child.stop)
        port = await _on_loopback(opa, archive, bundle, stack)
        yield Candidate(
            revision=bundle.revision,
            constants=_constants(snapshot),
            compiler=Compiler(port),
            _child=child,
            _opa=opa,
            _archive=archive,
        )


def _constants(snapshot: Snapshot) -> tuple[str, ...]:
    """What values policy may compare with: tried in place of what is unknown."""
    found = {
        match[1].decode("utf-8", "replace")
        for path, content in snapshot.compiled().items()
        if path.suffix == ".rego"
        for match in _TEXT.finditer(content)
    }
    return tuple(sorted(text for text in found if "\\" not in text))


async def _on_loopback(
    opa: Path, archive: Path, bundle: Bundle, stack: contextlib.AsyncExitStack
) -> int:
    """Start an OPA on a free port of loopback; the port, once that OPA names our revision."""
    for _ in range(_STARTS):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-I", "-S", "-B", launch.__file__, str(os.getpid()), "GOGC=400", "--"),
            *(str(opa), "run", "--server", "--bundle", archive.name),
            *("--addr", f"127.0.0.1:{port}", "--skip-version-check", "--log-level", "error"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            cwd=archive.parent,
            env={},
            start_new_session=True,
        )
        stack.push_async_callback(_end, process)
        if await _is_ours(process, port, bundle.revision):
            return port
    raise ConfigurationError(
        "opa.not_started",
        "OPA could not be started on a port of this machine's loopback",
        advice="Free some memory, and let this user listen on 127.0.0.1.",
    )


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()


async def _is_ours(process: asyncio.subprocess.Process, port: int, revision: str) -> bool:
    """Wait until it serves our bundle; False when it ended, its port being taken."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(10):
            while process.returncode is None:
                if await _revision(port) == revision:
                    return True
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), 0.02)
    return False


async def _revision(port: int) -> str:
    """The revision that an OPA on this port names; empty when it does not."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return ""
    writer.write(
        b"GET /v1/data/countersign_revision_probe?provenance=true HTTP/1.0\r\nHost: opa\r\n\r\n"
    )
    try:
        answer = await reader.read(65_536)
        body = orjson.loads(answer.partition(b"\r\n\r\n")[2])
        bundles = body["provenance"]["bundles"].values()
        return str(next(iter(bundles))["revision"])
    except (OSError, ValueError, KeyError, StopIteration):
        return ""
    finally:
        writer.close()
