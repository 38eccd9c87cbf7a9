"""What an auditor types, with only a copy of a log: each command once, and what it refuses.

Runs in this process, through the whole command line.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from audit_affairs import day, rows
from audit_world import LOG_ID, START_US, VKEY, written
from countersign.audit.plan import compress, decompress
from countersign.audit.verify import verify
from countersign.canonical import bound_bytes, commitment
from countersign.cli.context_file import read_context
from countersign.model import SECOND_US
from realparts import ROOT
from typed import types
from witness_world import WITNESS, cosign


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    return written(tmp_path_factory.mktemp("log"), 10, 300, 5)


@pytest.fixture
def log(pristine, tmp_path):
    return shutil.copytree(pristine, tmp_path / "copy")


@pytest.fixture
def trust(tmp_path):
    path = tmp_path / "acme.trust"
    assert types("audit", "trust", "--key", VKEY, "--place", "a bucket", "--out", path).code == 0
    return path


def test_the_key_of_a_log_that_has_not_begun_can_be_handed_out(tmp_path):
    assert types("init", tmp_path).code == 0
    settings = tmp_path / "countersign.toml"
    told = types("audit", "key", "--config", settings)
    assert told.code == 0, told.err
    assert told.out.startswith("countersign.local/default+")
    assert told.out.strip() in types("audit", "trust", "--config", settings).out


def test_proofs_for_whoever_demands_a_witness_are_of_what_it_saw(log, tmp_path):
    trust, proof = tmp_path / "acme.trust", tmp_path / "12.proof"
    key = str(WITNESS.public)
    assert types("audit", "trust", "--key", VKEY, "--witness", key, "--out", trust).code == 0
    cosign(log, 310, START_US // SECOND_US + 400)
    ask = ("audit", "prove", "12", "--with-record", "--log", log, "--trust", trust, "--out", proof)
    assert types(*ask).code == 0
    checked = types("audit", "check-proof", proof, "--trust", trust)
    assert checked.out.startswith("PROVEN: record 12 of 310 in ")
    code = types("audit", "verify", "--log", log, "--trust", trust).code
    assert code == 3, "the newest records were not seen yet"
    tool = ROOT / "tools" / "check_proof.py"
    done = subprocess.run(
        [sys.executable, tool, "--key", VKEY, proof], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_trust_file_is_written_once_and_used_in_place_of_the_key(log, trust):
    done = types("audit", "verify", "--log", log, "--trust", trust)
    assert done.code == 0
    assert done.out.startswith(f"VERIFIED: log {LOG_ID}\n")
    last = done.out.splitlines()[-1]
    assert last.startswith("WHOLE: 315 record(s), root ")
    assert "NOT CHECKED: locks" in last
    again = types("audit", "trust", "--key", VKEY, "--out", trust)
    assert (again.code, again.out) == (2, "")
    assert "[audit.exists]" in again.err


def test_a_log_that_is_not_trusted_is_not_judged(log, trust):
    for head in (log / "checkpoint", *log.glob("checkpoints/*")):
        head.write_text(head.read_text().replace(LOG_ID, "log.example/other", 1))
    done = types("audit", "verify", "--log", log, "--trust", trust)
    assert done.code == 2, "not judged is not tampered"
    assert "[audit.not_trusted]" in done.err
    both = types("audit", "verify", "--log", log, "--trust", trust, "--key", VKEY)
    assert "[audit.key_twice]" in both.err


def test_the_state_file_is_kept_and_continued(log, trust, tmp_path):
    state = tmp_path / "state"
    verify = ("audit", "verify", "--log", log, "--trust", trust, "--state", state)
    assert types(*verify).code == 0
    kept = state.read_bytes()
    again = types(*verify, "--json")
    assert json.loads(again.out)["resumed_at"] == 315
    assert types(*verify, "--from-start").code == 0
    assert state.read_bytes() == kept
    (log / "tile/0/001.p/59").write_bytes(b"x")
    assert types(*verify, "--from-start").code == 1
    assert state.read_bytes() == kept, "a damaged log changes nothing that is remembered"
    state.write_text("{}")
    bad = types(*verify)
    assert (bad.code, bad.out) == (2, "")
    assert "[audit.state_invalid]" in bad.err


@pytest.mark.parametrize(
    ("harm", "code", "word"),
    [
        (lambda log: (log / "tile/0/001.p/59").unlink(), 3, "INCOMPLETE"),
        (lambda log: (log / "tile/0/001.p/59").write_bytes(b""), 1, "TAMPERED"),
        (lambda log: shutil.rmtree(log / "checkpoints") or (log / "checkpoint").unlink(), 4, "U"),
    ],
)
def test_each_verdict_ends_in_its_code(log, harm, code, word):
    harm(log)
    done = types("audit", "verify", "--log", log, "--key", VKEY)
    assert done.code == code
    assert done.out.splitlines()[-1].startswith(word)


def test_a_proof_is_made_and_checked_without_the_log(log, trust, tmp_path):
    bare, carrying = tmp_path / "bare", tmp_path / "carrying"
    prove = ("audit", "prove", "200", "--log", log, "--trust", trust)
    assert types(*prove, "--out", bare).code == 0
    assert types(*prove, "--with-record", "--out", carrying).code == 0
    assert types(*prove).out.encode() == bare.read_bytes()
    shutil.rmtree(log)
    check = ("audit", "check-proof", "--trust", trust)
    good = types(*check, carrying)
    assert good.code == 0
    assert good.out.startswith(f"PROVEN: record 200 of 315 in {LOG_ID}\n")
    told = json.loads(types(*check, carrying, "--json").out)
    assert (told["seq"], told["record"]["seq"]) == (200, 200)
    unknown = types(*check, bare)
    assert (unknown.code, unknown.out.split(":")[0]) == (4, "UNKNOWN")
    record = tmp_path / "record"
    record.write_text(json.dumps(told["record"], sort_keys=True, separators=(",", ":")) + "\n")
    assert types(*check, bare, "--record", record).code == 0
    record.write_text("{}")
    wrong = types(*check, bare, "--record", record)
    assert wrong.code == 1
    assert "[log.proof_invalid]" in wrong.out
    carrying.write_bytes(carrying.read_bytes().replace(b"index 200", b"index 201"))
    assert types(*check, carrying).code == 1


def test_what_cannot_be_proven_says_why(log, trust, tmp_path):
    beyond = types("audit", "prove", "315", "--log", log, "--trust", trust)
    assert (beyond.code, beyond.out) == (1, "")
    assert "[log.not_included]" in beyond.err
    (log / "tile/0/000").write_bytes(bytes(256 * 32))
    damaged = types("audit", "prove", "20", "--log", log, "--trust", trust)
    assert "[log.proof_invalid]" in damaged.err
    nothing = tmp_path / "nothing"
    nothing.write_bytes(b"\xff")
    assert types("audit", "check-proof", nothing, "--key", VKEY).code == 1
    assert "[audit.key_missing]" in types("audit", "check-proof", nothing).err
    assert "--trust: " in types("audit", "check-proof", nothing, "--trust", Path("none")).err


# --- commitments ---

CONTEXT = {
    "action": "db.export",
    "actor": "agent",
    "arguments": {"table": "customers", "limit": 100},
    "environment": "production",
    "resource": {"type": "table", "id": "customers"},
}
SALT = bytes(range(32))


def committed(context_file):
    bound = bound_bytes("acme", read_context(context_file).canonical_bytes)
    return commitment(bound, SALT).hex()


def test_only_the_very_context_and_salt_open_a_commitment(tmp_path):
    shown = tmp_path / "context.json"
    shown.write_text(json.dumps(CONTEXT))
    log = written(tmp_path, 3, kind="decision", effect="allow", commitment=committed(shown))
    ask = ("audit", "open", "--seq", "1", "--log", log, "--key", VKEY)
    yes = types(*ask, "--context", shown, "--salt", SALT.hex())
    assert yes.code == 0
    assert yes.out.startswith("YES: ")
    assert "record       1, decision, 2026-" in yes.out
    saved = tmp_path / "saved"
    saved.write_text(json.dumps({"format": "x", "salt": SALT.hex()}))
    assert types(*ask, "--context", shown, "--salt", saved).code == 0

    no = types(*ask, "--context", shown, "--salt", bytes(32).hex(), "--json")
    assert (no.code, json.loads(no.out)["opens"]) == (1, False)
    shown.write_text(json.dumps({**CONTEXT, "arguments": {"table": "customers", "limit": 101}}))
    other = types(*ask, "--context", shown, "--salt", SALT.hex())
    assert other.code == 1
    assert other.out.startswith("NO: ")
    for salt in ("", "zz", SALT.hex()[:-2], SALT.hex() + "00"):
        refused = types(*ask, "--context", shown, "--salt", salt)
        assert (refused.code, refused.out) == (2, "")
        assert "[audit.salt_invalid]" in refused.err


def test_a_record_without_a_commitment_answers_nothing(log, tmp_path):
    shown = tmp_path / "context.json"
    shown.write_text(json.dumps(CONTEXT))
    ask = ("--context", shown, "--salt", SALT.hex(), "--log", log, "--key", VKEY)
    assert types("audit", "open", "--seq", "1", *ask).code == 4
    shown.write_text(json.dumps({**CONTEXT, "more": 1}))
    bad = types("audit", "open", "--seq", "1", *ask)
    assert bad.code == 1
    assert "has a key that is none of" in bad.err


# --- searching and exporting ---


def test_what_is_searched_is_found_and_is_no_evidence(tmp_path):
    log = day(tmp_path)
    votes = types("audit", "search", "--log", log, "--kind", "vote*", "--reviewer", "bob")
    assert votes.code == 0
    assert [line.split()[0] for line in votes.out.splitlines()] == ["5", "25"]
    assert "bob approved" in votes.out
    assert "`countersign audit verify` is what proves" in votes.err
    whole = types("audit", "search", "--log", log, "--id", "rev_exp", "--jsonl", "--limit", "2")
    assert [json.loads(line)["seq"] for line in whole.out.splitlines()] == [2, 3]
    assert "raise --limit" in whole.err
    none = types("audit", "search", "--log", log, "--from", "2020-01-01", "--to", "2020-01-02")
    assert (none.code, none.out) == (1, "")
    assert types("audit", "search", "--log", log, "--from", "soon").code == 2


@pytest.mark.parametrize("format", ["jsonl", "csv", "parquet", "ocsf"])
def test_an_export_is_a_new_file_and_says_that_it_proves_nothing(tmp_path, format):
    log, out = day(tmp_path), tmp_path / "table"
    export = ("audit", "export", "--log", log, "--format", format, "--out", out)
    done = types(*export, "--effect", "allow")
    assert done.code == 0
    assert f"6 record(s) as {format}" in done.out
    assert "no evidence by itself" in done.out
    before = out.read_bytes()
    again = types(*export)
    assert (again.code, out.read_bytes()) == (2, before)
    assert "--out: " in again.err


def test_an_export_that_fails_leaves_no_half_file(tmp_path):
    log, out = day(tmp_path), tmp_path / "table"
    max(log.glob("records/*/*/*.gz")).write_bytes(b"no")
    failed = types("audit", "export", "--log", log, "--out", out)
    assert failed.code == 1
    assert "[log.segment_unreadable]" in failed.err
    assert not out.exists()


def test_what_does_not_add_up_is_named_and_ends_in_one(tmp_path, log):
    done = types("audit", "reconcile", "--log", day(tmp_path))
    assert done.code == 1
    assert done.out.startswith("NOT RECONCILED: 2 exception(s)\n")
    assert "claim.unreported: record 27: nobody said how it ended (rev_mute)" in done.out
    plain = types("audit", "reconcile", "--log", log, "--json")
    assert (plain.code, json.loads(plain.out)["found"]) == (0, [])


# --- evidence ---

CHECKER = ROOT / "tools" / "check_proof.py"
SIZE = len(rows())
HALF = -(-SIZE // 2)


def test_an_evidence_folder_is_checked_without_us(tmp_path):
    log, out = day(tmp_path), tmp_path / "evidence"
    pack = ("audit", "evidence", "--log", log, "--key", VKEY, "--seed", "lot", "--sample", "4")
    done = types(*pack, "--out", out)
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1].startswith(f"WHOLE: {SIZE} record(s)")
    verify_sums = ["sha256sum", "-c", "SHA256SUMS"]
    sums = subprocess.run(verify_sums, cwd=out, capture_output=True, text=True, check=False)
    assert sums.returncode == 0, sums.stdout
    named = {line.split("  ")[1] for line in (out / "SHA256SUMS").read_text().splitlines()}
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert files - named == {"SHA256SUMS"}
    population = json.loads((out / "population.json").read_text())
    assert population["tree_size"] == population["records"] == SIZE
    proofs = sorted(out.glob("sample/*.proof"))
    assert [int(path.stem) for path in sorted(proofs, key=lambda path: int(path.stem))] == (
        population["sample"]
    )
    check = [sys.executable, "-I", "-S", str(CHECKER), "--key", VKEY, *map(str, proofs)]
    assert subprocess.run(check, capture_output=True, check=False).returncode == 0
    assert types("audit", "verify", "--log", log, "--trust", out / "trust.toml").code == 0

    again = tmp_path / "again"
    assert types(*pack, "--out", again).code == 0
    for name in files:
        assert (out / name).read_bytes() == (again / name).read_bytes(), name
    assert "[audit.unwritable]" in types(*pack, "--out", out).err
    unknown = types(*pack, "--out", tmp_path / "x", "--controls", "iso")
    assert (unknown.code, unknown.out) == (2, "")
    assert not (tmp_path / "x").exists()


def test_evidence_of_a_tampered_log_says_so(tmp_path):
    log, out = day(tmp_path), tmp_path / "evidence"
    (log / f"tile/0/000.p/{SIZE}").write_bytes(bytes(32 * SIZE))
    done = types("audit", "evidence", "--log", log, "--key", VKEY, "--out", out)
    assert done.code == 1
    report = (out / "report.html").read_text()
    assert "TAMPERED" in report
    assert "tile.differs" in report
    assert "NOT PROVEN" in report
    assert list(out.glob("sample/*")) == []


def test_what_no_checkpoint_covers_is_no_part_of_the_population(tmp_path):
    log = day(tmp_path, segments=2)
    (log / f"checkpoints/{SIZE:020}").unlink()
    shutil.copy(log / f"checkpoints/{HALF:020}", log / "checkpoint")
    shutil.rmtree(log / "tile")
    out = tmp_path / "evidence"
    assert types("audit", "evidence", "--log", log, "--key", VKEY, "--out", out).code == 3
    population = json.loads((out / "population.json").read_text())
    assert (population["tree_size"], population["records"]) == (HALF, HALF)


def test_a_copy_that_changes_while_it_is_read_is_no_evidence(tmp_path, monkeypatch):
    log = day(tmp_path)

    def meanwhile(*arguments, **more):
        result = verify(*arguments, **more)
        last = max(log.glob("records/*/*/*.gz"))
        lines = decompress(last.read_bytes(), 1 << 24)
        last.write_bytes(compress(lines.replace(b"hello", b"hullo")))
        return result

    monkeypatch.setattr("countersign.cli.audit.packing.verify", meanwhile)
    out = tmp_path / "evidence"
    changed = types("audit", "evidence", "--log", log, "--key", VKEY, "--out", out)
    assert changed.code == 1
    assert "[log.changed]" in changed.err
    assert not out.exists()
