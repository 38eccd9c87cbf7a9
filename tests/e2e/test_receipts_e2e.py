"""An operator leaves a record out and signs the log again with its real key: a receipt tells.

Nothing in the new log gives it away, and it verifies: whoever has the key can make any
history. What it cannot do is keep a promise that somebody else holds.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit_world import MemorySource, publisher
from countersign.audit.local import LocalSink
from countersign.audit.merkle import leaf_hash
from countersign.audit.note import Signer
from countersign.audit.receipt import Receipt, key_name
from countersign.keys import read_key
from countersign.model import SECOND_US, Instant, StoredRecord
from countersign.v1 import trust_pb2
from service import Service, context
from typed import Typed, types

ORIGIN = "countersign.local/default"
SOON_S = 4_000_000_000
"""A promise that is not due for a long time."""


@pytest.fixture
def case(prepared: Service, tmp_path: Path) -> Path:
    """`copy`, `trust`, the operator's `log.pem`, and `receipts` of what the agent asked for."""
    prepared.start()
    client = prepared.client("agent")
    case = tmp_path / "case"
    (case / "receipts").mkdir(parents=True)
    together = b""
    for number in range(6):
        decision = client.check(context("demo.allow", f"t{number}"))
        receipt = client.receipt(decision.record)
        name = f"{decision.record.seq:06}.receipt"
        together += receipt
        if number % 2:  # some in files of their own, some one after the other
            (case / "receipts" / name).write_bytes(receipt)
    (case / "receipts" / "all").write_bytes(together)
    keys = prepared.line("agent").call("Trust.GetKeys", trust_pb2.GetKeysRequest())
    assert prepared.stop() == 0
    shutil.copytree(prepared.log_directory(), case / "copy")
    shutil.copy(prepared.directory / "keys" / "log.pem", case / "log.pem")
    trust = ("audit", "trust", "--key", prepared.log_key(), "--out", case / "trust")
    assert types(*trust, "--receipt-key", keys.receipt_verifier_key).code == 0
    return case


def reconciled(case: Path, *more: object, log: str = "copy", receipts: str = "receipts") -> Typed:
    where = ("--log", case / log, "--trust", case / "trust", "--receipts", case / receipts)
    return types("audit", "reconcile", *where, *more)


def records_of(log: Path) -> list[dict[str, Any]]:
    found = types("audit", "search", "--log", log, "--jsonl")
    return [json.loads(line) for line in found.out.splitlines()]


def remade_without(case: Path, seq: int) -> Path:
    """The log without that record: renumbered, its tree made anew, signed with the real key."""
    left = [record for record in records_of(case / "copy") if record["seq"] != seq]
    source = MemorySource()
    for number, record in enumerate(left):
        body = json.dumps({**record, "seq": number}, sort_keys=True, separators=(",", ":"))
        time_us = int(datetime.fromisoformat(record["time"]).timestamp()) * SECOND_US
        source.rows.append(StoredRecord(seq=number, body=body.encode(), time=Instant(time_us)))
    signer = Signer(name=ORIGIN, key=read_key("keys.log", case / "log.pem"))
    root = case / "remade"

    async def publish() -> None:
        writer = publisher(source, root, sink=LocalSink(root), signer=signer)
        writer._log_id_of = lambda _tenant: ORIGIN
        await writer.start()
        await writer.close()

    asyncio.run(publish())
    log = root / ORIGIN
    shutil.copytree(case / "copy" / "objects", log / "objects", dirs_exist_ok=True)
    return log


def test_receipts_of_a_whole_log_are_kept(case: Path) -> None:
    done = reconciled(case)
    assert done.code == 0, done.out + done.err
    assert "9: 9 kept, 0 omitted, 0 pending, 0 forged, 0 other log" in done.out
    one = min((case / "receipts").glob("0*"))
    told = types("audit", "check-receipt", one, "--log", case / "copy", "--trust", case / "trust")
    assert (told.code, told.out.split(":")[0]) == (0, "KEPT")


@pytest.mark.parametrize("which", [0, 2, -1], ids=["the first", "a middle one", "the last"])
def test_a_record_that_the_operator_left_out_is_proven_by_its_receipt(
    case: Path, which: int
) -> None:
    asked = [record for record in records_of(case / "copy") if record["kind"] == "decision"]
    omitted = asked[which]["seq"]
    log = remade_without(case, omitted)
    verified = types("audit", "verify", "--log", log, "--trust", case / "trust")
    assert verified.code == 0, verified.out
    done = reconciled(case, "--json", "--as-of", "2h", log=str(log.relative_to(case)))
    assert done.code == 1
    told = {each["seq"]: each["standing"] for each in done.json()["receipts"]}
    assert told[omitted] == "omitted"
    assert {told[each["seq"]] for each in asked if each["seq"] < omitted} <= {"kept"}
    said = reconciled(case, "--as-of", "2h", log=str(log.relative_to(case))).out
    assert f"record {omitted} was promised" in said
    assert said.startswith("NOT RECONCILED")


def test_what_is_forged_of_another_log_or_not_due_is_told_apart(case: Path) -> None:
    own = next((case / "receipts").glob("0*")).read_bytes()
    forger = Ed25519PrivateKey.from_private_bytes(bytes(32))
    promise = Receipt(log_id=ORIGIN, seq=3, leaf_hash=leaf_hash(b"x"), include_by_s=1)
    other = Receipt(log_id="log.example/b", seq=3, leaf_hash=bytes(32), include_by_s=1)
    found = case / "mixed"
    found.write_bytes(
        own
        + promise.sign(Signer(name=key_name(ORIGIN), key=forger))
        + other.sign(Signer(name=key_name("log.example/b"), key=forger))
        + own.replace(b"\n" + ORIGIN.encode(), b"\nnonsense", 1)[:70]
    )
    done = reconciled(case, "--json", receipts="mixed")
    assert done.code == 1
    standings = [each["standing"] for each in done.json()["receipts"]]
    assert standings == ["kept", "forged", "other log", "forged"]
    (case / "mixed").write_bytes(b"\x00\xff" * 1000)
    assert [
        each["standing"] for each in reconciled(case, "--json", receipts="mixed").json()["receipts"]
    ] == ["forged"]
    missing = reconciled(case, receipts="nowhere")
    assert (missing.code, "--receipts" in missing.err) == (2, True)
    (case / "none").mkdir()
    none = reconciled(case, receipts="none")
    assert (none.code, none.out, "audit.no_receipts" in none.err) == (2, "", True)


def test_a_promise_that_is_not_due_when_the_log_was_copied_is_pending(
    case: Path, prepared: Service
) -> None:
    key = read_key("keys.receipt", prepared.directory / "keys" / "receipt.pem")
    signer = Signer(name=key_name(ORIGIN), key=key)
    size = len(records_of(case / "copy"))
    promise = Receipt(log_id=ORIGIN, seq=size, leaf_hash=bytes(32), include_by_s=SOON_S)
    (case / "soon").write_bytes(promise.sign(signer))
    assert reconciled(case, receipts="soon").code == 3
    late = reconciled(case, "--as-of", "2099-01-01", receipts="soon")
    assert (late.code, "omitted" in late.out) == (1, True)
