"""Load on one method: native h2load for one body, gRPC itself for distinct ones.

h2load sees HTTP 200 whatever gRPC says, so every run is checked against the
service's own count of decisions with the expected effect: a run in which they
differ by one is no measurement and ends the bench.
"""

from __future__ import annotations

import asyncio
import dataclasses
import re
import shutil
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import grpc
from bench_service import Cpu, Service

GENERATOR: Final = shutil.which("h2load") or ""
CHECK: Final = "/countersign.v1.Decisions/Check"
BATCH_CHECK: Final = "/countersign.v1.Decisions/BatchCheck"
_FINISHED: Final = re.compile(r"finished in .*?, ([0-9.]+) req/s")
_COUNTS: Final = re.compile(r"requests: (\d+) total, .*? (\d+) succeeded, (\d+) failed")
BURSTS: Final = 5
_CONNECTION_CALLS: Final = 16


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One measured run."""

    name: str
    in_flight: int
    requests: int
    """Decisions: all items of all calls."""
    items: int
    """Of one call."""
    per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    service_us: float
    """CPU of the service per decision, the log writer's included."""
    service_best_us: float
    """The same in the best of some bursts: what others on the machine disturbed least."""
    opa_us: float
    """CPU of OPA per decision."""


def require_h2load() -> None:
    """End with the remedy when the load generator is missing."""
    if not GENERATOR:
        sys.exit(
            "bench: h2load is missing, and a generator in Python would be the bottleneck.\n"
            "Install it: apt-get install nghttp2-client (macOS: brew install nghttp2)."
        )


def framed(message: bytes) -> bytes:
    """A gRPC length-prefixed message, uncompressed."""
    return b"\0" + struct.pack(">I", len(message)) + message


def h2load(
    endpoint: str,
    token: str,
    body: Path,
    log: Path,
    *,
    in_flight: int,
    requests: int,
    path: str = CHECK,
) -> tuple[float, list[float]]:
    """Requests a second, and the milliseconds of each, sorted."""
    connections = max(1, in_flight // _CONNECTION_CALLS)
    log.unlink(missing_ok=True)
    done = subprocess.run(
        [
            GENERATOR, "-n", str(requests), "-c", str(connections),
            "-m", str(in_flight // connections), "-d", str(body), f"--log-file={log}",
            "-H", "content-type: application/grpc", "-H", "te: trailers",
            "-H", f"authorization: Bearer {token}", f"http://{endpoint}{path}",
        ],
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    counts, finished = _COUNTS.search(done.stdout), _FINISHED.search(done.stdout)
    if not counts or not finished or int(counts[2]) != requests:
        sys.exit(f"bench: h2load did not finish {requests} requests:\n{done.stdout}{done.stderr}")
    took_ms = sorted(int(line.split("\t")[2]) / 1000 for line in log.read_text().splitlines())
    return float(finished[1]), took_ms


def measure(
    service: Service,
    name: str,
    effect: str,
    message: bytes,
    *,
    in_flight: int,
    seconds: float,
    items: int = 1,
) -> Load:
    """One body over and over; as many requests as take about that long.

    A body of several `items` is a BatchCheck; CPU is then that of one item, and
    latency that of the whole batch.
    """
    body, log = service.home / "body", service.home / "h2load.log"
    body.write_bytes(framed(message))
    path = CHECK if items == 1 else BATCH_CHECK

    def run(requests: int) -> tuple[float, list[float]]:
        before = service.decisions().get(effect, 0)
        result = h2load(
            service.endpoint, service.caller, body, log,
            in_flight=in_flight, requests=requests, path=path,
        )  # fmt: skip
        _require(service.decisions().get(effect, 0) - before, requests * items, name, effect)
        return result

    warm, _ = run(max(100 // items, in_flight * 4))
    burst = max(100 // items, int(warm * seconds / BURSTS))
    start = mark = service.settled_cpu()
    speeds, took_ms, costs_us = [], [], []
    for _ in range(BURSTS):
        per_s, burst_ms = run(burst)
        now = service.cpu()
        costs_us.append(now.since(mark).service_s / burst / items * 1e6)
        mark = now
        speeds.append(per_s * items)
        took_ms += burst_ms
    used = service.settled_cpu().since(start)
    took_ms.sort()
    median_per_s = statistics.median(speeds)
    return _load(name, in_flight, median_per_s, took_ms, used, min(costs_us), items)


def measure_distinct(
    service: Service, name: str, effect: str, messages: Iterable[bytes], *, in_flight: int
) -> Load:
    """Each message once, by gRPC's own client in this process: h2load cannot vary bodies."""
    bodies = list(messages)
    counted = service.decisions().get(effect, 0)
    before = service.settled_cpu()
    per_s, took_ms = asyncio.run(_send(service, bodies, in_flight))
    _require(service.decisions().get(effect, 0) - counted, len(bodies), name, effect)
    used = service.settled_cpu().since(before)
    return _load(name, in_flight, per_s, took_ms, used, used.service_s / len(bodies) * 1e6)


async def _send(service: Service, bodies: list[bytes], in_flight: int) -> tuple[float, list[float]]:
    metadata = (("authorization", f"Bearer {service.caller}"),)
    waiting = iter(bodies)
    took_ms: list[float] = []
    async with grpc.aio.insecure_channel(service.endpoint) as channel:
        call = channel.unary_unary(CHECK)

        async def one_after_another() -> None:
            for body in waiting:
                started = time.perf_counter()
                await call(body, metadata=metadata, timeout=60)
                took_ms.append((time.perf_counter() - started) * 1000)

        started = time.perf_counter()
        await asyncio.gather(*(one_after_another() for _ in range(in_flight)))
        took_s = time.perf_counter() - started
    return len(bodies) / took_s, sorted(took_ms)


def _require(counted: int, sent: int, name: str, effect: str) -> None:
    if counted != sent:
        sys.exit(
            f"bench: {name}: {sent} requests sent, but the service counted {counted} decisions"
            f" {effect!r}. See its log; this run measures nothing."
        )


def _load(
    name: str,
    in_flight: int,
    per_s: float,
    took_ms: list[float],
    used: Cpu,
    best_us: float,
    items: int = 1,
) -> Load:
    requests = len(took_ms) * items
    return Load(
        name=name,
        in_flight=in_flight,
        requests=requests,
        items=items,
        per_s=per_s,
        p50_ms=percentile(took_ms, 50),
        p95_ms=percentile(took_ms, 95),
        p99_ms=percentile(took_ms, 99),
        service_us=used.service_s / requests * 1e6,
        service_best_us=best_us,
        opa_us=used.opa_s / requests * 1e6,
    )


def percentile(ordered: list[float], percent: int) -> float:
    """The value that `percent` of them do not exceed."""
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
