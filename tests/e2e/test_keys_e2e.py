"""A real service and its keys: all of them changed, held by a signer, in the environment."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

import realparts
from countersign import permit
from countersign.audit.cosignature import WitnessSigner
from countersign.audit.logkeys import LogKeys, Retired
from countersign.audit.note import Checkpoint, Note, Signer, Verifier, sign
from countersign.audit.receipt import Receipt
from countersign.audit.trust import Trust, TrustedLog
from countersign.audit.verify import verify
from countersign.keys import create_key, read_key
from countersign.v1 import context_pb2, decisions_pb2, trust_pb2
from service import COMMAND, PATIENCE_S, Service, context, eventually
from witness_process import WitnessProcess

POLICY = """
package countersign

decision := {"effect": "allow", "reasons": [{"code": "test.all", "message": "all"}]}
"""
SIGNER_PAGE = realparts.ROOT / "docs" / "reference" / "signers.md"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    policy = tmp_path / "policy"
    policy.mkdir()
    (policy / "policy.rego").write_text(POLICY)
    with Service(tmp_path / "countersign", policy=policy) as made:
        made.person("alice")
        made.caller("agent", "alice")
        yield made


def run(service: Service, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """A command of the operator, or of an auditor."""
    done = subprocess.run(
        [COMMAND, *words],
        cwd=service.directory,
        env=service.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def permitted(service: Service, table: str) -> str:
    """A permit, as its executor gets it."""
    client = service.client("agent")
    decision = client.check(context("test.run", table), permit_audience="agent")
    assert decision.grant is not None
    assert decision.grant.permit is not None
    return str(decision.grant.permit.token)


def told(service: Service) -> trust_pb2.GetKeysResponse:
    answer = service.line("agent").call("Trust.GetKeys", trust_pb2.GetKeysRequest())
    assert isinstance(answer, trust_pb2.GetKeysResponse)
    return answer


def good(service: Service, token: str, table: str) -> bool:
    """Somebody offline, with the keys that the service tells, accepts the permit, or raises."""
    verified = permit.verify(
        token,
        json.loads(told(service).jwks_json),
        issuer="countersign",
        audience="agent",
        context=context("test.run", table).to_model(),
        now_s=int(time.time()),
    )
    return verified.caller == "agent"


def size_of(service: Service) -> int:
    note = Note.parse((service.log_directory() / "checkpoint").read_bytes())
    return Checkpoint.parse(note.text).size


def changes(service: Service) -> list[dict[str, object]]:
    records = [json.loads(record) for record in service.published()]
    found = [record["change"]["keys"] for record in records if record["kind"] == "keys.changed"]
    return [change for group in found for change in group]


def receipt_of(service: Service) -> bytes:
    client = service.client("agent")
    decision = client.check(context("test.run", "receipts"))
    return bytes(client.receipt(decision.record))


# --- changing every key -------------------------------------------------------------


def test_every_key_is_changed_and_what_the_old_ones_signed_stays_good(
    service: Service, tmp_path: Path
) -> None:
    service.start()
    old, old_keys = permitted(service, "old"), told(service)
    old_receipt = receipt_of(service)
    assert service.stop() == 0
    at = size_of(service)
    old_private = read_key("keys.log", service.directory / "keys" / "log.pem")

    for role in ("permit", "log", "receipt"):
        done = run(service, "keys", "rotate", role)
        assert done.returncode == 0, done.stderr
        assert "retired" in done.stdout
    pending = run(service, "keys", "show").stdout
    assert pending.count("signs from the next start on") == 3

    service.start()
    new, new_keys = permitted(service, "new"), told(service)
    assert old_keys.log_verifier_key != new_keys.log_verifier_key
    assert old_keys.receipt_verifier_key != new_keys.receipt_verifier_key
    assert good(service, new, "new")
    assert good(service, old, "old"), "its key is still told"
    assert service.stop() == 0

    said = {str(change["role"]): change for change in changes(service)}
    assert set(said) == {"permit", "log", "receipt"}
    assert said["log"]["until"] == at
    assert said["log"]["old"] == key_of(old_keys.log_verifier_key)
    assert said["log"]["new"] == key_of(new_keys.log_verifier_key)
    assert said["receipt"]["new"] == key_of(new_keys.receipt_verifier_key)
    Receipt.open(old_receipt, Verifier.parse(old_keys.receipt_verifier_key))

    trust = tmp_path / "new.trust"
    assert run(service, "audit", "trust", "--out", trust).returncode == 0
    trusted = Trust.parse(trust.read_bytes()).find(None)
    assert str(trusted.verifier) == new_keys.log_verifier_key
    assert [(str(e.verifier), e.until) for e in trusted.retired] == [
        (old_keys.log_verifier_key, at)
    ]
    shown = run(service, "keys", "show").stdout
    assert f"{old_keys.log_verifier_key}@{at}" in shown
    assert "next start" not in shown

    copy = tmp_path / "copy"
    shutil.copytree(service.log_directory(), copy)
    whole = run(service, "audit", "verify", "--log", copy, "--trust", trust)
    assert whole.returncode == 0, whole.stdout
    assert run(service, "audit", "verify").returncode == 0

    # By the old key alone, and by a thief of it who goes on.
    only_old = tmp_path / "old.trust"
    log = TrustedLog(verifier=Verifier.parse(old_keys.log_verifier_key))
    only_old.write_text(Trust(logs=(log,)).encode())
    stranger = run(service, "audit", "verify", "--log", copy, "--trust", only_old)
    assert stranger.returncode != 0
    assert f"unknown {said_id(new_keys.log_verifier_key)}" in stranger.stdout
    resign(copy, Signer(name=trusted.origin, key=old_private), above=at)
    stolen = run(service, "audit", "verify", "--log", copy, "--trust", trust)
    assert stolen.returncode == 1, stolen.stdout
    assert "a key of this log for checkpoints of other sizes" in stolen.stdout


def test_a_log_that_a_stranger_signs_on_is_refused_by_the_service_and_by_auditors(
    service: Service, tmp_path: Path
) -> None:
    """Whoever can write the files and has no key of the log signs with one of their own."""
    service.start()
    permitted(service, "t1")
    assert service.stop() == 0
    key = Verifier.parse(service.log_key())
    mallory = Signer(name=key.name, key=Ed25519PrivateKey.generate())
    resign(service.log_directory(), mallory, above=0)
    trust = tmp_path / "acme.trust"
    trust.write_text(Trust(logs=(TrustedLog(verifier=key),)).encode())
    found = run(service, "audit", "verify", "--log", service.log_directory(), "--trust", trust)
    assert found.returncode in (1, 4), found.stdout
    assert f"unknown {mallory.verifier.key_id.hex()}" in found.stdout
    said = service.refuses_to_start()
    assert "[log.signature_invalid]" in said
    assert mallory.verifier.key_id.hex() in said


def test_a_retired_key_does_not_come_back(service: Service) -> None:
    service.start()
    assert service.stop() == 0
    keys = service.directory / "keys"
    shutil.copy(keys / "log.pem", keys / "kept.pem")
    assert run(service, "keys", "rotate", "log").returncode == 0
    service.start()
    permitted(service, "t1")
    assert service.stop() == 0
    service.configure({"keys.log": "keys/kept.pem"})
    said = service.refuses_to_start()
    assert "[keys.retired]" in said
    assert "keys.log" in said


def test_a_change_cut_short_by_a_crash_is_told_once_and_at_the_right_size(
    service: Service,
) -> None:
    """It dies after the new key signed its first checkpoint, before anybody noted that."""
    service.start()
    permitted(service, "t1")
    assert service.stop() == 0
    at, old = size_of(service), Verifier.parse(service.log_key())
    assert run(service, "keys", "rotate", "log").returncode == 0
    service.start(fault="log.checkpoint_written")
    service.killed_itself()
    service.start()
    permitted(service, "t2")
    assert service.stop() == 0
    (change,) = changes(service)
    assert change["until"] == at
    keys = LogKeys(
        current=Verifier.parse(service.log_key()), retired=(Retired(verifier=old, until=at),)
    )
    result = verify(service.log_directory(), keys)
    assert result.ok, result.findings


def test_a_witness_that_knows_both_keys_follows_the_change(
    service: Service, tmp_path: Path
) -> None:
    old = Verifier.parse(service.log_key())
    with WitnessProcess(tmp_path / "witness", [old]) as witness:
        service.append_settings(
            f'[[witnesses]]\nurl = "{witness.url}"\nkey = "{witness.key}"\ndeadline_s = 2.0\n'
        )
        # A witness that was away is asked again with the next checkpoint.
        service.configure({"log.heartbeat_s": 1})
        service.start()
        permitted(service, "t1")
        assert service.stop() == 0
        at = size_of(service)
        assert run(service, "keys", "rotate", "log").returncode == 0
        service.start()
        permitted(service, "t2")
        eventually(lambda: 'outcome="witness.refused"' in service.status("/metrics")[1])
        new = Verifier.parse(service.log_key())
        assert f"unknown {new.key_id.hex()}" in witness.said

        witness.kill()
        trusted = TrustedLog(verifier=new, retired=(Retired(verifier=old, until=at),))
        (witness.directory / "logs.toml").write_text(Trust(logs=(trusted,)).encode())
        witness.start()
        permitted(service, "t3")
        eventually(lambda: cosigned(service, witness))
        assert service.stop() == 0
        keys = LogKeys(current=new, retired=trusted.retired)
        result = verify(service.log_directory(), keys, witnesses=[witness.key])
        assert result.ok, result.findings


def cosigned(service: Service, witness: WitnessProcess) -> bool:
    note = Note.parse((service.log_directory() / "checkpoint").read_bytes())
    return witness.key.cosigned_s(note) is not None


def key_of(vkey: str) -> dict[str, str]:
    return {"id": said_id(vkey), "key": vkey}


def said_id(vkey: str) -> str:
    return Verifier.parse(vkey).key_id.hex()


def resign(log: Path, signer: Signer, *, above: int) -> None:
    """Have another key sign every checkpoint of more than that size."""
    for path in (*log.glob("checkpoints/*"), log / "checkpoint"):
        text = Note.parse(path.read_bytes()).text
        if Checkpoint.parse(text).size > above:
            path.chmod(0o600)
            path.write_bytes(sign(text, [signer]).encode())


# --- different keys -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "text", "both"),
    [
        ("keys.receipt", "keys/log.pem", ("keys.log", "keys.receipt")),
        ("keys.log", "keys/permit.pem", ("keys.permit", "keys.log")),
        ("keys.permit", ["keys/permit.pem", "keys/receipt.pem"], ("keys.permit", "keys.receipt")),
    ],
)
def test_one_key_in_two_roles_does_not_start(
    service: Service, setting: str, text: str | list[str], both: tuple[str, str]
) -> None:
    service.configure({setting: text})
    said = service.refuses_to_start()
    assert "[keys.shared]" in said
    assert f"{both[0]} and {both[1]} are the same key" in said
    assert "are the same key" in run(service, "doctor").stdout


def test_a_witness_with_a_key_of_ours_does_not_start(service: Service) -> None:
    own = read_key("keys.log", service.directory / "keys" / "log.pem")
    witness = WitnessSigner(name="witness.example/us", key=own).public
    service.append_settings(
        f'[[witnesses]]\nurl = "http://127.0.0.1:9"\nkey = "{witness}"\ndeadline_s = 1.0\n'
    )
    said = service.refuses_to_start()
    assert "[keys.shared]" in said
    assert "keys.log and [[witnesses]] witness.example/us are the same key" in said


# --- keys elsewhere -----------------------------------------------------------------


@contextlib.contextmanager
def signing(program: Path, socket: Path, keys: Path) -> Iterator[None]:
    """The signer of the documentation, running."""
    socket.unlink(missing_ok=True)
    process = subprocess.Popen([sys.executable, program, socket, keys], env={})
    try:
        eventually(socket.exists)
        yield
    finally:
        process.kill()
        process.wait(PATIENCE_S)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The documentation's signer, as whoever copies it has it."""
    (code,) = re.findall(r"```python\n(.*?)```", SIGNER_PAGE.read_text("utf-8"), re.DOTALL)
    path = tmp_path / "signer.py"
    path.write_text(code)
    return path


@pytest.fixture
def socket() -> Iterator[Path]:
    """A path short enough for a socket."""
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory) / "s"


def test_a_signer_holds_all_keys_and_the_service_has_none(
    service: Service, tmp_path: Path, program: Path, socket: Path
) -> None:
    keys = tmp_path / "elsewhere"
    (service.directory / "keys").rename(keys)
    service.configure(
        {
            "keys.permit": [f"unix:{socket}#permit"],
            "keys.log": f"unix:{socket}#log",
            "keys.receipt": f"unix:{socket}#receipt",
            "keys.deadline_s": 1.0,
        }
    )
    said = service.refuses_to_start()
    assert "[keys.unavailable]" in said
    assert "keys.permit" in said
    with signing(program, socket, keys):
        service.start()
        assert good(service, permitted(service, "t1"), "t1")
        Receipt.open(receipt_of(service), Verifier.parse(told(service).receipt_verifier_key))

    # It goes away: no permit, no checkpoint, and what was decided waits for it.
    line = service.line("agent")
    request = decisions_pb2.CheckRequest(
        context=context("test.run", "t2").to_message(), permit_audience="agent", request_id="again"
    )
    refused = line.refused("Decisions.Check", request)
    assert refused.reason == "keys.unavailable"
    assert "request_id" in str(refused.everything)
    named = service.client("agent").check(context("test.run", "t3")).record
    record = context_pb2.RecordRef(log_id=named.log_id, seq=named.seq, leaf_hash=named.leaf_hash)
    refused = line.refused("Trust.GetReceipt", trust_pb2.GetReceiptRequest(record=record))
    assert refused.reason == "keys.unavailable"
    eventually(lambda: "keys.unavailable" in service.said)
    with signing(program, socket, keys):
        eventually(lambda: signed(service, request))
        answer = line.call("Decisions.Check", request)
        assert answer.replayed
        assert good(service, answer.permit.token, "t2")
        assert service.stop() == 0
        verifier = Verifier.parse(told_offline(keys))
        result = verify(service.log_directory(), verifier)
        assert result.ok, result.findings

    # Another key under the same name while it runs: nothing it signs is used.
    with signing(program, socket, keys):
        service.start()
    (keys / "permit.pem").unlink()
    create_key(keys / "permit.pem")
    with signing(program, socket, keys):
        refused = service.line("agent").refused("Decisions.Check", fresh("t4"))
        assert refused.reason == "keys.signature_invalid"


def fresh(table: str) -> decisions_pb2.CheckRequest:
    return decisions_pb2.CheckRequest(
        context=context("test.run", table).to_message(), permit_audience="agent", request_id=table
    )


def signed(service: Service, request: decisions_pb2.CheckRequest) -> bool:
    """Whether the signer is asked again: after a failure it is left alone for a moment."""
    try:
        service.line("agent").call("Decisions.Check", request)
    except Exception:  # noqa: BLE001 - not yet
        return False
    return True


def told_offline(keys: Path) -> str:
    key = read_key("keys.log", keys / "log.pem")
    return str(Signer(name="countersign.local/default", key=key).verifier)


def test_a_key_of_the_environment_is_read_and_no_child_inherits_it(service: Service) -> None:
    path = service.directory / "keys" / "log.pem"
    expected, key = service.log_key(), read_key("keys.log", path)
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    for secret in (path.read_text(), base64.b64encode(der).decode()):
        service.plant(*(line for line in secret.splitlines() if not line.startswith("-----")))
        service.environment["SECRET_LOG_KEY"] = secret
        service.configure({"keys.log": "env:SECRET_LOG_KEY"})
        service.start()
        assert told(service).log_verifier_key == expected
        assert "SECRET_LOG_KEY" not in service.opa().environ()
        assert service.stop() == 0
    del service.environment["SECRET_LOG_KEY"]
    said = service.refuses_to_start()
    assert "[keys.unreadable]" in said
    assert "SECRET_LOG_KEY" in said
    service.environment["SECRET_LOG_KEY"] = "nonsense"
    said = service.refuses_to_start()
    assert "[keys.invalid]" in said
    assert "nonsense" not in said
