"""What hostile files do to an auditor's commands: a named end, no traceback, little memory.

Each command runs as a process of its own whose address space is bounded, so that a file
that grows in memory fails the test and not the machine.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import zlib

import pytest

from audit_attacks import published, rows, segment, signed
from audit_world import VKEY, record
from countersign.audit import plan
from realparts import ROOT
from typed import types

MEMORY_BYTES = 900 * 1024 * 1024
"""Python, its libraries and threads take half of it."""
ENDS = {0, 1, 2, 3, 4}


def bounded():
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def audits(*words):
    done = subprocess.run(
        [sys.executable, "-c", "from countersign.cli import main; main()", "audit", *words],
        env={"PYTHONPATH": str(ROOT / "service"), "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        preexec_fn=bounded,
    )
    assert "Traceback" not in done.stderr, done.stderr[-2000:]
    assert "MemoryError" not in done.stderr
    assert done.returncode in ENDS, done.returncode
    return done


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    return published(tmp_path_factory.mktemp("log"), rows())


@pytest.fixture
def log(pristine, tmp_path):
    return shutil.copytree(pristine, tmp_path / "copy")


def gz(data):
    return zlib.compress(data, level=9, wbits=31)


MANY = 60 * 1024 * 1024
SEGMENTS = {
    "a bomb": gz(bytes(4 * MANY)),
    "nothing but newlines": gz(b"\n" * MANY),
    "one line of nested lists": gz(b"[" * MANY + b"\n"),
    "one line of empty objects": gz(b"[" + b"{}," * (MANY // 3) + b"{}]\n"),
    "one huge number": gz(b'{"seq":' + b"9" * MANY + b"}\n"),
    "many short lines": gz(b"{}\n" * (MANY // 3)),
    "not gzip": b"\x1f\x8b" + bytes(1000),
    "empty": b"",
}


@pytest.mark.parametrize("data", SEGMENTS.values(), ids=SEGMENTS.keys())
def test_a_hostile_segment_is_named(log, data):
    segment(log, 1).write_bytes(data)
    done = audits("verify", "--log", str(log), "--key", VKEY, "--json")
    assert done.returncode == 1, done.stderr
    (found,) = {each["file"] for each in json.loads(done.stdout)["findings"]}
    assert found.startswith("records/")
    for command in (("search",), ("reconcile",), ("show", "rev_x")):
        assert types("audit", *command, "--log", log).code == 1


def test_a_signed_log_of_nonsense_is_named(tmp_path):
    """Whoever has the key may sign records that are none."""
    bodies = [
        b"{}",
        b"[" * 60_000,
        b'{"seq":1,"time":"\\ud800","kind":["\\ud800"],"vote":{"person":{}},"clean":7}',
        b'{"seq":3,"time":null,"kind":null,"change":[1e999,NaN],"outcome":{"outcome":[]}}',
        b'{"a":' + b"9" * 60_000 + b"}",
        b"\xff\xfe",
    ]
    source = [record(seq) for seq in range(315)]
    for at, body in enumerate(bodies):
        source[at] = type(source[at])(seq=at, body=body, time=source[at].time)
    log = published(tmp_path, source)
    done = audits("verify", "--log", str(log), "--key", VKEY)
    assert (done.returncode, done.stdout.count("record.malformed")) == (1, len(bodies))
    for command in ("search", "reconcile"):
        audits(command, "--log", str(log))
    for form in ("jsonl", "csv", "parquet", "ocsf"):
        audits("export", "--log", str(log), "--format", form, "--out", str(tmp_path / form))
    audits("evidence", "--log", str(log), "--key", VKEY, "--out", str(tmp_path / "pack"))


STRANGE = (
    b'{"seq":3,"time":"\\ud800","kind":"vote","vote":{"person":"\\ud800","choice":[]},"effect":7}',
    b'{"seq":"x","time":7,"kind":{},"change":{"by":["\\ud800"]},"outcome":{"outcome":{}}}',
    b'{"seq":1e400,"kind":"claim","review":[],"time":"9999-99-99","permit":"x","chain":7}',
    b'{"seq":-1,"kind":"decision","effect":"allow","decision":"\\udfff","reasons":{"a":1}}',
    b'{"seq":5,"kind":"heartbeat","change":{"refused_calls":{"\\ud800":1e300,"x":-5}}}',
)


@pytest.mark.parametrize("body", STRANGE)
def test_records_with_strange_values_are_told_and_exported(tmp_path, body):
    source = [record(seq) for seq in range(315)]
    for at in (3, 312):
        source[at] = type(source[at])(seq=at, body=body, time=source[at].time)
    log = published(tmp_path, source)
    assert types("audit", "verify", "--log", log, "--key", VKEY).code == 1
    for command in (("search",), ("search", "--jsonl"), ("reconcile",), ("show", "3")):
        assert "Traceback" not in types("audit", *command, "--log", log).err
    for form in ("jsonl", "csv", "parquet", "ocsf"):
        done = types("audit", "export", "--log", log, "--format", form, "--out", tmp_path / form)
        assert done.code in {0, 2}, done.err
    pack = types("audit", "evidence", "--log", log, "--key", VKEY, "--out", tmp_path / "pack")
    assert pack.code == 1


def test_names_that_lead_elsewhere_are_not_followed(log, tmp_path):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "private").write_text("not for anybody")
    shutil.rmtree(log / "objects")
    (log / "objects").symlink_to(secret)
    (log / "tile" / "0").rename(secret / "0")
    (log / "tile" / "0").symlink_to(secret / "0")
    (log / "records" / "..%2f..%2fsecret").touch()
    os.mkfifo(log / "checkpoints" / f"{400:020}")
    done = audits("verify", "--log", str(log), "--key", VKEY, "--json")
    told = json.loads(done.stdout)
    files = {each["file"] for each in told["findings"] if each["code"] == "file.unsafe"}
    assert {"objects", "tile/0", f"checkpoints/{400:020}"} <= files
    assert done.returncode == 1
    assert "not for anybody" not in done.stdout


TILE = 256 * 65_537 + 1


@pytest.mark.parametrize("name", ["tile/entries/000", "tile/0/000", "tile/entries/001.p/59"])
@pytest.mark.parametrize("size", [TILE - 1, 1 << 34])
def test_a_tile_larger_than_any_is_named(log, name, size):
    with (log / name).open("r+b") as stream:
        stream.truncate(size)  # of zeros: each two a record of no bytes
    done = types("audit", "verify", "--log", log, "--key", VKEY, "--json")
    assert done.code == 1
    assert {each["file"] for each in done.json()["findings"]} == {name}


def lying(state):
    """States that an auditor's file may hold after somebody else had it."""
    far = {**state, "size": 10**30}
    yield from ({}, [], far, {**state, "size": -1}, {**state, "size": 314})
    yield {**state, "frontier": [*state["frontier"], "00" * 32]}
    yield {**state, "frontier": ["00" * 32 for _ in state["frontier"]]}
    yield {**state, "root": "00" * 32}
    yield {**state, "time": "tomorrow"}
    yield {**state, "key": "another+key"}
    yield {**state, "checkpoint": signed(315, bytes(32)).decode()}
    yield {**state, "frontier": "x" * 100_000}
    yield {**state, "frontier": [None], "size": True}


def test_a_state_that_lies_is_refused_or_contradicted(log, tmp_path):
    path = tmp_path / "state"
    look = ("audit", "verify", "--log", log, "--key", VKEY, "--state", path)
    assert types(*look).code == 0
    state = json.loads(path.read_text())
    for lie in lying(state):
        path.write_text(json.dumps(lie))
        done = types(*look)
        assert done.code == 2, (lie, done.out)
        assert "--state: the file" in done.err
        assert path.read_text() == json.dumps(lie), "what is not understood is not replaced"
    for garbage in (b"", b"\xff" * 1000, b"[" * 100_000, b"{" + b'"a":1,' * 100_000):
        path.write_bytes(garbage)
        assert types(*look).code == 2
    path.write_text(json.dumps({**state, "time": "9999-01-01T00:00:00.000000Z"}))
    log_grown = published(tmp_path / "same", rows())
    assert types("audit", "verify", "--log", log_grown, "--key", VKEY, "--state", path).code == 0


@pytest.mark.parametrize("command", ["check-proof", "check-receipt"])
def test_a_hostile_proof_or_receipt_is_named(log, tmp_path, command):
    more = ("--receipt-key", VKEY, "--log", log) if command == "check-receipt" else ()
    for data in (b"", b"\xff" * 5_000, b"c2sp.org/tlog-proof@v1\n" * 10_000, b"\n" * 100_000):
        (tmp_path / "x").write_bytes(data)
        done = types("audit", command, tmp_path / "x", "--key", VKEY, *more)
        assert done.code == 1, (data[:20], done.err)
    with (tmp_path / "x").open("wb") as stream:
        stream.truncate(1 << 34)
    done = types("audit", command, tmp_path / "x", "--key", VKEY, *more)
    assert (done.code, "[audit.unreadable]" in done.err) == (2, True)


def test_a_segment_of_many_lines_within_bounds_costs_little(log):
    lines = b"".join(b'{"seq":%d}\n' % number for number in range(plan.MAX_LINES))
    segment(log, 1).write_bytes(gz(lines))
    done = audits("verify", "--log", str(log), "--key", VKEY, "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, len(told["findings"])) == (1, 1000)
