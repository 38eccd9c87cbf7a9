"""Check: ask policy, and open a review where a person is needed. Never spends."""

from __future__ import annotations

import hashlib
import secrets

from countersign import canonical
from countersign.errors import PreconditionError
from countersign.flow import keeping, masking, record, shadowing
from countersign.flow.answer import Answer, decision_body, new_permit, replay
from countersign.flow.aside import aside
from countersign.flow.asking import Begun, CheckAsk, begin
from countersign.flow.draft import Draft, draft_review
from countersign.flow.filing import file
from countersign.flow.gate import account_too_new
from countersign.flow.judge import Judgement, deny, judge
from countersign.flow.parts import Parts
from countersign.flow.request import Named, Request
from countersign.flow.transition import elapsed, moved, unknown_review, widen
from countersign.model import (
    SECOND_US,
    Caller,
    DecisionId,
    Effect,
    JsonObject,
    JsonValue,
    PermitClaims,
    PermitId,
    PolicyDecision,
    Reason,
    RecordRef,
    Requirement,
    Review,
    ReviewId,
    ReviewState,
    after,
    new_id,
)
from countersign.review import Refusal, Withdrawn, scheduled
from countersign.store.protocol import Decision, Transaction


async def check(parts: Parts, caller: Caller, ask: CheckAsk, *, deadline_s: float) -> Answer:
    """Answer one Check. Raises `RequestError` when no decision could be made."""
    answer = await _answer(parts, caller, ask, deadline_s=deadline_s)
    return await keeping.kept(parts, caller.tenant, answer, deadline_s=deadline_s)


async def _answer(parts: Parts, caller: Caller, ask: CheckAsk, *, deadline_s: float) -> Answer:
    begun = await begin(parts, caller, ask)
    if isinstance(begun, Answer):
        return begun
    with parts.in_flight.begin(caller.tenant, caller.id, ask.context.action) as flight:
        judgement = await judge(
            parts,
            caller,
            ask.context,
            begun.context_bytes,
            deadline_s=deadline_s,
            evidence=ask.evidence,
            made_by=ask.made_by,
            flight=flight,
        )
        answer = await parts.store.apply(await command(parts, caller, begun, judgement))
    shadowing.offer(parts, judgement, answer)
    return answer


async def command(
    parts: Parts, caller: Caller, begun: Begun, judgement: Judgement
) -> Named[Answer]:
    """What decides finally, once it is applied. Raises `RequestError`."""
    ask, size = begun.ask, len(begun.context_bytes)
    denied = judgement.decision.effect is Effect.DENY
    keeping.require_room(parts, caller.tenant, essential=denied)
    given = dict[str, JsonValue](ask.labels)
    labels = await masking.detail(parts, given, size) if given else {}
    made = await aside(size, lambda: _Check(parts, caller, ask, begun.request, judgement, labels))
    return Named(name="check", run=made.run)


class _Check:
    """The command of one Check: everything slow is done before it runs."""

    def __init__(
        self,
        parts: Parts,
        caller: Caller,
        ask: CheckAsk,
        request: Request,
        judgement: Judgement,
        labels: JsonObject,
    ) -> None:
        self._parts = parts
        self._caller = caller
        self._ask = ask
        self._request = request
        self._judgement = judgement
        self._id = DecisionId(new_id("dec"))
        self._salt = secrets.token_bytes(canonical.SALT_BYTES)
        self._draft = draft_review(parts, judgement) if ask.create_review else None
        self._body, self._object = decision_body(judgement)
        self._labels = labels

    def run(self, tx: Transaction) -> Answer:
        """Decide finally and commit: duplicates, limits and the clock are known here."""
        before = replay(tx, self._caller, self._request)
        if before:
            return before
        decision = self._doubted(tx) or self._judgement.decision
        if self._draft is None or decision.requirement is None:
            return self._conclude(tx, decision)
        existing = tx.open_review(
            self._caller.tenant, self._caller.id, self._draft.base_fingerprint
        )
        if existing:
            existing = elapsed(tx, existing)
        if existing and existing.state.is_open and existing.id != self._ask.supersedes:
            if existing.fingerprint == self._draft.fingerprint:
                return self._reuse(tx, existing)
            return self._conclude(tx, self._denied("review.duplicate", _duplicate(existing)))
        refusal = self._limited(tx, self._draft)
        if refusal:
            return self._conclude(tx, refusal)
        return self._open(tx, decision, decision.requirement, self._draft)

    def _denied(self, code: str, message: str) -> PolicyDecision:
        return deny(Reason(code=code, message=message), self._judgement.decision.revision)

    def _doubted(self, tx: Transaction) -> PolicyDecision | None:
        """Whether the account that proves who asks is too new to prove it.

        Policy was told of that person, so what it grants or opens for them is no more
        to be relied on than whom the proof spares.
        """
        requester, evidence = self._judgement.requester, self._ask.evidence
        if requester is None or evidence is None:
            return None
        if self._judgement.decision.effect is Effect.DENY:
            return None
        refusal = account_too_new(self._parts, tx, self._caller.tenant, requester, evidence.proof)
        return self._denied("evidence.account_too_new", refusal.message) if refusal else None

    def _limited(self, tx: Transaction, draft: Draft) -> PolicyDecision | None:
        caller, limits = self._caller, self._parts.limits
        denied = tx.last_denied(caller.tenant, caller.id, draft.base_fingerprint)
        if denied and denied.votes:
            since_us = tx.now - denied.votes[-1].at
            if since_us < limits.deny_cool_down_s * SECOND_US:
                return self._denied(
                    "review.cooling_down", f"people denied this just now; see {denied.id}"
                )
        return self._too_many(tx)

    def _too_many(self, tx: Transaction) -> PolicyDecision | None:
        """Whether one more would be too many. One that takes another's place is not more."""
        tenant, limits = self._caller.tenant, self._parts.limits
        old = tx.review(tenant, ReviewId(self._ask.supersedes)) if self._ask.supersedes else None
        freed = int(old is not None and old.caller == self._caller.id and old.state.is_open)
        requester = self._judgement.requester
        counts = [
            (tx.count_open_reviews(tenant, self._caller.id), limits.max_open_reviews, "this caller")
        ]
        if requester:
            behind = tx.count_open_reviews_behind(tenant, requester)
            counts.append((behind, limits.max_open_reviews_behind, "the person behind it"))
        of_tenant = tx.count_open_reviews_of_tenant(tenant)
        counts.append((of_tenant, limits.quota(tenant).max_open_reviews, "this tenant"))
        for count, most, whose in counts:
            if count - freed >= most:
                message = f"{whose} has too many open reviews; settle some first"
                return self._denied("review.too_many_open", message)
        return None

    # --- the four ways it ends ---

    def _conclude(self, tx: Transaction, decision: PolicyDecision) -> Answer:
        """ALLOW, DENY, or NEEDS_APPROVAL without a review."""
        permit_id = None
        if decision.effect is Effect.ALLOW and self._ask.permit_audience:
            permit_id = PermitId(new_id("pmt"))
        commitment = self._commitment(self._salt)
        claims = permit_id and new_permit(
            self._parts,
            tx,
            id=permit_id,
            caller=self._caller,
            audience=self._ask.permit_audience,
            action=self._ask.context.action,
            commitment=commitment,
            decision=self._id,
            review=None,
            policy_revision=decision.revision,
        )
        ref = self._record(tx, decision, commitment, permit=claims or None)
        stored = self._decision(tx, decision, ref, commitment, self._salt, permit=permit_id)
        if claims:
            tx.put_permit(claims)
        if not decision.retryable:
            self._request.remember(tx, {"decision": stored.id})
        return Answer(decision=stored, permit=claims or None)

    def _reuse(self, tx: Transaction, existing: Review) -> Answer:
        review = widen(tx, existing, self._judgement.chain.excluded)
        first = tx.decision(review.tenant, review.decision)
        salt = first.salt if first else None
        decision = self._judgement.decision
        ref = self._record(tx, decision, review.commitment, review=review)
        stored = self._decision(tx, decision, ref, review.commitment, salt, review=review.id)
        self._request.remember(tx, {"decision": stored.id, "reused": True})
        return Answer(decision=stored, review=review, reused=True)

    def _open(
        self, tx: Transaction, decision: PolicyDecision, requirement: Requirement, draft: Draft
    ) -> Answer:
        if self._ask.supersedes:
            self._withdraw_old(tx, draft.id)
        commitment = self._commitment(self._salt)
        review = Review(
            tenant=self._caller.tenant,
            id=draft.id,
            decision=self._id,
            caller=self._caller.id,
            action=self._ask.context.action,
            state=ReviewState.PENDING,
            version=1,
            revision=1,
            created_at=tx.now,
            approve_by=after(tx.now, requirement.approve_within_s),
            commitment=commitment,
            fingerprint=draft.fingerprint,
            base_fingerprint=draft.base_fingerprint,
            requirement=requirement,
            previews=draft.previews,
            owners=self._judgement.chain.owners,
            excluded=tuple(sorted(self._judgement.chain.excluded)),
            reasons=decision.reasons,
            policy_revision=decision.revision,
            requester=self._judgement.requester,
        )
        review = scheduled(review)
        ref = self._record(tx, decision, commitment, review=review)
        tx.put_review(review)
        shown = {name: record.preview_bytes(each) for name, each in draft.previews.items()}
        for data in shown.values():
            tx.put_object(review.tenant, hashlib.sha256(data).hexdigest(), data)
        file(
            tx,
            review.tenant,
            record.of_review(
                "review.created",
                review,
                previews=record.previews(review),
                preview_objects={
                    name: hashlib.sha256(data).hexdigest() for name, data in shown.items()
                },
                requirement=record.requirement(requirement),
                requirement_hash=record.requirement_hash(requirement),
            ),
        )
        stored = self._decision(tx, decision, ref, commitment, self._salt, review=review.id)
        self._request.remember(tx, {"decision": stored.id})
        return Answer(decision=stored, review=review)

    def _withdraw_old(self, tx: Transaction, successor: ReviewId) -> None:
        old = tx.review(self._caller.tenant, ReviewId(self._ask.supersedes))
        if old is None or old.caller != self._caller.id:
            raise unknown_review()
        reason = Reason(code="review.superseded", message="the requester put another in its place")
        result = moved(
            tx, elapsed(tx, old), Withdrawn(reason=reason, superseded_by=successor), "review.closed"
        )
        if isinstance(result, Refusal):
            raise PreconditionError(
                result.code, f"supersedes: {result.message}", advice="Leave supersedes out."
            )

    # --- pieces ---

    def _commitment(self, salt: bytes) -> str:
        bound = canonical.bound_bytes(self._caller.tenant, self._judgement.context_bytes)
        return canonical.commitment(bound, salt).hex()

    def _record(
        self,
        tx: Transaction,
        decision: PolicyDecision,
        commitment: str,
        *,
        review: Review | None = None,
        permit: PermitClaims | None = None,
    ) -> RecordRef:
        if self._object:
            tx.put_object(self._caller.tenant, *self._object)
        body = record.record(
            "decision",
            self._caller.tenant,
            **{
                **self._body,
                "effect": decision.effect.value,
                "reasons": record.reasons(decision.reasons),
            },
            caller=self._caller.id,
            commitment=commitment,
            decision=self._id,
            labels=self._labels,
            permit=record.permit(permit) if permit else None,
            request=self._request.record,
            review=review.id if review else None,
            trace=self._ask.trace,
        )
        return file(tx, self._caller.tenant, body)

    def _decision(
        self,
        tx: Transaction,
        decision: PolicyDecision,
        ref: RecordRef,
        commitment: str,
        salt: bytes | None,
        *,
        review: ReviewId | None = None,
        permit: PermitId | None = None,
    ) -> Decision:
        stored = Decision(
            tenant=self._caller.tenant,
            id=self._id,
            caller=self._caller.id,
            method="check",
            action=self._ask.context.action,
            effect=decision.effect,
            reasons=decision.reasons,
            retryable=decision.retryable,
            policy_revision=decision.revision,
            commitment=commitment,
            salt=salt,
            review=review,
            permit=permit,
            record=ref,
            at=tx.now,
            rows=self._judgement.findings.quantity.rows,
            amount=self._judgement.findings.quantity.amount,
        )
        tx.put_decision(stored)
        return stored


def _duplicate(existing: Review) -> str:
    return (
        f"the same action is under review already, with another reason or session: "
        f"{existing.id}; wait for it, or name it in supersedes"
    )
