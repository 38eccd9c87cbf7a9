"""One call in as many attempts as it takes, and how patient a client is.

Retried are a server that was away, a reply that was lost and an answer that
the caller of `call` declares passing, under one and the same request, with
exponential back-off and full jitter, within a budget. Nothing else.
"""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Callable
from typing import Any

from google.protobuf.message import Message

from countersign.client.status import CallFailed, error_of
from countersign.client.steps import Call, Conversation, Sleep


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How patient the client is."""

    call_s: float = 30.0
    """Longest for one Check, Claim, Answer or Cancel, retries included."""
    report_s: float = 10.0
    """The same for Report, which the result of an action waits for."""
    attempt_s: float = 10.0
    """Longest for one attempt; a reply later than that counts as lost."""
    long_poll_s: float = 25.0
    """How long one Await asks the server to hold it."""
    backoff_s: float = 0.1
    """Ceiling of the first pause; doubles with every attempt."""
    max_backoff_s: float = 5.0
    reconnect_s: float = 3.0
    """Ceiling of the pause when the server asks to reconnect."""
    max_outage_s: float = 300.0
    """How long a wait for people survives a server that is away."""


class Exchange:
    """Makes calls. Clocks and randomness come in as arguments."""

    def __init__(
        self,
        timing: Timing,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._timing = timing
        self._clock = clock
        self._wall = wall
        self._chance = chance

    def call(
        self,
        method: str,
        request: Message,
        *,
        budget_s: float | None = None,
        passing: Callable[[Any], bool] = lambda _: False,
    ) -> Conversation[Any]:
        """One answer, in as many attempts as its budget allows.

        An answer for which `passing` holds is asked for again too; when time is
        up it is returned, for it is an answer.
        """
        deadline = self._clock() + (self._timing.call_s if budget_s is None else budget_s)
        attempt = 0
        while True:
            timeout_s = min(self._timing.attempt_s, max(deadline - self._clock(), 0.001))
            answer, failed = None, None
            try:
                answer = yield Call(method=method, request=request, timeout_s=timeout_s)
            except CallFailed as error:
                if not error.passing:
                    raise error_of(error) from error
                failed = error
            if failed is None and not passing(answer):
                return answer
            pause_s = self.backoff_s(attempt)
            if self._clock() + pause_s >= deadline:
                if failed is not None:
                    raise error_of(failed) from failed
                return answer
            yield Sleep(seconds=pause_s)
            attempt += 1

    def backoff_s(self, attempt: int) -> float:
        """Full jitter: anything up to the ceiling, so that a crowd spreads out."""
        ceiling = self._timing.backoff_s * 2.0 ** min(attempt, 16)
        return self._chance() * min(ceiling, self._timing.max_backoff_s)
