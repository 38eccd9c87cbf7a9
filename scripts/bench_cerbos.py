"""The same rules and contexts on our service and on a Cerbos server, turn and turn about.

What they do is not the same, and the table says so: ours commits a masked, hash-chained
record of every decision before it answers, looks for personal data, and knows who must
not decide; Cerbos answers and may write what it was asked, unmasked, to a file. Before
anything is measured both must have decided alike on every context (`CASES`).
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import bench_contexts
import grpc
import psutil
from bench_load import BATCH_CHECK, CHECK, framed, h2load, percentile
from bench_service import SETTLE_S, Service, free_port
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from countersign.v1 import context_pb2, decisions_pb2

ROOT: Final = Path(__file__).resolve().parents[1]
BINARY: Final = ROOT / ".tools/cerbos/node_modules/@cerbos/cerbos-linux-x64/cerbos-linux-x64"
PARTS: Final = ROOT / "scripts" / "cerbos"
CHECK_RESOURCES: Final = "/cerbos.svc.v1.CerbosService/CheckResources"
ITEMS: Final = 50
IN_FLIGHT: Final = {1: 16, ITEMS: 1}
"""Calls at once by how many decisions are in each."""
START_S: Final = 30
_EFFECTS: Final = {
    context_pb2.EFFECT_ALLOW: "allow",
    context_pb2.EFFECT_DENY: "deny",
    context_pb2.EFFECT_NEEDS_APPROVAL: "needs_approval",
}


def _nameless() -> context_pb2.Context:
    context = bench_contexts.allowed()
    arguments = json.loads(context.arguments_json)
    del arguments["version"]
    context.arguments_json = json.dumps(arguments).encode()
    return context


def _as(action: str, environment: str) -> context_pb2.Context:
    context = bench_contexts.needs_approval()
    context.action, context.environment = action, environment
    return context


CASES: Final = (
    ("allow", bench_contexts.allowed()),
    ("allow", _as("deploy.rollback", "staging")),
    ("needs_approval", bench_contexts.needs_approval()),
    ("needs_approval", _as("deploy.release", "production")),
    ("deny", _nameless()),
    ("deny", _as("deploy.forget", "production")),
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One server under one load."""

    name: str
    items: int
    """Decisions in a call."""
    decisions: int
    cpu_us: dict[str, float]
    """Of each process, per decision: the mean over all turns."""
    best_us: float
    """Of all processes together, in the best turn."""
    p50_ms: float
    p95_ms: float
    """Of a call."""


class Cerbos:
    """A server of theirs on our rules, with decision log or without."""

    def __init__(self, home: Path, *, audited: bool) -> None:
        home.mkdir()
        self.home = home
        self._http, port = free_port(), free_port()
        self.endpoint = f"127.0.0.1:{port}"
        settings = {
            "server": {
                "httpListenAddr": f"127.0.0.1:{self._http}",
                "grpcListenAddr": self.endpoint,
            },
            "storage": {
                "driver": "disk",
                "disk": {"directory": str(PARTS / "policies"), "watchForChanges": False},
            },
            "telemetry": {"disabled": True},
            "audit": {
                "enabled": audited,
                "accessLogsEnabled": False,
                "decisionLogsEnabled": True,
                "backend": "file",
                "file": {"path": str(home / "audit.log")},
            },
        }
        (home / "config.yaml").write_text(json.dumps(settings), "utf-8")  # JSON is YAML
        with (home / "log").open("w") as log:
            self._process = subprocess.Popen(
                [BINARY, "server", "--config", home / "config.yaml", "--log-level", "error"],
                stdout=log, stderr=log, env={},
            )  # fmt: skip
        self._watched = psutil.Process(self._process.pid)
        deadline = time.monotonic() + START_S
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                sys.exit(f"bench: Cerbos did not start:\n{(home / 'log').read_text()}")
            time.sleep(0.05)
        channel = grpc.insecure_channel(self.endpoint)
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        name = "cerbos.{}.v1.CheckResources{}"
        self._request, self._response = (
            message_factory.GetMessageClass(pool.FindMessageTypeByName(name.format(*of)))
            for of in (("request", "Request"), ("response", "Response"))
        )
        self._call = channel.unary_unary(CHECK_RESOURCES)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._http}/_cerbos/health", timeout=5):
                return True
        except OSError:
            return False

    def message(self, contexts: list[context_pb2.Context]) -> bytes:
        """A CheckResources of these contexts."""
        actor = contexts[0].actor
        resources = [
            {
                "actions": [context.action],
                "resource": {
                    "kind": context.resource.type,
                    "id": context.resource.id,
                    "attr": {
                        "environment": context.environment,
                        "arguments": json.loads(context.arguments_json),
                        "attributes": json.loads(context.resource.attributes_json),
                        "owner": context.resource.owner,
                        "reason": context.reason,
                        "session": context.session,
                    },
                },
            }
            for context in contexts
        ]
        asked = {"principal": {"id": actor.id, "roles": [actor.type]}, "resources": resources}
        encoded: bytes = json_format.ParseDict(asked, self._request()).SerializeToString()
        return encoded

    def decides(self, contexts: list[context_pb2.Context]) -> list[str]:
        """The effect of each, in our words."""
        answer = self._response.FromString(self._call(self.message(contexts), timeout=30))
        told = json_format.MessageToDict(answer)["results"]
        return [_theirs(result) for result in told]

    def decisions(self) -> int:
        """How many it has made, by its own count."""
        url = f"http://127.0.0.1:{self._http}/_cerbos/metrics"
        with urllib.request.urlopen(url, timeout=30) as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith("cerbos_dev_engine_check_batch_size_sum"):
                    return int(float(line.split()[-1]))
        return 0

    def cpu(self) -> dict[str, float]:
        """Seconds used so far."""
        times = self._watched.cpu_times()
        return {"Cerbos": times.user + times.system}

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(20)


def _theirs(result: dict[str, Any]) -> str:
    (effect,) = result["actions"].values()
    outputs = [output["val"]["effect"] for output in result.get("outputs", ())]
    said = outputs[0] if outputs else "deny"
    if (effect == "EFFECT_ALLOW") != (said == "allow"):
        sys.exit("bench: Cerbos's output contradicts its effect; the policies are not the same")
    return said


def _ours(service: Service, contexts: list[context_pb2.Context]) -> list[str]:
    with grpc.insecure_channel(service.endpoint) as channel:
        answer = channel.unary_unary(BATCH_CHECK)(
            bench_contexts.batch(contexts),
            metadata=(("authorization", f"Bearer {service.caller}"),),
            timeout=30,
        )
    results = decisions_pb2.BatchCheckResponse.FromString(answer).results
    return [_EFFECTS[result.answer.effect] for result in results]


def _require_alike(service: Service, others: list[Cerbos]) -> None:
    """End unless all decide every case as it is meant to be decided."""
    contexts, meant = [context for _, context in CASES], [effect for effect, _ in CASES]
    seen = [_ours(service, contexts), *(other.decides(contexts) for other in others)]
    if any(one != meant for one in seen):
        sys.exit(f"bench: not the same decisions, so nothing to compare: {meant}, {seen}")


class _Turns:
    """One server under one load, a burst at a time."""

    def __init__(
        self,
        name: str,
        items: int,
        burst: Callable[[int], list[float]],
        cpu: Callable[[], dict[str, float]],
        decisions: Callable[[], int],
    ) -> None:
        self.name, self.items = name, items
        self._burst, self._cpu, self._decisions = burst, cpu, decisions
        self._used: list[dict[str, float]] = []
        self._took_ms: list[float] = []
        self._made = 0

    def turn(self, calls: int, *, counts: bool = True) -> None:
        """So many calls, and what they cost once everything has been written."""
        before, made = self._cpu(), self._decisions()
        took_ms = self._burst(calls)
        time.sleep(SETTLE_S)
        after = self._cpu()
        if self._decisions() - made != calls * self.items:
            sys.exit(f"bench: {self.name}: not all of {calls} calls were decided")
        if counts:
            each = {name: after[name] - before[name] for name in after}
            self._used.append({name: s / calls / self.items * 1e6 for name, s in each.items()})
            self._took_ms += took_ms
            self._made += calls * self.items

    def side(self) -> Side:
        """What all turns come to."""
        took_ms = sorted(self._took_ms)
        return Side(
            name=self.name,
            items=self.items,
            decisions=self._made,
            cpu_us={
                name: sum(used[name] for used in self._used) / len(self._used)
                for name in self._used[0]
            },
            best_us=min(sum(used.values()) for used in self._used),
            p50_ms=percentile(took_ms, 50),
            p95_ms=percentile(took_ms, 95),
        )


def beside(place: Path, *, turns: int, decisions: int) -> list[Side] | None:
    """Measure all in turn, so many decisions each time; None without Cerbos."""
    if not BINARY.exists():
        return None
    place.mkdir()
    service = Service(place / "ours", policy=PARTS / "rego")
    audited, silent = Cerbos(place / "a", audited=True), Cerbos(place / "s", audited=False)
    try:
        _require_alike(service, [audited, silent])
        sides = [
            *(_of_ours(service, items) for items in (1, ITEMS)),
            *(_of_theirs("Cerbos, log to a file", audited, items) for items in (1, ITEMS)),
            *(_of_theirs("Cerbos, no log", silent, items) for items in (1, ITEMS)),
        ]
        for side in sides:
            side.turn(max(4, 200 // side.items), counts=False)  # warm
        for _ in range(turns):
            for side in sides:
                side.turn(decisions // side.items)
        return [side.side() for side in sides]
    finally:
        for server in (service, audited, silent):
            server.stop()


def _of_ours(service: Service, items: int) -> _Turns:
    contexts = [bench_contexts.allowed()] * items
    message = bench_contexts.check(contexts[0]) if items == 1 else bench_contexts.batch(contexts)
    body = service.home / f"body-{items}"
    body.write_bytes(framed(message))

    def burst(calls: int) -> list[float]:
        _, took_ms = h2load(
            service.endpoint, service.caller, body, service.home / "h2load.log",
            in_flight=IN_FLIGHT[items], requests=calls, path=CHECK if items == 1 else BATCH_CHECK,
        )  # fmt: skip
        return took_ms

    def cpu() -> dict[str, float]:
        used = service.cpu()
        return {"service": used.service_s, "OPA": used.opa_s}

    return _Turns(
        "Countersign, durable record", items, burst, cpu,
        lambda: service.decisions().get("allow", 0),
    )  # fmt: skip


def _of_theirs(name: str, server: Cerbos, items: int) -> _Turns:
    body = server.home / f"body-{items}"
    body.write_bytes(framed(server.message([bench_contexts.allowed()] * items)))

    def burst(calls: int) -> list[float]:
        _, took_ms = h2load(
            server.endpoint, "none", body, server.home / "h2load.log",
            in_flight=IN_FLIGHT[items], requests=calls, path=CHECK_RESOURCES,
        )  # fmt: skip
        return took_ms

    return _Turns(name, items, burst, server.cpu, server.decisions)
