"""What OPA itself costs by how many contexts are in one query.

Says what BatchCheck spares, and the most that coalescing single Checks could: see
docs/performance.md for why the service does not do that.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import bench_contexts
import psutil

from countersign import canonical
from countersign.config import opa_candidates
from countersign.edge.decode import Decoder
from countersign.policy.binary import find_opa
from countersign.policy.bundle import build
from countersign.policy.child import OpaChild, OpaSettings
from countersign.policy.sources.directory import snapshot
from countersign.sanitize import Sanitizer

SIZES: Final = (1, 2, 4, 10, 50)
ROUNDS: Final = 5
_DEADLINE_S: Final = 60.0


def queries(policy: Path, *, decisions: int) -> dict[int, float]:
    """Microseconds of OPA's CPU a decision, by contexts in a query: the best round."""
    return asyncio.run(_queries(policy, decisions))


async def _queries(policy: Path, decisions: int) -> dict[int, float]:
    opa = find_opa(None, opa_candidates())
    child = await OpaChild.start(opa, build(opa, snapshot(policy)), OpaSettings())
    process, asked = psutil.Process(child.pid), _input()
    best = dict.fromkeys(SIZES, float("inf"))
    try:
        for size in SIZES * (ROUNDS + 1):  # turn and turn about; the first only warms up
            before = sum(process.cpu_times()[:2])
            for _ in range(max(1, decisions // size)):
                answers = await child.client.decide_many([asked] * size, deadline_s=_DEADLINE_S)
                if not all(isinstance(answer, dict) for answer in answers):
                    raise SystemExit("bench: policy has no answer to what is measured")
            used_s = sum(process.cpu_times()[:2]) - before
            best[size] = min(best[size], used_s / max(1, decisions // size) / size * 1e6)
    finally:
        await child.stop()
    return best


def _input() -> bytes:
    """The document that a Check of a release to staging asks about."""
    sanitizer = Sanitizer()
    decoder = Decoder(max_context_bytes=65_536, mask_pointer=sanitizer.pointer)
    context = decoder.context(bench_contexts.allowed())
    quiet = dict.fromkeys(
        ("checks", "allow", "deny", "needs_approval", "claimed", "rows", "amount"), 0
    )
    findings = sanitizer.detect(context, known=lambda _: True)
    return canonical.encode(
        {
            "context": context.to_json(),
            "findings": findings.to_policy(),
            "approval": None,
            "recent": {"hour": quiet, "day": quiet},
            "time": "2026-11-25T12:00:00.000000Z",
            "verified": {
                "caller": bench_contexts.CALLER,
                "claimant": None,
                "owners": ["alice"],
                "parent": None,
                "person": None,
                "tenant": "default",
                "users": [],
            },
        }
    )
