"""The edge with nothing behind it: what a call costs before anybody decides.

The real server, credential check, rate limit, metrics and protobuf parsing, and
a verb that returns a finished answer. A process of its own, started by
`bench_parts`; prints its port, and at the end of its input the calls it served.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import grpc
import uvloop

from countersign.edge.authentication import Authenticator, as_caller
from countersign.edge.metrics import Metrics
from countersign.edge.rate import RateLimit
from countersign.edge.rpc import Call, Rpc, Unary
from countersign.edge.server import EdgeServer
from countersign.model import Caller
from countersign.registry import Registry
from countersign.v1 import context_pb2, decisions_pb2

ANSWER = decisions_pb2.CheckResponse(
    decision_id="dec_" + 32 * "0",
    effect=context_pb2.EFFECT_ALLOW,
    reasons=[context_pb2.Reason(code="deploy.below_production", message="not production")],
    policy_revision="sha256:0123456789abcdef",
    record=context_pb2.RecordRef(log_id="countersign.local/default", seq=1, leaf_hash=bytes(32)),
    salt=bytes(32),
)


async def serve(home: Path) -> None:
    """Serve until the input ends."""
    registry = Registry(home / "callers.toml", home / "people.toml")
    calls = 0

    async def check(
        _call: Call[Caller], _message: decisions_pb2.CheckRequest
    ) -> decisions_pb2.CheckResponse:
        nonlocal calls
        calls += 1
        return ANSWER

    rpc = Rpc(
        Authenticator(lambda: registry.current),
        RateLimit(0, 1),
        Metrics(),
        lambda _point: None,
        max_request_bytes=1 << 20,
    )
    method = Unary(request=decisions_pb2.CheckRequest, role=as_caller, verb=check)
    handler: grpc.GenericRpcHandler = rpc.service("countersign.v1.Decisions", {"Check": method})
    server = EdgeServer("127.0.0.1:0", None, (handler,))
    await server.start()
    print(server.port, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(0)
    print(calls, flush=True)


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1])))
