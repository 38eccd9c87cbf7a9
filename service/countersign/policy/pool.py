"""Keep-alive connections to a Unix socket: one request at a time on each.

A deadline is kept by closing the connection, which also stops OPA's work at
once. A connection that OPA closed while it was idle is replaced once, and only
if nothing of the answer had been read. Whatever fails is `policy.unavailable`;
nothing of a request or an answer is in the error (invariant 3). Called by
`client`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Final, cast

from countersign.errors import PolicyError
from countersign.policy.wire import Answer, AnswerReader, WireError

MAX_ANSWER_BYTES: Final = 1024 * 1024


def unavailable(detail: str) -> PolicyError:
    """OPA cannot be asked now. `detail` says why, for the log."""
    return PolicyError(
        "policy.unavailable", "policy could not be asked in time", retryable=True, detail=detail
    )


class _StaleError(Exception):
    """The connection ended before anything of an answer had been read."""


class _Connection(asyncio.Protocol):
    """One connection, either idle or waiting for one answer."""

    __slots__ = ("_answer", "_loop", "_reader", "_transport")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._answer: asyncio.Future[Answer] | None = None
        self._reader: AnswerReader | None = None
        self._transport: asyncio.Transport | None = None

    async def exchange(self, request: bytes, deadline: float) -> Answer:
        """Send a request, wait for its answer until `deadline` on the loop's clock."""
        if self._transport is None or self._transport.is_closing():
            raise _StaleError
        answer: asyncio.Future[Answer] = self._loop.create_future()
        self._answer = answer
        self._reader = AnswerReader(MAX_ANSWER_BYTES)
        timer = self._loop.call_at(deadline, self._expire)
        try:
            self._transport.write(request)
            return await answer
        except BaseException:
            self.abort()
            raise
        finally:
            timer.cancel()
            self._answer = self._reader = None

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._reader is None or self._answer is None or self._answer.done():
            self.abort()  # nobody asked
            return
        try:
            answer = self._reader.feed(data)
        except WireError as error:
            self._fail(unavailable(f"OPA's answer is not the HTTP we know: {error}"))
            return
        if answer is not None:
            self._answer.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        self._transport = None
        if self._reader is not None and self._reader.started:
            self._fail(unavailable("the connection to OPA broke within an answer"))
        else:
            self._fail(_StaleError())

    def _expire(self) -> None:
        self._fail(unavailable("OPA did not answer by the deadline"))

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)


class Pool:
    """At most `max_connections` to one socket; further requests wait in order."""

    def __init__(self, socket_path: str, *, max_connections: int) -> None:
        self._socket_path = socket_path
        self._loop = asyncio.get_running_loop()
        self._slots = asyncio.Semaphore(max_connections)
        self._idle: list[_Connection] = []
        self._closed = False
        self._in_flight = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    async def request(self, data: bytes, *, deadline_s: float) -> Answer:
        """One exchange. Raises `PolicyError` `policy.unavailable` by the deadline."""
        deadline = self._loop.time() + deadline_s
        self._begin()
        try:
            if self._slots.locked():
                await self._wait_for_slot(deadline)
            else:
                await self._slots.acquire()  # at once: no timer is worth its cost
            try:
                return await self._exchange(data, deadline)
            finally:
                self._slots.release()
        finally:
            self._end()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Requests made in this block are one to `drain`, pauses between them included."""
        self._begin()
        try:
            yield
        finally:
            self._end()

    async def drain(self, *, deadline_s: float) -> None:
        """Wait until nobody waits for an answer any more, or the deadline."""
        try:
            async with asyncio.timeout(deadline_s):
                await self._quiet.wait()
        except TimeoutError:
            pass  # who still waits will be told that OPA is gone

    def close(self) -> None:
        """Close the idle connections; those in use end with their exchange."""
        self._closed = True
        while self._idle:
            self._idle.pop().abort()

    def _begin(self) -> None:
        if not self._in_flight:
            self._quiet.clear()
        self._in_flight += 1

    def _end(self) -> None:
        self._in_flight -= 1
        if not self._in_flight:
            self._quiet.set()

    async def _wait_for_slot(self, deadline: float) -> None:
        try:
            async with asyncio.timeout_at(deadline):
                await self._slots.acquire()
        except TimeoutError:
            raise unavailable("all connections to OPA were busy until the deadline") from None

    async def _exchange(self, data: bytes, deadline: float) -> Answer:
        if self._idle:
            connection = self._idle.pop()
            try:
                return self._keep(connection, await connection.exchange(data, deadline))
            except _StaleError:
                pass  # closed while it was idle: once more on a fresh one
        connection = await self._connect(deadline)
        try:
            return self._keep(connection, await connection.exchange(data, deadline))
        except _StaleError:
            raise unavailable("OPA closed the connection without an answer") from None

    def _keep(self, connection: _Connection, answer: Answer) -> Answer:
        if answer.reusable and not self._closed:
            self._idle.append(connection)
        else:
            connection.abort()
        return answer

    async def _connect(self, deadline: float) -> _Connection:
        try:
            async with asyncio.timeout_at(deadline):
                _, connection = await self._loop.create_unix_connection(
                    lambda: _Connection(self._loop), self._socket_path
                )
        except TimeoutError:
            raise unavailable("OPA did not take a connection by the deadline") from None
        except OSError:
            raise unavailable("OPA is not listening") from None
        return connection
