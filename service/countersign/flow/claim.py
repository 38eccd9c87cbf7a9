"""Claim: spend an approval, once, for exactly the context it was given for.

Today's policy, directory and registry are asked again (invariant 8); the
review's own rules judge inside the transaction. A mismatch, a wrong claimant
or a passing fault spends nothing.
"""

from __future__ import annotations

import dataclasses
import hmac

from countersign import canonical
from countersign.errors import InvalidRequestError
from countersign.flow import keeping, record, shadowing
from countersign.flow.answer import Answer, decision_body, new_permit, replay
from countersign.flow.filing import file
from countersign.flow.in_flight import Flight
from countersign.flow.judge import Judgement, judge
from countersign.flow.parts import Parts
from countersign.flow.question import ClaimOf
from countersign.flow.request import Named, Request
from countersign.flow.staff import Staff
from countersign.flow.transition import elapsed, unknown_review
from countersign.model import (
    ActionContext,
    Caller,
    DecisionId,
    Effect,
    JsonObject,
    JsonValue,
    PermitClaims,
    PermitId,
    Reason,
    Review,
    ReviewId,
    ReviewState,
    new_id,
    rfc3339,
)
from countersign.review import ClaimAttempted, Refusal, approvals, may_claim, step
from countersign.store.protocol import Decision, Transaction


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ClaimAsk:
    """A Claim as the edge parsed it."""

    review_id: ReviewId
    context: ActionContext
    request_id: str
    audience: str = ""
    trace: str = ""


async def claim(parts: Parts, claimant: Caller, ask: ClaimAsk, *, deadline_s: float) -> Answer:
    """Answer one Claim. Raises `RequestError` when no decision could be made."""
    answer = await _answer(parts, claimant, ask, deadline_s=deadline_s)
    return await keeping.kept(parts, claimant.tenant, answer, deadline_s=deadline_s)


async def _answer(parts: Parts, claimant: Caller, ask: ClaimAsk, *, deadline_s: float) -> Answer:
    audience = claimant.audience or claimant.id
    if ask.audience not in ("", audience):
        raise InvalidRequestError(
            "audience", "must be the one registered for this caller; leave it out"
        )
    context_bytes = canonical.encode(ask.context.to_json())
    request = Request.of(
        parts,
        claimant,
        "claim",
        ask.request_id,
        ask.review_id.encode(),
        context_bytes,
    )
    if request.key is not None and await parts.store.answer(request.key):
        before = await parts.store.apply(
            Named(name="claim.replay", run=lambda tx: replay(tx, claimant, request))
        )
        if before:
            return before
    review = await parts.store.review(claimant.tenant, ask.review_id)
    if review is None or not _concerns(review, claimant):
        raise unknown_review()
    first = await parts.store.decision(review.tenant, review.decision)
    salt = first.salt if first else None
    bound = canonical.bound_bytes(claimant.tenant, context_bytes)
    commitment = canonical.commitment(bound, salt).hex() if salt else ""
    with parts.in_flight.begin(review.tenant, review.caller, ask.context.action) as flight:
        judgement = None
        if hmac.compare_digest(commitment, review.commitment):
            judgement = await _judge_today(
                parts, claimant, review, ask, context_bytes, deadline_s, flight
            )
        keeping.require_room(parts, claimant.tenant)
        command = _Claim(parts, claimant, ask, request, judgement, commitment, audience)
        answer = await parts.store.apply(Named(name="claim", run=command.run))
    shadowing.offer(parts, judgement, answer)
    return answer


def _concerns(review: Review, claimant: Caller) -> bool:
    """Whether this caller may know of the review: the requester, or a named executor."""
    return review.caller == claimant.id or may_claim(
        review.requirement, review.caller, claimant.id, claimant.audience
    )


async def _judge_today(
    parts: Parts,
    claimant: Caller,
    review: Review,
    ask: ClaimAsk,
    context_bytes: bytes,
    deadline_s: float,
    flight: Flight,
) -> Judgement | None:
    """Ask today's policy about the approved context, as its requester's."""
    requester = parts.directory().caller(review.tenant, review.caller)
    if requester is None:
        return None
    return await judge(
        parts,
        requester,
        ask.context,
        context_bytes,
        deadline_s=deadline_s,
        claim=ClaimOf(
            claimant=claimant.id, requester=review.requester, approval=approval(parts, review)
        ),
        flight=flight,
    )


def approval(parts: Parts, review: Review) -> JsonObject:
    """What policy is told of the approval it granted."""
    people = parts.directory()
    votes: list[JsonValue] = [
        {
            "person": vote.person,
            "choice": vote.choice.value,
            "delegated_by": vote.delegated_by,
            "break_glass": vote.break_glass,
            "assurance": vote.assurance.value,
            "groups": record.sorted_list(people.groups_of(review.tenant, vote.person) or ()),
            "at": rfc3339(vote.at),
        }
        for vote in approvals(review)
    ]
    return {
        "review": review.id,
        "revision": review.revision,
        "approved_at": rfc3339(review.approved_at) if review.approved_at else None,
        "votes": votes,
    }


class _Claim:
    """The command of one Claim."""

    def __init__(
        self,
        parts: Parts,
        claimant: Caller,
        ask: ClaimAsk,
        request: Request,
        judgement: Judgement | None,
        commitment: str,
        audience: str,
    ) -> None:
        self._parts = parts
        self._claimant = claimant
        self._ask = ask
        self._request = request
        self._judgement = judgement
        self._commitment = commitment
        self._audience = audience
        self._id = DecisionId(new_id("dec"))
        self._permit_id = PermitId(new_id("pmt"))
        self._body: JsonObject = {}
        self._object: tuple[str, bytes] | None = None
        if judgement:
            self._body, self._object = decision_body(judgement)

    def run(self, tx: Transaction) -> Answer:
        """Judge and commit."""
        before = replay(tx, self._claimant, self._request)
        if before:
            return before
        review = tx.review(self._claimant.tenant, self._ask.review_id)
        if review is None:
            raise unknown_review()
        review = elapsed(tx, review)
        result = self._step(tx, review)
        if isinstance(result, Refusal):
            reason = Reason(code=result.code, message=result.message)
            return self._deny(tx, review, (reason,))
        if result is review:
            assert self._judgement is not None  # noqa: S101 - a fault comes with a judgement
            decision = self._judgement.decision
            return self._deny(tx, review, decision.reasons, retryable=decision.retryable)
        tx.put_review(result)
        if result.state is ReviewState.CLAIMED:
            return self._grant(tx, result)
        answer = self._deny(tx, result, result.closed_reasons)
        file(tx, result.tenant, record.of_review("review.closed", result))
        return answer

    def _step(self, tx: Transaction, review: Review) -> Review | Refusal:
        """The rules' word; the review itself when policy could not be asked."""
        judgement = self._judgement
        if judgement is None:
            return self._unjudged(review)
        event = ClaimAttempted(
            claimant=self._claimant.id,
            audience=self._claimant.audience,
            commitment=self._commitment,
            policy=judgement.decision,
            excluded=judgement.chain.excluded,
            people=Staff(directory=judgement.directory),
            permit=self._permit_id,
        )
        result = step(review, event, tx.now)
        if judgement.fault and not isinstance(result, Refusal):
            return review
        return result

    def _unjudged(self, review: Review) -> Refusal:
        if self._commitment != review.commitment:
            return Refusal(
                code="claim.mismatch",
                message="this is not the context that was approved; nothing was spent",
            )
        return Refusal(
            code="caller.not_registered",
            message="the caller that asked for this approval is no longer registered",
        )

    def _grant(self, tx: Transaction, review: Review) -> Answer:
        assert self._judgement is not None  # noqa: S101 - granted means judged
        revision = self._judgement.decision.revision
        claims = new_permit(
            self._parts,
            tx,
            id=self._permit_id,
            caller=self._claimant,
            audience=self._audience,
            action=review.action,
            commitment=review.commitment,
            decision=self._id,
            review=review.id,
            policy_revision=revision,
        )
        granted = self._file(tx, review, Effect.ALLOW, (), revision, permit=claims)
        tx.put_permit(claims)
        return Answer(decision=granted, review=review, permit=claims)

    def _deny(
        self,
        tx: Transaction,
        review: Review,
        reasons: tuple[Reason, ...],
        *,
        retryable: bool = False,
    ) -> Answer:
        revision = self._judgement.decision.revision if self._judgement else ""
        denied = self._file(tx, review, Effect.DENY, reasons, revision, retryable=retryable)
        return Answer(decision=denied, review=review)

    def _file(
        self,
        tx: Transaction,
        review: Review,
        effect: Effect,
        reasons: tuple[Reason, ...],
        revision: str,
        *,
        permit: PermitClaims | None = None,
        retryable: bool = False,
    ) -> Decision:
        """Record the claim, then store its decision and answer."""
        if self._object:
            tx.put_object(review.tenant, *self._object)
        first = tx.decision(review.tenant, review.decision)
        body = {
            **self._body,
            "action": review.action,
            "effect": effect.value,
            "reasons": record.reasons(reasons),
        }
        ref = file(
            tx,
            review.tenant,
            record.record(
                "claim",
                review.tenant,
                **body,
                caller=self._claimant.id,
                commitment=review.commitment,
                decision=self._id,
                permit=record.permit(permit) if permit else None,
                request=self._request.record,
                review=review.id,
                review_state=record.review_state(review),
                trace=self._ask.trace,
            ),
        )
        decision = Decision(
            tenant=review.tenant,
            id=self._id,
            caller=self._claimant.id,
            method="claim",
            action=review.action,
            effect=effect,
            reasons=reasons,
            retryable=retryable,
            policy_revision=revision,
            commitment=review.commitment,
            salt=first.salt if first and permit else None,
            review=review.id,
            permit=permit.id if permit else None,
            record=ref,
            at=tx.now,
            rows=self._judgement.findings.quantity.rows if self._judgement else 0,
            amount=self._judgement.findings.quantity.amount if self._judgement else 0,
        )
        tx.put_decision(decision)
        if not retryable:
            self._request.remember(tx, {"decision": decision.id})
        return decision
