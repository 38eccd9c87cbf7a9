"""The last good key set of one issuer, and how long it may be believed.

Invariants kept: 2 (too old keys verify nothing; a failure is visible) and the
bounds that keep a flood of tokens from becoming a flood of requests: one read
at a time, shared by all who wait for it, and none within `min_refetch_s` of
the last, whether that one succeeded or not.

Keys are read when they are needed, and whoever needs them waits: answering
from old keys while reading new ones would let a withdrawn key work once more.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import math
from collections.abc import Awaitable, Callable

from countersign.errors import CountersignError
from countersign.tokens import KeySet, KeySetError, TokenError

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """How old keys may be."""

    refresh_s: float = 300.0
    """Older ones are read again before they are used: a withdrawn key works no longer."""
    min_refetch_s: float = 30.0
    """Between two reads, whatever tokens come."""
    max_stale_s: float = 3600.0
    """How old they may be when they cannot be read again."""


class HeldKeys:
    """Keys of one issuer. `read` gets the bytes, `clock` is monotonic."""

    def __init__(
        self,
        issuer: str,
        read: Callable[[], Awaitable[bytes]],
        freshness: Freshness,
        clock: Callable[[], float],
    ) -> None:
        self._issuer = issuer
        self._get = read
        self._freshness = freshness
        self._clock = clock
        self._keys: KeySet | None = None
        self._read_at = -math.inf
        """When the last good read began; never later than what it found was true."""
        self._tried_at = -math.inf
        self._reading: asyncio.Task[None] | None = None
        self._failure: str | None = None

    @property
    def failure(self) -> str | None:
        """What was wrong at the last read; None when nothing was."""
        return self._failure

    async def current(self) -> KeySet:
        """Keys fresh enough to verify with. Raises `TokenError`, retryable."""
        if self._clock() - self._read_at >= self._freshness.refresh_s:
            await self._read_unless_just_tried()
        if self._keys is None or self._clock() - self._read_at > self._freshness.max_stale_s:
            raise TokenError(
                "token.keys_unavailable",
                "the keys of the token's issuer cannot be read now",
                advice="Try again; the operator sees the cause in the health report.",
                retryable=True,
            )
        return self._keys

    async def read_since(self, moment: float) -> bool:
        """Whether the keys are as they were published at that moment or later.

        Reads them again for it, if that is allowed by now.
        """
        await self._read_unless_just_tried()
        return self._read_at >= moment

    async def _read_unless_just_tried(self) -> None:
        if self._reading is None:
            if self._clock() - self._tried_at < self._freshness.min_refetch_s:
                return
            self._tried_at = self._clock()
            self._reading = asyncio.create_task(self._read())
        # One who gives up waiting must not take the answer from the others.
        await asyncio.shield(self._reading)

    async def _read(self) -> None:
        """Replace the keys if that succeeds. Raises nothing."""
        began = self._clock()
        try:
            keys = KeySet.parse(await self._get())
        except CountersignError as error:
            if isinstance(error, KeySetError) and error.exposed:
                self._keys, self._read_at = None, -math.inf
            self._report(error.message)
        except Exception as error:  # noqa: BLE001 - whoever waits needs an answer, not a traceback
            self._report(f"{type(error).__name__} while reading the key set")
        else:
            self._keys, self._read_at = keys, began
            self._report(None if keys.keys else "the key set holds no key that can be used")
        finally:
            self._reading = None

    def _report(self, failure: str | None) -> None:
        """Tell a new state once."""
        if failure == self._failure:
            return
        self._failure = failure
        if failure is None:
            _log.info("the keys of issuer %s are read again", self._issuer)
        else:
            _log.error("the keys of issuer %s: %s", self._issuer, failure)
