"""One child process, from start to end. See `worker` for the other side. Used by `pool`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Self

from countersign import launch
from countersign.errors import ConfigurationError
from countersign.recognizers import frames

_ENVIRONMENT: Final = (
    "HF_HUB_OFFLINE=1",
    "OMP_NUM_THREADS=1",
    "REGEX_TIMEOUT_SECONDS=86400",  # Presidio skips what is late; `pool` ends it instead
    "TOKENIZERS_PARALLELISM=false",
)


class GoneError(Exception):
    """The child ended, or says what makes no sense."""


class Child:
    """A running child that has loaded what it was told to. Made by `start` only."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.id = ""

    @classmethod
    async def start(cls, file: Path, entities: Sequence[str], *, timeout_s: float) -> Self:
        """Run one; return once it can answer. Raises `ConfigurationError`."""
        child = cls(await _spawn(file, entities))
        try:
            async with asyncio.timeout(timeout_s):
                said = await child._receive()
        except TimeoutError:
            await child.stop()
            raise _not_started(f"was not ready in {timeout_s:g} s") from None
        except GoneError:
            await child.stop()
            raise _not_started("ended before it was ready") from None
        except BaseException:
            await child.stop()
            raise
        if not isinstance(said, dict) or not isinstance(said.get("id"), str):
            await child.stop()
            raise _not_started(str(said.get("error")) if isinstance(said, dict) else "is confused")
        child.id = said["id"]
        return child

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ask(self, texts: Sequence[str]) -> list[list[tuple[int, int, str]] | None]:
        """Finds by text, None for one that it failed on.

        Raises `GoneError`; whoever gives up waiting must `stop` it.
        """
        writer = self._process.stdin
        assert writer is not None  # noqa: S101 - `_spawn` asks for a pipe
        try:
            # Half a character, which no tokenizer takes, is one byte either way.
            whole = [text.encode("utf-8", "replace").decode() for text in texts]
            writer.write(frames.encode({"texts": whole}))
            await writer.drain()
        except OSError:
            raise GoneError("ended") from None
        said = await self._receive()
        found = said.get("found") if isinstance(said, dict) else None
        if not isinstance(found, list) or len(found) != len(texts):
            raise GoneError("answered something else")
        try:
            return [
                None
                if each is None
                else [(int(start), int(end), str(what)) for start, end, what in each]
                for each in found
            ]
        except (TypeError, ValueError):
            raise GoneError("answered something else") from None

    async def _receive(self) -> Any:
        reader = self._process.stdout
        assert reader is not None  # noqa: S101 - `_spawn` asks for a pipe
        try:
            size = frames.length(await reader.readexactly(frames.LENGTH_BYTES))
            return frames.decode(await reader.readexactly(size))
        except (asyncio.IncompleteReadError, OSError, ValueError):
            raise GoneError("ended") from None

    async def stop(self) -> None:
        """End it at once: it keeps nothing."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


async def _spawn(file: Path, entities: Sequence[str]) -> asyncio.subprocess.Process:
    command = [sys.executable, "-I", "-B", "-m", "countersign.recognizers.worker"]
    try:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *("-I", "-S", "-B", launch.__file__),
            *(str(os.getpid()), *_ENVIRONMENT, "--", *command, str(file), ",".join(entities)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={},
            start_new_session=True,  # Ctrl-C is ours to handle
        )
    except OSError as error:
        raise _not_started(f"cannot be run: {error.strerror}") from error


def _not_started(why: str) -> ConfigurationError:
    advice = "Mend the file, or empty presidio.file in the settings."
    if "presidio_analyzer" in why or "No module named" in why:
        advice = "Install it: pip install 'countersign[presidio]'."
    return ConfigurationError("presidio.not_started", f"Presidio: {why}", advice=advice)
