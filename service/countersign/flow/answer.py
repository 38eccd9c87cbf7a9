"""What a Check and a Claim have in common: their answer, its record, its permit.

Used by both verbs inside their commands.
"""

from __future__ import annotations

import dataclasses
import hashlib

from countersign import canonical
from countersign.flow import record
from countersign.flow.judge import Judgement
from countersign.flow.parts import Parts
from countersign.flow.request import Request
from countersign.model import (
    SECOND_US,
    Caller,
    DecisionId,
    JsonObject,
    PermitClaims,
    PermitId,
    Review,
    ReviewId,
)
from countersign.store.protocol import Decision, Transaction


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A decision and what goes with it, of a Check or a Claim."""

    decision: Decision
    review: Review | None = None
    reused: bool = False
    permit: PermitClaims | None = None
    replayed: bool = False


def replay(tx: Transaction, caller: Caller, request: Request) -> Answer | None:
    """The answer filed for this request, with its review as it stands today."""
    body = request.replayed(tx)
    if body is None:
        return None
    decision = tx.decision(caller.tenant, DecisionId(str(body["decision"])))
    if decision is None:
        return None
    return Answer(
        decision=decision,
        review=tx.review(caller.tenant, decision.review) if decision.review else None,
        reused=bool(body.get("reused")),
        permit=tx.permit(caller.tenant, decision.permit) if decision.permit else None,
        replayed=True,
    )


def decision_body(judgement: Judgement) -> tuple[JsonObject, tuple[str, bytes] | None]:
    """The judged part of a record, and the object it names when it is large."""
    body = record.judged(judgement)
    if len(judgement.context_bytes) <= record.MAX_INLINE_BYTES // 2:
        return body, None
    large: JsonObject = {
        name: body[name] for name in ("clean", "mask_report", "resource") if name in body
    }
    data = canonical.encode(large)
    if len(data) <= record.MAX_INLINE_BYTES:
        return body, None
    digest = hashlib.sha256(data).hexdigest()
    resource = body.get("resource")
    if isinstance(resource, dict):
        body["resource"] = {name: resource[name] for name in resource if name != "attributes"}
    del body["mask_report"]
    body["clean"] = {"object": digest}
    return body, (digest, data)


def new_permit(
    parts: Parts,
    tx: Transaction,
    *,
    id: PermitId,
    caller: Caller,
    audience: str,
    action: str,
    commitment: str,
    decision: DecisionId,
    review: ReviewId | None,
    policy_revision: str,
) -> PermitClaims:
    """The claims of a permit whose record is the next one of this transaction."""
    _, seq = tx.next_record(caller.tenant)
    issued_at_s = tx.now // SECOND_US
    return PermitClaims(
        id=id,
        tenant=caller.tenant,
        caller=caller.id,
        audience=audience,
        action=action,
        commitment=commitment,
        decision=decision,
        review=review,
        policy_revision=policy_revision,
        seq=seq,
        kid=parts.permits.kid,
        issued_at_s=issued_at_s,
        expires_at_s=issued_at_s + parts.limits.permit_ttl_s,
    )
