"""A child process in which nothing of this one ever runs.

uvloop forks, and in the child runs what libraries left for that moment: gRPC's part then
puts a busy server's threads in order that the child does not have, and now and then dies
of it (signal 11) before the program has begun. `subprocess` makes its child by `vfork`,
after which no such handler runs. Called by `child` and `admission`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from countersign import launch


class _Output(asyncio.StreamReaderProtocol):
    """Its output, closed once it has ended: uvloop would keep it open for an answer."""

    def eof_received(self) -> bool:
        super().eof_received()
        return False


class Process:
    """A running program whose output is read here. Made by `start` only."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        loop = asyncio.get_running_loop()
        self.stdout = asyncio.StreamReader()
        self._popen = popen
        self._exit: asyncio.Future[int] = loop.create_future()
        # A thread of its own: those of the loop are few, and this one waits for years.
        waiting = threading.Thread(target=self._reap, args=(loop,), daemon=True)
        waiting.name = f"child {popen.pid}"
        waiting.start()

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        *,
        cwd: Path,
        environment: Sequence[str],
        background: bool = False,
        max_memory_bytes: int | None = None,
    ) -> Self:
        """Run a program that ends with this one, in exactly `environment` (`NAME=VALUE`).

        In the `background` it yields to everything else; of data it has at most
        `max_memory_bytes`; see `launch`. Raises `OSError` when it cannot be run.
        """
        # From the loop's thread: the child is told when the thread that made it ends.
        popen = subprocess.Popen(  # noqa: ASYNC220, S603 - a fixed command; back once it runs
            [
                sys.executable,
                *("-I", "-S", "-B", launch.__file__, str(os.getpid())),
                *([launch.BACKGROUND] if background else []),
                *([f"{launch.MEMORY}{max_memory_bytes}"] if max_memory_bytes else []),
                *(*environment, "--", *command),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env={},
            start_new_session=True,  # Ctrl-C is ours to handle: OPA must outlive the drain
        )
        process = cls(popen)
        try:
            await asyncio.get_running_loop().connect_read_pipe(
                lambda: _Output(process.stdout), popen.stdout
            )
        except BaseException:
            process.kill()
            raise
        return process

    @property
    def pid(self) -> int:
        return self._popen.pid

    def kill(self) -> None:
        """End it at once; nothing happens when it has ended."""
        self._popen.kill()

    async def wait(self) -> int:
        """Its exit code, or the negative number of the signal that ended it."""
        return await asyncio.shield(self._exit)

    def _reap(self, loop: asyncio.AbstractEventLoop) -> None:
        code = self._popen.wait()
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(self._exit.set_result, code)
