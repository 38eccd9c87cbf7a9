"""BatchCheck over gRPC: what cannot be read, and what is too much, is an item's own error."""

from __future__ import annotations

import grpc
import pytest

from countersign.credentials import SubjectKind, new_token, token_hash
from countersign.directory import Directory, Login
from countersign.edge.authentication import Authenticator
from countersign.edge.decisions import Decisions
from countersign.edge.decode import Decoder
from countersign.edge.evidence import EvidenceReader
from countersign.edge.metrics import Metrics
from countersign.edge.rate import RateLimit
from countersign.edge.rpc import Rpc
from countersign.issuers import Issuers
from countersign.v1 import context_pb2, decisions_pb2
from simulators.world import AGENT, CALLERS, PEOPLE, TENANT, World, allow, deny

TOKEN = new_token(SubjectKind.CALLER)
LOGIN = Login(
    tenant=TENANT, kind=SubjectKind.CALLER, subject=AGENT.id, token_sha256=(token_hash(TOKEN),)
)
MAX_CALL_S = 20.0


class Edge:
    """A world behind a listening server."""

    def __init__(self, world: World, burst: int) -> None:
        self.world = world
        self.metrics = Metrics()
        self.server = grpc.aio.server()
        directory = Directory.of(CALLERS, PEOPLE, [LOGIN])
        rpc = Rpc(
            Authenticator(lambda: directory),
            RateLimit(0.001, burst),
            self.metrics,
            lambda point: None,
            max_request_bytes=1_000_000,
        )
        decoder = Decoder(max_context_bytes=65_536, mask_pointer=lambda pointer: pointer)
        decisions = Decisions(world.flow, decoder, EvidenceReader(Issuers([])), self.metrics)
        self.server.add_generic_rpc_handlers((decisions.handlers(rpc),))
        self._port = self.server.add_insecure_port("127.0.0.1:0")

    async def batch(self, *items: decisions_pb2.CheckRequest) -> decisions_pb2.BatchCheckResponse:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self._port}") as channel:
            method = channel.unary_unary("/countersign.v1.Decisions/BatchCheck")
            answer = await method(
                decisions_pb2.BatchCheckRequest(items=items).SerializeToString(),
                metadata=(("authorization", f"Bearer {TOKEN}"),),
                timeout=MAX_CALL_S,
            )
        return decisions_pb2.BatchCheckResponse.FromString(answer)


@pytest.fixture
async def serve(tmp_path):
    world = await World.open(tmp_path)
    started: list[Edge] = []

    async def start(burst: int = 1000) -> Edge:
        edge = Edge(world, burst)
        await edge.server.start()
        started.append(edge)
        return edge

    yield start
    for edge in started:
        await edge.server.stop(None)
    await world.close()


def item(
    action: str = "db.read", arguments: bytes = b"{}", **options
) -> decisions_pb2.CheckRequest:
    return decisions_pb2.CheckRequest(
        context=context_pb2.Context(
            actor=context_pb2.Principal(type="workload", id=AGENT.actors[0]),
            action=action,
            resource=context_pb2.Resource(type="table", id="customers"),
            environment="production",
            arguments_json=arguments,
        ),
        **options,
    )


def decided(edge: Edge) -> dict[tuple[str, str], float]:
    """Decisions by method and effect."""
    return {
        (sample.labels["method"], sample.labels["effect"]): sample.value
        for metric in edge.metrics.registry.collect()
        for sample in metric.samples
        if sample.name == "countersign_decisions_total"
    }


async def test_each_item_is_answered_in_its_place_and_a_bad_one_names_its_field(serve):
    edge = await serve()
    edge.world.policy.says(allow(), "db.read")
    edge.world.policy.says(deny(), "db.drop")
    results = (
        await edge.batch(
            item(),
            item(arguments=b'{"a":1,"a":2}'),
            item("db.drop"),
            item(request_id="not a request id"),
            decisions_pb2.CheckRequest(),
        )
    ).results
    assert [result.WhichOneof("outcome") for result in results] == [
        *("answer", "error", "answer", "error", "error"),
    ]
    assert results[0].answer.effect == context_pb2.EFFECT_ALLOW
    assert results[2].answer.effect == context_pb2.EFFECT_DENY
    assert {r.error.status for r in results if r.HasField("error")} == {
        grpc.StatusCode.INVALID_ARGUMENT.value[0]
    }
    assert results[1].error.field == "/arguments/a"
    assert results[3].error.field == "request_id"
    assert all(r.error.reason.code for r in results if r.HasField("error"))


async def test_each_item_counts_as_a_decision_or_a_refused_call_of_its_own(serve):
    edge = await serve()
    edge.world.policy.says(allow())
    await edge.batch(item(), item(), item(arguments=b"{"))
    assert decided(edge) == {("check", "allow"): 2}
    refused = edge.metrics.refused_calls()
    assert refused == {(TENANT, "INVALID_ARGUMENT"): 1}


async def test_a_batch_costs_its_caller_as_many_requests_as_it_has_items(serve):
    edge = await serve(burst=5)
    edge.world.policy.says(allow())
    results = (await edge.batch(*(item() for _ in range(8)))).results
    assert [r.WhichOneof("outcome") for r in results] == ["answer"] * 5 + ["error"] * 3
    assert {r.error.reason.code for r in results[5:]} == {"caller.rate"}
    assert len(edge.world.policy.asked) == 5


async def test_a_replayed_item_counts_once(serve):
    edge = await serve()
    edge.world.policy.says(allow())
    first, second = (await edge.batch(item(request_id="r1"), item(request_id="r1"))).results
    assert (first.answer.replayed, second.answer.replayed) == (False, True)
    assert first.answer.salt == second.answer.salt
    assert decided(edge) == {("check", "allow"): 1}


@pytest.mark.parametrize("count", [0, 51])
async def test_a_batch_of_none_or_too_many_is_no_batch(serve, count):
    edge = await serve()
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await edge.batch(*(item() for _ in range(count)))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert edge.world.policy.asked == []
