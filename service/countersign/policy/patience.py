"""A deadline that a busy machine does not cut short: it counts the processor, not the clock.

A candidate that misses a deadline by the clock is slow only if its OPA was let run all
that time. So it gets longer, until it has used its share or ten times the deadline have
passed. On systems without `/proc` the clock alone counts. Called by `admission`.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final

from countersign.errors import PolicyError
from countersign.policy.client import OpaClient

PATIENCE: Final = 10
"""By how many times the clock may outlast the deadline."""
_LOOK_S: Final = 0.05
_BEYOND_S: Final = 60.0
TOO_SLOW: Final = "policy.too_slow"
STARVED: Final = "opa.starved"


def used_s(pid: int) -> float | None:
    """Seconds of processor a process used so far, all threads; None when nobody tells."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("ascii")
    except (OSError, UnicodeDecodeError):
        return None
    # The name in parentheses may hold anything; user and system time are fields 14 and 15.
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def spent(pid: int, since_s: float | None, deadline_s: float) -> bool:
    """Whether a process that misses a deadline used that much of the processor since."""
    now_s = used_s(pid)
    return now_s is None or since_s is None or now_s - since_s >= deadline_s


class PatientClient(OpaClient):
    """Asks the OPA of one process; `deadline_s` is of its processor."""

    def __init__(self, client: OpaClient, pid: int) -> None:
        self._client = client
        self._pid = pid

    async def decide(self, input_json: bytes, *, deadline_s: float) -> object:
        """See `OpaClient`. Raises `policy.too_slow` or `opa.starved` for what is late."""
        clock = asyncio.get_running_loop().time
        began_s, longest_s = used_s(self._pid), PATIENCE * deadline_s
        until = clock() + longest_s
        # Whose own deadline is beyond ours: it only counts the clock.
        asked = asyncio.ensure_future(
            self._client.decide(input_json, deadline_s=longest_s + _BEYOND_S)
        )
        try:
            await asyncio.wait({asked}, timeout=deadline_s)
            while not asked.done():
                if spent(self._pid, began_s, deadline_s):
                    raise _late(TOO_SLOW, f"no answer in {deadline_s:g} s of its processor")
                if clock() >= until:
                    raise _late(STARVED, f"no answer in {longest_s:g} s on a busy machine")
                await asyncio.wait({asked}, timeout=_LOOK_S)
            return await asked
        finally:
            asked.cancel()  # closes the connection, which stops the evaluation

    async def contributions(self, input_json: bytes, *, deadline_s: float) -> object:
        """See `OpaClient`; asked of what answered in time just before."""
        return await self._client.contributions(input_json, deadline_s=PATIENCE * deadline_s)


def _late(code: str, detail: str) -> PolicyError:
    return PolicyError(code, "a candidate did not answer in time", retryable=True, detail=detail)
