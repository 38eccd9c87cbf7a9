"""Judge one raw context: who asks, what is in it, what policy says of it.

Shared by Check and Claim. Reads only; whatever goes wrong becomes a denial
with its own code (invariant 2), and what leaves here besides the answer is
sanitized (invariant 3).
"""

from __future__ import annotations

import dataclasses
import functools
import logging
from typing import Final

from countersign import canonical
from countersign.directory import Chain, Directory
from countersign.errors import PolicyError
from countersign.flow import masking
from countersign.flow.aside import aside
from countersign.flow.evidence import Evidence, proven_person, with_actors
from countersign.flow.in_flight import Flight, together
from countersign.flow.parts import Parts
from countersign.flow.staff import Staff
from countersign.model import (
    SECOND_US,
    ActionContext,
    Caller,
    CallerId,
    Durability,
    Effect,
    Instant,
    JsonObject,
    JsonValue,
    PersonId,
    PolicyDecision,
    Reason,
    Requirement,
    rfc3339,
)
from countersign.review import unsatisfiable
from countersign.sanitize import Clean, Findings

log = logging.getLogger(__name__)

QUERY: Final = "data.countersign.decision"
_DAY_US: Final = 86_400 * SECOND_US


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClaimOf:
    """What a Claim is judged with besides the context."""

    claimant: CallerId
    requester: PersonId | None
    """Whom the review's Check proved to be behind it."""
    approval: JsonObject


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What was found and decided about one context, at one moment."""

    caller: Caller
    """The requester: whose registration the context is judged by."""
    context: ActionContext
    context_bytes: bytes
    directory: Directory
    chain: Chain
    requester: PersonId | None
    """Who is proven to be behind the request."""
    findings: Findings
    clean: Clean
    decision: PolicyDecision
    fault: bool
    """The denial says that policy could not be asked, not that it said no."""
    policy_record: JsonObject
    """What policy was asked besides the context, for the record."""


async def judge(
    parts: Parts,
    caller: Caller,
    context: ActionContext,
    context_bytes: bytes,
    *,
    deadline_s: float,
    evidence: Evidence | None = None,
    claim: ClaimOf | None = None,
    made_by: PersonId | None = None,
    flight: Flight | None = None,
) -> Judgement:
    """Detect, resolve and ask policy; never raises for what policy or OPA does.

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
    size = len(context_bytes)
    findings = await masking.examined(parts, context, size, known)
    named = with_actors(directory, caller.tenant, context, evidence)
    chain = directory.requester_chain(caller, named, requester)
    if made_by is not None:
        chain = dataclasses.replace(chain, excluded=chain.excluded | {made_by})
    now = parts.store.now()
    asked: JsonObject = {
        "approval": claim.approval if claim else None,
        "recent": await _recent(parts, caller, context, findings, flight),
        "time": rfc3339(now),
        "verified": _verified(caller, requester, claim.claimant if claim else None),
    }
    refusal = unproven or directory.scope_refusal(caller, context) or _unresolved(chain)
    fault = False
    if refusal:
        decision = deny(refusal, parts.policy.revision)
    else:
        query = _query(asked, context_bytes, findings)
        deadline_s = min(deadline_s, parts.limits.policy_deadline_s)
        try:
            decision = await parts.policy.decide(query, deadline_s=deadline_s)
        except PolicyError as error:
            fault = True
            log.warning("%s: %s %s", error.code, error.message, error.detail)
            reason = Reason(code=error.code, message=error.message)
            decision = deny(reason, parts.policy.revision, retryable=error.retryable)
        else:
            decision = await _worded(parts, decision)
            breach = _breach(parts, context, decision)
            fault = breach is not None
            decision = breach or _within_bounds(
                parts, caller, findings, chain, Staff(directory=directory), decision
            )
        if claim and not fault and parts.directory_is_stale:
            fault, decision = True, _stale(decision.revision)
    tag_key = tenant_tag_key(parts, caller, now)
    clean = await aside(
        size,
        lambda: parts.sanitizer.clean(
            context, findings, policy_mask=decision.mask, tag_key=tag_key
        ),
    )
    return Judgement(
        caller=caller,
        context=context,
        context_bytes=context_bytes,
        directory=directory,
        chain=chain,
        requester=requester,
        findings=findings,
        clean=clean,
        decision=decision,
        fault=fault,
        policy_record={**asked, "query": QUERY, "revision": decision.revision},
    )


def tenant_tag_key(parts: Parts, caller: Caller, now: Instant) -> bytes:
    """The key of the tags in this tenant's records, another one each period.

    That bounds for how long who reads the records can tell that two values are
    equal. It takes nothing from who holds the store's key: all periods' keys derive
    from that, so values can be tried out against old tags as well. The period's
    length counts too: after a change of it no earlier key comes back.
    """
    days = parts.limits.tag_rotation_days
    period = f"{days}/{now // (days * _DAY_US)}" if days else ""
    return bytes.fromhex(
        canonical.keyed_hash(parts.store.key, "tag/record", caller.tenant.encode(), period.encode())
    )


def deny(reason: Reason, revision: str, *, retryable: bool = False) -> PolicyDecision:
    """A denial of ours, in the shape of policy's."""
    return PolicyDecision(
        effect=Effect.DENY, reasons=(reason,), revision=revision, retryable=retryable
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


def _query(asked: JsonObject, context_bytes: bytes, findings: Findings) -> bytes:
    """The input document; the context goes in as the very bytes that are bound."""
    rest = canonical.encode({**asked, "findings": findings.to_policy()})
    return b'{"context":' + context_bytes + b"," + rest[1:]


def _unresolved(chain: Chain) -> Reason | None:
    if not chain.unresolved:
        return None
    where = ", ".join(chain.unresolved)
    return Reason(
        code="requester.unresolved",
        message=f"{where}: no such person is registered, so nobody can tell who must not decide",
    )


async def _worded(parts: Parts, decision: PolicyDecision) -> PolicyDecision:
    """Policy's own words, sanitized: a rule may have put input into them (invariant 3)."""
    label = parts.sanitizer.label
    reasons = tuple(
        [
            dataclasses.replace(reason, message=await masking.said(parts, reason.message))
            for reason in decision.reasons
        ]
    )
    requirement = decision.requirement
    if requirement:
        stages = tuple(
            dataclasses.replace(stage, name=label(stage.name)) for stage in requirement.stages
        )
        requirement = dataclasses.replace(
            requirement, stages=stages, channel=label(requirement.channel)
        )
    return dataclasses.replace(decision, reasons=reasons, requirement=requirement)


def _breach(
    parts: Parts, context: ActionContext, decision: PolicyDecision
) -> PolicyDecision | None:
    """Policy asks for less than the settings allow: as wrong as any other wrong answer."""
    requirement = decision.requirement
    breach = requirement and parts.limits.floor(context.environment).breach(requirement)
    if not breach:
        return None
    message = f"policy is below the floor of the settings for this environment: {breach}"
    log.warning("policy.invalid: %s", message)
    return deny(Reason(code="policy.invalid", message=message), decision.revision)


def _stale(revision: str) -> PolicyDecision:
    reason = Reason(
        code="directory.stale",
        message="nobody has confirmed lately who is registered, so no vote can be relied on",
    )
    return deny(reason, revision, retryable=True)


def _within_bounds(
    parts: Parts,
    caller: Caller,
    findings: Findings,
    chain: Chain,
    staff: Staff,
    decision: PolicyDecision,
) -> PolicyDecision:
    """Policy's answer held against what code alone judges (invariants 6, 8, 9)."""
    if decision.effect is Effect.ALLOW and not findings.complete:
        reason = Reason(
            code="sanitizer.incomplete",
            message="part of the context could not be examined, so it cannot be allowed unseen",
        )
        return deny(reason, decision.revision)
    if decision.requirement is None:
        return decision
    unkeepable = _unkeepable(parts, decision.requirement)
    if unkeepable:
        return deny(unkeepable, decision.revision)
    nobody = unsatisfiable(decision.requirement, caller.tenant, chain.excluded, staff)
    if nobody:
        return deny(Reason(code=nobody.code, message=nobody.message), decision.revision)
    return decision


def _unkeepable(parts: Parts, requirement: Requirement) -> Reason | None:
    """A demand of policy that this server cannot keep."""
    if requirement.durability is Durability.LOCKED and not parts.lockable:
        return Reason(
            code="audit.not_lockable",
            message="policy wants the record locked, and the audit sink here cannot lock",
        )
    unknown = sorted(set(requirement.profiles.values()) - parts.sanitizer.profiles)
    if unknown or not requirement.profiles:
        return Reason(
            code="policy.invalid", message="requirement.profiles: names no mask profile known here"
        )
    return None
