"""Delegation: a person lends their standing to another for a time.

Invariant 6 holds over it: nobody who is excluded lends or borrows, both
together have one vote, and what is lent is not lent on. Those rules are in
`review.standing`; here it is only given, listed and taken back, each on record.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Final

from countersign.errors import InvalidRequestError, NotFoundError, PreconditionError
from countersign.flow import keeping, masking, record
from countersign.flow.filing import file
from countersign.flow.gate import assurance, seen_by, too_new
from countersign.flow.parts import Parts
from countersign.flow.request import Named, Request
from countersign.flow.transition import as_error
from countersign.flow.voter import Voter
from countersign.model import (
    Delegation,
    DelegationId,
    Instant,
    PersonId,
    TenantId,
    after,
    new_id,
)
from countersign.review import Refusal
from countersign.store.protocol import Transaction

MAX_DELEGATIONS: Final = 20
"""That one person may have given at once."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DelegateAsk:
    """A Delegate as the edge parsed it."""

    delegate: PersonId
    starts_at: Instant | None
    """None: now."""
    ends_at: Instant
    reason: str
    request_id: str


async def delegate(parts: Parts, voter: Voter, ask: DelegateAsk) -> Delegation:
    """Lend this person's standing. Raises `RequestError` when that is not possible."""
    keeping.require_room(parts, voter.person.tenant)
    person, reason = voter.person, await masking.said(parts, ask.reason)
    _possible(parts, voter, ask)
    request = Request.of(
        parts,
        person,
        "delegate",
        ask.request_id,
        ask.delegate.encode(),
        str(ask.starts_at).encode(),
        str(ask.ends_at).encode(),
        ask.reason.encode(),
    )

    def run(tx: Transaction) -> Delegation | Refusal:
        before = request.replayed(tx)
        if before is not None:
            return _known(tx, person.tenant, DelegationId(str(before["delegation"])))
        refusal = too_new(parts, tx, voter) or _too_many(tx, voter)
        if refusal:
            return refusal
        lent = Delegation(
            tenant=person.tenant,
            id=DelegationId(new_id("dlg")),
            delegator=person.id,
            delegate=ask.delegate,
            starts_at=max(tx.now, ask.starts_at or tx.now),
            ends_at=ask.ends_at,
            assurance=assurance(parts, voter),
            reason=reason,
            created_at=tx.now,
            known_to=tuple(sorted(seen_by(parts, voter))),
        )
        _in_bounds(parts, lent)
        tx.put_delegation(lent)
        _file(tx, "delegation.given", lent, request)
        request.remember(tx, {"delegation": lent.id})
        return lent

    result = await parts.store.apply(Named(name="delegate", run=run))
    if isinstance(result, Refusal):
        raise as_error(result)
    return result


async def end(parts: Parts, voter: Voter, id: DelegationId, *, request_id: str) -> Delegation:
    """Take one's own delegation back; votes cast under it stand."""
    person = voter.person
    request = Request.of(parts, person, "end_delegation", request_id, id.encode())

    def run(tx: Transaction) -> Delegation:
        lent = _known(tx, person.tenant, id)
        if lent.delegator != person.id:
            raise _unknown()
        if request.replayed(tx) is not None or lent.ended_at is not None or lent.ends_at <= tx.now:
            return lent
        ended = dataclasses.replace(lent, ended_at=tx.now)
        tx.put_delegation(ended)
        _file(tx, "delegation.ended", ended, request)
        request.remember(tx, {"delegation": id})
        return ended

    return await parts.store.apply(Named(name="end_delegation", run=run))


async def given(parts: Parts, tenant: TenantId) -> Sequence[Delegation]:
    """Delegations of a tenant that have not ended: everybody may know who stands in."""
    return await parts.store.delegations(tenant)


def _possible(parts: Parts, voter: Voter, ask: DelegateAsk) -> None:
    """Refuse what no moment would make right."""
    if parts.limits.max_delegation_s == 0:
        raise PreconditionError("delegation.disabled", "this server lets nobody delegate")
    if ask.delegate == voter.person.id:
        raise InvalidRequestError("delegate_id", "must be somebody else")
    if parts.directory().person(voter.person.tenant, ask.delegate) is None:
        raise InvalidRequestError("delegate_id", "is no registered person")


def _in_bounds(parts: Parts, lent: Delegation) -> None:
    if lent.ends_at <= lent.starts_at:
        raise InvalidRequestError("ends_at", "must be later than it starts, and in the future")
    if lent.ends_at > after(lent.starts_at, parts.limits.max_delegation_s):
        days = parts.limits.max_delegation_s / 86_400
        raise InvalidRequestError("ends_at", f"is more than {days:g} days after it starts")


def _too_many(tx: Transaction, voter: Voter) -> Refusal | None:
    if tx.count_delegations(voter.person.tenant, voter.person.id) < MAX_DELEGATIONS:
        return None
    return Refusal(
        code="delegation.too_many", message="you have given too many delegations; end some first"
    )


def _known(tx: Transaction, tenant: TenantId, id: DelegationId) -> Delegation:
    lent = tx.delegation(tenant, id)
    if lent is None:
        raise _unknown()
    return lent


def _unknown() -> NotFoundError:
    return NotFoundError("delegation.not_found", "delegation_id: no such delegation of yours")


def _file(tx: Transaction, kind: str, lent: Delegation, request: Request) -> None:
    body = record.record(
        kind, lent.tenant, delegation=record.delegation(lent), request=request.record
    )
    file(tx, lent.tenant, body)
