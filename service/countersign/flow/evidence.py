"""Who is proven to be behind a call, by a token that came with it.

Invariant 6: what a caller asserts widens the exclusion and never shrinks it;
only a proof shrinks it. So a token counts only when it was issued to this very
caller: a stolen or borrowed one would prove somebody else to be behind the
call, and let the one who really is decide. The edge has verified the token by
then and dropped it; what is left here holds no secret.
"""

from __future__ import annotations

import dataclasses

from countersign.credentials import proof_of_account
from countersign.directory import Directory
from countersign.model import (
    Account,
    ActionContext,
    Caller,
    PersonId,
    Principal,
    Reason,
    TenantId,
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a verified token says, and which principal it came with."""

    pointer: str
    """JSON pointer of that principal, such as `/on_behalf_of/0`."""
    principal: Principal
    account: Account
    """`iss` and `sub`."""
    client: str
    """The OAuth client it was issued to: `azp` or `client_id`."""
    actors: tuple[Account, ...] = ()
    """The `act` chain (RFC 8693), the present actor first."""

    @property
    def proof(self) -> str:
        """What the store remembers the account by."""
        return proof_of_account(self.account.issuer, self.account.subject)


def proven_person(directory: Directory, caller: Caller, evidence: Evidence) -> PersonId | Reason:
    """The person whom the evidence proves to be behind this caller's call."""
    issued_to = evidence.client
    if evidence.actors:
        # An actor known elsewhere is not the client of that name here.
        actor = evidence.actors[0]
        issued_to = actor.subject if actor.issuer == evidence.account.issuer else ""
    if not issued_to or issued_to not in caller.clients:
        return Reason(
            code="evidence.other_client",
            message=f"{evidence.pointer}/evidence: was not issued to a client registered for this "
            "caller, so it proves nothing about this call",
        )
    person = directory.person_by_account(caller.tenant, evidence.account)
    if person is None:
        return Reason(
            code="requester.unresolved",
            message=f"{evidence.pointer}/evidence: its account is no registered person's, so "
            "nobody can tell who must not decide",
        )
    if directory.shown_to(caller.tenant, evidence.proof) in directory.registered_chain(
        caller.tenant, caller.id
    ):
        return Reason(
            code="evidence.account_known",
            message=f"{evidence.pointer}/evidence: its account was registered by somebody behind "
            "this caller, so it proves nothing",
        )
    if directory.resolve(caller.tenant, evidence.principal.id) != person.id:
        return Reason(
            code="evidence.mismatch",
            message=f"{evidence.pointer}/id: is not the person whom its evidence proves",
        )
    return person.id


def with_actors(
    directory: Directory, tenant: TenantId, context: ActionContext, evidence: Evidence | None
) -> ActionContext:
    """The context as the exclusion is read from it: earlier actors are named as well."""
    earlier = earlier_actors(directory, tenant, evidence)
    if not earlier:
        return context
    named = tuple(Principal(type="external", id=name) for name in earlier)
    return dataclasses.replace(context, on_behalf_of=(*context.on_behalf_of, *named))


def earlier_actors(
    directory: Directory, tenant: TenantId, evidence: Evidence | None
) -> tuple[str, ...]:
    """Who acted before the present actor: by the names they have there, and as people here."""
    names: list[str] = []
    for account in evidence.actors[1:] if evidence else ():
        person = directory.person_by_account(tenant, account)
        names += [account.subject] if person is None else [account.subject, person.id]
    return tuple(names)
