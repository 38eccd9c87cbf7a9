"""What a conversation with the server is made of, without any waiting.

A conversation is a generator that yields steps and is sent their results: for
`Call` a response message (or a `CallFailed` thrown in), for `Sleep` nothing,
for `Ask` the answer to a reviewer's question or None. `sync` and `aio` carry
steps out; `conversation` decides which come next. Tests drive one by hand.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator
from typing import Any, Generic, TypeAlias, TypeVar

from google.protobuf.message import Message

from countersign.client.status import CallFailed
from countersign.client.values import Question

T = TypeVar("T")


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


@dataclasses.dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """The conversation is over, and this came of it."""

    value: T


Step: TypeAlias = Call | Sleep | Ask
Conversation: TypeAlias = Generator[Step, Any, T]


def advance(
    conversation: Conversation[T], result: object = None, failed: CallFailed | None = None
) -> Step | Done[T]:
    """Give a conversation what came of its last step; what comes next."""
    try:
        return conversation.send(result) if failed is None else conversation.throw(failed)
    except StopIteration as stop:
        return Done(stop.value)
