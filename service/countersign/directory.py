"""Who is who, who may speak for what, and who must not decide.

Invariants kept: 6 (what a caller asserts widens the exclusion, never shrinks
it), 7 (the credentials of callers and people never meet) and 12 (each tenant
has a book of its own, and the tenant comes from the credential).

A `Directory` is one immutable snapshot, checked as a whole when it is built
(see `enrolment`), so that a lookup is a dictionary access and never a
surprise. Pure: the registry builds snapshots from files; the edge asks who is
calling, the flow whether a caller may speak for a context and who is behind
it, the review rules ask for groups and the sanitizer which ids are known. Take
one snapshot at the start of a request and use it to the end.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias, TypeVar

from countersign.credentials import SubjectKind
from countersign.enrolment import EMPTY, Book, Entry, Login, LoginKey, books, fold, logins
from countersign.errors import UnauthenticatedError
from countersign.model import (
    ActionContext,
    Caller,
    CallerId,
    JsonObject,
    Person,
    PersonId,
    Principal,
    Reason,
    Stage,
    TenantId,
)

__all__ = ["Chain", "Directory", "Login", "diff"]

_Subject = TypeVar("_Subject", Caller, Person)
_NOT_PEOPLE: Final = frozenset({"workload", "external"})
_NOT_ITS_ACTOR: Final = Reason(
    code="caller.actor_not_registered",
    message="the actor is not a workload registered for this caller; name one of its actors",
)
_NOT_ITS_ENVIRONMENT: Final = Reason(
    code="caller.environment_not_registered",
    message="the environment is not registered for this caller; name one of its environments",
)
_NOT_ITS_RESOURCE: Final = Reason(
    code="caller.resource_not_registered",
    message="the resource matches no pattern registered for this caller; its operator can add one",
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Who is behind one request, and so must not decide on it."""

    owners: tuple[PersonId, ...]
    """Registered owners of the caller."""
    excluded: frozenset[PersonId]
    unresolved: tuple[str, ...]
    """JSON pointers, below the context, of people named but not registered."""


class Directory:
    """One snapshot of all tenants' callers, people and credentials."""

    __slots__ = (
        "_books",
        "_callers_by_mtls",
        "_callers_by_token",
        "_logins",
        "_people_by_mtls",
        "_people_by_token",
    )

    def __init__(self, books: Mapping[TenantId, Book], logins: Mapping[LoginKey, Login]) -> None:
        self._books = books
        self._logins = logins
        self._callers_by_token: dict[str, Caller] = {}
        self._callers_by_mtls: dict[str, Caller] = {}
        self._people_by_token: dict[str, Person] = {}
        self._people_by_mtls: dict[str, Person] = {}
        for tenant, book in books.items():
            for entry in book.callers.values():
                login = self.login(tenant, SubjectKind.CALLER, entry.caller.id)
                _index(entry.caller, login, self._callers_by_token, self._callers_by_mtls)
            for person in book.people.values():
                login = self.login(tenant, SubjectKind.PERSON, person.id)
                _index(person, login, self._people_by_token, self._people_by_mtls)

    @classmethod
    def of(
        cls, callers: Iterable[Caller], people: Iterable[Person], credentials: Iterable[Login] = ()
    ) -> Directory:
        """Check everything and build the snapshot.

        Raises `ConfigurationError` (`directory.…`) naming the subject and the
        field; values that could be secret or personal are never quoted.
        """
        found = books(tuple(callers), tuple(people))
        return cls(found, logins(credentials, found))

    # --- who is calling ---

    def caller_by_token(self, sha256_hex: str) -> Caller | None:
        """The caller that a token with this hash belongs to."""
        return self._callers_by_token.get(sha256_hex)

    def person_by_token(self, sha256_hex: str) -> Person | None:
        """The person that a token with this hash belongs to."""
        return self._people_by_token.get(sha256_hex)

    def caller_by_mtls(self, subject: str) -> Caller | None:
        """The caller with this subject of a verified client certificate."""
        return self._callers_by_mtls.get(subject)

    def person_by_mtls(self, subject: str) -> Person | None:
        """The person with this subject of a verified client certificate."""
        return self._people_by_mtls.get(subject)

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

    def requester_chain(self, caller: Caller, context: ActionContext) -> Chain:
        """Everybody behind a request: by registration, and by what it names.

        A named principal is looked up as a person and as a workload, whatever
        type it was given as: a type is asserted, and must not decide who is
        excluded. `resource.owner` is left out: to own the data is not to ask
        for it, and the owner is often the very person who should decide.

        Raises `UnauthenticatedError` when the caller is not in this snapshot.
        """
        entry = self._entry(caller)
        book = self._books[caller.tenant]
        excluded = set(entry.behind)
        unresolved: list[str] = []
        for pointer, principal in _named(context):
            name = fold(principal.id)
            person = book.names.get(name)
            if person is not None:
                excluded.add(person)
            elif principal.type not in _NOT_PEOPLE:
                unresolved.append(pointer)
            excluded |= book.workloads.get(name, frozenset())
        return Chain(
            owners=entry.caller.owners,
            excluded=frozenset(excluded),
            unresolved=tuple(unresolved),
        )

    def registered_chain(self, tenant: TenantId, caller: CallerId) -> frozenset[PersonId]:
        """Everybody the registry alone puts behind a caller; nobody for one unknown."""
        entry = self._book(tenant).callers.get(caller)
        return entry.behind if entry else frozenset()

    def caller(self, tenant: TenantId, id: CallerId) -> Caller | None:
        """The registered caller with this id."""
        entry = self._book(tenant).callers.get(id)
        return entry.caller if entry else None

    # --- people ---

    def person(self, tenant: TenantId, id: PersonId) -> Person | None:
        """The registered person with this id."""
        return self._book(tenant).people.get(id)

    def groups_of(self, tenant: TenantId, person: PersonId) -> frozenset[str] | None:
        """The groups of a person; None when nobody is registered by that id."""
        found = self._book(tenant).people.get(person)
        return None if found is None else found.groups

    def eligible(self, tenant: TenantId, stage: Stage) -> frozenset[PersonId]:
        """The registered people a stage asks for, before any exclusion."""
        book = self._book(tenant)
        named = frozenset(person for person in stage.people if person in book.people)
        return named.union(*(book.members.get(group, ()) for group in stage.groups))

    # --- what is registered ---

    def is_known(self, tenant: TenantId, id: str) -> bool:
        """Whether this is exactly the id of a caller, actor, person or group.

        Accounts are personal data, not ids.
        """
        return id in self._book(tenant).known

    @property
    def tenants(self) -> frozenset[TenantId]:
        """Tenants that have a caller or a person."""
        return frozenset(self._books)

    def callers(self, tenant: TenantId) -> Sequence[Caller]:
        """All callers of a tenant, in the order they were given."""
        return tuple(entry.caller for entry in self._book(tenant).callers.values())

    def people(self, tenant: TenantId) -> Sequence[Person]:
        """All people of a tenant, in the order they were given."""
        return tuple(self._book(tenant).people.values())

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


def _index(
    subject: _Subject,
    login: Login,
    by_token: dict[str, _Subject],
    by_mtls: dict[str, _Subject],
) -> None:
    by_token.update(dict.fromkeys(login.token_sha256, subject))
    if login.mtls_subject is not None:
        by_mtls[login.mtls_subject] = subject


def _named(context: ActionContext) -> Iterator[tuple[str, Principal]]:
    """Every principal a context names, with its JSON pointer."""
    yield "/actor", context.actor
    for index, principal in enumerate(context.on_behalf_of):
        yield f"/on_behalf_of/{index}", principal


def diff(old: Directory, new: Directory) -> dict[TenantId, JsonObject]:
    """What changed, by tenant: ids and names of changed fields, fit for a record.

    Each value is `{"callers": …, "people": …}`, both `{"added": [id], "removed":
    [id], "changed": {id: [field]}}`. Holds no token hash, account or name of a
    person. Empty exactly when the two snapshots say the same.
    """
    changes: dict[TenantId, JsonObject] = {}
    for tenant in sorted(old.tenants | new.tenants):
        callers = _compare(_callers(old, tenant), _callers(new, tenant))
        people = _compare(_people(old, tenant), _people(new, tenant))
        if any(callers.values()) or any(people.values()):
            changes[tenant] = {"callers": callers, "people": people}
    return changes


_Facts: TypeAlias = dict[str, tuple[Caller | Person, Login]]
"""By id: a subject and its credentials."""


def _callers(directory: Directory, tenant: TenantId) -> _Facts:
    return {
        caller.id: (caller, directory.login(tenant, SubjectKind.CALLER, caller.id))
        for caller in directory.callers(tenant)
    }


def _people(directory: Directory, tenant: TenantId) -> _Facts:
    return {
        person.id: (person, directory.login(tenant, SubjectKind.PERSON, person.id))
        for person in directory.people(tenant)
    }


def _compare(old: _Facts, new: _Facts) -> JsonObject:
    same_ids = sorted(old.keys() & new.keys())
    return {
        "added": [*sorted(new.keys() - old.keys())],
        "removed": [*sorted(old.keys() - new.keys())],
        "changed": {
            subject: [*_changed_fields(old[subject], new[subject])]
            for subject in same_ids
            if old[subject] != new[subject]
        },
    }


def _changed_fields(
    old: tuple[Caller | Person, Login], new: tuple[Caller | Person, Login]
) -> list[str]:
    return sorted(
        field.name
        for before, now in zip(old, new, strict=True)
        for field in dataclasses.fields(now)
        if getattr(before, field.name) != getattr(now, field.name)
    )
