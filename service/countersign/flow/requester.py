"""What the requester does after a Check: answer, cancel, report."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Final

from countersign import canonical
from countersign.errors import InvalidRequestError, NotFoundError, PreconditionError
from countersign.flow import keeping, masking, record
from countersign.flow.evidence import Evidence, earlier_actors, proven_person
from countersign.flow.filing import file
from countersign.flow.gate import account_too_new
from countersign.flow.parts import Parts
from countersign.flow.request import Named, Request
from countersign.flow.transition import as_error, current, moved, unknown_review, widen
from countersign.model import (
    Caller,
    DecisionId,
    Effect,
    JsonObject,
    JsonValue,
    Outcome,
    PermitId,
    PersonId,
    Principal,
    QuestionId,
    Reason,
    RecordRef,
    Review,
    ReviewId,
)
from countersign.review import (
    OutcomeReported,
    QuestionAnswered,
    Refusal,
    Withdrawn,
    step,
)
from countersign.store.protocol import Decision, Transaction

MAX_TOLD_BYTES: Final = 2_048
"""Of an outcome's detail, kept with the review. The record has it whole."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ReportAsk:
    """A Report as the edge parsed it. One of the two ids is set."""

    permit_id: PermitId | None
    decision_id: DecisionId | None
    outcome: Outcome
    detail: JsonObject
    request_id: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """A report that is on record."""

    record: RecordRef
    review: Review | None
    replayed: bool = False


async def answer(
    parts: Parts,
    caller: Caller,
    review_id: ReviewId,
    *,
    question_id: QuestionId,
    text: str,
    request_id: str,
    answered_by: Principal | None = None,
    evidence: Evidence | None = None,
    made_by: PersonId | None = None,
) -> Review:
    """Answer a reviewer's question. Earlier approvals are void then.

    Whoever answers for the requester cannot decide afterwards: the person who is
    proven, or else everybody who can drive the caller, and who is named besides.
    """
    keeping.require_room(parts, caller.tenant)
    answering = _answering(parts, caller, answered_by, evidence)
    if made_by is not None:
        answering = dataclasses.replace(answering, excluded=answering.excluded | {made_by})
    clean = await masking.said(parts, text)
    request = Request.of(
        parts,
        caller,
        "answer",
        request_id,
        review_id.encode(),
        question_id.encode(),
        text.encode(),
        (answered_by.id if answered_by else "").encode(),
        (evidence.proof if evidence else "").encode(),
    )
    event = QuestionAnswered(id=question_id, text=clean)
    said: JsonObject = {"id": question_id, "text": clean}
    if answering.person is not None:
        said["answered_by"] = answering.person
        said["proven"] = evidence is not None
    fields: dict[str, JsonValue] = {"answer": said}

    def doubt(tx: Transaction) -> None:
        if evidence is None or answering.person is None:
            return
        new = account_too_new(parts, tx, caller.tenant, answering.person, evidence.proof)
        if new:
            raise InvalidRequestError("answered_by", new.message, code="evidence.account_too_new")

    return await _on_own(
        parts,
        caller,
        review_id,
        request,
        event,
        "review.updated",
        fields,
        answering.excluded,
        doubt,
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Answering:
    """Who answered, as far as that is known, and everybody who may have."""

    person: PersonId | None
    excluded: frozenset[PersonId]


def _answering(
    parts: Parts, caller: Caller, named: Principal | None, evidence: Evidence | None
) -> _Answering:
    directory, tenant = parts.directory(), caller.tenant
    if evidence is not None:
        person = proven_person(directory, caller, evidence)
        if isinstance(person, Reason):
            raise InvalidRequestError("answered_by", person.message, code=person.code)
        before = (directory.resolve(tenant, n) for n in earlier_actors(directory, tenant, evidence))
        chain = directory.registered_chain(tenant, caller.id, person)
        actors = frozenset(actor for actor in before if actor is not None)
        return _Answering(person=person, excluded=chain | actors)
    everybody = directory.registered_chain(tenant, caller.id)
    if named is None:
        return _Answering(person=None, excluded=everybody)
    person_named = directory.resolve(tenant, named.id)
    if person_named is None:
        raise InvalidRequestError(
            "answered_by.id", "is no registered person", code="requester.unresolved"
        )
    return _Answering(person=person_named, excluded=everybody | {person_named})


async def cancel(
    parts: Parts, caller: Caller, review_id: ReviewId, *, reason: str, request_id: str
) -> Review:
    """Withdraw a review that has not been claimed."""
    keeping.require_room(parts, caller.tenant, essential=True)
    clean = await masking.said(parts, reason)
    request = Request.of(parts, caller, "cancel", request_id, review_id.encode(), reason.encode())
    words = f"withdrawn by the requester: {clean}" if clean else "withdrawn by the requester"
    event = Withdrawn(reason=Reason(code="review.cancelled", message=words))
    return await _on_own(parts, caller, review_id, request, event, "review.closed", {})


async def _on_own(
    parts: Parts,
    caller: Caller,
    review_id: ReviewId,
    request: Request,
    event: QuestionAnswered | Withdrawn,
    kind: str,
    fields: dict[str, JsonValue],
    widened: frozenset[PersonId] = frozenset(),
    doubt: Callable[[Transaction], None] = lambda _tx: None,
) -> Review:
    def run(tx: Transaction) -> Review | Refusal:
        stored = tx.review(caller.tenant, review_id)
        if stored is None or stored.caller != caller.id:
            raise unknown_review()
        if request.replayed(tx) is not None:
            return stored
        doubt(tx)
        review = current(tx, caller.tenant, review_id)
        review = widen(tx, review, widened)
        result = moved(tx, review, event, kind, request=request.record, **fields)
        if not isinstance(result, Refusal):
            request.remember(tx, {"review": review.id})
        return result

    name = "answer" if isinstance(event, QuestionAnswered) else "cancel"
    result = await parts.store.apply(Named(name=name, run=run))
    if isinstance(result, Refusal):
        raise as_error(result)
    return result


async def report(parts: Parts, caller: Caller, ask: ReportAsk) -> Reported:
    """Record how an action ended, late or not."""
    keeping.require_room(parts, caller.tenant, essential=True)
    await _known(parts, caller, ask)
    given = canonical.encode(ask.detail)
    detail = await masking.detail(parts, ask.detail, len(given))
    subject = ask.permit_id or ask.decision_id or ""
    request = Request.of(
        parts,
        caller,
        "report",
        ask.request_id,
        subject.encode(),
        ask.outcome.value.encode(),
        given,
    )
    outcome: JsonObject = {"outcome": ask.outcome.value, "detail": detail}
    shown = _told(detail)

    def run(tx: Transaction) -> Reported | Refusal:
        before = request.replayed(tx)
        decision = _reported_decision(tx, caller, ask)
        review = decision.review and tx.review(caller.tenant, decision.review)
        if before is not None:
            return Reported(record=record.ref_of(before), review=review or None, replayed=True)
        result: Review | Decision | Refusal
        if review:
            review = current(tx, caller.tenant, review.id)
            event = OutcomeReported(
                outcome=ask.outcome, detail=shown, seq=tx.next_record(caller.tenant)[1]
            )
            result = _settle_review(tx, review, event)
        else:
            result = _settle_decision(tx, decision, ask.outcome)
        if isinstance(result, Refusal):
            return result
        settled = result if isinstance(result, Review) else None
        body = record.record(
            "outcome",
            caller.tenant,
            action=decision.action,
            caller=caller.id,
            commitment=decision.commitment,
            decision=decision.id,
            outcome=outcome,
            permit={"jti": decision.permit} if decision.permit else None,
            request=request.record,
            review=decision.review,
            review_state=record.review_state(settled) if settled else None,
        )
        ref = file(tx, caller.tenant, body)
        request.remember(tx, record.ref_body(ref))
        return Reported(record=ref, review=settled)

    done = await parts.store.apply(Named(name="report", run=run))
    if isinstance(done, Refusal):
        raise as_error(done)
    return done


def _unknown_grant() -> NotFoundError:
    return NotFoundError(
        "outcome.unknown_permit", "permit_id, decision_id: no such grant of this caller"
    )


async def _known(parts: Parts, caller: Caller, ask: ReportAsk) -> None:
    """Refuse a report on nothing before any work is done for it."""
    decision_id = ask.decision_id
    if ask.permit_id:
        claims = await parts.store.permit(caller.tenant, ask.permit_id)
        # Somebody else's permit leads where an unknown one does: no more reads, no fewer.
        own = claims is not None and claims.caller == caller.id
        decision_id = claims.decision if claims and own else DecisionId(ask.permit_id)
    decision = await parts.store.decision(caller.tenant, decision_id) if decision_id else None
    if decision is None or decision.caller != caller.id:
        raise _unknown_grant()


def _reported_decision(tx: Transaction, caller: Caller, ask: ReportAsk) -> Decision:
    """The decision that let the caller act. Another caller's looks like none."""
    decision_id = ask.decision_id
    if ask.permit_id:
        claims = tx.permit(caller.tenant, ask.permit_id)
        if claims is None or claims.caller != caller.id:
            raise _unknown_grant()
        decision_id = claims.decision
    decision = tx.decision(caller.tenant, decision_id) if decision_id else None
    if decision is None or decision.caller != caller.id:
        raise _unknown_grant()
    if decision.effect is not Effect.ALLOW:
        raise PreconditionError(
            "outcome.not_allowed", "decision_id: that decision did not allow anything"
        )
    return decision


def _told(detail: JsonObject) -> str:
    """The detail as reviewers are told it: not at all when that would not fit."""
    encoded = canonical.encode(detail)
    return encoded.decode() if detail and len(encoded) <= MAX_TOLD_BYTES else ""


def _settle_review(tx: Transaction, review: Review, event: OutcomeReported) -> Review | Refusal:
    result = step(review, event, tx.now)
    if not isinstance(result, Refusal):
        tx.put_review(result)
    return result


def _settle_decision(tx: Transaction, decision: Decision, outcome: Outcome) -> Decision | Refusal:
    if decision.outcome not in (None, Outcome.AMBIGUOUS):
        return Refusal(
            code="outcome.settled", message="another outcome has been reported and recorded"
        )
    settled = dataclasses.replace(decision, outcome=outcome)
    tx.put_decision(settled)
    return settled
