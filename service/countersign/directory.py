"""Who is who, who may speak for what, and who must not decide.

Invariants kept: 6 (what a caller asserts widens the exclusion, never shrinks
it; only proof narrows it, and only among those who could be behind the call), 7
(the credentials of callers, people and channels never meet) and 12 (each tenant
has a book of its own, and the tenant comes from the credential).

A `Directory` is one immutable snapshot, checked as a whole when it is built
(see `enrolment`), so that a lookup is a dictionary access and never a
surprise. Pure: a `DirectorySource` such as the registry builds snapshots; the
edge asks who is calling, the flow whether a caller may speak for a context and
who is behind it, the review rules ask for groups and the sanitizer which ids
are known. Take one snapshot at the start of a request and use it to the end.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol, TypeVar

from countersign.credentials import SubjectKind
from countersign.enrolment import (
    EMPTY,
    Book,
    CredentialName,
    Entry,
    Group,
    Login,
    LoginKey,
    books,
    changes,
    credential_names,
    fold,
    logins,
)
from countersign.errors import UnauthenticatedError
from countersign.model import (
    Account,
    ActionContext,
    Caller,
    CallerId,
    Channel,
    ChannelId,
    JsonObject,
    Person,
    PersonId,
    Principal,
    Reason,
    Stage,
    TenantId,
)

__all__ = ["Chain", "CredentialName", "Directory", "DirectorySource", "Group", "Login", "diff"]

_Subject = TypeVar("_Subject", Caller, Person, Channel)
_T = TypeVar("_T")
_NOT_PEOPLE: Final = frozenset({"workload", "external"})
_NOT_PERMITTED: Final = "context.not_permitted"
_NOT_ITS_ACTOR: Final = Reason(
    code=_NOT_PERMITTED,
    message="/actor: is not a workload registered for this caller; name one of its actors",
)
_NOT_ITS_ENVIRONMENT: Final = Reason(
    code=_NOT_PERMITTED,
    message="/environment: is not registered for this caller; name one of its environments",
)
_NOT_ITS_RESOURCE: Final = Reason(
    code=_NOT_PERMITTED,
    message="/resource: matches no pattern registered for this caller; its operator can add one",
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Who is behind one request, and so must not decide on it."""

    owners: tuple[PersonId, ...]
    """Registered owners of the caller."""
    excluded: frozenset[PersonId]
    unresolved: tuple[str, ...]
    """JSON pointers, below the context, of people named but not registered."""


class DirectorySource(Protocol):
    """Where snapshots come from: the registry's files, or a company's own directory."""

    @property
    def current(self) -> Directory:
        """The snapshot in force."""

    def age_s(self) -> float:
        """Seconds since it was last confirmed to be what the source says."""


class Directory:
    """One snapshot of all tenants' callers, people, channels and credentials."""

    __slots__ = (
        "_books",
        "_callers",
        "_callers_by_jwt",
        "_channels",
        "_logins",
        "_people",
        "_shown_to",
    )

    def __init__(self, books: Mapping[TenantId, Book], logins: Mapping[LoginKey, Login]) -> None:
        self._books = books
        self._logins = logins
        # By the hash of a token, and by the subject of a certificate.
        self._callers: tuple[dict[str, Caller], dict[str, Caller]] = ({}, {})
        self._people: tuple[dict[str, Person], dict[str, Person]] = ({}, {})
        self._channels: tuple[dict[str, Channel], dict[str, Channel]] = ({}, {})
        self._callers_by_jwt: dict[tuple[TenantId, Account], Caller] = {}
        self._shown_to: dict[tuple[TenantId, str], PersonId] = {}
        for (tenant, kind, subject), login in logins.items():
            book = books[tenant]
            if kind is SubjectKind.CALLER:
                caller = book.callers[CallerId(subject)].caller
                _index(caller, login, self._callers)
                self._callers_by_jwt |= {(tenant, account): caller for account in login.jwt}
            elif kind is SubjectKind.PERSON:
                _index(book.people[PersonId(subject)], login, self._people)
            else:
                _index(book.channels[ChannelId(subject)], login, self._channels)
            if login.shown_to:
                proofs = (way.proof for way in self.credentials(tenant, kind, subject))
                self._shown_to |= {(tenant, proof): maker for proof, maker in login.makers(proofs)}

    @classmethod
    def of(
        cls,
        callers: Iterable[Caller],
        people: Iterable[Person],
        credentials: Iterable[Login] = (),
        channels: Iterable[Channel] = (),
        groups: Iterable[Group] = (),
    ) -> Directory:
        """Check everything and build the snapshot.

        Raises `ConfigurationError` (`directory.…`) naming the subject and the
        field; values that could be secret or personal are never quoted.
        """
        given = tuple(credentials)
        found = books(tuple(callers), tuple(people), tuple(channels), tuple(groups), given)
        return cls(found, logins(given, found))

    # --- who is calling ---

    def caller_by_token(self, sha256_hex: str) -> Caller | None:
        """The caller that a token with this hash belongs to."""
        return self._callers[0].get(sha256_hex)

    def person_by_token(self, sha256_hex: str) -> Person | None:
        """The person that a token with this hash belongs to."""
        return self._people[0].get(sha256_hex)

    def channel_by_token(self, sha256_hex: str) -> Channel | None:
        """The channel that a token with this hash belongs to."""
        return self._channels[0].get(sha256_hex)

    def caller_by_mtls(self, subject: str) -> Caller | None:
        """The caller with this alternative name in a verified client certificate."""
        return self._callers[1].get(subject)

    def person_by_mtls(self, subject: str) -> Person | None:
        """The person with this alternative name in a verified client certificate."""
        return self._people[1].get(subject)

    def channel_by_mtls(self, subject: str) -> Channel | None:
        """The channel with this alternative name in a verified client certificate."""
        return self._channels[1].get(subject)

    def caller_by_login(
        self, issuer: str, subject: str, tenants: Iterable[TenantId]
    ) -> Caller | None:
        """The one caller of these tenants that logs in with this account."""
        account = Account(issuer=issuer, subject=subject)
        return _only(self._callers_by_jwt.get((tenant, account)) for tenant in tenants)

    def person_by_login(
        self, issuer: str, subject: str, tenants: Iterable[TenantId]
    ) -> Person | None:
        """The one person of these tenants, for whom the issuer speaks, who has this account.

        Nobody, when it is somebody in several of them: a login leads to one tenant.
        """
        account = Account(issuer=issuer, subject=subject)
        return _only(self.person_by_account(tenant, account) for tenant in tenants)

    def person_by_account(self, tenant: TenantId, account: Account) -> Person | None:
        """The person of this tenant whose account this is, exactly."""
        book = self._book(tenant)
        person = book.accounts.get(account)
        return None if person is None else book.people[person]

    def is_client(self, tenant: TenantId, client: str) -> bool:
        """Whether this OAuth client is a caller's of this tenant: a machine, no person's."""
        return client in self._book(tenant).clients

    # --- credentials by their names ---

    def credentials(self, tenant: TenantId, kind: SubjectKind, id: str) -> Sequence[CredentialName]:
        """Every way in of a subject, with its proof."""
        login = self.login(tenant, kind, id)
        person = self.person(tenant, PersonId(id)) if kind is SubjectKind.PERSON else None
        return tuple(credential_names(login, person.accounts if person else login.jwt))

    def proofs(self, tenant: TenantId) -> Mapping[PersonId, frozenset[str]]:
        """All proofs of all people of a tenant."""
        return {
            person: frozenset(
                credential.proof
                for credential in self.credentials(tenant, SubjectKind.PERSON, person)
            )
            for person in self._book(tenant).people
        }

    def shown_to(self, tenant: TenantId, proof: str) -> PersonId | None:
        """Which operator was shown this token or added this account, and so could use it."""
        return self._shown_to.get((tenant, proof))

    # --- what a caller may speak for ---

    def scope_refusal(self, caller: Caller, context: ActionContext) -> Reason | None:
        """Why this caller does not speak for this context; None when it does.

        Raises `UnauthenticatedError` when the caller is not in this snapshot.
        """
        entry = self._entry(caller)
        if context.actor.type != "workload" or context.actor.id not in entry.caller.actors:
            return _NOT_ITS_ACTOR
        if context.environment not in entry.caller.environments:
            return _NOT_ITS_ENVIRONMENT
        resource = context.resource
        if not any(pattern.matches(resource.type, resource.id) for pattern in entry.resources):
            return _NOT_ITS_RESOURCE
        return None

    # --- who must not decide ---

    def requester_chain(
        self, caller: Caller, context: ActionContext, proven: PersonId | None = None
    ) -> Chain:
        """Everybody behind a request: by registration, by proof, and by what it names.

        `proven` is the person proven to be behind it, if anybody is: that spares
        other users of the caller's line, unless they are named. Its own line named
        again, as by its actor, adds nobody; another caller of that name adds all
        who can drive it, since nothing is proven of that one.

        A named principal is looked up as a person and as a workload, whatever
        type it was given as: a type is asserted, and must not decide who is
        excluded. `resource.owner` is left out: to own the data is not to ask
        for it, and the owner is often the very person who should decide.

        Raises `UnauthenticatedError` when the caller is not in this snapshot.
        """
        entry = self._entry(caller)
        book = self._books[caller.tenant]
        excluded = set(entry.behind_when(proven))
        unresolved: list[str] = []
        for pointer, principal in _named(context):
            name = fold(principal.id)
            people = book.names.get(name)
            if people is not None:
                excluded |= people
            elif principal.type not in _NOT_PEOPLE:
                unresolved.append(pointer)
            for other in book.workloads.get(name, ()):
                if other.caller.id not in entry.line:
                    excluded |= other.behind
        return Chain(
            owners=entry.caller.owners,
            excluded=frozenset(excluded),
            unresolved=tuple(unresolved),
        )

    def registered_chain(
        self, tenant: TenantId, caller: CallerId, proven: PersonId | None = None
    ) -> frozenset[PersonId]:
        """Everybody behind a caller by registration and proof, whatever a context names."""
        entry = self._book(tenant).callers.get(caller)
        if entry is not None:
            return entry.behind_when(proven)
        return frozenset() if proven is None else frozenset({proven})

    def caller(self, tenant: TenantId, id: CallerId) -> Caller | None:
        """The registered caller with this id."""
        entry = self._book(tenant).callers.get(id)
        return entry.caller if entry else None

    # --- people ---

    def person(self, tenant: TenantId, id: PersonId) -> Person | None:
        """The registered person with this id."""
        return self._book(tenant).people.get(id)

    def resolve(self, tenant: TenantId, name: str) -> PersonId | None:
        """The one person who goes by this id, alias or account's subject.

        None when nobody does, or several by their subjects. An id is always its own.
        """
        book = self._book(tenant)
        if PersonId(name) in book.people:
            return PersonId(name)
        return _only(book.names.get(fold(name), ()))

    def groups_of(self, tenant: TenantId, person: PersonId) -> frozenset[str] | None:
        """All groups of a person, by way of others too; None when nobody has that id."""
        return self._book(tenant).groups_of.get(person)

    def eligible(self, tenant: TenantId, stage: Stage) -> frozenset[PersonId]:
        """The registered people a stage asks for, before any exclusion."""
        book = self._book(tenant)
        named = frozenset(person for person in stage.people if person in book.people)
        return named.union(*(book.members.get(group, ()) for group in stage.groups))

    # --- what is registered ---

    def is_known(self, tenant: TenantId, id: str) -> bool:
        """Whether this is exactly the id of a caller, actor, person, channel or group.

        Aliases and accounts are personal data, not ids.
        """
        return id in self._book(tenant).known

    @property
    def tenants(self) -> frozenset[TenantId]:
        """Tenants in which anything is registered."""
        return frozenset(self._books)

    def callers(self, tenant: TenantId) -> Sequence[Caller]:
        """All callers of a tenant, in the order they were given."""
        return tuple(entry.caller for entry in self._book(tenant).callers.values())

    def people(self, tenant: TenantId) -> Sequence[Person]:
        """All people of a tenant, in the order they were given."""
        return tuple(self._book(tenant).people.values())

    def channels(self, tenant: TenantId) -> Sequence[Channel]:
        """All channels of a tenant, in the order they were given."""
        return tuple(self._book(tenant).channels.values())

    def groups(self, tenant: TenantId) -> Sequence[Group]:
        """The groups of a tenant that have an entry of their own, in the order given."""
        return tuple(self._book(tenant).groups.values())

    def login(self, tenant: TenantId, kind: SubjectKind, id: str) -> Login:
        """What a subject proves itself with; an empty one when it cannot."""
        nothing = Login(tenant=tenant, kind=kind, subject=id)
        return self._logins.get((tenant, kind, id), nothing)

    def _book(self, tenant: TenantId) -> Book:
        return self._books.get(tenant, EMPTY)

    def _entry(self, caller: Caller) -> Entry:
        entry = self._book(caller.tenant).callers.get(caller.id)
        if entry is None:
            raise UnauthenticatedError(
                "caller.not_registered",
                "the caller is no longer registered",
                advice="Ask the operator of the server for a new credential.",
            )
        return entry


def diff(old: Directory, new: Directory) -> dict[TenantId, JsonObject]:
    """What changed, by tenant: see `enrolment.changes`. Fit for a record.

    Each value has `callers`, `people`, `channels` and `groups`. Holds no token
    hash, account or name of a person. Empty exactly when both say the same.
    """
    found: dict[TenantId, JsonObject] = {}
    for tenant in sorted(old.tenants | new.tenants):
        told = changes(
            tenant,
            (old._book(tenant), old._logins),  # noqa: SLF001 - two snapshots are compared whole
            (new._book(tenant), new._logins),  # noqa: SLF001 - the same
        )
        if told:
            found[tenant] = told
    return found


def _index(
    subject: _Subject, login: Login, into: tuple[dict[str, _Subject], dict[str, _Subject]]
) -> None:
    by_token, by_mtls = into
    by_token.update(dict.fromkeys(login.token_sha256, subject))
    if login.mtls_subject is not None:
        by_mtls[login.mtls_subject] = subject


def _only(found: Iterable[_T | None]) -> _T | None:
    """What was found, if that is exactly one thing."""
    things = [thing for thing in found if thing is not None]
    return things[0] if len(things) == 1 else None


def _named(context: ActionContext) -> Iterator[tuple[str, Principal]]:
    """Every principal a context names, with its JSON pointer."""
    yield "/actor", context.actor
    for index, principal in enumerate(context.on_behalf_of):
        yield f"/on_behalf_of/{index}", principal
