"""The protocol, once for both clients: what is sent, when, and what it means.

Every method is a generator of steps (see `steps`), so waiting is somebody
else's business. Invariants kept here:

- nothing is retried but a server that was away, a reply that was lost and a
  DENY that the server itself calls passing; always under the same request id,
  with exponential back-off and full jitter, within a budget;
- an effect, a state or a permit that is not understood is never permission;
- every claim makes its own request id, so a replay is this call's own lost
  reply (design invariant 5); what an earlier call spent is `AlreadyClaimed`.

Clocks and randomness come in as arguments.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from countersign import canonical
from countersign.client.context import Context, strict_object
from countersign.client.errors import (
    AlreadyClaimed,
    CountersignClientError,
    Denied,
    InvalidRequest,
    ProtocolError,
    refusal,
)
from countersign.client.pending import Pending
from countersign.client.permits import lifetime_s
from countersign.client.status import of_item
from countersign.client.steps import Conversation
from countersign.client.values import (
    Decision,
    Grant,
    ReviewStatus,
    effect_of,
    permit_of,
    reasons_of,
    record_of,
    status_of,
)
from countersign.client.waiting import Waiting
from countersign.model import Effect, Outcome, new_id
from countersign.v1 import context_pb2, decisions_pb2

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_MAX_BATCH: Final = 50
_OUTCOMES: Final = {
    Outcome.SUCCEEDED: context_pb2.OUTCOME_SUCCEEDED,
    Outcome.FAILED: context_pb2.OUTCOME_FAILED,
    Outcome.AMBIGUOUS: context_pb2.OUTCOME_AMBIGUOUS,
}


class Conversations(Waiting):
    """Makes the conversations of one client."""

    def check(
        self,
        context: Context,
        *,
        request_id: str | None = None,
        create_review: bool = True,
        labels: Mapping[str, str] | None = None,
        supersedes: str = "",
        permit_audience: str = "",
        evidence: str = "",
    ) -> Conversation[Decision]:
        """Ask what policy says."""
        request = decisions_pb2.CheckRequest(
            context=context.to_check_message(evidence),
            request_id=_request_id(request_id, "chk"),
            create_review=create_review,
            labels=labels or {},
            supersedes=supersedes,
            permit_audience=permit_audience,
        )
        started_s = self._wall()
        answer = yield from self.call("Check", request, passing=_passing_denial)
        return self._decision(
            answer,
            context,
            started_s,
            create_review=create_review,
            permit_audience=permit_audience,
            own_id=request_id is None,
        )

    def check_many(
        self,
        contexts: Sequence[Context],
        *,
        create_review: bool = True,
        labels: Mapping[str, str] | None = None,
    ) -> Conversation[tuple[Decision | CountersignClientError, ...]]:
        """Ask what policy says of each; what failed stands in its place."""
        found: list[Decision | CountersignClientError] = []
        for start in range(0, len(contexts), _MAX_BATCH):
            few = contexts[start : start + _MAX_BATCH]
            items = [
                decisions_pb2.CheckRequest(
                    context=context.to_check_message(),
                    request_id=new_id("chk"),
                    create_review=create_review,
                    labels=labels or {},
                )
                for context in few
            ]
            started_s = self._wall()
            request = decisions_pb2.BatchCheckRequest(items=items)
            results = (yield from self.call("BatchCheck", request)).results
            if len(results) != len(few):
                raise ProtocolError(
                    "protocol.batch", "the server did not answer each of the contexts"
                )
            for context, result in zip(few, results, strict=True):
                found.append(
                    self._of_batch(result, context, started_s, create_review=create_review)
                )
        return tuple(found)

    def _of_batch(
        self,
        result: decisions_pb2.BatchCheckResult,
        context: Context,
        started_s: float,
        *,
        create_review: bool,
    ) -> Decision | CountersignClientError:
        try:
            if not result.HasField("answer"):
                return of_item(result.error)
            return self._decision(
                result.answer,
                context,
                started_s,
                create_review=create_review,
                permit_audience="",
                own_id=True,
            )
        except CountersignClientError as error:
            return error

    def _decision(
        self,
        answer: decisions_pb2.CheckResponse,
        context: Context,
        started_s: float,
        *,
        create_review: bool,
        permit_audience: str,
        own_id: bool,
    ) -> Decision:
        effect = effect_of(answer.effect)
        pending = None
        if effect is Effect.NEEDS_APPROVAL and (create_review or answer.HasField("review")):
            pending = _pending(answer, context)
        grant = None
        # Under an id from elsewhere a replay may have been acted on, before a restart perhaps.
        if effect is Effect.ALLOW and not (answer.replayed and not own_id):
            if permit_audience and not answer.HasField("permit"):
                raise _no_permit()
            grant = self._grant(answer, context, started_s)
        return Decision(
            id=answer.decision_id,
            effect=effect,
            reasons=reasons_of(answer.reasons),
            policy_revision=answer.policy_revision,
            pending=pending,
            grant=grant,
            review_reused=answer.review_reused,
            record=record_of(answer.record),
            retryable=answer.retryable,
            replayed=answer.replayed,
        )

    def claim(
        self, review: Pending | str, context: Context, *, audience: str = ""
    ) -> Conversation[Grant]:
        """Spend an approval for exactly this context."""
        earlier: tuple[str, ...] = ()
        if isinstance(review, str):
            review_id, request_id = review, new_id("clm")
        else:
            review.require_same(context)
            review_id = review.review_id
            request_id, earlier = review.begin_claim()
        request = decisions_pb2.ClaimRequest(
            review_id=review_id,
            context=context.to_message(),
            request_id=request_id,
            audience=audience,
        )
        started_s = self._wall()
        answer = yield from self.call("Claim", request, passing=_passing_denial)
        if effect_of(answer.effect) is Effect.ALLOW:
            if not answer.HasField("permit"):
                raise _no_permit()
            return self._grant(answer, context, started_s, review_id=review_id)
        error = refusal(
            status_of(answer.review).state if answer.HasField("review") else None,
            reasons_of(answer.reasons),
            review_id=review_id,
            decision_id=answer.decision_id,
            retryable=answer.retryable,
        )
        if isinstance(error, AlreadyClaimed):
            error.permit_id = yield from self._spent_permit(request, earlier)
        raise error

    def _spent_permit(
        self, request: decisions_pb2.ClaimRequest, earlier: tuple[str, ...]
    ) -> Conversation[str]:
        """The permit an earlier claim of this handle got, to report on and not to use.

        The review is spent already, so asking under the old id can only repeat
        an old answer.
        """
        for request_id in reversed(earlier):
            request.request_id = request_id
            try:
                answer = yield from self.call("Claim", request)
            except CountersignClientError:
                continue  # the error at hand matters more than its permit's id
            if answer.HasField("permit"):
                return str(answer.permit.permit_id)
        return ""

    def _grant(
        self,
        answer: decisions_pb2.CheckResponse | decisions_pb2.ClaimResponse,
        context: Context,
        started_s: float,
        *,
        review_id: str = "",
    ) -> Grant:
        permit, until_s = None, None
        if answer.HasField("permit"):
            permit = permit_of(answer.permit)
            until_s = started_s + lifetime_s(permit, context)
        if not answer.decision_id:
            raise ProtocolError("protocol.decision", "the server sent a decision without an id")
        grant = Grant(
            decision_id=answer.decision_id,
            review_id=review_id,
            policy_revision=answer.policy_revision,
            permit=permit,
            usable_until_s=until_s,
            record=record_of(answer.record),
        )
        grant.require_fresh(self._wall())
        return grant

    def authorize(
        self,
        context: Context,
        *,
        timeout_s: float | None = None,
        labels: Mapping[str, str] | None = None,
        answering: bool = False,
        evidence: str = "",
    ) -> Conversation[Grant]:
        """Check, wait and claim in one: permission to act, or the error that says why not."""
        began_s = self._clock()
        decision = yield from self.check(context, labels=labels, evidence=evidence)
        if decision.grant is not None:
            return decision.grant
        if decision.pending is None:
            raise Denied(decision.reasons, decision_id=decision.id, retryable=decision.retryable)
        left_s = None
        if timeout_s is not None:
            left_s = max(timeout_s - (self._clock() - began_s), 0.0)
        try:
            return (
                yield from self._redeem(
                    decision.pending, context, timeout_s=left_s, answering=answering
                )
            )
        except CountersignClientError as error:
            error.pending = decision.pending
            raise

    def _redeem(
        self, pending: Pending, context: Context, *, timeout_s: float | None, answering: bool
    ) -> Conversation[Grant]:
        status = pending.status
        if status is None or not status.decided:
            status = yield from self.wait(pending, timeout_s=timeout_s, answering=answering)
        status.require_approved()
        return (yield from self.claim(pending, context))

    def cancel(self, review: Pending | str, *, reason: str = "") -> Conversation[ReviewStatus]:
        """Withdraw a review that has not been claimed."""
        review_id = review if isinstance(review, str) else review.review_id
        request = decisions_pb2.CancelRequest(
            review_id=review_id, reason=reason, request_id=new_id("cnl")
        )
        answer = yield from self.call("Cancel", request)
        return status_of(answer)

    def report(
        self, acted_on: Grant | str, outcome: Outcome, detail: Mapping[str, Any] | None = None
    ) -> Conversation[ReviewStatus | None]:
        """Say how the action ended; the review it belongs to, if there was one."""
        grant = acted_on if isinstance(acted_on, Grant) else None
        named = acted_on if isinstance(acted_on, str) else ""
        decided = named if named.startswith("dec_") else ""
        permit_id = "" if decided else named
        if grant is not None and grant.permit is not None:
            permit_id = grant.permit.id
        sound = strict_object("detail", detail or {}, error=InvalidRequest)
        request = decisions_pb2.ReportRequest(
            permit_id=permit_id,
            decision_id=grant.decision_id if grant is not None and not permit_id else decided,
            outcome=_OUTCOMES[Outcome(outcome)],
            detail_json=canonical.encode(sound),
            request_id=new_id("rep"),
        )
        answer = yield from self.call("Report", request, budget_s=self._timing.report_s)
        return status_of(answer.review) if answer.HasField("review") else None


def _request_id(given: str | None, prefix: str) -> str:
    if given is None:
        return new_id(prefix)
    if not _REQUEST_ID.fullmatch(given):
        raise InvalidRequest("request_id", "must be 1 to 128 of A-Z a-z 0-9 . _ : -")
    return given


def _pending(answer: decisions_pb2.CheckResponse, context: Context) -> Pending:
    if not answer.HasField("review") or len(answer.salt) != canonical.SALT_BYTES:
        raise ProtocolError(
            "protocol.review", "the server asks for approval but opened no review to wait for"
        )
    return Pending.of(
        status_of(answer.review),
        context=context,
        decision_id=answer.decision_id,
        salt=answer.salt,
    )


def _passing_denial(
    answer: decisions_pb2.CheckResponse | decisions_pb2.ClaimResponse,
) -> bool:
    return answer.retryable and answer.effect == context_pb2.EFFECT_DENY


def _no_permit() -> ProtocolError:
    return ProtocolError(
        "protocol.permit",
        "the server allowed the action but sent no permit",
        advice="Nothing may run. Tell the operator of the Countersign server.",
    )
