"""A service and somebody else's witness: what goes back or forks is refused and named."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from countersign.audit.note import Checkpoint, Note, Verifier
from countersign.audit.trust import Trust, TrustedLog
from countersign.v1 import decisions_pb2
from service import COMMAND, PATIENCE_S, Service, context, eventually
from witness_process import WitnessProcess

POLICY = """
package countersign

decision := {"effect": "allow", "reasons": [{"code": "test.all", "message": "all"}]}
"""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    policy = tmp_path / "policy"
    policy.mkdir()
    (policy / "policy.rego").write_text(POLICY)
    with Service(tmp_path / "countersign", policy=policy) as made:
        made.person("alice")
        made.caller("agent", "alice")
        yield made


@pytest.fixture
def witness(tmp_path: Path, service: Service) -> Iterator[WitnessProcess]:
    """A running witness, which the service asks."""
    key = Verifier.parse(service.log_key())
    with WitnessProcess(tmp_path / "witness", [key]) as process:
        service.append_settings(
            f'[[witnesses]]\nurl = "{process.url}"\nkey = "{process.key}"\ndeadline_s = 2.0\n'
        )
        yield process


def decide(service: Service, count: int = 1) -> None:
    client = service.client("agent")
    for number in range(count):
        client.check(context("test.run", f"t{number}-{service.generation}"))


def asked(service: Service) -> decisions_pb2.CheckRequest:
    wanted = context("test.run", f"t-{service.generation}")
    return decisions_pb2.CheckRequest(context=wanted.to_message())


def newest(service: Service) -> Note | None:
    pointer = service.log_directory() / "checkpoint"
    return Note.parse(pointer.read_bytes()) if pointer.exists() else None


def size(service: Service) -> int:
    note = newest(service)
    return Checkpoint.parse(note.text).size if note else 0


def cosigned(service: Service, witness: WitnessProcess) -> bool:
    note = newest(service)
    return note is not None and witness.key.cosigned_s(note) is not None


def answers(service: Service, outcome: str) -> float:
    page = service.status("/metrics")[1]
    wanted = f'countersign_witness_total{{outcome="{outcome}",witness="witness.example/w1"}} '
    found = [line for line in page.splitlines() if line.startswith(wanted)]
    return float(found[0].removeprefix(wanted)) if found else 0


def audited(service: Service, witness: WitnessProcess) -> subprocess.CompletedProcess[str]:
    """`audit verify` of a copy, by somebody who demands the witness."""
    trusted = TrustedLog(verifier=Verifier.parse(service.log_key()), witnesses=(witness.key,))
    trust = service.directory / "auditor.trust"
    trust.write_text(Trust(logs=(trusted,)).encode())
    copy = service.directory / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(service.log_directory(), copy)
    return subprocess.run(
        [COMMAND, "audit", "verify", "--log", copy, "--trust", trust],
        env=service.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def put_aside(service: Service, name: str) -> Path:
    """Store and log as they are now, in a copy that fits together."""
    kept = service.directory.with_name(name)
    for part in ("state", "log"):
        shutil.copytree(service.directory / part, kept / part)
    return kept


def put_back(service: Service, kept: Path) -> None:
    for part in ("state", "log"):
        shutil.rmtree(service.directory / part)
        shutil.copytree(kept / part, service.directory / part)


def test_every_checkpoint_is_cosigned_and_an_auditor_can_demand_it(
    service: Service, witness: WitnessProcess
) -> None:
    service.start()
    decide(service, 5)
    eventually(lambda: cosigned(service, witness))
    assert answers(service, "cosigned") >= 1
    decide(service, 5)
    assert service.stop() == 0
    assert cosigned(service, witness), "the last checkpoint too"
    found = audited(service, witness)
    assert found.returncode == 0, found.stdout
    assert "witness.example/w1" in found.stdout.splitlines()[-1]
    service.start()
    decide(service)
    assert service.stop() == 0
    assert cosigned(service, witness)


def test_store_and_log_put_back_together_do_not_start(
    service: Service, witness: WitnessProcess
) -> None:
    """Yesterday's copy is whole and fits together: nothing in it tells that it is old."""
    service.start()
    decide(service)
    assert service.stop() == 0
    old = put_aside(service, "old")
    service.start()
    decide(service)
    assert service.stop() == 0
    new, records = put_aside(service, "new"), size(service)

    put_back(service, old)
    for _ in range(2):
        said = service.refuses_to_start()
        assert "[log.rolled_back]" in said
        assert f"witness.example/w1 has cosigned {records} records" in said
    assert "ROLL-BACK?" in witness.said

    put_back(service, new)
    service.start()
    decide(service)
    eventually(lambda: cosigned(service, witness))


def test_store_and_log_put_back_while_the_witness_was_away_stop_when_it_is_back(
    service: Service, witness: WitnessProcess
) -> None:
    """Nobody could tell at the start: the next checkpoint that is shown tells."""
    service.configure({"log.heartbeat_s": 1})
    service.start()
    decide(service)
    assert service.stop() == 0
    old = put_aside(service, "old")
    service.start()
    decide(service, 100)
    assert service.stop() == 0
    records = size(service)

    put_back(service, old)
    witness.kill()
    service.start()
    assert "not compared with a witness" in service.said, "and it says so"
    witness.start()
    eventually(lambda: "log.rolled_back" in service.status("/readyz")[1])
    assert f"witness.example/w1 has cosigned {records} records" in service.said
    eventually(lambda: service.health() == "NOT_SERVING")
    at = size(service)
    refused = service.line("agent").refused("Decisions.Check", asked(service))
    assert refused.reason == "audit.unavailable", "nothing more is let through"
    service.stop()
    assert size(service) == at, "nothing more is published"
    assert "[log.rolled_back]" in service.refuses_to_start()


def test_a_fork_made_behind_the_witness_gets_no_cosignature_and_is_named(
    service: Service, witness: WitnessProcess
) -> None:
    """The old copy is started while the witness cannot be reached, and writes on."""
    service.start()
    decide(service)
    assert service.stop() == 0
    old = put_aside(service, "old")
    service.start()
    decide(service)
    assert service.stop() == 0
    seen = size(service)

    put_back(service, old)
    witness.kill()
    service.start()
    while size(service) <= seen:
        before = size(service)
        decide(service)
        eventually(lambda before=before: size(service) > before)  # type: ignore[misc]
    witness.start()

    def found_out() -> bool:
        with contextlib.suppress(grpc.RpcError):  # a frozen log lets nothing through
            service.line("agent").call("Decisions.Check", asked(service))
        return answers(service, "log.forked") >= 1

    eventually(found_out)
    assert not cosigned(service, witness)
    assert "has cosigned" in service.said
    assert "[log.forked]" in service.said
    assert "UNPROVEN" in witness.said
    service.kill()
    assert "[log.forked]" in service.refuses_to_start()
    found = audited(service, witness)
    assert found.returncode in (1, 3), found.stdout
    assert "witness.missing" in found.stdout


def test_a_witness_that_is_away_delays_nothing_and_catches_up(
    service: Service, witness: WitnessProcess
) -> None:
    witness.kill()
    service.start()
    decide(service, 3)
    eventually(lambda: answers(service, "witness.unavailable") >= 1)
    assert service.status("/readyz")[0] == 200
    assert not cosigned(service, witness)
    witness.start()
    eventually(lambda: (decide(service), cosigned(service, witness))[1])
