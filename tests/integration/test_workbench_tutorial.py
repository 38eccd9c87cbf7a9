"""The tutorial of the workbench, typed as it stands, with the two mistakes it makes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import realparts
from workbench_world import Author

PAGE = realparts.ROOT / "docs" / "policy.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SAVED = re.compile(r"[Ss]ave .*?as `([\w./]+)`")
MENDED = (
    ("rules/refund.rego", "context.actoin", "context.action"),
    ("rules/refund.rego", '"quorum": 0', '"quorum": 1'),
    ("rules/refund_cases.yaml", "{effect: allow}\n$", "{effect: needs_approval}\n"),
)


def said_so(expected: str, out: str) -> bool:
    """Whether a line was printed; `…` stands for anything."""
    pattern = "".join(
        ".*" if part == "…" else re.escape(part) for part in re.split("(…)", expected)
    )
    return re.search(rf"^{pattern}$", out, re.MULTILINE) is not None


def test_the_tutorial_works_as_it_is_written(tmp_path: Path) -> None:
    home = tmp_path / "policies"
    text = PAGE.read_text("utf-8").partition("## Your first rule")[2].partition("\n## How to")[0]
    ann, mends, typed, at = Author(home), list(MENDED), 0, 0
    for block in BLOCK.finditer(text):
        between, kind, body = text[at : block.start()], block[1], block[2]
        at = block.end()
        if "Write `" in between or "Make it `" in between:
            name, before, after = mends.pop(0)
            path = ann.policy / name
            old = path.read_text()
            path.write_text(
                re.sub(before if before.endswith("$") else re.escape(before), after, old)
            )
            assert path.read_text() != old
        if kind != "console":
            path = home / SAVED.findall(between)[-1]
            path.write_text(body)
            continue
        for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
            line, *expected = part.splitlines()
            if line.startswith("cd "):
                continue
            words = [str(home) if word == "~/policies" else word for word in shlex.split(line)]
            assert words[:2] == ["countersign", "policy"]
            here = Author(tmp_path) if words[2] == "init" else ann
            said = here.types(*words[2:])
            for each in expected:
                assert said_so(each, said.out), f"{line}\n{each}\n{said.out}\n{said.err}"
            found = bool(
                re.search(r"FAIL|refund\.rego:\d+ (undefined|requirement)", "\n".join(expected))
            )
            assert said.code == int(found), f"{line}\n{said.out}\n{said.err}"
            typed += 1
    assert typed >= 9
    assert mends == []
