"""A policy project in a directory, and somebody who types `countersign policy` there."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path

import realparts

COUNTERSIGN = Path(sys.executable).parent / "countersign"
EXPORT_CASES = """table: data export
given:
  context: {action: db.export, resource: {type: table, id: crm.customers}}
cases:
  - name: an internal export without personal data runs
    given:
      context:
        arguments: {columns: [plan], destination: "s3://analytics-exports/x.csv", row_count: 10}
    expect: {effect: allow, reasons: [export.internal]}
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclasses.dataclass(frozen=True, slots=True)
class Author:
    """Somebody in a directory with a policy in `policy`."""

    home: Path

    @property
    def policy(self) -> Path:
        return self.home / "policy"

    def writes(self, name: str, text: str) -> None:
        path = self.policy / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")

    def types(self, *words: str | Path) -> Said:
        """Type `countersign policy …`. What is said never is a traceback."""
        realparts.opa()
        done = subprocess.run(
            [COUNTERSIGN, "policy", *words],
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Said(done.returncode, done.stdout, done.stderr)


def author(home: Path, *, examples: bool = False) -> Author:
    """The library, with or without the examples."""
    made = Author(home)
    rego = realparts.ROOT / "rego"
    shutil.copytree(rego / "countersign", made.policy / "countersign")
    if examples:
        for folder in rego.iterdir():
            if folder.name not in {"countersign", "schemas"}:
                shutil.copytree(folder, made.policy / folder.name)
    return made
