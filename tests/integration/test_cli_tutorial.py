"""The tutorial, typed as it stands: every command, in order, with what it says they answer."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import realparts
from service import Service

PAGE = realparts.ROOT / "docs" / "tutorial" / "first-approval.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SAVED = {"json": "refund.json", "rego": "policy/refund.rego"}
ENDS_WITH = {"check": (3, 4)}


class Reader:
    """Somebody who types what the page says and copies ids from what was printed."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.seen = ""

    def types(self, line: str, expected: list[str]) -> None:
        for sign, pattern in (("rev_…", r"rev_[0-9a-f]{32}"), ("pmt_…", r"pmt_[0-9a-f]{32}")):
            if sign in line:
                line = line.replace(sign, re.findall(pattern, self.seen)[-1])
        if "--preview …" in line:
            preview = re.findall(r"^  preview +(\w+)", self.seen, re.MULTILINE)[-1]
            line = line.replace("--preview …", f"--preview {preview}")
        words = shlex.split(line)
        assert words[0] == "countersign"
        done = subprocess.run(
            [Path(sys.executable).parent / "countersign", *words[1:]],
            cwd=self.service.directory,
            env={"COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode in ENDS_WITH.get(words[1], (0,)), f"{line}\n{done.stderr}"
        for text in expected:
            assert text in done.stdout, f"{line}\n{done.stdout}"
        self.seen += done.stdout

    def saves(self, kind: str, text: str) -> None:
        (self.service.directory / SAVED[kind]).write_text(text)
        if kind == "rego":
            self.service.stop()
            self.service.start()


def test_the_tutorial_works_as_it_is_written(tmp_path: Path) -> None:
    with Service(tmp_path / "first") as service:  # which is what `init` and `serve` do
        reader = Reader(service)
        typed = 0
        for kind, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
            if kind in SAVED:
                reader.saves(kind, text)
            if kind != "console":
                continue
            for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                line, *expected = part.splitlines()
                if line == "countersign serve":
                    service.start()
                elif not line.startswith(("cd ", "countersign init")):
                    reader.types(line, expected)
                    typed += 1
        assert typed >= 12
        assert "ann.smith" not in reader.seen
