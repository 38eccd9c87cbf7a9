"""Values to protocol buffers. Nothing here decides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from countersign.flow.answer import Answer
from countersign.flow.wait import cursor
from countersign.model import (
    AfterReview,
    Assurance,
    Choice,
    Delegation,
    Effect,
    Instant,
    Outcome,
    PermitClaims,
    Person,
    PersonId,
    Preview,
    Reason,
    RecordRef,
    Review,
    ReviewState,
)
from countersign.review import (
    People,
    approvals,
    asked,
    cannot_approve,
    cannot_decide,
    current_stage,
    excluded,
    glass_breakers,
    shared_preview,
    visible_previews,
)
from countersign.v1 import context_pb2, decisions_pb2, reviews_pb2

EFFECTS: Final = {
    Effect.ALLOW: context_pb2.EFFECT_ALLOW,
    Effect.DENY: context_pb2.EFFECT_DENY,
    Effect.NEEDS_APPROVAL: context_pb2.EFFECT_NEEDS_APPROVAL,
}
STATES: Final = {
    state: context_pb2.ReviewState.Value(f"REVIEW_STATE_{state.name}") for state in ReviewState
}
OUTCOMES: Final = {
    outcome: context_pb2.Outcome.Value(f"OUTCOME_{outcome.name}") for outcome in Outcome
}
CHOICES: Final = {
    Choice.APPROVE: reviews_pb2.VOTE_APPROVE,
    Choice.DENY: reviews_pb2.VOTE_DENY,
}


def timestamp(instant: Instant) -> Timestamp:
    """An instant on the wire."""
    seconds, micros = divmod(instant, 1_000_000)
    return Timestamp(seconds=seconds, nanos=micros * 1000)


def _reasons(given: Iterable[Reason]) -> list[context_pb2.Reason]:
    return [context_pb2.Reason(code=reason.code, message=reason.message) for reason in given]


def record_ref(ref: RecordRef) -> context_pb2.RecordRef:
    """Where a record stands."""
    return context_pb2.RecordRef(log_id=ref.log_id, seq=ref.seq, leaf_hash=ref.leaf_hash)


def permit(claims: PermitClaims, token: str) -> context_pb2.Permit:
    """A permit with its token, which is stored nowhere."""
    return context_pb2.Permit(
        permit_id=claims.id,
        token=token,
        expires_at=Timestamp(seconds=claims.expires_at_s),
    )


def status(review: Review) -> context_pb2.ReviewStatus:
    """A review as its requester sees it."""
    message = context_pb2.ReviewStatus(
        review_id=review.id,
        state=STATES[review.state],
        cursor=cursor(review),
        revision=review.revision,
        approve_by=timestamp(review.approve_by),
        open_questions=[
            context_pb2.Question(
                question_id=exchange.id,
                text=exchange.question,
                asked_at=timestamp(exchange.asked_at),
            )
            for exchange in review.thread
            if exchange.answer is None
        ],
        reasons=_reasons(review.closed_reasons),
        superseded_by=review.superseded_by or "",
    )
    if review.use_by is not None:
        message.use_by.CopyFrom(timestamp(review.use_by))
    if review.outcome is not None:
        message.outcome = OUTCOMES[review.outcome]
    return message


def check(answer: Answer, token: str) -> decisions_pb2.CheckResponse:
    """The answer of a Check."""
    decision = answer.decision
    message = decisions_pb2.CheckResponse(
        decision_id=decision.id,
        effect=EFFECTS[decision.effect],
        reasons=_reasons(decision.reasons),
        policy_revision=decision.policy_revision,
        review_reused=answer.reused,
        record=record_ref(decision.record),
        retryable=decision.retryable,
        salt=decision.salt or b"",
        replayed=answer.replayed,
    )
    if answer.review:
        message.review.CopyFrom(status(answer.review))
    if answer.permit and token:
        message.permit.CopyFrom(permit(answer.permit, token))
    return message


def claim(answer: Answer, token: str) -> decisions_pb2.ClaimResponse:
    """The answer of a Claim."""
    decision = answer.decision
    message = decisions_pb2.ClaimResponse(
        decision_id=decision.id,
        effect=EFFECTS[decision.effect],
        reasons=_reasons(decision.reasons),
        policy_revision=decision.policy_revision,
        record=record_ref(decision.record),
        retryable=decision.retryable,
        replayed=answer.replayed,
    )
    if answer.review:
        message.review.CopyFrom(status(answer.review))
    if answer.permit and token:
        message.permit.CopyFrom(permit(answer.permit, token))
    return message


def review(
    shown: Review,
    reader: Person,
    people: People,
    assurance: Assurance,
    known_to: frozenset[PersonId] = frozenset(),
    unreached: Iterable[str] = (),
) -> reviews_pb2.Review:
    """A review as one person sees it: only their previews."""
    barred = (
        cannot_approve(shown, reader.id, people, assurance, known_to)
        if shown.state.awaits_votes
        else None
    )
    message = _review(shown, visible_previews(shown, reader.id, people), unreached)
    message.cannot_approve = barred.message if barred else ""
    message.cannot_decide = cannot_decide(shown, reader.id, people) is not None
    message.can_break_glass = (
        shown.state.awaits_votes
        and assurance is Assurance.PERSON
        and reader.id in glass_breakers(shown, people)
        and excluded(shown, reader.id) is None
    )
    return message


def review_for_all(shown: Review, unreached: Iterable[str] = ()) -> reviews_pb2.Review:
    """A review as everybody in a conversation sees it, where one body is seen by all."""
    return _review(shown, shared_preview(shown), unreached)


def _review(
    shown: Review, previews: Mapping[str, Preview], unreached: Iterable[str]
) -> reviews_pb2.Review:
    counted = set(approvals(shown))
    stages = asked(shown, shown.requirement.stages)
    open_stage = current_stage(shown)
    message = reviews_pb2.Review(
        status=status(shown),
        previews={
            profile: reviews_pb2.Preview(
                context_json=preview.context_json.encode(),
                facts_json=preview.facts_json.encode(),
                hash=bytes.fromhex(preview.hash),
                reviewable=preview.reviewable,
                mask_report_json=preview.report_json.encode(),
            )
            for profile, preview in previews.items()
        },
        stages=[
            reviews_pb2.StageProgress(
                name=stage.name,
                quorum=stage.quorum,
                approvals=sum(vote.stage == index for vote in counted),
                groups=stage.groups,
                people=stage.people,
                escalates_at=(
                    timestamp(shown.escalate_at)
                    if index == open_stage and shown.escalate_at is not None
                    else None
                ),
            )
            for index, stage in enumerate(stages)
        ],
        votes=[
            reviews_pb2.VoteView(
                person_id=vote.person,
                vote=CHOICES[vote.choice],
                reason=vote.reason,
                stage=stages[vote.stage].name,
                revision=vote.revision,
                cast_at=timestamp(vote.at),
                assurance=vote.assurance.value,
                counts=vote in counted or vote.choice is Choice.DENY,
                delegated_by=vote.delegated_by or "",
                channel_id=vote.channel or "",
                break_glass=vote.break_glass,
            )
            for vote in shown.votes
        ],
        thread=[
            reviews_pb2.Exchange(
                question_id=exchange.id,
                asked_by=exchange.asked_by,
                question=exchange.question,
                asked_at=timestamp(exchange.asked_at),
                answer=exchange.answer or "",
                answered_at=(
                    timestamp(exchange.answered_at) if exchange.answered_at is not None else None
                ),
            )
            for exchange in shown.thread
        ],
        commitment=bytes.fromhex(shown.commitment),
        policy_revision=shown.policy_revision,
        reasons=_reasons(shown.reasons),
        verified=reviews_pb2.Verified(
            caller_id=shown.caller,
            owners=shown.owners,
            excluded=shown.excluded,
            requester=shown.requester or "",
        ),
        created_at=timestamp(shown.created_at),
        batch=shown.requirement.batch,
        must_show=shown.requirement.must_show,
        require_reason=shown.requirement.require_reason,
        min_assurance=shown.requirement.min_assurance.value,
        unreached=unreached,
        action=shown.action,
    )
    if shown.after_review is not None:
        message.after_review.CopyFrom(after_review(shown.after_review))
    if shown.claimed_at is not None:
        message.execution.CopyFrom(_execution(shown, shown.claimed_at))
    return message


def _execution(shown: Review, claimed_at: Instant) -> reviews_pb2.Execution:
    """What became of an approval that was claimed."""
    return reviews_pb2.Execution(
        claimant_id=shown.claimant or "",
        claimed_at=timestamp(claimed_at),
        outcome=(
            OUTCOMES[shown.outcome]
            if shown.outcome is not None
            else context_pb2.OUTCOME_UNSPECIFIED
        ),
        ended_at=timestamp(shown.ended_at) if shown.ended_at is not None else None,
        detail_json=shown.outcome_detail.encode(),
        record_seq=shown.outcome_seq or 0,
    )


def after_review(owed: AfterReview) -> reviews_pb2.AfterReview:
    """What is owed after a broken glass."""
    return reviews_pb2.AfterReview(
        person_id=owed.person,
        broken_at=timestamp(owed.at),
        closed_by=owed.closed_by or "",
        closed_at=timestamp(owed.closed_at) if owed.closed_at is not None else None,
        justified=bool(owed.justified),
        note=owed.note,
    )


def delegation(lent: Delegation) -> reviews_pb2.Delegation:
    """A delegation."""
    return reviews_pb2.Delegation(
        delegation_id=lent.id,
        delegator_id=lent.delegator,
        delegate_id=lent.delegate,
        starts_at=timestamp(lent.starts_at),
        ends_at=timestamp(lent.ends_at),
        reason=lent.reason,
        ended_at=timestamp(lent.ended_at) if lent.ended_at is not None else None,
        assurance=lent.assurance.value,
    )
