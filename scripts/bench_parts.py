"""Where the CPU of one Check goes: the real flow in this process, part by part.

The flow's parts are wrapped by a meter that reads the CPU clock of the whole
process around each call, the store's writer thread included. One Check at a
time, so that nothing else runs meanwhile; the edge below it is measured by
`bench_floor` under the same load as the service.
"""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import inspect
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import psutil
import uvloop
from bench_contexts import CALLER
from bench_load import framed, h2load, percentile

from countersign import canonical
from countersign.config import load, opa_candidates
from countersign.credentials import read_credential, token_hash
from countersign.edge import encode
from countersign.edge.decode import Decoder
from countersign.flow import Parts
from countersign.flow.asking import CheckAsk
from countersign.flow.check import check
from countersign.keys import read_key
from countersign.model import Caller, PolicyDecision
from countersign.permit import PermitKeys
from countersign.policy.binary import find_opa
from countersign.policy.contract import decode
from countersign.policy.opa import OpaPolicy
from countersign.registry import Registry
from countersign.sanitize import Sanitizer
from countersign.store.sqlite import SqliteStore
from countersign.v1 import context_pb2, decisions_pb2

TAG_KEY: Final = bytes(32)
_DEADLINE_S: Final = 10.0


class Meter:
    """CPU seconds of this process by part."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def around(self, part: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same call, its cost added to `part`."""
        seconds, clock = self.seconds, time.process_time

        async def awaited(*args: Any, **named: Any) -> Any:
            started = clock()
            try:
                return await call(*args, **named)
            finally:
                seconds[part] += clock() - started

        def called(*args: Any, **named: Any) -> Any:
            started = clock()
            try:
                return call(*args, **named)
            finally:
                seconds[part] += clock() - started

        return awaited if inspect.iscoroutinefunction(call) else called


class Metered:
    """An object some of whose methods are metered."""

    def __init__(self, meter: Meter, target: Any, parts: dict[str, str]) -> None:
        self._target = target
        for method, part in parts.items():
            setattr(self, method, meter.around(part, getattr(target, method)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)


class MeteredPolicy:
    """The policy point, its exchange and its decoding apart."""

    def __init__(self, meter: Meter, policy: OpaPolicy) -> None:
        self._policy = policy
        child = policy._active  # noqa: SLF001 - the two halves of one public method
        if child is None:
            sys.exit("bench: OPA does not run")
        self._ask = meter.around("OPA client, socket and JSON", child.client.decide)
        self._decode = meter.around("policy answer, decoded", decode)

    @property
    def revision(self) -> str:
        return self._policy.revision

    async def decide(self, input_json: bytes, *, deadline_s: float) -> PolicyDecision:
        value = await self._ask(input_json, deadline_s=deadline_s)
        decision: PolicyDecision = self._decode(value, self._policy.revision)
        return decision


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """Microseconds of CPU per Check by part."""

    parts: dict[str, float]
    """They add up: everything but the edge's floor, and the floor."""
    canonical_us: float
    """Of which canonical JSON, wherever it is made."""
    together_us: float
    """The whole but the floor, 16 at once, in the best burst: caches warm, commits shared."""

    @property
    def sum_us(self) -> float:
        """All parts together."""
        return sum(self.parts.values())


def shares(home: Path, context: context_pb2.Context, *, rounds: int) -> Shares:
    """The parts of a Check of that context; `home` is that of a service that ended."""
    meter = Meter()
    encoder = canonical.encode
    canonical.encode = meter.around("canonical", encoder)
    try:
        whole_us, together_us = uvloop.run(_flow(home, context, meter, rounds))
    finally:
        canonical.encode = encoder
    each = {part: seconds / rounds * 1e6 for part, seconds in meter.seconds.items()}
    canonical_us = each.pop("canonical")
    each["flow: requester, query, record's shape"] = whole_us - sum(each.values())
    floor = {"gRPC, credential, metrics, protobuf": _floor(home, context, rounds)}
    return Shares(parts=floor | each, canonical_us=canonical_us, together_us=together_us)


async def _flow(
    home: Path, message: context_pb2.Context, meter: Meter, rounds: int
) -> tuple[float, float]:
    """Microseconds from decoded protobuf to encoded answer: one Check alone, 16 at once."""
    settings = load(home / "countersign.toml")
    opa = find_opa(None, opa_candidates())
    registry = Registry(home / "callers.toml", home / "people.toml")
    sanitizer = Sanitizer()
    policy = OpaPolicy(opa, home / "policy")
    await policy.start()
    with tempfile.TemporaryDirectory() as place:
        store = await SqliteStore.open(Path(place) / "store.db", log_id_of=str)
        parts = Parts(
            store=Metered(meter, store, {"apply": "store: record, rows, commit"}),  # type: ignore[arg-type]
            policy=MeteredPolicy(meter, policy),
            sanitizer=Metered(  # type: ignore[arg-type]
                meter, sanitizer, {"detect": "sanitizer: detect", "clean": "sanitizer: mask"}
            ),
            source=registry,
            permits=PermitKeys("bench", [read_key("permit", home / "keys" / "permit.pem")]),
            limits=settings.flow_limits(),
        )
        caller = registry.current.caller_by_token(token_hash(_token(home)))
        if caller is None:
            sys.exit("bench: the caller is not registered")
        decoder = Decoder(max_context_bytes=65_536, mask_pointer=sanitizer.pointer)
        step = _step(parts, caller, decoder, decisions_pb2.CheckRequest(context=message), meter)
        try:
            together_us = await _together(step, rounds)  # first: the meters start anew after it
            return await _repeat(step, meter, rounds), together_us
        finally:
            await store.close()
            await policy.stop()


def _step(
    parts: Parts,
    caller: Caller,
    decoder: Decoder,
    message: Any,
    meter: Meter,
) -> Callable[[], Any]:
    """One Check as the edge does it."""
    decoded = meter.around("edge: protobuf to context", decoder.context)
    encoded = meter.around("edge: answer to protobuf", encode.check)

    async def step() -> None:
        ask = CheckAsk(context=decoded(message.context))
        answer = await check(parts, caller, ask, deadline_s=_DEADLINE_S)
        encoded(answer, "")

    return step


async def _repeat(step: Callable[[], Any], meter: Meter, rounds: int) -> float:
    for _ in range(min(100, rounds)):
        await step()
    meter.seconds.clear()
    gc.collect()
    started = time.process_time()
    for _ in range(rounds):
        await step()
    return (time.process_time() - started) / rounds * 1e6


async def _together(step: Callable[[], Any], rounds: int) -> float:
    """The best of bursts of 16 x 4; the meters' own cost is in it."""

    async def four() -> None:
        for _ in range(4):
            await step()

    bursts = []
    for _ in range(max(4, rounds // 64)):
        started = time.process_time()
        await asyncio.gather(*(four() for _ in range(16)))
        bursts.append((time.process_time() - started) / 64 * 1e6)
    return min(bursts)


def _floor(home: Path, context: context_pb2.Context, rounds: int) -> float:
    """Microseconds of CPU of an edge with nothing behind it, 16 in flight."""
    body, log = home / "body", home / "h2load.log"
    message = decisions_pb2.CheckRequest(context=context).SerializeToString()
    body.write_bytes(framed(message))
    server = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("bench_floor.py"), home],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert server.stdin is not None
    assert server.stdout is not None
    endpoint = f"127.0.0.1:{server.stdout.readline().strip()}"
    process = psutil.Process(server.pid)

    def run(requests: int) -> float:
        before = process.cpu_times()
        h2load(endpoint, _token(home), body, log, in_flight=16, requests=requests)
        after = process.cpu_times()
        return after.user + after.system - before.user - before.system

    run(200)
    requests = 5 * rounds
    used_s = run(requests)
    served, _ = server.communicate()
    if int(served) != 200 + requests:
        sys.exit("bench: the bare edge refused calls; is the credential right?")
    return used_s / requests * 1e6


def _token(home: Path) -> str:
    return read_credential(home / f"{CALLER}.credential").token or ""


def sanitizing(message: context_pb2.Context, *, rounds: int) -> dict[str, float]:
    """Milliseconds of CPU to detect and mask one context: percentiles."""
    sanitizer = Sanitizer()
    decoder = Decoder(max_context_bytes=65_536, mask_pointer=sanitizer.pointer)
    context = decoder.context(message)
    took_ms, clean_ms = [], []
    for _ in range(rounds):
        started = time.thread_time()
        findings = sanitizer.detect(context, known={"alice", CALLER}.__contains__)
        detected = time.thread_time()
        sanitizer.preview(
            context, findings, profile="reviewer", policy_mask=(), must_show=("/resource",),
            tag_key=TAG_KEY,
        )  # fmt: skip
        masked = time.thread_time()
        sanitizer.clean(context, findings, policy_mask=(), tag_key=TAG_KEY)
        took_ms.append((masked - started) * 1000)
        clean_ms.append((detected - started + time.thread_time() - masked) * 1000)
    took_ms.sort()
    clean_ms.sort()
    return {
        "bytes": message.ByteSize(),
        "p50_ms": percentile(took_ms, 50),
        "p95_ms": percentile(took_ms, 95),
        "record_p50_ms": percentile(clean_ms, 50),
        "record_p95_ms": percentile(clean_ms, 95),
    }
