"""Calls that block, each in a thread of its own that the process does not wait for.

A store that hangs may hold a call for longer than a process has left to live. A
pool's threads are joined at the end, these are not: what they were writing is as
safe to cut short as by `kill -9`. Used by the publisher and by `opening`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def blocking(call: Callable[P, T], *args: P.args, **more: P.kwargs) -> T:
    """What the call returns or raises. Cancelled, the call goes on and nobody hears of it."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def told(tell: Callable[[], None]) -> None:
        if not future.done():
            tell()

    def run() -> None:
        tell: Callable[[], None]
        try:
            tell = functools.partial(future.set_result, call(*args, **more))
        except BaseException as error:  # noqa: BLE001 - it is raised where it is awaited
            tell = functools.partial(future.set_exception, error)
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(told, tell)

    threading.Thread(target=run, name="countersign-sink", daemon=True).start()
    return await future
