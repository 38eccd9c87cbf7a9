"""What is known of one raw context before policy is asked: who asks, what is in it.

Invariants: 3 (the detector looks first), 6 (whoever cannot be resolved cannot be
kept from deciding, so that is refused). Reads only. Called by `judge` and by
whoever asks about many contexts at once.
"""

from __future__ import annotations

import dataclasses
import functools

from countersign import canonical
from countersign.directory import Chain, Directory
from countersign.flow import masking
from countersign.flow.evidence import Evidence, proven_person, with_actors
from countersign.flow.in_flight import Flight, together
from countersign.flow.parts import Parts
from countersign.model import (
    ActionContext,
    Caller,
    CallerId,
    Instant,
    JsonObject,
    JsonValue,
    PersonId,
    Reason,
    rfc3339,
)
from countersign.sanitize import Findings


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClaimOf:
    """What a Claim is judged with besides the context."""

    claimant: CallerId
    requester: PersonId | None
    """Whom the review's Check proved to be behind it."""
    approval: JsonObject


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is known of one context before policy is asked."""

    caller: Caller
    context: ActionContext
    context_bytes: bytes
    directory: Directory
    chain: Chain
    requester: PersonId | None
    findings: Findings
    claim: ClaimOf | None
    asked: JsonObject
    """What policy is told besides the context and the findings."""
    at: Instant
    refusal: Reason | None
    """Why this is denied whatever policy says; then it is not asked."""

    def query(self) -> bytes:
        """The input document; the context goes in as the very bytes that are bound."""
        rest = canonical.encode({**self.asked, "findings": self.findings.to_policy()})
        return b'{"context":' + self.context_bytes + b"," + rest[1:]


async def question(
    parts: Parts,
    caller: Caller,
    context: ActionContext,
    context_bytes: bytes,
    *,
    evidence: Evidence | None = None,
    claim: ClaimOf | None = None,
    made_by: PersonId | None = None,
    flight: Flight | None = None,
) -> Question:
    """What policy is to be asked about a context.

    `context_bytes` is the canonical form of `context`. A Check may bring
    evidence of who is behind it; a Claim is judged with what its Check proved.
    `made_by` is who had seen the caller's token when the call came: by now it may
    be revoked. The `flight` counts what is let through until it is decided.
    """
    directory = parts.directory()
    requester = proven_person(directory, caller, evidence) if evidence else None
    unproven = requester if isinstance(requester, Reason) else None
    requester = claim.requester if claim else None if isinstance(requester, Reason) else requester
    if evidence and requester:
        parts.spend_for(caller.tenant, requester)
    known = functools.partial(directory.is_known, caller.tenant)
    findings = await masking.examined(parts, context, len(context_bytes), known)
    named = with_actors(directory, caller.tenant, context, evidence)
    chain = directory.requester_chain(caller, named, requester)
    if made_by is not None:
        chain = dataclasses.replace(chain, excluded=chain.excluded | {made_by})
    now = parts.store.now()
    return Question(
        caller=caller,
        context=context,
        context_bytes=context_bytes,
        directory=directory,
        chain=chain,
        requester=requester,
        findings=findings,
        claim=claim,
        asked={
            "approval": claim.approval if claim else None,
            "recent": await _recent(parts, caller, context, findings, flight),
            "time": rfc3339(now),
            "verified": _verified(caller, requester, claim.claimant if claim else None),
        },
        at=now,
        refusal=unproven or directory.scope_refusal(caller, context) or _unresolved(chain),
    )


async def _recent(
    parts: Parts,
    caller: Caller,
    context: ActionContext,
    findings: Findings,
    flight: Flight | None,
) -> JsonValue:
    """What is on its way before this one, and then what is committed.

    In this order nothing is missed: what lands in between is counted twice.
    """
    quantity = findings.quantity
    others = flight.add(quantity.rows, quantity.amount) if flight else {}
    counts = await parts.store.recent(caller.tenant, caller.id, context.action)
    return {window: dict(together(by_effect, others)) for window, by_effect in counts.items()}


def _verified(caller: Caller, requester: PersonId | None, claimant: CallerId | None) -> JsonObject:
    return {
        "caller": caller.id,
        "claimant": claimant,
        "owners": list[JsonValue](caller.owners),
        "parent": caller.parent,
        "person": requester,
        "tenant": caller.tenant,
        "users": list[JsonValue](caller.users),
    }


def _unresolved(chain: Chain) -> Reason | None:
    if not chain.unresolved:
        return None
    where = ", ".join(chain.unresolved)
    return Reason(
        code="requester.unresolved",
        message=f"{where}: no such person is registered, so nobody can tell who must not decide",
    )
