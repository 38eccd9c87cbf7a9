"""Runs tests against one copy of the tree, and says which of them failed.

    guarantees_run.py COPY RESULT TEST...

RESULT gets the names of the tests whose own body failed, as JSON: one that could not
be set up or imported shows that the copy is broken, not that a guard is missed. Ends
with pytest's exit code; refuses to run when `countersign` would come from elsewhere.
"""

import json
import sys
from pathlib import Path

import pytest

import countersign
import countersign_bot


class Failures:
    """What pytest reports, one test at a time."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep a failed test's name, its parameters left out."""
        if report.failed and report.when == "call":
            self.names.add(report.nodeid.partition("[")[0])


def main(copy: str, result: str, *tests: str) -> int:
    """Run the tests and write which ones failed."""
    for package, source in ((countersign, "service"), (countersign_bot, "bot")):
        if not Path(str(package.__file__)).is_relative_to(Path(copy, source)):
            sys.exit(f"{package.__name__} is imported from elsewhere, not from the copy")
    failures = Failures()
    code = pytest.main(["-q", "-p", "no:cacheprovider", *tests], plugins=[failures])
    Path(result).write_text(json.dumps(sorted(failures.names)), encoding="utf-8")
    return int(code)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
