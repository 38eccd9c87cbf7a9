"""`make bench-policy`: what callers feel while policy changes again and again.

A real service is asked at a steady pace, in turn while nothing changes and while an
operator activates a new version and rolls it back, fifty times each. Every answer must
name a revision together with the words that revision says, and none may fail: one that
does ends this with 1. What is printed is the time from the moment a question was due to
its answer, so that one that had to wait for its turn is not flattered.

    bench_policy.py [--changes 100] [--per-second 100] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Final

import grpc
from bench_contexts import allowed
from bench_service import Service

from countersign.client import Timing
from countersign.client.admin import AdminClient
from countersign.credentials import Credential
from countersign.v1 import decisions_pb2
from countersign.v1.decisions_pb2_grpc import DecisionsStub

POLICY: Final = """package countersign

decision := {"effect": "allow", "reasons": [{"code": "bench.rule", "message": "TAG"}]} if {
	input.context.action == "deploy.release"
}
"""
WARM_S: Final = 3.0
ROUNDS: Final = 5
"""Quiet and changing in turn: what others do on this machine falls upon both."""
PATIENT: Final = Timing(call_s=120)


@dataclasses.dataclass(slots=True)
class Heard:
    """What the callers heard in one phase."""

    ms: list[float] = dataclasses.field(default_factory=list)
    said: set[tuple[str, str]] = dataclasses.field(default_factory=set)
    failed: list[str] = dataclasses.field(default_factory=list)

    def told(self) -> dict[str, float]:
        """Counts and milliseconds."""
        ordered = sorted(self.ms)
        shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p999": 0.999}
        found = {
            name: ordered[min(len(ordered) - 1, int(len(ordered) * share))]
            for name, share in shares.items()
        }
        return {"answers": len(ordered), **found, "max": ordered[-1]}


class ChangingService(Service):
    """The service of the other benches with an operator and a policy of one rule."""

    def _start(self) -> None:
        settings = self.home / "countersign.toml"
        text = settings.read_text("utf-8")
        settings.write_text(text.replace("groups = []", 'groups = ["operators"]', 1), "utf-8")
        shutil.rmtree(self.home / "policy")
        (self.home / "policy").mkdir()
        self.write("as it came")
        self.operator = self._enrol(
            "olga", "person", "add", "olga", "--name", "Olga", "--group", "operators"
        )
        super()._start()

    def write(self, tag: str) -> None:
        """Have the policy's files say this from now on."""
        (self.home / "policy" / "rules.rego").write_text(POLICY.replace("TAG", tag), "utf-8")


async def ask(service: Service, per_s: float, done: threading.Event, heard: Heard) -> None:
    """Ask at a steady pace, whether or not the last answer has come."""
    message = decisions_pb2.CheckRequest(context=allowed())
    metadata = (("authorization", f"Bearer {service.caller}"),)
    async with grpc.aio.insecure_channel(service.endpoint) as channel:
        stub = DecisionsStub(channel)  # type: ignore[no-untyped-call]

        async def one(due_s: float) -> None:
            try:
                answer = await stub.Check(message, metadata=metadata, timeout=10)
            except grpc.aio.AioRpcError as error:
                heard.failed.append(error.code().name)
                return
            heard.ms.append((time.perf_counter() - due_s) * 1000)
            (reason,) = answer.reasons
            heard.said.add((answer.policy_revision, reason.message))

        async with asyncio.TaskGroup() as group:
            due_s = time.perf_counter()
            while not done.is_set():
                group.create_task(one(due_s))
                due_s += 1 / per_s
                await asyncio.sleep(max(0.0, due_s - time.perf_counter()))


class Callers:
    """Callers in a thread of their own, for one phase."""

    def __init__(self, service: Service, per_s: float, heard: Heard) -> None:
        self._done = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(ask(service, per_s, self._done, heard))
        )

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


class Changes:
    """Activates and rolls back in turn; remembers the words of each revision."""

    def __init__(self, service: ChangingService, operator: AdminClient) -> None:
        self._service, self._operator = service, operator
        self.words = {operator.policy_status().active.revision: "as it came"}
        self.took_s: list[float] = []

    def make(self, count: int) -> None:
        """So many, one after another."""
        for _ in range(count):
            number, began_s = len(self.took_s), time.perf_counter()
            if number % 2:
                self._operator.roll_back_policy()
            else:
                self._service.write(f"change {number}")
                active = self._operator.activate_policy().active
                self.words[active.revision] = f"change {number}"
            self.took_s.append(time.perf_counter() - began_s)


def measure(service: ChangingService, count: int, per_s: float) -> dict[str, object]:
    """Both phases in turn, and what was wrong."""
    credential = Credential(endpoint=service.endpoint, token=service.operator)
    quiet, changing = Heard(), Heard()
    with Callers(service, per_s, Heard()):
        time.sleep(WARM_S)
    with AdminClient(credential, timing=PATIENT) as operator:
        changes = Changes(service, operator)
        for _ in range(ROUNDS):
            began_s = time.perf_counter()
            with Callers(service, per_s, changing):
                changes.make(count // ROUNDS)
            with Callers(service, per_s, quiet):
                time.sleep(time.perf_counter() - began_s)
    wrong = [s for s in quiet.said | changing.said if changes.words.get(s[0]) != s[1]]
    took_s = sorted(changes.took_s)
    return {
        "changes": len(took_s),
        "per_second": per_s,
        "quiet_ms": quiet.told(),
        "changing_ms": changing.told(),
        "change_s": {"p50": took_s[len(took_s) // 2], "max": took_s[-1]},
        "revisions_heard": len({revision for revision, _ in changing.said}),
        "wrong_revision": len(wrong),
        "errors": sorted({*quiet.failed, *changing.failed}),
        "error_count": len(quiet.failed) + len(changing.failed),
    }


def main() -> int:
    """Measure, print, and say whether anything was wrong."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--changes", type=int, default=100)
    parser.add_argument("--per-second", type=float, default=100.0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="countersign-bench-") as scratch:
        service = ChangingService(Path(scratch) / "home")
        try:
            found = measure(service, arguments.changes, arguments.per_second)
        finally:
            service.stop()
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2), "utf-8")
    print(json.dumps(found, indent=2))
    for phase in ("quiet", "changing"):
        told = {name: f"{value:.1f}" for name, value in found[f"{phase}_ms"].items()}  # type: ignore[attr-defined]
        print(f"{phase:>8}: p50 {told['p50']} ms, p99 {told['p99']} ms, max {told['max']} ms")
    return int(bool(found["wrong_revision"] or found["error_count"]))


if __name__ == "__main__":
    sys.exit(main())
