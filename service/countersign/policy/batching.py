"""Many contexts in one query, with the answers that each would get alone.

OPA spends much of a small decision on the request around it, so many inputs are
asked about at once, by a constant query that is no part of any bundle: no rule of
an author can be named like it, see it or change it, and what is recorded of a
policy stays what its author wrote.

Invariant 2, for each item: an answer is keyed by its item's index, since OPA leaves
out what is undefined. One error or one slow item fails a whole query; so the query
gets half of the deadline, and if it fails each item is asked about alone.
Called by `client` and `opa`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias, TypeVar

from countersign.errors import PolicyError
from countersign.policy.wire import Answer, post, post_head

T = TypeVar("T")
Outcome: TypeAlias = T | PolicyError

MAX_ALONE: Final = 8
"""Items of one batch asked about at the same time after their query failed: half of
the connections to OPA stay for others."""
_HEAD: Final = post_head("/v1/query")
_QUERY: Final = (
    "answers = {key: decision | some index, item in input.items; "
    "key := format_int(index, 10); "
    "decision := data.countersign.decision with input as item}"
)
_BODY: Final = b'{"query":%b,"input":{"items":[%%b]}}' % json.dumps(_QUERY).encode()


def undefined() -> PolicyError:
    """No rule has an answer."""
    return PolicyError(
        "policy.undefined",
        "policy has no answer: no rule of countersign.decision applies to this input",
        retryable=False,
    )


def request_of(inputs: Sequence[bytes]) -> bytes:
    """The HTTP request that asks about all of these canonical input documents."""
    return post(_HEAD, _BODY % b",".join(inputs))


def values_of(answer: Answer, count: int) -> list[Outcome[object]] | None:
    """Each item's value in their order, or that it has none; None: the query failed.

    Its errors are not looked at: they say nothing of the item that they come from.
    """
    if answer.status != 200:
        return None
    try:
        answers = json.loads(answer.body)["result"][0]["answers"]
    except (ValueError, RecursionError, LookupError, TypeError):
        return None
    keys = [str(index) for index in range(count)]
    if not isinstance(answers, dict) or not answers.keys() <= set(keys):
        return None
    return [answers[key] if key in answers else undefined() for key in keys]


async def asked(
    inputs: Sequence[bytes],
    *,
    together: Callable[[Sequence[bytes], float], Awaitable[list[Outcome[object]] | None]],
    alone: Callable[[bytes, float], Awaitable[object]],
    deadline_s: float,
) -> list[Outcome[object]]:
    """Each item's value or why it has none, in the order of the items, in `deadline_s`.

    `together` and `alone` ask within so many seconds; `alone` raises `PolicyError`.
    """
    if not inputs:
        return []
    clock = asyncio.get_running_loop().time
    deadline = clock() + deadline_s
    if len(inputs) > 1:
        values = await together(inputs, deadline_s / 2)
        if values is not None:
            return values
    places = asyncio.Semaphore(MAX_ALONE)

    async def one(item: bytes) -> Outcome[object]:
        async with places:
            try:
                return await alone(item, deadline - clock())
            except PolicyError as error:
                return error

    return list(await asyncio.gather(*map(one, inputs)))
