"""What a conversation with the server is made of, without any waiting.

A conversation is a generator that yields steps and is sent their results: for
`Call` a response message (or a `CallFailed` thrown in), for `Sleep` nothing,
for `Ask` the answer to a reviewer's question or None, for `Hear` the next
message of a stream or None when it ended. A telling is a conversation with many
results. `line` and `aio_line` carry steps out; `conversation`, `waiting` and
`deciding` say which come next. Tests drive one by hand.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator
from typing import Any, Generic, TypeAlias, TypeVar

from google.protobuf.message import Message

from countersign.client.errors import CountersignClientError
from countersign.client.status import CallFailed
from countersign.client.values import Question

T = TypeVar("T")
S = TypeVar("S")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One attempt of one remote call, to be answered within `timeout_s`."""

    method: str
    request: Message = dataclasses.field(repr=False)
    """May hold a raw context and evidence."""
    timeout_s: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sleep:
    """Do nothing for a while."""

    seconds: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A reviewer asks; whoever runs the agent may answer."""

    question: Question


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Hear:
    """The next message of a stream, which is opened anew once it ended or failed."""

    method: str
    request: Message = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Tell(Generic[T]):
    """One result of a telling."""

    value: T


@dataclasses.dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """The conversation is over, and this came of it."""

    value: T


Step: TypeAlias = Call | Sleep | Ask
Conversation: TypeAlias = Generator[Step, Any, T]
Telling: TypeAlias = Generator[Call | Sleep | Ask | Hear | Tell[T], Any, None]


def advance(
    conversation: Generator[S, Any, T],
    result: object = None,
    failed: CallFailed | CountersignClientError | None = None,
) -> S | Done[T]:
    """Give a conversation what came of its last step; what comes next."""
    try:
        return conversation.send(result) if failed is None else conversation.throw(failed)
    except StopIteration as stop:
        return Done(stop.value)
