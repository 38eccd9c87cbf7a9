"""What keeps a person from deciding right now, whoever they are.

Three doubts about identity, judged in the same transaction as the decision:
whether the way they proved themselves has been theirs long enough (somebody
with access to the directory may just have added it), whether anybody in the
requester chain was shown the token they came with (an operator who made it),
and whether anybody has confirmed lately who is registered. To deny takes no
confirmed directory: it is the safe way out.
"""

from __future__ import annotations

from countersign.flow.parts import Parts
from countersign.flow.voter import Voter
from countersign.model import (
    Assurance,
    ChannelId,
    Choice,
    PersonId,
    Review,
    TenantId,
    after,
    rfc3339,
)
from countersign.review import AfterReviewClosed, Event, GlassBroken, Refusal, VoteCast, barred
from countersign.store.protocol import Transaction


def not_now(
    parts: Parts, tx: Transaction, voter: Voter, review: Review, event: Event
) -> Refusal | None:
    """Why this person may not do this now."""
    if not isinstance(event, VoteCast | GlassBroken | AfterReviewClosed):
        return None
    denies = isinstance(event, VoteCast) and event.choice is Choice.DENY
    return (
        too_new(parts, tx, voter)
        or _known_to_the_chain(parts, voter, review)
        or (None if denies else stale(parts))
    )


def _known_to_the_chain(parts: Parts, voter: Voter, review: Review) -> Refusal | None:
    """Whether somebody who must not decide has seen the token that decides here."""
    if barred(review).isdisjoint(seen_by(parts, voter)):
        return None
    return Refusal(
        code="vote.token_known",
        message="the token that decides here was made by somebody in the requester chain, who "
        "could be the one using it",
    )


def too_new(parts: Parts, tx: Transaction, voter: Voter) -> Refusal | None:
    """Whether the proof this person came with has not been theirs for long enough."""
    tenant = voter.person.tenant
    own = account_too_new(parts, tx, tenant, voter.person.id, voter.proof)
    if own or voter.channel is None:
        return own
    return account_too_new(parts, tx, tenant, channel_holder(voter.channel), voter.channel_proof)


def account_too_new(
    parts: Parts, tx: Transaction, tenant: TenantId, holder: PersonId, proof: str
) -> Refusal | None:
    """Whether this proof has not been its holder's for long enough."""
    until = counts_from(parts.limits.new_account_wait_s, tx, tenant, holder, proof)
    if until is None:
        return None
    return Refusal(
        code="vote.account_too_new",
        message=f"the account, credential or channel is new here; it counts {until}",
    )


def counts_from(
    wait_s: int, tx: Transaction, tenant: TenantId, holder: PersonId, proof: str
) -> str | None:
    """From when a proof counts that does not yet, in words; None when it does."""
    if not wait_s:
        return None
    since = tx.proof_since(tenant, holder, proof)
    if since is not None and tx.now >= after(since, wait_s):
        return None
    return "later" if since is None else f"from {rfc3339(after(since, wait_s))}"


def seen_by(parts: Parts, voter: Voter) -> frozenset[PersonId]:
    """Who was shown what this person, or their channel, came with when it was made."""
    directory, tenant = parts.directory(), voter.person.tenant
    shown = [directory.shown_to(tenant, proof) for proof in (voter.proof, voter.channel_proof)]
    # As it was when the call came, too: a token that is revoked meanwhile has been seen.
    return frozenset(person for person in (voter.made_by, *shown) if person is not None)


def assurance(parts: Parts, voter: Voter) -> Assurance:
    """How well it is proven who acts: a token that somebody else knows proves little."""
    return Assurance.CHANNEL if seen_by(parts, voter) else voter.assurance


def channel_holder(channel: ChannelId) -> PersonId:
    """Under whose name the store keeps a channel's proofs: no person's id has a colon."""
    return PersonId(f"channel:{channel}")


def stale(parts: Parts) -> Refusal | None:
    """Whether nobody has confirmed for too long who is registered."""
    if not parts.directory_is_stale:
        return None
    return Refusal(
        code="directory.stale",
        message="nobody has confirmed lately who is registered, so nothing can be approved",
    )
