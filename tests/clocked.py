"""A `Service` whose machine's clock a test sets, forward and back, while it runs.

Nobody may set the clock of a shared machine. Here the process alone has another
one: what a file says is added to what `time.time_ns` tells, by which Countersign
dates everything it stores. `time.time` stays as it is: gRPC compares it with the
deadlines of calls, which its C core takes from the kernel. libfaketime would set
all of them, where it is installed. OPA is told the time and reads no clock. The
steady clock stays the machine's, as it does when somebody sets the wall.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from service import Service

HOUR_S = 3600
DAY_S = 24 * HOUR_S
_SITE = """\
import time

_true = time.time_ns


def time_ns():
    with open({path!r}) as ahead:
        return _true() + int(ahead.read()) * 1_000_000_000


time.time_ns = time_ns
"""


class Clocked(Service):
    """A service on a machine whose clock is set by `set_clock`."""

    def __init__(self, directory: Path, **more: Any) -> None:
        super().__init__(directory, **more)
        self._site = directory / "site"
        self._site.mkdir()
        self.set_clock(0)
        code = _SITE.format(path=str(self._site / "ahead"))
        (self._site / "sitecustomize.py").write_text(code, encoding="utf-8")
        self.command = ("/usr/bin/env", f"PYTHONPATH={self._site}", *self.command)

    def set_clock(self, ahead_s: int) -> None:
        """Set the clock so far ahead of the true time, at once; negative is behind."""
        new = self._site / "ahead.new"
        new.write_text(str(ahead_s))
        new.replace(self._site / "ahead")
