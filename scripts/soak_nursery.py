"""Service processes that start quickly: forked with everything imported already.

Importing is most of what a start costs. Reads one JSON line for each start from
stdin ({"fault": …}), forks, and the child is `countersign serve` in the current
directory from its first line on. What the child prints goes to stdout, and so does
how it ended. Called by `soak`, in the service's environment.
"""

from __future__ import annotations

import json
import os
import random
import sys

import boto3  # noqa: F401 - imported here so that no child has to

import countersign.app
import countersign.audit.s3.sink  # noqa: F401
from countersign.cli import main


def serve(fault: str) -> None:
    """Become the service."""
    random.seed()
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.environ["COUNTERSIGN_FAULT"] = fault
    sys.argv = ["countersign", "serve", "--log-level", "warning"]
    try:
        code = main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


def tell(**event: object) -> None:
    os.write(1, json.dumps(event).encode() + b"\n")


def run() -> None:
    """One child after the other."""
    for line in sys.stdin:
        fault = json.loads(line)["fault"]
        child = os.fork()
        if not child:
            serve(fault)
        tell(event="started", pid=child)
        _, status = os.waitpid(child, 0)
        tell(event="ended", code=os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    run()
