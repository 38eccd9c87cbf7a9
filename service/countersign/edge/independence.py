"""What an operator may change: nothing that bears on what they themselves ask for.

Invariants kept: 6 (two people), against those who administer. Whoever could
take herself out of a chain, make another her way in, or make herself a
channel's voice, could then approve what her own agent asks. Pure: judged from
the registers before and after the change, while nobody else can change them.
Used by `admin` alone.

A token shown to an operator is no change of these: it stands in the register
with who saw it, and the directory counts them among those behind its caller.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Set as AbstractSet

from countersign.credentials import SubjectKind
from countersign.directory import Directory
from countersign.errors import NotPermittedError, UnauthenticatedError
from countersign.model import Account, CallerId, Person, PersonId, TenantId
from countersign.registry import Who


class Act(enum.Enum):
    """What is done to a subject."""

    PUT = "put"
    REMOVE = "remove"
    ROTATE = "rotate"
    REVOKE = "revoke"
    """Only takes a way in away."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Independence:
    """One operator's standing; `groups` are those whose members are operators."""

    operator: Person
    proof: str
    """By what they proved themselves."""
    groups: AbstractSet[str]

    def require(self, act: Act, who: Who, old: Directory, new: Directory) -> None:
        """Raises `NotPermittedError` unless this operator may make this change."""
        require_operator(self.operator, self.proof, old, self.groups)
        if who.kind is SubjectKind.PERSON:
            self._require_another(act, who, old, new)
        elif who.kind is SubjectKind.CALLER and act is not Act.REVOKE:
            self._require_not_behind(who, old, new)
            if act is Act.ROTATE or old.caller(who.tenant, CallerId(who.id)) is None:
                self._require_no_channel(old)
        elif who.kind is SubjectKind.CHANNEL and act in (Act.PUT, Act.ROTATE):
            self._require_behind_nothing(old)

    def require_not_self(self, who: Who) -> None:
        """Raises `NotPermittedError` when this is the operator."""
        if who.kind is SubjectKind.PERSON and who.id == self.operator.id:
            raise _own("this is you")

    def _require_another(self, act: Act, who: Who, old: Directory, new: Directory) -> None:
        """People: not themselves, nor whoever could change or prove what they cannot."""
        self.require_not_self(who)
        before, after = (self._operators(directory) for directory in (old, new))
        if before != after or (who.id in before and act is not Act.REVOKE):
            raise NotPermittedError(
                "admin.operators_fixed",
                "who is an operator, and what an operator is and proves, is not changed by another",
                advice="Whoever runs the server changes operators in its registers.",
            )
        if _accounts(new, who) - _accounts(old, who) and self._shares_a_chain(who, old):
            raise _own("an account of this person proves that they, not you, are behind a call")

    def _require_not_behind(self, who: Who, old: Directory, new: Directory) -> None:
        """Callers: none whose chain changes, above or below, while they are part of it."""
        tenant = self.operator.tenant
        callers = {caller.id for directory in (old, new) for caller in directory.callers(tenant)}
        for caller in callers:
            before, after = (_behind(directory, tenant, caller) for directory in (old, new))
            touched = caller == who.id or before != after
            if touched and self.operator.id in before | after:
                raise _own("you are behind this caller, or behind one whose chain it is part of")

    def _require_behind_nothing(self, old: Directory) -> None:
        """Channels: they speak for everybody, so nobody who can ask for anything makes one."""
        tenant = self.operator.tenant
        for caller in old.callers(tenant):
            if self.operator.id in old.registered_chain(tenant, caller.id):
                raise _own("you are behind a caller, or saw its token; a channel speaks for all")

    def _require_no_channel(self, old: Directory) -> None:
        """Nor does anybody see a caller's token who has seen a channel's."""
        tenant = self.operator.tenant
        for channel in old.channels(tenant):
            if self.operator.id in old.login(tenant, SubjectKind.CHANNEL, channel.id).seen_by():
                raise _own("you saw the token of a channel, which speaks for all")

    def _shares_a_chain(self, who: Who, old: Directory) -> bool:
        """Whether a person can be behind a call of a caller that the operator is behind."""
        tenant = self.operator.tenant
        both = {self.operator.id, PersonId(who.id)}
        return any(both <= _behind(old, tenant, c.id) for c in old.callers(tenant))

    def _operators(self, directory: Directory) -> frozenset[PersonId]:
        tenant = self.operator.tenant
        return frozenset(
            person.id
            for person in directory.people(tenant)
            if is_operator(person, directory, self.groups)
        )


def is_operator(person: Person, directory: Directory, groups: AbstractSet[str]) -> bool:
    """Whether a person is in one of the operators' groups, by whatever way."""
    return not groups.isdisjoint(directory.groups_of(person.tenant, person.id) or ())


def require_operator(
    person: Person, proof: str, directory: Directory, groups: AbstractSet[str]
) -> None:
    """Raises `NotPermittedError` unless this is an operator, and nobody else could be."""
    if not groups:
        raise NotPermittedError(
            "admin.disabled",
            "nobody administers this server by call",
            advice="Whoever runs it can name groups of operators in its settings: [admin] groups.",
        )
    if not is_operator(person, directory, groups):
        raise NotPermittedError(
            "admin.not_operator",
            "only operators may do this",
            advice="Ask an operator; whoever runs the server can say who that is.",
        )
    _require_own_proof(person, proof, directory)


def _require_own_proof(person: Person, proof: str, directory: Directory) -> None:
    """A way in that an operator made would be their second self.

    One that is gone meanwhile tells no more who made it, so it counts no more either.
    """
    ways_in = directory.credentials(person.tenant, SubjectKind.PERSON, person.id)
    if all(way.proof != proof for way in ways_in):
        raise UnauthenticatedError(
            "credential.unknown", "authorization: the credential is no longer yours"
        )
    if directory.shown_to(person.tenant, proof) is not None:
        raise NotPermittedError(
            "admin.token_known",
            "an operator made this credential and could be the one using it",
            advice="Whoever runs the server can make you one there, which nobody else is shown.",
        )


def _behind(directory: Directory, tenant: TenantId, id: CallerId) -> frozenset[PersonId]:
    """Owners and users of a caller and of all above it; nobody for one unknown."""
    found: set[PersonId] = set()
    caller = directory.caller(tenant, id)
    while caller is not None:
        found.update(caller.owners, caller.users)
        caller = directory.caller(tenant, caller.parent) if caller.parent else None
    return frozenset(found)


def _accounts(directory: Directory, who: Who) -> frozenset[Account]:
    person = directory.person(who.tenant, PersonId(who.id))
    return frozenset(person.accounts) if person else frozenset()


def _own(why: str) -> NotPermittedError:
    return NotPermittedError(
        "admin.own_subject",
        f"nobody changes what they themselves are or are behind: {why}",
        advice="Ask another operator, or whoever runs the server.",
    )
