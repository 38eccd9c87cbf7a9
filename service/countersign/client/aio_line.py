"""One connection for asyncio: the same as `line`, awaited.

A line belongs to the event loop of its first call. Closing it ends what is
awaited on it with an error, not with a cancellation that nobody asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from typing import TypeAlias, TypeVar

import grpc
import grpc.aio

from countersign.client.bearer import Bearer
from countersign.client.channel import open_aio_channel
from countersign.client.errors import CountersignClientError, closed
from countersign.client.status import CallFailed
from countersign.client.steps import (
    Ask,
    Call,
    Conversation,
    Done,
    Hear,
    Sleep,
    Tell,
    Telling,
    advance,
)
from countersign.client.values import Question
from countersign.client.waiting import Answer
from countersign.credentials import Credential

Said: TypeAlias = str | Answer | None
OnQuestion: TypeAlias = Callable[[Question], Said | Awaitable[Said]]
T = TypeVar("T")


class AioLine:
    """Carries steps out, one after the other, with one credential."""

    def __init__(self, credential: Credential, stub: Callable[[grpc.aio.Channel], object]) -> None:
        self._credential = credential
        self._bearer = Bearer(credential)
        self._make_stub = stub
        self._channel: grpc.aio.Channel | None = None
        self._stub: object = None
        self._is_closed = False

    async def close(self) -> None:
        """Calls that still run fail, later ones too."""
        self._is_closed = True
        if self._channel is not None:
            await self._channel.close()

    async def run(self, conversation: Conversation[T], on_question: OnQuestion | None = None) -> T:
        """What comes of a conversation."""
        step = advance(conversation)
        while not isinstance(step, Done):
            result: object = None
            failed: CallFailed | CountersignClientError | None = None
            match step:
                case Call():
                    try:
                        result = await self._invoke(step)
                    except (CallFailed, CountersignClientError) as error:
                        failed = error
                case Sleep(seconds=seconds):
                    await self._sleep(seconds)
                case Ask(question=question):
                    result = await _asked(on_question, question)
            step = advance(conversation, result, failed)
        return step.value

    async def each(self, telling: Telling[T]) -> AsyncGenerator[T, None]:
        """What a telling tells, for as long as somebody listens."""
        stream: AsyncGenerator[object, None] | None = None
        step = advance(telling)
        try:
            while not isinstance(step, Done):
                result: object = None
                failed: CallFailed | CountersignClientError | None = None
                try:
                    match step:
                        case Tell(value=value):
                            yield value
                        case Call():
                            result = await self._invoke(step)
                        case Sleep(seconds=seconds):
                            await self._sleep(seconds)
                        case Hear():
                            stream = stream or self._listen(step)
                            result = await anext(stream, None)
                except (CallFailed, CountersignClientError) as error:
                    failed = error
                if isinstance(step, Hear) and result is None:
                    stream = None
                step = advance(telling, result, failed)
        finally:
            if stream is not None:
                await stream.aclose()

    async def _invoke(self, call: Call) -> object:
        """One attempt of one call. Raises `CallFailed`, or why none was made."""
        method, carried = getattr(self._opened(), call.method), self._bearer.metadata()
        with self._wrapping():
            answer: object = await method(call.request, timeout=call.timeout_s, metadata=carried)
            return answer

    async def _listen(self, hear: Hear) -> AsyncGenerator[object, None]:
        """The messages of one stream. Raises as `_invoke` does."""
        method, carried = getattr(self._opened(), hear.method), self._bearer.metadata()
        with self._wrapping():
            stream = method(hear.request, metadata=carried)
            try:
                async for message in stream:
                    yield message
            finally:
                stream.cancel()

    def _opened(self) -> object:
        if self._is_closed:
            raise closed()
        if self._channel is None:  # here, because it belongs to the running loop
            self._channel = open_aio_channel(self._credential)
            self._stub = self._make_stub(self._channel)
        return self._stub

    @contextlib.contextmanager
    def _wrapping(self) -> Iterator[None]:
        try:
            yield
        except grpc.RpcError as error:
            if self._is_closed:
                raise closed() from error
            raise CallFailed.of(error) from error
        except grpc.aio.UsageError as error:  # what grpc says of a closed channel
            raise closed() from error
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._is_closed and task is not None and not task.cancelling():
                raise closed() from None
            raise

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def _asked(on_question: OnQuestion | None, question: Question) -> Said:
    if on_question is None:
        return None
    answer = on_question(question)
    return await answer if inspect.isawaitable(answer) else answer
