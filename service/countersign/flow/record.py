"""The shape of audit records (schema `countersign/record/v1`).

Pure. Every record is built here from sanitized values, so that one file shows
what the log can hold. The schema only grows; absent fields are left out. The
store adds `log_id`, `seq` and `time`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

from countersign import canonical
from countersign.flow.judge import Judgement
from countersign.model import (
    AfterReview,
    BreakGlass,
    Delegation,
    JsonObject,
    JsonValue,
    PermitClaims,
    Preview,
    Reason,
    RecordRef,
    Requirement,
    Review,
    TenantId,
    Vote,
    rfc3339,
)
from countersign.review import Refusal

SCHEMA: Final = "countersign/record/v1"
MAX_INLINE_BYTES: Final = 16_384
"""What is larger is kept as an object of its own, which the record names by hash."""
_HEAD: Final = ("actor", "action", "resource", "environment", "session")


def record(kind: str, tenant: TenantId, **fields: JsonValue) -> JsonObject:
    """A record of one kind; fields that are None or empty are left out."""
    body: JsonObject = {"schema": SCHEMA, "kind": kind, "tenant": tenant}
    body.update({name: value for name, value in fields.items() if value not in (None, "", [], {})})
    return body


def judged(judgement: Judgement) -> JsonObject:
    """What a decision or claim record says about its context, all sanitized."""
    clean = dict(judgement.clean.context)
    head: JsonObject = {name: clean.pop(name) for name in _HEAD if clean.get(name)}
    decision = judgement.decision
    return {
        **head,
        "clean": clean,
        "mask_report": judgement.clean.report,
        "findings": judgement.findings.to_record(),
        "chain": chain(judgement),
        "policy": {**judgement.policy_record, "effect": decision.effect.value},
        "effect": decision.effect.value,
        "reasons": reasons(decision.reasons),
    }


def chain(judgement: Judgement) -> JsonObject:
    """Who is behind the request, and whether anything proves it."""
    said: JsonObject = {
        "owners": list[JsonValue](judgement.chain.owners),
        "excluded": sorted_list(judgement.chain.excluded),
    }
    if judgement.requester is not None:
        said["proven"] = judgement.requester
    return said


def sorted_list(values: Iterable[str]) -> list[JsonValue]:
    """Strings in order, as JSON."""
    return list[JsonValue](sorted(values))


def reasons(given: Iterable[Reason]) -> list[JsonValue]:
    """Reasons as JSON."""
    return [{"code": reason.code, "message": reason.message} for reason in given]


def refusal(refused: Refusal) -> JsonObject:
    """A refusal as JSON."""
    return {"code": refused.code, "message": refused.message}


def requirement(demanded: Requirement) -> JsonObject:
    """A requirement as JSON, complete: votes are judged against it years later."""
    return {
        "stages": [
            {
                "name": stage.name,
                "groups": sorted_list(stage.groups),
                "people": sorted_list(stage.people),
                "quorum": stage.quorum,
                "escalate": [
                    {
                        "after_s": step.after_s,
                        "groups": sorted_list(step.groups),
                        "people": sorted_list(step.people),
                    }
                    for step in stage.escalate
                ],
            }
            for stage in demanded.stages
        ],
        "must_show": list[JsonValue](demanded.must_show),
        "approve_within_s": demanded.approve_within_s,
        "use_within_s": demanded.use_within_s,
        "report_within_s": demanded.report_within_s,
        "claim_by": list[JsonValue](demanded.claim_by),
        "channel": demanded.channel,
        "profiles": dict[str, JsonValue](demanded.profiles),
        "exclude": list[JsonValue](demanded.exclude),
        "require_reason": demanded.require_reason,
        "min_assurance": demanded.min_assurance.value,
        "durability": demanded.durability.value,
        "batch": demanded.batch,
        "break_glass": _break_glass(demanded.break_glass) if demanded.break_glass else None,
    }


def _break_glass(rule: BreakGlass) -> JsonObject:
    return {
        "groups": sorted_list(rule.groups),
        "people": sorted_list(rule.people),
        "review_groups": sorted_list(rule.review_groups),
        "review_people": sorted_list(rule.review_people),
    }


def requirement_hash(demanded: Requirement) -> str:
    """Hex SHA-256 of the requirement's canonical form: what a vote was cast under."""
    return hashlib.sha256(canonical.encode(requirement(demanded))).hexdigest()


def vote(cast: Vote) -> JsonObject:
    """One vote as JSON."""
    said: JsonObject = {
        "person": cast.person,
        "choice": cast.choice.value,
        "stage": cast.stage,
        "revision": cast.revision,
        "profile": cast.profile,
        "preview_hash": cast.preview_hash,
        "reason": cast.reason,
        "assurance": cast.assurance.value,
        "at": rfc3339(cast.at),
    }
    if cast.delegated_by is not None:
        said["delegated_by"] = cast.delegated_by
    if cast.channel is not None:
        said["channel"] = cast.channel
    if cast.known_to:
        said["known_to"] = list[JsonValue](cast.known_to)
    if cast.break_glass:
        said["break_glass"] = True
    return said


def review_state(review: Review) -> JsonObject:
    """Where a review stands, as JSON."""
    state: JsonObject = {
        "state": review.state.value,
        "version": review.version,
        "revision": review.revision,
        "approve_by": rfc3339(review.approve_by),
        "votes": [vote(cast) for cast in review.votes],
    }
    if review.use_by is not None:
        state["use_by"] = rfc3339(review.use_by)
    if review.outcome is not None:
        state["outcome"] = review.outcome.value
    if review.superseded_by is not None:
        state["superseded_by"] = review.superseded_by
    if any(review.escalated):
        state["escalated"] = list[JsonValue](review.escalated)
    if review.after_review is not None:
        state["after_review"] = after_review(review.after_review)
    if review.closed_reasons:
        state["reasons"] = reasons(review.closed_reasons)
    return state


def after_review(owed: AfterReview) -> JsonObject:
    """What is owed after a broken glass, as JSON."""
    said: JsonObject = {"person": owed.person, "at": rfc3339(owed.at)}
    if owed.closed_at is not None:
        said["closed_by"] = owed.closed_by
        said["closed_at"] = rfc3339(owed.closed_at)
        said["justified"] = owed.justified
        said["note"] = owed.note
    return said


def delegation(lent: Delegation) -> JsonObject:
    """A delegation as JSON."""
    said: JsonObject = {
        "id": lent.id,
        "delegator": lent.delegator,
        "delegate": lent.delegate,
        "starts_at": rfc3339(lent.starts_at),
        "ends_at": rfc3339(lent.ends_at),
        "assurance": lent.assurance.value,
        "reason": lent.reason,
    }
    if lent.known_to:
        said["known_to"] = list[JsonValue](lent.known_to)
    if lent.ended_at is not None:
        said["ended_at"] = rfc3339(lent.ended_at)
    return said


def of_review(kind: str, review: Review, **fields: JsonValue) -> JsonObject:
    """A record about a review that has no context of its own."""
    return record(
        kind,
        review.tenant,
        review=review.id,
        decision=review.decision,
        caller=review.caller,
        action=review.action,
        commitment=review.commitment,
        review_state=review_state(review),
        **fields,
    )


def previews(review: Review) -> JsonObject:
    """Preview hashes by profile."""
    return {profile: preview.hash for profile, preview in review.previews.items()}


def preview_bytes(preview: Preview) -> bytes:
    """A preview as an object beside the log: all that its hash is made of.

    Whoever reads the log can make the hash again (`canonical.preview_hash` of
    the four texts) and so tie a vote to what was on the screen.
    """
    return canonical.encode(
        {
            "profile": preview.profile,
            "context": preview.context_json,
            "facts": preview.facts_json,
            "report": preview.report_json,
        }
    )


def ref_body(ref: RecordRef) -> JsonObject:
    """Where a record stands, as an answer is filed."""
    return {"log_id": ref.log_id, "seq": ref.seq, "leaf_hash": ref.leaf_hash.hex()}


def ref_of(body: JsonObject) -> RecordRef:
    """What `ref_body` was given."""
    return RecordRef(
        log_id=str(body["log_id"]),
        seq=int(str(body["seq"])),
        leaf_hash=bytes.fromhex(str(body["leaf_hash"])),
    )


def permit(claims: PermitClaims) -> JsonObject:
    """A permit's claims without the salt; never the token."""
    return {
        "jti": claims.id,
        "sub": claims.caller,
        "aud": claims.audience,
        "iat": claims.issued_at_s,
        "exp": claims.expires_at_s,
        "kid": claims.kid,
    }
