"""The `Decisions` service: what machines ask. Translates, decides nothing."""

from __future__ import annotations

import grpc

from countersign.edge import decode, encode, status
from countersign.edge.authentication import as_caller
from countersign.edge.evidence import EvidenceReader
from countersign.edge.metrics import Metrics
from countersign.edge.minting import Minting
from countersign.edge.rpc import Call, Rpc, Unary
from countersign.errors import InvalidRequestError, RequestError
from countersign.flow import Flow
from countersign.flow.answer import Answer
from countersign.flow.aside import aside
from countersign.flow.asking import CheckAsk
from countersign.flow.checking_many import require_size
from countersign.flow.claim import ClaimAsk
from countersign.flow.evidence import Evidence
from countersign.flow.requester import ReportAsk
from countersign.model import (
    ActionContext,
    Caller,
    DecisionId,
    Outcome,
    PermitId,
    Principal,
    QuestionId,
    ReviewId,
)
from countersign.v1 import context_pb2, decisions_pb2

_OUTCOMES = {number: outcome for outcome, number in encode.OUTCOMES.items()}


class Decisions:
    """The verbs of `countersign.v1.Decisions`."""

    def __init__(
        self,
        flow: Flow,
        decoder: decode.Decoder,
        evidence: EvidenceReader,
        metrics: Metrics,
    ) -> None:
        self._flow = flow
        self._decoder = decoder
        self._evidence = evidence
        self._metrics = metrics
        self._minting = Minting(flow.parts.permits)

    def handlers(self, rpc: Rpc) -> grpc.GenericRpcHandler:
        """The service's gRPC handlers."""
        return rpc.service(
            "countersign.v1.Decisions",
            {
                "Check": Unary(request=decisions_pb2.CheckRequest, role=as_caller, verb=self.check),
                "BatchCheck": Unary(
                    request=decisions_pb2.BatchCheckRequest, role=as_caller, verb=self.batch_check
                ),
                "Await": Unary(request=decisions_pb2.AwaitRequest, role=as_caller, verb=self.wait),
                "Claim": Unary(request=decisions_pb2.ClaimRequest, role=as_caller, verb=self.claim),
                "Answer": Unary(
                    request=decisions_pb2.AnswerRequest, role=as_caller, verb=self.answer
                ),
                "Cancel": Unary(
                    request=decisions_pb2.CancelRequest, role=as_caller, verb=self.cancel
                ),
                "Report": Unary(
                    request=decisions_pb2.ReportRequest, role=as_caller, verb=self.report
                ),
            },
        )

    async def check(
        self, call: Call[Caller], message: decisions_pb2.CheckRequest
    ) -> decisions_pb2.CheckResponse:
        """Check."""
        ask = await self._ask(call, message)
        answer = await self._flow.check(call.subject, ask, deadline_s=call.deadline_s)
        self._count("check", call.subject, answer)
        return encode.check(answer, await self._minting.token(answer))

    async def batch_check(
        self, call: Call[Caller], message: decisions_pb2.BatchCheckRequest
    ) -> decisions_pb2.BatchCheckResponse:
        """BatchCheck."""
        require_size(len(message.items))
        asks = [await self._ask_of_batch(call, index, i) for index, i in enumerate(message.items)]
        outcomes = await self._flow.check_many(call.subject, asks, deadline_s=call.deadline_s)
        results = []
        for outcome in outcomes:
            if isinstance(outcome, RequestError):
                code = status.code_of(outcome).name
                self._metrics.refused_item("Decisions.BatchCheck", code, call.subject.tenant)
                results.append(decisions_pb2.BatchCheckResult(error=status.of_item(outcome)))
                continue
            self._count("check", call.subject, outcome)
            answer = encode.check(outcome, await self._minting.token(outcome))
            results.append(decisions_pb2.BatchCheckResult(answer=answer))
        return decisions_pb2.BatchCheckResponse(results=results)

    async def _ask_of_batch(
        self, call: Call[Caller], index: int, message: decisions_pb2.CheckRequest
    ) -> CheckAsk | RequestError:
        try:
            if index:
                call.spend()  # the first is paid for by the call
            return await self._ask(call, message)
        except RequestError as error:
            return error

    async def _ask(self, call: Call[Caller], message: decisions_pb2.CheckRequest) -> CheckAsk:
        wanted = message.create_review if message.HasField("create_review") else True
        return CheckAsk(
            context=await self._context(message.context),
            request_id=decode.request_id(message.request_id, required=False),
            create_review=wanted,
            permit_audience=decode.audience("permit_audience", message.permit_audience),
            labels=decode.labels(message.labels.items()),
            supersedes=decode.reference("supersedes", message.supersedes)
            if message.supersedes
            else "",
            trace=decode.trace_id(call.trace),
            evidence=await self._proof(call.subject, decode.evidence(message.context)),
            made_by=call.made_by,
        )

    async def _proof(
        self, caller: Caller, given: tuple[str, Principal, str] | None
    ) -> Evidence | None:
        return await self._evidence.read(caller, *given) if given else None

    async def _context(self, message: context_pb2.Context) -> ActionContext:
        return await aside(message.ByteSize(), lambda: self._decoder.context(message))

    async def wait(
        self, call: Call[Caller], message: decisions_pb2.AwaitRequest
    ) -> decisions_pb2.AwaitResponse:
        """Await."""
        max_wait_s = call.deadline_s
        if message.HasField("max_wait"):
            max_wait_s = min(max_wait_s, message.max_wait.ToMicroseconds() / 1_000_000)
        waited = await self._flow.wait(
            call.subject,
            ReviewId(decode.reference("review_id", message.review_id)),
            after=message.after,
            max_wait_s=max_wait_s,
        )
        await call.still()
        return decisions_pb2.AwaitResponse(
            review=encode.status(waited.review), changed=waited.changed, reconnect=waited.reconnect
        )

    async def claim(
        self, call: Call[Caller], message: decisions_pb2.ClaimRequest
    ) -> decisions_pb2.ClaimResponse:
        """Claim."""
        ask = ClaimAsk(
            review_id=ReviewId(decode.reference("review_id", message.review_id)),
            context=await self._context(message.context),
            request_id=decode.request_id(message.request_id, required=True),
            audience=decode.audience("audience", message.audience),
            trace=decode.trace_id(call.trace),
        )
        answer = await self._flow.claim(call.subject, ask, deadline_s=call.deadline_s)
        self._count("claim", call.subject, answer)
        return encode.claim(answer, await self._minting.token(answer))

    async def answer(
        self, call: Call[Caller], message: decisions_pb2.AnswerRequest
    ) -> context_pb2.ReviewStatus:
        """Answer."""
        answered_by = decode.answered_by(message)
        token = message.answered_by.evidence
        given = ("answered_by", answered_by, token) if answered_by and token else None
        review = await self._flow.answer(
            call.subject,
            ReviewId(decode.reference("review_id", message.review_id)),
            question_id=QuestionId(decode.reference("question_id", message.question_id)),
            text=decode.text("text", message.text),
            request_id=decode.request_id(message.request_id, required=True),
            answered_by=answered_by,
            evidence=await self._proof(call.subject, given),
            made_by=call.made_by,
        )
        return encode.status(review)

    async def cancel(
        self, call: Call[Caller], message: decisions_pb2.CancelRequest
    ) -> context_pb2.ReviewStatus:
        """Cancel."""
        review = await self._flow.cancel(
            call.subject,
            ReviewId(decode.reference("review_id", message.review_id)),
            reason=decode.text("reason", message.reason),
            request_id=decode.request_id(message.request_id, required=True),
        )
        return encode.status(review)

    async def report(
        self, call: Call[Caller], message: decisions_pb2.ReportRequest
    ) -> decisions_pb2.ReportResponse:
        """Report."""
        if bool(message.permit_id) == bool(message.decision_id):
            raise InvalidRequestError("permit_id, decision_id", "give exactly one of them")
        outcome: Outcome | None = _OUTCOMES.get(message.outcome)
        if outcome is None:
            raise InvalidRequestError("outcome", "must be SUCCEEDED, FAILED or AMBIGUOUS")
        permit = message.permit_id and decode.reference("permit_id", message.permit_id)
        decision = message.decision_id and decode.reference("decision_id", message.decision_id)
        ask = ReportAsk(
            permit_id=PermitId(permit) if permit else None,
            decision_id=DecisionId(decision) if decision else None,
            outcome=outcome,
            detail=self._decoder.object("detail_json", message.detail_json),
            request_id=decode.request_id(message.request_id, required=True),
        )
        reported = await self._flow.report(call.subject, ask)
        response = decisions_pb2.ReportResponse(
            record=encode.record_ref(reported.record), replayed=reported.replayed
        )
        if reported.review:
            response.review.CopyFrom(encode.status(reported.review))
        return response

    def _count(self, method: str, caller: Caller, answer: Answer) -> None:
        if not answer.replayed:
            self._metrics.decision(method, answer.decision.effect.value, caller.tenant)
