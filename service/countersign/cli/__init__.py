"""The `countersign` command.

Agents, people, operators and auditors each have a few verbs; every one takes
its credential from a file, speaks the public API and has `--json` where a
script would want it. Exit codes: 0 done or allowed, 1 an error, 2 wrong usage,
3 denied, 4 a person's decision is still missing.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command; say what to install when this is only the client."""
    try:
        from countersign.cli.root import run  # noqa: PLC0415 - see below
    except ModuleNotFoundError as error:
        # The base install is the client; the command needs more.
        print(
            f"countersign: {error.name} is not installed; the command comes with an extra.\n"
            "  Install it with: pip install 'countersign[server]'",
            file=sys.stderr,
        )
        sys.exit(1)
    sys.exit(run())
