"""A decision point in memory that keeps the rules of the real one.

Speaks the messages of `countersign.v1.Decisions` and is as strict as the
server: an approval is bound to its context, spent once and in time, a request
id means one answer, people behind a request cannot approve it, and what no rule
allows is denied. It keeps no record and signs nothing, so its permits convince
the SDK and no executor. Used by the fakes of this package and, behind real
gRPC, by the SDK's own tests.
"""

from __future__ import annotations

import fnmatch
import secrets
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import grpc
from google.protobuf.message import Message

from countersign import canonical
from countersign.client.context import Context
from countersign.client.errors import InvalidContext
from countersign.client.status import CallFailed
from countersign.client.testing import activity, batches
from countersign.client.testing.permits import unsigned_permit
from countersign.client.testing.rules import HeldReview, Rule
from countersign.model import Effect, Reason, ReviewState, new_id
from countersign.v1 import activity_pb2, context_pb2, decisions_pb2, reviews_pb2

M = TypeVar("M", bound=Message)
_EFFECTS: Final = {
    Effect.ALLOW: context_pb2.EFFECT_ALLOW,
    Effect.DENY: context_pb2.EFFECT_DENY,
    Effect.NEEDS_APPROVAL: context_pb2.EFFECT_NEEDS_APPROVAL,
}


class DecisionPoint:
    """Decides by rules, holds reviews, spends approvals. Safe to use from threads."""

    def __init__(self, now: Callable[[], float], *, tenant: str = "test") -> None:
        self.rules: list[Rule] = []
        self.reviews: dict[str, HeldReview] = {}
        self.reports: list[decisions_pb2.ReportRequest] = []
        self.answered: list[decisions_pb2.AnswerRequest] = []
        self.logged: list[activity_pb2.LogRequest] = []
        self.changed: Callable[[], None] = lambda: None
        """Called after every change of a review."""
        self._now = now
        self._tenant = tenant
        self._answers: dict[tuple[str, str], tuple[bytes, Message]] = {}
        self._granted: dict[str, HeldReview | None] = {}
        self._lock = threading.RLock()

    def handle(self, method: str, request: Message) -> Message:
        """Answer one call, the same request id always the same. Raises `CallFailed`."""
        with self._lock:
            request_id: str = getattr(request, "request_id", "")
            key, content = (method, request_id), _content(request)
            if request_id and key in self._answers:
                known, answer = self._answers[key]
                if known != content:
                    raise failure("FAILED_PRECONDITION", "request_id.reused", "was used before")
                return _replayed(answer)
            answer = _METHODS[method](self, request)
            if request_id and not getattr(answer, "retryable", False):
                self._answers[key] = (content, answer)
            return answer

    def _log(self, request: activity_pb2.LogRequest) -> Message:
        self.logged.append(request)
        return activity.log(len(self.logged))

    # --- what machines ask ---------------------------------------------------

    def _check(self, request: decisions_pb2.CheckRequest) -> decisions_pb2.CheckResponse:
        context = _context(request.context)
        bound = context.canonical_bytes
        rule = self._rule(context.action)
        answer = decisions_pb2.CheckResponse(
            decision_id=new_id("dec"),
            effect=_EFFECTS[rule.effect],
            reasons=_reasons(rule.reasons),
            policy_revision="test",
            retryable=rule.retryable,
        )
        if rule.effect is Effect.ALLOW:
            self._granted[answer.decision_id] = None
            if request.permit_audience:
                salt = secrets.token_bytes(canonical.SALT_BYTES)
                answer.permit.CopyFrom(self._permit(answer.decision_id, bound, salt, context))
        if rule.effect is Effect.NEEDS_APPROVAL and request.create_review:
            review = next((r for r in self._open() if r.bound == bound), None)
            answer.review_reused = review is not None
            review = review or self._opened(rule, bound, context)
            answer.salt = review.salt
            answer.review.CopyFrom(self.status(review.id))
            if request.supersedes in self.reviews and request.supersedes != review.id:
                old = self.reviews[request.supersedes]
                old.superseded_by = review.id
                self._move(old, ReviewState.CANCELLED)
        return answer

    def _await(self, request: decisions_pb2.AwaitRequest) -> decisions_pb2.AwaitResponse:
        """The snapshot now; waiting for the next is up to whoever hosts this."""
        status = self.status(request.review_id)
        return decisions_pb2.AwaitResponse(review=status, changed=status.cursor != request.after)

    def _claim(self, request: decisions_pb2.ClaimRequest) -> decisions_pb2.ClaimResponse:
        if not request.request_id:
            raise failure("INVALID_ARGUMENT", "request.invalid", "is required", "request_id")
        context = _context(request.context)
        bound = context.canonical_bytes
        review = self.held(request.review_id)
        answer = decisions_pb2.ClaimResponse(decision_id=new_id("dec"), policy_revision="test")
        answer.effect = context_pb2.EFFECT_DENY
        if bound != review.bound:
            mismatch = Reason(code="claim.mismatch", message="another context was approved")
            answer.reasons.extend(_reasons([mismatch]))
        elif review.state is ReviewState.APPROVED:
            while review.rule.at_claim and review.state is ReviewState.APPROVED:
                review.rule.at_claim.pop(0)(self, review.id)
        if bound == review.bound:
            if review.state is ReviewState.APPROVED:
                answer.effect = context_pb2.EFFECT_ALLOW
                permit = self._permit(answer.decision_id, bound, review.salt, context)
                answer.permit.CopyFrom(permit)
                review.permit_id = permit.permit_id
                self._granted[permit.permit_id] = review
                self._move(review, ReviewState.CLAIMED)
            else:
                state = Reason(code=f"review.{review.state}", message=f"it is {review.state}")
                answer.reasons.extend(_reasons(review.reasons or [state]))
        answer.review.CopyFrom(self.status(review.id))
        return answer

    def _answer(self, request: decisions_pb2.AnswerRequest) -> context_pb2.ReviewStatus:
        review = self.held(request.review_id)
        if request.question_id not in review.questions:
            raise failure("NOT_FOUND", "not_found", "no such question")
        del review.questions[request.question_id]
        self.answered.append(request)
        if request.HasField("answered_by"):
            review.behind |= {request.answered_by.id}
        review.approvals.clear()
        review.revision += 1
        state = ReviewState.INFO_REQUESTED if review.questions else ReviewState.PENDING
        self._move(review, state)
        return self.status(review.id)

    def _cancel(self, request: decisions_pb2.CancelRequest) -> context_pb2.ReviewStatus:
        review = self.held(request.review_id)
        if not review.state.is_open:
            raise failure("FAILED_PRECONDITION", "review.closed", "the review is closed")
        self._move(review, ReviewState.CANCELLED)
        return self.status(review.id)

    def _report(self, request: decisions_pb2.ReportRequest) -> decisions_pb2.ReportResponse:
        name = request.permit_id or request.decision_id
        if name not in self._granted:
            raise failure("NOT_FOUND", "not_found", "no such permit or decision")
        self.reports.append(request)
        answer = decisions_pb2.ReportResponse()
        review = self._granted[name]
        if review is not None:
            review.outcome = request.outcome
            answer.review.CopyFrom(self.status(review.id))
        return answer

    # --- what people do ------------------------------------------------------

    def approve(self, review_id: str, person: str) -> None:
        """Count an approval. Raises `ValueError` for somebody behind the request."""
        with self._lock:
            review = self._voting(review_id)
            if person in review.behind:
                raise ValueError(f"{person} stands behind this request and cannot approve it")
            review.approvals.add(person)
            if len(review.approvals) >= review.rule.quorum:
                review.use_by_s = self._now() + review.rule.use_within_s
                self._move(review, ReviewState.APPROVED)
            else:
                self._move(review, review.state)

    def break_glass(self, review_id: str, person: str) -> None:
        """Approve alone, whatever the quorum; an after-review is open from then on."""
        with self._lock:
            review = self._voting(review_id)
            if person in review.behind or person not in review.rule.break_glass:
                raise ValueError(f"{person} may not break the glass of this review")
            review.approvals.add(person)
            review.after_review = reviews_pb2.AfterReview(person_id=person)
            review.after_review.broken_at.FromMicroseconds(int(self._now() * 1e6))
            review.use_by_s = self._now() + review.rule.use_within_s
            self._move(review, ReviewState.APPROVED)

    def deny(self, review_id: str, person: str, reason: str) -> None:
        """Close a review; a denial wins."""
        with self._lock:
            review = self._voting(review_id)
            review.reasons = (Reason(code="review.denied", message=f"{person}: {reason}"),)
            self._move(review, ReviewState.DENIED)

    def ask(self, review_id: str, person: str, question: str) -> None:
        """Ask the requester something."""
        with self._lock:
            review = self._voting(review_id)
            review.questions[new_id("qst")] = f"{person}: {question}"
            self._move(review, ReviewState.INFO_REQUESTED)

    def revoke(self, review_id: str, person: str, reason: str) -> None:
        """Take an approval back."""
        with self._lock:
            review = self.held(review_id)
            if review.state is not ReviewState.APPROVED:
                raise ValueError(f"a review that is {review.state} cannot be revoked")
            review.reasons = (Reason(code="review.revoked", message=f"{person}: {reason}"),)
            self._move(review, ReviewState.REVOKED)

    def act(self, review_id: str) -> bool:
        """Let people do the next thing their rule scripts; False when there is none."""
        with self._lock:
            review = self.held(review_id)
            if not review.acts or not review.state.awaits_votes:
                return False
            review.acts.pop(0)(self, review_id)
            return True

    def status(self, review_id: str) -> context_pb2.ReviewStatus:
        """A snapshot, with timers applied."""
        review = self.held(review_id)
        status = context_pb2.ReviewStatus(
            review_id=review.id,
            state=context_pb2.ReviewState.Value(f"REVIEW_STATE_{review.state.name}"),
            cursor=f"v{review.version}",
            revision=review.revision,
            open_questions=[
                context_pb2.Question(question_id=name, text=text)
                for name, text in review.questions.items()
            ],
            reasons=_reasons(review.reasons),
            superseded_by=review.superseded_by,
            outcome=review.outcome,
        )
        status.approve_by.FromMicroseconds(int(review.approve_by_s * 1e6))
        if review.use_by_s:
            status.use_by.FromMicroseconds(int(review.use_by_s * 1e6))
        return status

    # --- inside --------------------------------------------------------------

    def _rule(self, action: str) -> Rule:
        for rule in reversed(self.rules):
            if fnmatch.fnmatchcase(action, rule.pattern) and rule.times != 0:
                if rule.times is not None:
                    rule.times -= 1
                return rule
        undefined = Reason(code="policy.undefined", message="no rule is about this action")
        return Rule(pattern="*", effect=Effect.DENY, reasons=(undefined,))

    def _opened(self, rule: Rule, bound: bytes, context: Context) -> HeldReview:
        review = HeldReview(
            id=new_id("rev"),
            rule=rule,
            bound=bound,
            salt=secrets.token_bytes(canonical.SALT_BYTES),
            behind=frozenset(principal.id for principal in context.on_behalf_of),
            approve_by_s=self._now() + rule.approve_within_s,
            acts=list(rule.acts),
        )
        self.reviews[review.id] = review
        return review

    def _open(self) -> list[HeldReview]:
        return [r for r in map(self.held, self.reviews) if r.state.is_open]

    def held(self, review_id: str) -> HeldReview:
        """One review, with timers applied. Raises `CallFailed`."""
        review = self.reviews.get(review_id)
        if review is None:
            raise failure("NOT_FOUND", "not_found", "no such review")
        if review.state.awaits_votes and self._now() >= review.approve_by_s:
            self._move(review, ReviewState.EXPIRED)
        if review.state is ReviewState.APPROVED and self._now() >= review.use_by_s:
            self._move(review, ReviewState.LAPSED)
        return review

    def _voting(self, review_id: str) -> HeldReview:
        review = self.held(review_id)
        if not review.state.awaits_votes:
            raise ValueError(f"a review that is {review.state} takes no votes")
        return review

    def _move(self, review: HeldReview, state: ReviewState) -> None:
        review.state = state
        review.version += 1
        self.changed()

    def _permit(
        self, decision_id: str, bound: bytes, salt: bytes, context: Context
    ) -> context_pb2.Permit:
        return unsigned_permit(
            int(self._now()),
            tenant=self._tenant,
            action=context.action,
            bound=bound,
            salt=salt,
            decision_id=decision_id,
        )


_METHODS: Final[dict[str, Callable[[DecisionPoint, Any], Message]]] = {
    "Check": DecisionPoint._check,  # noqa: SLF001 - its own dispatch table
    "BatchCheck": lambda point, request: batches.batch_check(point.handle, request),
    "Await": DecisionPoint._await,  # noqa: SLF001
    "Claim": DecisionPoint._claim,  # noqa: SLF001
    "Answer": DecisionPoint._answer,  # noqa: SLF001
    "Cancel": DecisionPoint._cancel,  # noqa: SLF001
    "Report": DecisionPoint._report,  # noqa: SLF001
    "Sanitize": lambda _, request: activity.sanitize(request),
    "Log": DecisionPoint._log,  # noqa: SLF001
}


def _content(request: Message) -> bytes:
    """What a request id is bound to: all but evidence, which is fresh with every try."""
    bound = type(request).FromString(request.SerializeToString())
    if isinstance(bound, decisions_pb2.CheckRequest):
        for principal in (bound.context.actor, *bound.context.on_behalf_of):
            principal.ClearField("evidence")
    if isinstance(bound, decisions_pb2.AnswerRequest):
        bound.answered_by.ClearField("evidence")
    return bound.SerializeToString(deterministic=True)


def _context(message: context_pb2.Context) -> Context:
    """The context as it arrived, read as strictly as the server does."""
    try:
        return Context.from_message(message)
    except InvalidContext as error:
        field = f"context.{error.field}"
        raise failure("INVALID_ARGUMENT", error.code, error.problem, field) from None


def _reasons(reasons: Sequence[Reason]) -> list[context_pb2.Reason]:
    return [context_pb2.Reason(code=reason.code, message=reason.message) for reason in reasons]


def failure(code: str, reason: str, message: str, field: str = "") -> CallFailed:
    """The status a call ends in."""
    fields = {field: message} if field else {}
    return CallFailed(code=grpc.StatusCode[code], reason=reason, message=message, fields=fields)


def _replayed(answer: M) -> M:
    again = type(answer)()
    again.CopyFrom(answer)
    if "replayed" in answer.DESCRIPTOR.fields_by_name:
        again.replayed = True  # type: ignore[attr-defined]
    return again
