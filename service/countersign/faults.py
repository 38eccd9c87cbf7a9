"""Named fault points: where a crash must lose nothing that was acknowledged.

Production code calls `reached(point)` at each; normally that does nothing. A
crash test names one point in the environment of the server, and the process
kills itself there as `kill -9` would. Points: `store.before_commit`,
`store.committed`, `<verb>.committed`, `<verb>.answering`; of the log, in their order,
`log.planned`, `log.fenced`, `log.segment_written`, `log.checkpoint_written`,
`log.pointed`, `log.marked`; below them, after each thing that lasts, `s3.put`,
`s3.confirmed`, `s3.created`, `s3.replaced`, `s3.deleted` or `local.written`,
`local.linked`, `local.replaced`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable


def nowhere(_: str) -> None:
    """No fault point is armed."""


def fault_points(armed: str) -> Callable[[str], None]:
    """A `reached` that kills this process at the armed point; empty arms none.

    `point` dies the first time it is reached, `point@3` the third.
    """
    if not armed:
        return nowhere
    name, _, count = armed.partition("@")
    left = int(count or "1")

    def reached(point: str) -> None:
        nonlocal left
        if point == name:
            left -= 1
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return reached
