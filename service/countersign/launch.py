"""Become another program that dies with its parent.

Run as a script, by `policy.child` and `recognizers.worker`:

    python -I -S launch.py PARENT_PID [--background] [--memory=BYTES] [NAME=VALUE …]
        -- PROGRAM [ARGUMENT …]

A server that is killed outright cannot stop its children, and orphans would pile up.
Linux sends the signal chosen with `PR_SET_PDEATHSIG` when the thread that made
the process ends. Asking for it here, after the fork and before the exec, spares
the server a `preexec_fn`, which is unsafe beside threads and would run gRPC's
fork handlers. Elsewhere than on Linux nothing is asked for.

What runs in the background gets the processor when nobody else wants it, and is
the first to be ended when memory is short. Go's own limit of memory is a wish: a
program that needs more takes more. One with `--memory` is refused more by Linux.
"""

import ctypes
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG = 1
BACKGROUND = "--background"
MEMORY = "--memory="
_LOWEST = 19


def main(arguments: list[str]) -> None:
    """Replace this process by the program, in exactly the environment given."""
    parent, *rest = arguments
    in_background = rest[0] == BACKGROUND
    rest = rest[in_background:]
    if rest[0].startswith(MEMORY):
        most = int(rest.pop(0).removeprefix(MEMORY))
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    divider = rest.index("--")
    environment = dict(pair.split("=", 1) for pair in rest[:divider])
    command = rest[divider + 1 :]
    if in_background:
        _yield_to_others()
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            sys.exit(f"launch: prctl: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != int(parent):
        sys.exit("launch: the parent is gone")  # it ended before we asked
    os.execve(command[0], command, environment)  # noqa: S606 - the point of this file


def _yield_to_others() -> None:
    os.nice(_LOWEST)
    if sys.platform == "linux":
        score = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        os.write(score, b"1000")
        os.close(score)


if __name__ == "__main__":
    main(sys.argv[1:])
