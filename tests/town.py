"""Reviews, votes and claims in a small town: what the tests of the rules share."""

from __future__ import annotations

import dataclasses

from countersign.model import (
    SECOND_US,
    Assurance,
    CallerId,
    Choice,
    DecisionId,
    Delegation,
    DelegationId,
    Effect,
    Instant,
    PermitId,
    PersonId,
    PolicyDecision,
    Preview,
    Reason,
    Requirement,
    Review,
    ReviewId,
    ReviewState,
    Stage,
    TenantId,
)
from countersign.review import ClaimAttempted, Refusal, VoteCast, step

TENANT = TenantId("default")
NOW = Instant(1_800_000_000 * SECOND_US)
ALICE, BOB, CAROL, DAVE, ERIN = map(PersonId, ("alice", "bob", "carol", "dave", "erin"))


@dataclasses.dataclass
class Town:
    """A directory in memory."""

    groups: dict[PersonId, set[str]]
    delegations: tuple[Delegation, ...] = ()

    def groups_of(self, tenant, person):
        found = self.groups.get(person)
        return None if found is None or tenant != TENANT else frozenset(found)

    def eligible(self, tenant, stage):
        if tenant != TENANT:
            return frozenset()
        by_group = {p for p, groups in self.groups.items() if groups & set(stage.groups)}
        return frozenset(by_group | (set(stage.people) & set(self.groups)))

    def delegations_to(self, tenant, delegate):
        return [each for each in self.delegations if each.delegate == delegate]


TOWN = Town(
    {BOB: {"owners"}, CAROL: {"owners"}, DAVE: {"security"}, ALICE: {"owners"}, ERIN: set()}
)
OWNERS = Stage(name="owner", groups=("owners",), quorum=1)
SECURITY = Stage(name="security", groups=("security",), quorum=1)


def preview(profile="reviewer", *, reviewable=True):
    return Preview(
        profile=profile,
        context_json="{}",
        facts_json="{}",
        report_json="{}",
        hash=f"hash-of-{profile}",
        reviewable=reviewable,
    )


def review(*stages, excluded=(ALICE,), reviewable=True, **demands):
    return Review(
        tenant=TENANT,
        id=ReviewId("rev_1"),
        decision=DecisionId("dec_1"),
        caller=CallerId("agent"),
        action="db.export",
        state=ReviewState.PENDING,
        version=1,
        revision=1,
        created_at=NOW,
        approve_by=Instant(NOW + 3600 * SECOND_US),
        commitment="c0ffee",
        fingerprint="f",
        base_fingerprint="b",
        requirement=Requirement(stages=stages or (OWNERS,), **demands),
        previews={"reviewer": preview(reviewable=reviewable)},
        owners=(ALICE,),
        excluded=tuple(excluded),
        reasons=(Reason(code="x", message="y"),),
        policy_revision="r1",
    )


def vote(person, choice=Choice.APPROVE, **changes):
    values = {
        "person": person,
        "choice": choice,
        "revision": 1,
        "profile": "reviewer",
        "preview_hash": "hash-of-reviewer",
        "reason": "fine",
        "assurance": Assurance.PERSON,
        "people": TOWN,
    }
    return VoteCast(**(values | changes))


def policy(effect=Effect.NEEDS_APPROVAL, *stages, **demands):
    requirement = None
    if effect is Effect.NEEDS_APPROVAL:
        requirement = Requirement(stages=stages or (OWNERS,), **demands)
    reasons = (Reason(code="today.says", message="so"),)
    return PolicyDecision(effect=effect, reasons=reasons, revision="r2", requirement=requirement)


def claim(**changes):
    values = {
        "claimant": CallerId("agent"),
        "audience": "",
        "commitment": "c0ffee",
        "policy": policy(),
        "excluded": frozenset({ALICE}),
        "people": TOWN,
        "permit": PermitId("pmt_1"),
    }
    return ClaimAttempted(**(values | changes))


def later(seconds):
    return Instant(NOW + seconds * SECOND_US)


def through(subject, *events, at=NOW):
    """Apply events that must all be accepted."""
    for event in events:
        subject = step(subject, event, at)
        assert not isinstance(subject, Refusal), subject
    return subject


def refused(subject, event, at=NOW):
    """Apply an event that must be refused; the code of the refusal."""
    result = step(subject, event, at)
    assert isinstance(result, Refusal), result.state
    return result.code


def delegation(delegator, delegate, *, assurance=Assurance.PERSON):
    return Delegation(
        tenant=TENANT,
        id=DelegationId(f"dlg_{delegator}_{delegate}"),
        delegator=delegator,
        delegate=delegate,
        starts_at=NOW,
        ends_at=later(86_400),
        assurance=assurance,
        reason="on leave",
        created_at=NOW,
    )


def town(*delegations, **groups):
    """The town as usual, with these delegations in force and these groups instead."""
    members = TOWN.groups | {PersonId(who): set(names) for who, names in groups.items()}
    return Town(members, tuple(delegations))
