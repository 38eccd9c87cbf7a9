"""`kill -9` a thousand times: `make soak`.

A real service (SQLite, OPA) publishes to a real store with Object Lock (MinIO), or to
a directory, while many calls are in flight. Each run kills it: at a named point, where
something has just become durable or is about to, at any moment, or while it starts;
the next run goes on with the same store and the same log. Everything acknowledged must
be in the log under its sequence number and hash; nothing twice, no gap, no segment
other than it was first seen, no permit without its record or twice. The log is
verified where it is, locks included, now and then and at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from soak_ledger import Ledger, Row  # noqa: E402
from soak_load import Cast, Load  # noqa: E402

import s3_server  # noqa: E402 - of the tests
from countersign.audit.local import LocalSink  # noqa: E402
from countersign.audit.s3.retention import Retention  # noqa: E402
from countersign.audit.s3.sink import S3Sink  # noqa: E402
from countersign.audit.s3.source import S3Source  # noqa: E402
from countersign.audit.sink import Sink  # noqa: E402
from countersign.audit.verify import verify  # noqa: E402
from service import Service  # noqa: E402

PATIENCE_S: Final = 60
REACHED_WITHIN_S: Final = 10
AT_ANY_MOMENT: Final = "at any moment"
STARTING: Final = "while starting"
_VERBS: Final = {
    "check": ("check.committed", "check.answering"),
    "claim": (
        *("decide.committed", "decide.answering", "claim.committed", "claim.answering"),
        *("report.committed", "report.answering"),
    ),
    "answer": ("ask.committed", "askinfo.answering", "answer.committed", "answer.answering"),
    "revoke": ("revoke.committed", "revoke.answering"),
    "cancel": ("cancel.committed", "cancel.answering"),
}
_BELOW: Final = {
    "store.before_commit": 20,
    "store.committed": 20,
    "notice.committed": 1,
    "log.planned": 12,
    "log.fenced": 12,
    "log.segment_written": 12,
    "log.checkpoint_written": 12,
    "log.pointed": 12,
    "log.marked": 12,
}
"""With how often it is passed by at most before it kills."""
_S3: Final = {
    "s3.put": 30,
    "s3.confirmed": 30,
    "s3.created": 50,
    "s3.replaced": 30,
    "s3.deleted": 1,
}
_LOCAL: Final = {"local.written": 20, "local.linked": 20, "local.replaced": 4}
LOGS: Final = ("countersign.local/default", "countersign.local/other")


def main() -> int:
    """Run, print a table, and say by the exit code whether anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--runs", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=None, help="of which run is killed where")
    parser.add_argument("--sink", choices=("s3", "local"), default="s3")
    parser.add_argument("--workers", type=int, default=24, help="calls in flight at once")
    parser.add_argument("--verify-every", type=int, default=250, metavar="RUNS")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that nothing is left behind
    seed = random.SystemRandom().randrange(1 << 32) if chosen.seed is None else chosen.seed
    print(f"{chosen.runs} runs, seed {seed}, sink {chosen.sink}")
    chance = random.Random(seed)  # noqa: S311 - to be told again, not to be kept secret
    with World.made(chosen.sink) as world:
        soak = Soak(world, chance, chosen.workers)
        began = time.monotonic()
        asyncio.run(soak.run(chosen.runs, chosen.verify_every))
        took_s = time.monotonic() - began
    print(f"\n{table(soak.ledger)}")
    print(f"{soak.ledger.sizes()} records in {soak.ledger.segments} segments, {took_s:.0f} s")
    for finding in soak.ledger.findings[:20]:
        print(f"FOUND: {finding}")
    return 1 if soak.ledger.bad else 0


class World:
    """A service's directory and where its log goes."""

    def __init__(self, service: Service, server: s3_server.S3Server | None) -> None:
        self.service, self._server = service, server
        if server is None:
            self.sink: Sink = LocalSink(service.directory / "log")
            return
        self._records, self._tiles = server.buckets()
        service.environment.update(server.environment)
        service.configure(
            {
                "log.sink": "s3",
                "s3.records_bucket": self._records,
                "s3.tiles_bucket": self._tiles,
                "s3.endpoint": server.endpoint,
                "s3.region": s3_server.REGION,
                "s3.retain_days": 1,
            }
        )
        self.sink = S3Sink(
            server.shared(),
            records_bucket=self._records,
            tiles_bucket=self._tiles,
            retention=Retention(days=1, max_days=2),
        )

    @classmethod
    @contextlib.contextmanager
    def made(cls, kind: str) -> Iterator[World]:
        """In a temporary directory, with a MinIO of its own."""
        with contextlib.ExitStack() as stack:
            place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="soak-")))
            service = Service(place / "countersign", policy=ROOT / "tests" / "e2e" / "policy")
            service.person("alice")
            service.person("bob", "approvers")
            service.caller("agent", "alice")
            service.person("olga", tenant="other")
            service.person("oscar", "approvers", tenant="other")
            service.caller("stranger", "olga", tenant="other")
            service.environment["PYTHONPATH"] = str(ROOT / "service")
            server = None
            if kind == "s3":
                server = stack.enter_context(s3_server.running(place / "minio"))
            yield cls(service, server)

    def casts(self) -> list[Cast]:
        """Who acts in each tenant."""
        tokens = self.service.tokens
        return [
            Cast(agent=agent, agent_token=tokens[agent], reviewer_token=tokens[reviewer])
            for agent, reviewer in (("agent", "bob"), ("stranger", "oscar"))
        ]

    def verified(self) -> list[str]:
        """What a whole verification of both logs finds, locks and versions included."""
        return [f"{log_id}: {each}" for log_id in LOGS for each in self._found(log_id)]

    def _found(self, log_id: str) -> list[object]:
        key = self.service.log_key(log_id.rpartition("/")[2])
        if self._server is None:
            return list(verify(self.service.directory / "log" / log_id, key).findings)
        source = S3Source(
            self._server.shared(),
            records_bucket=self._records,
            tiles_bucket=self._tiles,
            root=log_id,
        )
        result, locks = verify(source, key), source.locks()
        versions = source.versions().items()
        more = [f"{name}: {len(each)} versions" for name, each in versions if len(each) != 1]
        return [*result.findings, *locks.findings, *more]


class Soak:
    """The runs, one after the other."""

    def __init__(self, world: World, chance: random.Random, workers: int) -> None:
        self._world, self._chance = world, chance
        self._running = 0
        """The service's process id while there is one."""
        self.ledger = Ledger(world.sink)
        self._load = Load(world.service.port, world.casts(), self.ledger, chance, workers)
        of_sink = _LOCAL if isinstance(world.sink, LocalSink) else _S3
        verbs = {point: 12 for points in _VERBS.values() for point in points}
        self._points = {**verbs, **_BELOW, **of_sink}
        self._boundaries = [*self._points, AT_ANY_MOMENT, AT_ANY_MOMENT, STARTING]
        self._chance.shuffle(self._boundaries)

    async def run(self, runs: int, verify_every: int) -> None:
        """All of them, then everything once more from the start."""
        directory, environment = self._world.service.directory, self._world.service.environment
        with (directory / "stderr").open("ab") as stderr:
            self._nursery = await asyncio.create_subprocess_exec(
                *(sys.executable, str(ROOT / "scripts" / "soak_nursery.py")),
                cwd=directory,
                env=environment,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
            )
        try:
            self.ledger.boundary = self._boundaries[0]
            await self._load.start()
            for number in range(runs):
                await self._one(self._boundaries[number % len(self._boundaries)])
                if (number + 1) % verify_every == 0:
                    await self._verify()
                self._progress(number + 1, runs)
                if self.ledger.bad:
                    break
            await self._last()
        finally:
            with contextlib.suppress(ProcessLookupError):
                self._nursery.terminate()
                if self._running:
                    os.kill(self._running, signal.SIGKILL)
            await self._nursery.wait()
        said = (directory / "stderr").read_text(errors="replace")
        if "Traceback" in said or "is frozen" in said:
            self.ledger.findings.append(f"the service said: {said[-2000:]}")

    async def _one(self, boundary: str) -> None:
        self.ledger.boundary = boundary
        self.ledger.row.runs += 1
        self._load.favourite = next(
            (story for story, points in _VERBS.items() if boundary in points), ""
        )
        fault = ""
        if boundary in self._points:
            fault = f"{boundary}@{self._chance.randint(1, self._points[boundary])}"
        pid = await self._begin(fault)
        if boundary == STARTING:
            await asyncio.sleep(self._chance.random() * 0.6)
            os.kill(pid, signal.SIGKILL)
            await self._event("ended")
        else:
            await self._until_dead(pid, boundary)
        self._load.failed()
        self.ledger.take(await asyncio.to_thread(self.ledger.fetch))

    async def _begin(self, fault: str) -> int:
        assert self._nursery.stdin is not None
        self._nursery.stdin.write(json.dumps({"fault": fault}).encode() + b"\n")
        self._running = int(str((await self._event("started"))["pid"]))
        return self._running

    async def _until_dead(self, pid: int, boundary: str) -> None:
        if (await self._event("ready", "ended"))["event"] == "ended":
            return  # it met its point before it was ready
        wait_s = REACHED_WITHIN_S if boundary in self._points else self._chance.random() * 0.5
        try:
            async with asyncio.timeout(wait_s):
                await self._event("ended")
        except TimeoutError:
            if boundary in self._points:
                self.ledger.row.late += 1
            os.kill(pid, signal.SIGKILL)
            await self._event("ended")

    async def _event(self, *names: str) -> dict[str, object]:
        """The next event of one of these names. An end that is no kill is an error."""
        assert self._nursery.stdout is not None
        while True:
            async with asyncio.timeout(PATIENCE_S):
                line = await self._nursery.stdout.readline()
            if not line:
                raise AssertionError("the nursery ended")
            event: dict[str, object] = json.loads(line)
            if event["event"] == "ended" and event["code"] not in (-signal.SIGKILL, 0):
                said = (self._world.service.directory / "stderr").read_text(errors="replace")
                raise AssertionError(f"it ended with {event['code']}: {said[-3000:]}")
            if event["event"] == "ended":
                self._running = 0
            if event["event"] in names:
                return event

    async def _last(self) -> None:
        """A run without a kill, in which every story comes to its end."""
        pid = await self._begin("")
        await self._event("ready")
        await self._load.stop()
        os.kill(pid, signal.SIGTERM)
        await self._event("ended")
        self.ledger.take(await asyncio.to_thread(self.ledger.fetch))
        await asyncio.to_thread(self.ledger.finish)
        await self._verify()

    async def _verify(self) -> None:
        found = await asyncio.to_thread(self._world.verified)
        self.ledger.findings += found

    def _progress(self, number: int, runs: int) -> None:
        total = sum(row.acknowledged for row in self.ledger.rows.values())
        print(
            f"\r{number}/{runs} kills, {total} acknowledged, {self.ledger.bad} wrong",
            end="",
            flush=True,
        )


def table(ledger: Ledger) -> str:
    """One line for each boundary."""
    heads = ("runs", "late", "acknowledged", "lost", "gaps", "duplicates", "rewritten")
    lines = [f"{'boundary':24}" + "".join(f"{head:>13}" for head in heads)]
    total = Row()
    for name, row in [*sorted(ledger.rows.items()), ("all", total)]:
        lines.append(f"{name:24}" + "".join(f"{getattr(row, head):13}" for head in heads))
        for head in heads:
            setattr(total, head, getattr(total, head) + getattr(row, head))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
