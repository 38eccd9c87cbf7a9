"""Judge one raw context: who asks, what is in it, what policy says of it.

Shared by Check and Claim. Reads only; whatever goes wrong becomes a denial
with its own code (invariant 2), and what leaves here besides the answer is
sanitized (invariant 3).
"""

from __future__ import annotations

import dataclasses
import logging
from typing import Final

from countersign import canonical
from countersign.directory import Chain, Directory
from countersign.errors import PolicyError
from countersign.flow import masking
from countersign.flow.aside import aside
from countersign.flow.evidence import Evidence
from countersign.flow.in_flight import Flight
from countersign.flow.parts import Parts
from countersign.flow.question import ClaimOf, Question, question
from countersign.flow.staff import Staff
from countersign.model import (
    SECOND_US,
    ActionContext,
    Caller,
    Durability,
    Effect,
    Instant,
    JsonObject,
    PersonId,
    PolicyDecision,
    Reason,
    Requirement,
)
from countersign.review import unsatisfiable
from countersign.sanitize import Clean, Findings

log = logging.getLogger(__name__)

QUERY: Final = "data.countersign.decision"
_DAY_US: Final = 86_400 * SECOND_US


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What policy said to a query, and which of its revisions: a fault has none of its own."""

    query: bytes = dataclasses.field(repr=False)
    said: PolicyDecision | PolicyError
    revision: str


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
    verdict: Verdict | None
    """What policy itself said, before anything was held against it; None: it was not asked."""


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

    See `question` for the arguments.
    """
    asking = await question(
        parts,
        caller,
        context,
        context_bytes,
        evidence=evidence,
        claim=claim,
        made_by=made_by,
        flight=flight,
    )
    return await judgement(parts, asking, await _ask(parts, asking, deadline_s))


async def _ask(parts: Parts, asking: Question, deadline_s: float) -> Verdict | None:
    if asking.refusal:
        return None
    query = asking.query()
    said: PolicyDecision | PolicyError
    try:
        said = await parts.policy.decide(
            query, deadline_s=min(deadline_s, parts.limits.policy_deadline_s)
        )
    except PolicyError as error:
        said = error
    return Verdict(query=query, said=said, revision=parts.policy.revision)


async def judgement(parts: Parts, asking: Question, verdict: Verdict | None) -> Judgement:
    """What policy's verdict comes to; None where it was not asked."""
    decision, fault = await _decided(parts, asking, verdict)
    caller, context = asking.caller, asking.context
    tag_key = tenant_tag_key(parts, caller, asking.at)
    clean = await aside(
        len(asking.context_bytes),
        lambda: parts.sanitizer.clean(
            context, asking.findings, policy_mask=decision.mask, tag_key=tag_key
        ),
    )
    return Judgement(
        caller=caller,
        context=context,
        context_bytes=asking.context_bytes,
        directory=asking.directory,
        chain=asking.chain,
        requester=asking.requester,
        findings=asking.findings,
        clean=clean,
        decision=decision,
        fault=fault,
        policy_record={**asking.asked, "query": QUERY, "revision": decision.revision},
        verdict=verdict,
    )


async def _decided(
    parts: Parts, asking: Question, verdict: Verdict | None
) -> tuple[PolicyDecision, bool]:
    """The decision, and whether it says that policy could not be asked."""
    if asking.refusal:
        return deny(asking.refusal, parts.policy.revision), False
    if verdict is None:
        raise ValueError("a question without a refusal has a verdict")
    said = verdict.said
    if isinstance(said, PolicyError):
        log.warning("%s: %s %s", said.code, said.message, said.detail)
        reason = Reason(code=said.code, message=said.message)
        decision = deny(reason, verdict.revision, retryable=said.retryable)
        fault = True
    else:
        decision = await _worded(parts, said)
        breach = _breach(parts, asking.context, decision)
        fault = breach is not None
        staff = Staff(directory=asking.directory)
        decision = breach or _within_bounds(
            parts, asking.caller, asking.findings, asking.chain, staff, decision
        )
    if asking.claim and not fault and parts.directory_is_stale:
        return _stale(decision.revision), True
    return decision, fault


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
