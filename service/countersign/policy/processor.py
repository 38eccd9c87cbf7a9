"""How much of the processor a process had, to tell a slow policy from a busy machine.

A deadline that passes says nothing about a policy whose OPA was hardly let run. On
systems without `/proc` nothing is known, and the clock alone counts. Called by
`admission`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_BUSY_SHARE: Final = 0.5


def used_s(pid: int) -> float | None:
    """Seconds of processor a process used so far, all threads; None when nobody tells."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("ascii")
    except (OSError, UnicodeDecodeError):
        return None
    # The name in parentheses may hold anything; user and system time are fields 14 and 15.
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def was_starved(before_s: float | None, after_s: float | None, waited_s: float) -> bool:
    """Whether a process that missed a deadline had too little processor to be blamed."""
    if before_s is None or after_s is None:
        return False
    return after_s - before_s < _BUSY_SHARE * waited_s
