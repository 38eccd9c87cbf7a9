"""What a log under Object Lock costs: `make bench-audit`.

A real service with `log.durability = "locked"` and a real store (MinIO) on this
machine: how long an answer waits for the lock on its record, how many requests to
S3 a record costs, alone and in company, and how large it is there. Then the log is
verified where it is, locks included, and its records again as a log of a million in a
directory: time to verify, size and time of a proof. Needs `.tools/minio` (`make minio`).
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from bench_audit import print_large  # noqa: E402 - beside this

import s3_server  # noqa: E402 - of the tests
from countersign.audit.reading import read_records  # noqa: E402
from countersign.audit.s3.source import S3Source  # noqa: E402
from countersign.audit.verify import verify  # noqa: E402
from countersign.model import JsonObject, new_id  # noqa: E402
from countersign.v1 import context_pb2, decisions_pb2  # noqa: E402
from s3_faults import Fault, Proxy  # noqa: E402
from service import Service, context  # noqa: E402

POLICY: Final = """
package countersign

decision := {"effect": "allow", "reasons": [{"code": "bench.rule", "message": "measured"}]}
"""
ORIGIN: Final = "countersign.local/default"


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checks", type=int, default=200, help="one after the other")
    parser.add_argument("--burst", type=int, default=2_000, help="many at once")
    parser.add_argument("--records", type=int, default=1_000_000, help="of the large log")
    chosen = parser.parse_args()
    with contextlib.ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(s3_server.running(place / "minio"))
        proxy = stack.enter_context(Proxy(server.endpoint).running())
        records, tiles = server.buckets()
        service = stack.enter_context(Service(place / "countersign"))
        enrol(service, server, proxy, records, tiles)
        service.start()
        print_latency(service, chosen.checks, proxy)
        print_burst(service, chosen.burst, proxy)
        service.stop()
        bodies = print_log(service, server, records, tiles)
    print_large(bodies, chosen.records)
    return 0


def enrol(
    service: Service, server: s3_server.S3Server, proxy: Proxy, records: str, tiles: str
) -> None:
    """An agent, a policy that allows, and a log that locks."""
    (service.directory / "policy").mkdir(exist_ok=True)
    for path in (service.directory / "policy").rglob("*.rego"):
        path.unlink()
    (service.directory / "policy" / "decision.rego").write_text(POLICY, "utf-8")
    service.person("alice")
    service.person("bob")
    service.caller("agent", "alice")
    service.environment.update(server.environment)
    service.configure(
        {
            "log.sink": "s3",
            "log.durability": "locked",
            "log.flush_after_s": 1.0,
            "s3.records_bucket": records,
            "s3.tiles_bucket": tiles,
            "s3.endpoint": proxy.endpoint,
            "s3.region": s3_server.REGION,
            "s3.retain_days": 1,
        }
    )


def request(number: int) -> decisions_pb2.CheckRequest:
    """A Check that is allowed."""
    return decisions_pb2.CheckRequest(
        context=context("table.read", f"t{number}").to_message(), request_id=new_id("req")
    )


def print_latency(service: Service, count: int, proxy: Proxy) -> None:
    """One Check after the other, each until its record is locked."""
    line = service.line("agent")
    line.call("Decisions.Check", request(-1))
    with counted(proxy) as requests:
        took = [timed(line, number) for number in range(count)]
    took.sort()
    at = {p: took[min(len(took) - 1, int(len(took) * p / 100))] for p in (50, 95, 99)}
    print(f"answer with its record locked, one at a time ({count}):")
    print("  " + ", ".join(f"p{p} {at[p]:.1f} ms" for p in at))
    tell(requests, count)


def timed(line: Any, number: int) -> float:
    """Milliseconds of one Check."""
    started = time.perf_counter()
    answer = line.call("Decisions.Check", request(number))
    if answer.effect != context_pb2.EFFECT_ALLOW:
        sys.exit(f"bench: not allowed: {answer.reasons}")
    return (time.perf_counter() - started) * 1e3


def print_burst(service: Service, count: int, proxy: Proxy) -> None:
    """Many at once: they share segments."""
    line = service.line("agent")
    with counted(proxy) as requests:
        started = time.perf_counter()
        waiting = [
            line.begin("Decisions.Check", request(10**6 + number), timeout_s=120)
            for number in range(count)
        ]
        effects = Counter(each.result().effect for each in waiting)
        took_s = time.perf_counter() - started
    if set(effects) != {context_pb2.EFFECT_ALLOW}:
        sys.exit(f"bench: not all were allowed: {effects}")
    print(f"{count} at once: {count / took_s:.0f} locked answers a second")
    tell(requests, count)


@contextlib.contextmanager
def counted(proxy: Proxy) -> Iterator[Counter[str]]:
    """Requests to S3 by method."""
    seen: Counter[str] = Counter()

    def choose(method: str, _path: str) -> Fault:
        seen[method] += 1
        return Fault.NONE

    before, proxy.choose = proxy.choose, choose
    try:
        yield seen
    finally:
        proxy.choose = before


def tell(requests: Counter[str], records: int) -> None:
    """What the records cost."""
    puts = requests["PUT"] / records
    print(f"  {puts:.3f} PUT a record ({puts * 1e6:,.0f} for a million), all: {dict(requests)}")


def print_log(
    service: Service, server: s3_server.S3Server, records: str, tiles: str
) -> list[JsonObject]:
    """How large it is, and how long it takes to verify where it is; its decisions."""
    client = server.shared()
    source = S3Source(client, records_bucket=records, tiles_bucket=tiles, root=ORIGIN)
    cpu, wall = time.process_time(), time.perf_counter()
    result = verify(source, service.log_key())
    locks = source.locks()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    if not result.ok or locks.findings:
        sys.exit(f"bench: the log does not verify: {result.findings[:3]} {locks.findings[:3]}")
    sizes = [
        each["Size"]
        for page in client.get_paginator("list_objects_v2").paginate(
            Bucket=records, Prefix=f"{ORIGIN}/records/"
        )
        for each in page.get("Contents", ())
    ]
    print(f"{result.size} records in {len(sizes)} segments of {statistics.mean(sizes):.0f} bytes:")
    print(f"  {sum(sizes) / result.size:.0f} bytes a record, compressed and locked")
    print(f"  verified with {locks.locked} locks: {cpu:.1f} s CPU, {wall:.1f} s")
    decided = (each for each in read_records(source) if each["kind"] == "decision")
    return list(itertools.islice(decided, 500))


if __name__ == "__main__":
    sys.exit(main())
