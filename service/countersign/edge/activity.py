"""The `Activity` service: what agents did and saw besides. Translates, decides nothing."""

from __future__ import annotations

import grpc

from countersign import canonical
from countersign.edge import decode, encode
from countersign.edge.authentication import as_caller
from countersign.edge.rpc import Call, Rpc, Unary
from countersign.flow import Flow
from countersign.flow.activity import LogAsk
from countersign.model import Caller, DecisionId, JsonValue
from countersign.v1 import activity_pb2


class Activity:
    """The verbs of `countersign.v1.Activity`."""

    def __init__(self, flow: Flow, decoder: decode.Decoder) -> None:
        self._flow = flow
        self._decoder = decoder

    def handlers(self, rpc: Rpc) -> grpc.GenericRpcHandler:
        """The service's gRPC handlers."""
        return rpc.service(
            "countersign.v1.Activity",
            {
                "Sanitize": Unary(
                    request=activity_pb2.SanitizeRequest, role=as_caller, verb=self.sanitize
                ),
                "Log": Unary(request=activity_pb2.LogRequest, role=as_caller, verb=self.log),
            },
        )

    async def sanitize(
        self, _: Call[Caller], message: activity_pb2.SanitizeRequest
    ) -> activity_pb2.SanitizeResponse:
        """Sanitize."""
        content = self._decoder.content("content", message.content)
        scrubbed = await self._flow.sanitize(content, message.ByteSize())
        return activity_pb2.SanitizeResponse(
            content=_content(scrubbed.value, message.content.WhichOneof("content")),
            report_json=canonical.encode(scrubbed.report),
            complete=scrubbed.complete,
        )

    async def log(
        self, call: Call[Caller], message: activity_pb2.LogRequest
    ) -> activity_pb2.LogResponse:
        """Log."""
        decision = message.decision_id and decode.reference("decision_id", message.decision_id)
        ask = LogAsk(
            type=decode.dotted("type", message.type),
            content=self._decoder.content("content", message.content),
            session=decode.session(message.session),
            decision_id=DecisionId(decision) if decision else None,
            request_id=decode.request_id(message.request_id, required=True),
            trace=decode.trace_id(call.trace),
        )
        logged = await self._flow.log(call.subject, ask)
        return activity_pb2.LogResponse(
            record=encode.record_ref(logged.record), replayed=logged.replayed
        )


def _content(value: JsonValue, sort: str | None) -> activity_pb2.Content:
    """The same sort as was sent; a text that was masked whole is one placeholder."""
    if sort == "text" and isinstance(value, str):
        return activity_pb2.Content(text=value)
    return activity_pb2.Content(json=canonical.encode(value))
