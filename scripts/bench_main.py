"""`make bench`: the budgets, measured on the real service, and where the time goes.

Ratios and CPU per operation are what to compare; requests per second and wall
times belong to the machine and to whoever else used it meanwhile. A fixed loop
of plain Python is timed now and then, so that two runs can be held side by side.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import bench_contexts
import psutil
from bench_batches import queries
from bench_cerbos import Side, beside
from bench_load import Load, measure, measure_distinct, require_h2load
from bench_log import Log, log
from bench_parts import Shares, sanitizing, shares
from bench_service import Service
from bench_waiters import Waiting, waiting


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How long to look."""

    load_s: float
    levels: tuple[int, ...]
    fresh: int
    rounds: int
    waiters: int
    votes: int
    records: int
    turns: int
    """Of ours and of Cerbos, one after the other."""
    decisions: int
    """In each of them."""


FULL = Effort(
    load_s=8, levels=(1, 16, 64), fresh=2000, rounds=3000, waiters=10_000, votes=200,
    records=200_000, turns=5, decisions=2000,
)  # fmt: skip
QUICK = Effort(
    load_s=1, levels=(1, 16), fresh=100, rounds=200, waiters=1_000, votes=30, records=5_000,
    turns=1, decisions=200,
)  # fmt: skip


BATCH: Final = 50
BATCH_NAME: Final = f"ALLOW in BatchCheck({BATCH})"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """One line of the design's table: less is better."""

    what: str
    unit: str
    seen: float | None
    first: float
    star: float
    note: str = ""

    @property
    def mark(self) -> str:
        """How it stands."""
        if self.seen is None:
            return "not measured"
        if self.seen <= self.star:
            return "star"
        return "met" if self.seen <= self.first else "MISSED"


@dataclasses.dataclass(slots=True, kw_only=True)
class Seen:
    """Everything a run has seen, in the order in which it was measured."""

    machine: dict[str, Any]
    loops_ms: list[float] = dataclasses.field(default_factory=list)
    loads: list[Load] = dataclasses.field(default_factory=list)
    shares: dict[str, Shares] = dataclasses.field(default_factory=dict)
    sanitizing: dict[str, float] = dataclasses.field(default_factory=dict)
    waiting: Waiting | None = None
    log: Log | None = None
    queries: dict[int, float] = dataclasses.field(default_factory=dict)
    beside: list[Side] | None = None


def main() -> int:
    """Measure and print. A missed budget is told, and is no failure: this is no test."""
    parser = argparse.ArgumentParser(description="Measure Countersign against its budgets.")
    parser.add_argument("--quick", action="store_true", help="about a minute, rough")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was seen")
    chosen = parser.parse_args()
    require_h2load()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the services end with us
    seen = Seen(machine=_machine())
    with tempfile.TemporaryDirectory(prefix="countersign-bench-") as place:
        _run(seen, QUICK if chosen.quick else FULL, Path(place))
    budgets = _budgets(seen)
    _print_budgets(budgets)
    print(f"\nplain Python loop: {min(seen.loops_ms):.1f} to {max(seen.loops_ms):.1f} ms of CPU")
    if chosen.json:
        chosen.json.write_text(_json(seen, budgets), "utf-8")
    return 0


def _run(seen: Seen, effort: Effort, place: Path) -> None:
    service = Service(place / "load")
    try:
        _loads(seen, effort, service)
    finally:
        service.stop()
    _calibrate(seen)
    title("OPA alone: its CPU a decision (µs), by contexts in one query")
    seen.queries = queries(place / "load" / "policy", decisions=max(100, effort.rounds // 6))
    print("  " + "  ".join(f"{size}: {cost_us:.0f}" for size, cost_us in seen.queries.items()))
    _beside(seen, effort, place)
    _calibrate(seen)
    title("Where the CPU of a Check goes (µs, one at a time; the edge at 16 in flight)")
    for name, context in (("ALLOW", bench_contexts.allowed()), ("SQL", bench_contexts.statement())):
        seen.shares[name] = shares(place / "load", context, rounds=effort.rounds)
        _print_shares(seen, name)
    _calibrate(seen)
    title("Sanitizer, 4 KB nested")
    seen.sanitizing = sanitizing(bench_contexts.document(), rounds=max(200, effort.rounds // 3))
    print("  " + "  ".join(f"{key} {value:.2f}" for key, value in seen.sanitizing.items()))
    _waiting(seen, effort, place)
    title("Audit log")
    seen.log = log(place / "load", records=effort.records)
    print(f"  {seen.log.records} records of {seen.log.bytes_each:.0f} bytes")
    print(f"  published in {seen.log.publish_us:.0f} µs of CPU a record")
    print(f"  verified in {seen.log.verify_cpu_s:.1f} s of CPU, {seen.log.verify_wall_s:.1f} s")
    _calibrate(seen)


def _beside(seen: Seen, effort: Effort, place: Path) -> None:
    title("The same rules and contexts, turn and turn about: CPU a decision (µs), a call (ms)")
    seen.beside = beside(place / "beside", turns=effort.turns, decisions=effort.decisions)
    if seen.beside is None:
        print("  not measured: no Cerbos. make cerbos brings it (npm, Linux on x86-64)")
        return
    for side in seen.beside:
        shares = " + ".join(f"{name} {cost_us:.0f}" for name, cost_us in side.cpu_us.items())
        print(
            f"  {side.name:28} {side.items:3} a call  {shares:26}"
            f"  best {side.best_us:5.0f}  p50 {side.p50_ms:6.1f}  p95 {side.p95_ms:6.1f}",
            flush=True,
        )
    print("  Not the same work: ours masks, finds who must not decide, and commits a record of")
    print("  each decision before it answers; Cerbos's log is written without a sync, if at all.")


def _loads(seen: Seen, effort: Effort, service: Service) -> None:
    title("Unary Check: CPU per decision (µs), requests a second, latency (ms)")
    heads = ("at once", "service", "best", "OPA", "per s", "p50", "p99")
    print(f"  {'':34} {' '.join(f'{head:>7}' for head in heads)}")
    cases = (
        ("ALLOW", "allow", bench_contexts.allowed()),
        ("ALLOW, SQL", "allow", bench_contexts.statement()),
        ("NEEDS_APPROVAL, review reused", "needs_approval", bench_contexts.needs_approval()),
    )
    for name, effect, context in cases:
        message = bench_contexts.check(context)
        for in_flight in effort.levels if name == "ALLOW" else effort.levels[1:2]:
            _calibrate(seen)
            load = measure(
                service, name, effect, message, in_flight=in_flight, seconds=effort.load_s
            )
            _print_load(seen, load)
    for in_flight in (1, 4):
        message = bench_contexts.batch([bench_contexts.allowed()] * BATCH)
        name = f"{BATCH_NAME}, {in_flight} at once"
        _calibrate(seen)
        load = measure(
            service, name, "allow", message,
            in_flight=in_flight, seconds=effort.load_s, items=BATCH,
        )  # fmt: skip
        _print_load(seen, load)
    fresh = (
        bench_contexts.check(bench_contexts.needs_approval(number))
        for number in range(1, effort.fresh + 1)
    )
    _print_load(
        seen,
        measure_distinct(
            service, "NEEDS_APPROVAL, fresh (Python load)", "needs_approval", fresh, in_flight=16
        ),
    )


def _waiting(seen: Seen, effort: Effort, place: Path) -> None:
    title(f"{effort.waiters} Awaits at once")
    service = Service(place / "wait")
    try:
        seen.waiting = found = waiting(service, waiters=effort.waiters, votes=effort.votes)
    finally:
        service.stop()
    for field in dataclasses.fields(found):
        value = getattr(found, field.name)
        print(
            f"  {field.name:28} {value:.2f}"
            if isinstance(value, float)
            else f"  {field.name:28} {value}"
        )


# --- what it means ----------------------------------------------------------------


def _budgets(seen: Seen) -> list[Budget]:
    allow = next(load for load in seen.loads if load.name == "ALLOW" and load.in_flight == 16)
    batch = next(load for load in seen.loads if load.name == f"{BATCH_NAME}, 1 at once")
    sane, wait, audit = seen.sanitizing, seen.waiting, seen.log
    missing = "see make bench-audit"
    return [
        Budget(what="CPU per unary Check, our process", unit="µs", first=450, star=250,
               seen=allow.service_best_us, note=f"best burst; {allow.service_us:.0f} in the mean"),
        Budget(what="CPU per context in BatchCheck(50)", unit="µs", first=300, star=120,
               seen=batch.service_best_us + batch.opa_us,
               note=f"best burst, OPA's {batch.opa_us:.0f} included"),
        Budget(what="detect + mask 4 KB, p50", unit="ms", first=0.5, star=0.2,
               seen=sane["p50_ms"], note="CPU time"),
        Budget(what="detect + mask 4 KB, p95", unit="ms", first=1, star=0.5,
               seen=sane["p95_ms"], note="CPU time"),
        Budget(what="vote to Await released, p99", unit="ms", first=50, star=20,
               seen=wait and wait.vote_to_release_p99_ms,
               note=f"{wait.waiters if wait else 0} waiting; commit and client included"),
        Budget(what="memory per waiting Await", unit="KB", first=25, star=15,
               seen=wait and wait.bytes_each / 1000),
        Budget(what="verify 1 M records", unit="s", first=60, star=30,
               seen=audit and audit.million_s,
               note=f"CPU, from {audit.records if audit else 0} records by proportion"),
        Budget(what="locked permit p99, local S3", unit="ms", first=500, star=200,
               seen=None, note=missing),
    ]  # fmt: skip


def title(text: str) -> None:
    """A heading."""
    print(f"\n{text}", flush=True)


def _print_load(seen: Seen, load: Load) -> None:
    seen.loads.append(load)
    print(
        f"  {load.name:34} {load.in_flight:7} {load.service_us:7.0f} {load.service_best_us:7.0f}"
        f" {load.opa_us:7.0f} {load.per_s:7.0f} {load.p50_ms:7.2f} {load.p99_ms:7.2f}",
        flush=True,
    )


def _print_shares(seen: Seen, name: str) -> None:
    found = seen.shares[name]
    print(f"  {name}")
    for part, cost_us in sorted(found.parts.items(), key=lambda item: -item[1]):
        print(f"    {part:42} {cost_us:7.0f}")
    print(f"    {'sum':42} {found.sum_us:7.0f}")
    print(f"    {'of which canonical JSON, anywhere':42} {found.canonical_us:7.0f}")
    print(f"    {'all but gRPC, 16 at once, best burst':42} {found.together_us:7.0f}")
    for load in seen.loads:
        if load.name.startswith("ALLOW") and (name in load.name.split(", ")[-1:]):
            print(f"    {f'the whole, {load.in_flight} in flight':42} {load.service_us:7.0f}")
    sys.stdout.flush()


def _print_budgets(budgets: list[Budget]) -> None:
    title("Budgets (design, section 13)")
    print(f"  {'':36} {'seen':>9} {'first':>7} {'star':>7}")
    for budget in budgets:
        seen = "-" if budget.seen is None else f"{budget.seen:.4g} {budget.unit}"
        print(
            f"  {budget.what:36} {seen:>9} {budget.first:7g} {budget.star:7g}"
            f"  {budget.mark:12} {budget.note}"
        )


def _calibrate(seen: Seen) -> None:
    """Time plain Python: shows what else the machine was doing."""
    started = time.process_time()
    total = 0
    for number in range(300_000):
        total += number
    seen.loops_ms.append((time.process_time() - started) * 1000)


def _machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": platform.system(),
        "python": platform.python_version(),
        "load_average": os.getloadavg()[0],
    }


def _json(seen: Seen, budgets: list[Budget]) -> str:
    marks = [dataclasses.asdict(budget) | {"mark": budget.mark} for budget in budgets]
    return json.dumps(dataclasses.asdict(seen) | {"budgets": marks}, indent=2) + "\n"


if __name__ == "__main__":
    sys.exit(main())
