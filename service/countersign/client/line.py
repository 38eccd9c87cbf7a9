"""One connection for blocking calls: carries the steps of conversations out.

What is said over it, and what the answers mean, is not its business (see
`steps`). One line serves any number of threads; forking while it is open is not
safe. The fakes have one of their own.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterator
from typing import TypeAlias, TypeVar

import grpc

from countersign.client.bearer import Bearer
from countersign.client.channel import open_channel
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

OnQuestion: TypeAlias = Callable[[Question], str | Answer | None]
T = TypeVar("T")


class Line:
    """Carries steps out, one after the other, with one credential."""

    def __init__(self, credential: Credential, stub: Callable[[grpc.Channel], object]) -> None:
        self._bearer = Bearer(credential)
        self._channel = open_channel(credential)
        self._stub = stub(self._channel)
        self._is_closed = False

    def close(self) -> None:
        """Calls that still run fail, later ones too."""
        self._is_closed = True
        self._channel.close()

    def run(self, conversation: Conversation[T], on_question: OnQuestion | None = None) -> T:
        """What comes of a conversation."""
        step = advance(conversation)
        while not isinstance(step, Done):
            result: object = None
            failed: CallFailed | CountersignClientError | None = None
            match step:
                case Call():
                    try:
                        result = self._invoke(step)
                    except (CallFailed, CountersignClientError) as error:
                        failed = error
                case Sleep(seconds=seconds):
                    self._sleep(seconds)
                case Ask(question=question):
                    result = on_question(question) if on_question else None
            step = advance(conversation, result, failed)
        return step.value

    def each(self, telling: Telling[T]) -> Iterator[T]:
        """What a telling tells, for as long as somebody listens."""
        stream: Generator[object, None, None] | None = None
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
                            result = self._invoke(step)
                        case Sleep(seconds=seconds):
                            self._sleep(seconds)
                        case Hear():
                            stream = stream or self._listen(step)
                            result = next(stream, None)
                except (CallFailed, CountersignClientError) as error:
                    failed = error
                if isinstance(step, Hear) and result is None:
                    stream = None
                step = advance(telling, result, failed)
        finally:
            if stream is not None:
                stream.close()

    def _invoke(self, call: Call) -> object:
        """One attempt of one call. Raises `CallFailed`, or why none was made."""
        method, carried = getattr(self._stub, call.method), self._bearer.metadata()
        with self._wrapping():
            return method(call.request, timeout=call.timeout_s, metadata=carried)

    def _listen(self, hear: Hear) -> Generator[object, None, None]:
        """The messages of one stream. Raises as `_invoke` does."""
        method, carried = getattr(self._stub, hear.method), self._bearer.metadata()
        with self._wrapping():
            stream = method(hear.request, metadata=carried)
            try:
                yield from stream
            finally:
                stream.cancel()

    @contextlib.contextmanager
    def _wrapping(self) -> Iterator[None]:
        try:
            yield
        except grpc.RpcError as error:
            if self._is_closed:
                raise closed() from error
            raise CallFailed.of(error) from error
        except ValueError as error:  # what grpc says of a closed channel
            raise closed() from error

    def _sleep(self, seconds: float) -> None:
        time.sleep(seconds)
