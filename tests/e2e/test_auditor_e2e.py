"""An auditor with nothing but a copy of a real log, its key, and a context they are shown."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

from countersign.audit.fields import unknown
from countersign.client import NotPermitted, Outcome
from countersign.model import Choice
from realparts import ROOT
from service import Service, context
from typed import types

EMAIL = "maria.kowalska@kunde-beispiel.de"
CHECKER = ROOT / "tools" / "check_proof.py"


def wanted(limit: int = 100) -> Any:
    return context("demo.approve", "exported", arguments={"to": EMAIL, "limit": limit})


@pytest.fixture
def case(prepared: Service, tmp_path: Path) -> Path:
    """What the auditor has: `copy`, `trust`, `saved` and what they are told was run."""
    prepared.plant(EMAIL)
    prepared.start()
    client, alice, bob = (
        prepared.client("agent"),
        prepared.reviewer("alice"),
        prepared.reviewer("bob"),
    )
    pending = client.check(wanted()).pending
    assert pending is not None
    case = tmp_path / "case"
    case.mkdir()
    pending.save(case / "saved")
    with pytest.raises(NotPermitted):
        alice.decide(alice.get(pending.review_id), Choice.APPROVE)
    bob.decide(bob.get(pending.review_id), Choice.APPROVE)
    client.report(client.claim(pending.review_id, wanted()), Outcome.SUCCEEDED)
    client.check(context("demo.allow"))
    client.check(context("demo.deny"))
    assert prepared.stop() == 0
    shutil.copytree(prepared.log_directory(), case / "copy")
    trust = ("audit", "trust", "--key", prepared.log_key(), "--out", case / "trust")
    assert types(*trust).code == 0
    (case / "key").write_text(prepared.log_key())
    return case


def test_an_auditor_needs_nothing_of_us(case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(case)
    copy = ("--log", "copy", "--trust", "trust")
    verified = types("audit", "verify", *copy, "--state", "state")
    assert verified.code == 0, verified.out
    assert "WHOLE: " in verified.out.splitlines()[-1]

    claims = types("audit", "search", "--log", "copy", "--kind", "claim", "--jsonl")
    (claim,) = map(json.loads, claims.out.splitlines())
    seq = claim["seq"]
    prove = types("audit", "prove", seq, *copy, "--with-record", "--out", "claim.proof")
    assert prove.code == 0
    checker = [sys.executable, "-I", "-S", CHECKER, "--key", "key", "claim.proof"]
    assert subprocess.run(checker, capture_output=True, check=False).returncode == 0

    is_what_was_approved(seq)
    for name in ("search", "reconcile"):
        assert types("audit", name, "--log", "copy").code == 0
    assert types("audit", "evidence", *copy, "--out", "evidence", "--seed", "lot").code == 0
    assert EMAIL.encode() not in b"".join(
        path.read_bytes() for path in Path("evidence").rglob("*") if path.is_file()
    )
    for form in ("jsonl", "csv", "parquet", "ocsf"):
        done = types("audit", "export", "--log", "copy", "--format", form, "--out", f"t.{form}")
        assert done.code == 0, done.err


def is_what_was_approved(seq: int) -> None:
    """The commitment opens with what was run and the caller's salt, and with nothing else."""
    for limit, code in ((100, 0), (101, 1)):
        shown = json.loads(wanted(limit).canonical_bytes)
        Path("context.json").write_text(json.dumps(shown))
        asked = types(
            *("audit", "open", "--seq", seq, "--context", "context.json", "--salt", "saved"),
            *("--log", "copy", "--trust", "trust"),
        )
        assert asked.code == code, asked.out + asked.err


def test_real_records_are_what_the_dictionary_and_the_questions_say(
    case: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(case)
    found = types("audit", "search", "--log", "copy", "--jsonl").out.splitlines()
    assert [unknown(json.loads(line)) for line in found] == [[]] * len(found)
    page = (ROOT / "docs" / "auditing.md").read_text(encoding="utf-8")
    questions = page[page.index("### DuckDB") : page.index("### Athena")]
    with duckdb.connect() as database:
        answers = [
            database.execute(statement).fetchall()
            for block in re.findall(r"^```sql\n(.*?)^```", questions, re.MULTILINE | re.DOTALL)
            for statement in block.split(";\n")
            if statement.strip()
        ]
    told = json.dumps(answers, default=str)
    for words in ("demo.approve", "bob", "vote.self_approval", "succeeded", "demo.deny"):
        assert words in told, words
