"""The `countersign` command.

Agents, people, operators and auditors each have a few verbs; every one takes
its credential from a file, speaks the public API and has `--json` where a
script would want it. Exit codes: 0 done or allowed, 1 an error, 2 wrong usage,
3 denied, 4 a person's decision is still missing. `exec` ends as the command it
runs, and has codes of its own from 121 to 127.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command; say what to install when this is only the client."""
    if sys.argv[1:2] == ["exec"]:
        # It stands where commands run, which may have the client and no server.
        from countersign.cli import exec as enforcement  # noqa: PLC0415 - for the same reason

        del sys.argv[1]
        enforcement.main()
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
