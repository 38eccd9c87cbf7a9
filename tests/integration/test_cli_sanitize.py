"""`countersign sanitize`, as somebody types it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

COUNTERSIGN = Path(sys.executable).parent / "countersign"
MAIL = "ada@analytical.example"


def run(*arguments: str, given: bytes = b"", cwd: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [COUNTERSIGN, "sanitize", *arguments],
        input=given,
        cwd=cwd,
        capture_output=True,
        check=False,
    )


def test_a_context_comes_out_clean_with_a_report_and_where_each_rule_hit(tmp_path: Path) -> None:
    given = json.dumps({"to": MAIL, "rows": 3}).encode()
    done = run("--explain", given=given, cwd=tmp_path)
    assert done.returncode == 0
    said = json.loads(done.stdout)
    assert said["clean"]["rows"] == 3
    assert said["clean"]["to"].startswith("[EMAIL:")
    assert said["report"]["total"] == {"EMAIL": 1}
    (find,) = said["finds"]
    assert (find["pointer"], find["start"], find["end"]) == ("/to", 0, len(MAIL))
    assert MAIL.encode() not in done.stdout + done.stderr


def test_plain_text_is_text_and_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text(f"write to {MAIL}", "utf-8")
    said = json.loads(run("--text", "note.txt", cwd=tmp_path).stdout)
    assert said["clean"].startswith("write to [EMAIL:")
    assert said["report"]["masked"][0]["pointer"] == ""


def test_many_lines_stream_and_a_wrong_one_does_not_end_them(tmp_path: Path) -> None:
    lines = [f'{{"to": "{MAIL}"}}', '{"a": 1, "a": 2}', "", "nonsense", "[1]", "[" + "1," * 600_000]
    done = run("--jsonl", given="\n".join(lines).encode() + b"\n7\n", cwd=tmp_path)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert [each.get("line") for each in said] == [None, 2, 4, None, 6, None]
    assert "/a is given twice" in said[1]["error"]
    assert said[-1]["clean"] == 7
    assert MAIL.encode() not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "given", "words"),
    [
        ((), b"nonsense", "is not strict JSON"),
        (("--text",), b"\xff\xfe", "is not UTF-8"),
        (("--text", "--jsonl"), b"", "give one of them"),
        (("missing.json",), b"", "missing.json: No such file"),
    ],
)
def test_what_cannot_be_read_is_said_in_a_sentence(
    tmp_path: Path, arguments: tuple[str, ...], given: bytes, words: str
) -> None:
    done = run(*arguments, given=given, cwd=tmp_path)
    assert done.returncode == 1
    assert words in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()
