"""Lines without a network, on which nobody waits."""

from __future__ import annotations

from collections.abc import Callable

from countersign.client.aio_line import AioLine
from countersign.client.errors import closed
from countersign.client.line import Line
from countersign.client.steps import Call


class FakeLine(Line):
    """Has its calls answered, and lets time pass instead of sleeping."""

    def __init__(self, answering: Callable[[Call], object], sleep: Callable[[float], None]) -> None:
        self._answering = answering
        self._pass = sleep
        self._is_closed = False

    def close(self) -> None:
        self._is_closed = True

    def _invoke(self, call: Call) -> object:
        if self._is_closed:
            raise closed()
        return self._answering(call)

    def _sleep(self, seconds: float) -> None:
        self._pass(seconds)


class FakeAioLine(AioLine):
    """The same, awaited."""

    def __init__(self, answering: Callable[[Call], object], sleep: Callable[[float], None]) -> None:
        self._answering = answering
        self._pass = sleep
        self._is_closed = False

    async def close(self) -> None:
        self._is_closed = True

    async def _invoke(self, call: Call) -> object:
        if self._is_closed:
            raise closed()
        return self._answering(call)

    async def _sleep(self, seconds: float) -> None:
        self._pass(seconds)
