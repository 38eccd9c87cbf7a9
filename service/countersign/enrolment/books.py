"""Check and index all subjects, each tenant for itself."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from countersign.credentials import SubjectKind
from countersign.enrolment.groups import groups_of, members
from countersign.enrolment.names import check_id, check_plain, fold, is_plain, subject_name
from countersign.enrolment.values import Book, Entry, Group, Login, Pattern
from countersign.errors import ConfigurationError
from countersign.model import (
    Account,
    Caller,
    CallerId,
    Channel,
    ChannelId,
    Person,
    PersonId,
    TenantId,
)

MAX_ANCESTORS: Final = 8


@dataclasses.dataclass(slots=True)
class _Enrolled:
    """All subjects of one tenant, as they were given."""

    callers: dict[CallerId, Caller] = dataclasses.field(default_factory=dict)
    people: dict[PersonId, Person] = dataclasses.field(default_factory=dict)
    channels: dict[ChannelId, Channel] = dataclasses.field(default_factory=dict)
    groups: dict[str, Group] = dataclasses.field(default_factory=dict)
    seen_by: dict[CallerId, frozenset[PersonId]] = dataclasses.field(default_factory=dict)
    """Who was shown a token of each caller."""


def books(
    callers: Sequence[Caller],
    people: Sequence[Person],
    channels: Sequence[Channel],
    groups: Sequence[Group],
    logins: Sequence[Login],
) -> dict[TenantId, Book]:
    """Check and index all subjects. Raises `ConfigurationError`.

    Of `logins` it matters here who was shown a caller's token, and so can drive it.
    """
    _check_ids(SubjectKind.CALLER, callers)
    _check_ids(SubjectKind.PERSON, people)
    _check_ids(SubjectKind.CHANNEL, channels)
    _check_ids("group", groups)
    tenants: dict[TenantId, _Enrolled] = defaultdict(_Enrolled)
    for caller in callers:
        tenants[caller.tenant].callers[caller.id] = caller
    for person in people:
        tenants[person.tenant].people[person.id] = person
    for channel in channels:
        tenants[channel.tenant].channels[channel.id] = channel
    for group in groups:
        tenants[group.tenant].groups[group.id] = group
    for login in logins:
        if login.kind is SubjectKind.CALLER and login.tenant in tenants:
            tenants[login.tenant].seen_by[CallerId(login.subject)] = login.seen_by()
    return {tenant: _book(tenants[tenant]) for tenant in sorted(tenants)}


def _check_ids(kind: str, subjects: Sequence[Caller | Person | Channel | Group]) -> None:
    """Ids first: whatever fails later can then be named by its id."""
    seen: set[tuple[TenantId, str]] = set()
    for number, subject in enumerate(subjects, start=1):
        for field, value in (("id", subject.id), ("tenant", subject.tenant)):
            check_id(f"{kind} number {number}: {field}", value)
        if (subject.tenant, subject.id) in seen:
            raise ConfigurationError(
                "directory.duplicate_id",
                f"{subject_name(kind, subject.tenant, subject.id)} is there twice",
                advice="Remove one of the two, or give it another id.",
            )
        seen.add((subject.tenant, subject.id))


def _book(all_: _Enrolled) -> Book:
    people = all_.people
    names, accounts = _names(people.values()), _accounts(people.values())
    in_group = members(people.values(), all_.groups)
    entries = {caller.id: _entry(caller, all_) for caller in all_.callers.values()}
    workloads: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries.values():
        for name in {fold(entry.caller.id), *map(fold, entry.caller.actors)}:
            workloads[name].append(entry)
    for channel in all_.channels.values():
        _check_channel(channel)
    return Book(
        callers=entries,
        people=people,
        channels=all_.channels,
        accounts=accounts,
        names=names,
        workloads={name: tuple(found) for name, found in workloads.items()},
        groups=all_.groups,
        groups_of=groups_of(people, in_group),
        members=in_group,
        clients=frozenset(client for entry in entries.values() for client in entry.caller.clients),
        known=frozenset(_known(all_)).union(in_group),
    )


def _known(all_: _Enrolled) -> Iterable[str]:
    yield from (*all_.callers, *all_.people, *all_.channels)
    for caller in all_.callers.values():
        yield from caller.actors
    for group in all_.groups.values():
        yield from group.includes


def _accounts(people: Iterable[Person]) -> dict[Account, PersonId]:
    """Whose each account is. Issuer and subject count exactly as they are written."""
    accounts: dict[Account, PersonId] = {}
    for person in people:
        me = subject_name(SubjectKind.PERSON, person.tenant, person.id)
        for index, account in enumerate(person.accounts):
            check_plain(f"{me}: accounts[{index}].issuer", account.issuer)
            check_plain(f"{me}: accounts[{index}].subject", account.subject)
            other = accounts.setdefault(account, person.id)
            if other != person.id:
                raise _shared(f'{me} and person "{other}" share an account')
    return accounts


def _names(people: Iterable[Person]) -> dict[str, frozenset[PersonId]]:
    """Every name a person goes by.

    Ids and aliases are given here, and no two people share one. Subjects are
    given by issuers who know nothing of each other: one that is several people's
    names all of them.
    """
    own: dict[str, PersonId] = {}
    names: dict[str, frozenset[PersonId]] = {}
    for person in people:
        me = subject_name(SubjectKind.PERSON, person.tenant, person.id)
        check_plain(f"{me}: name", person.name)
        for index, alias in enumerate(person.aliases):
            check_plain(f"{me}: aliases[{index}]", alias)
        given = {fold(person.id), *map(fold, person.aliases)}
        for name in given:
            other = own.setdefault(name, person.id)
            if other != person.id:
                raise _shared(f'{me} and person "{other}" share an id or alias')
        for name in given | {fold(account.subject) for account in person.accounts}:
            names[name] = names.get(name, frozenset()) | {person.id}
    return names


def _shared(problem: str) -> ConfigurationError:
    return ConfigurationError(
        "directory.duplicate_account",
        problem,
        advice="It belongs to one person: remove it from one of the two.",
    )


def _entry(caller: Caller, all_: _Enrolled) -> Entry:
    me = subject_name(SubjectKind.CALLER, caller.tenant, caller.id)
    _check_scope(me, caller)
    if not caller.owners:
        raise ConfigurationError(
            "directory.no_owner",
            f"{me}: owners is empty",
            advice="Name at least one registered person who answers for the caller.",
        )
    for field, ids in (("owners", caller.owners), ("users", caller.users)):
        for index, person in enumerate(ids):
            if person not in all_.people:
                raise ConfigurationError(
                    "directory.unknown_person",
                    f"{me}: {field}[{index}] is not a registered person of its tenant",
                    advice="Register the person first, or correct the id.",
                )
    line = [caller, *_ancestors(me, caller, all_.callers)]
    unspared = frozenset[PersonId]().union(
        *(member.owners for member in line),
        *(all_.seen_by.get(member.id, ()) for member in line),
    )
    return Entry(
        caller=caller,
        resources=tuple(map(Pattern.of, caller.resources)),
        line=frozenset(member.id for member in line),
        unspared=unspared,
        behind=unspared.union(*(member.users for member in line)),
    )


def _check_scope(me: str, caller: Caller) -> None:
    for field in ("actors", "environments", "resources"):
        if not getattr(caller, field):
            raise ConfigurationError(
                "directory.empty_scope",
                f"{me}: {field} is empty",
                advice=f"A caller speaks only for what is listed: name its {field}.",
            )
    for field, ids in (("actors", caller.actors), ("environments", caller.environments)):
        for index, name in enumerate(ids):
            check_id(f"{me}: {field}[{index}]", name)
    if caller.audience:
        check_plain(f"{me}: audience", caller.audience)
    for index, client in enumerate(caller.clients):
        check_plain(f"{me}: clients[{index}]", client)
    for index, pattern in enumerate(caller.resources):
        kind, _, name = pattern.partition(":")
        if not (kind and name and is_plain(pattern)):
            raise ConfigurationError(
                "directory.invalid_pattern",
                f"{me}: resources[{index}] is not a pattern",
                advice='Write "type:id", with * for any run of characters, as in "table:sales/*".',
            )


def _check_channel(channel: Channel) -> None:
    me = subject_name(SubjectKind.CHANNEL, channel.tenant, channel.id)
    if not channel.issuers:
        raise ConfigurationError(
            "directory.empty_scope",
            f"{me}: issuers is empty",
            advice="A channel asserts accounts of the issuers that are listed: name at least one.",
        )
    for index, issuer in enumerate(channel.issuers):
        check_plain(f"{me}: issuers[{index}]", issuer)
    for index, conversation in enumerate(channel.conversations):
        check_id(f"{me}: conversations[{index}].name", conversation.name)
        check_plain(f"{me}: conversations[{index}].id", conversation.id)
    for field in ("name", "id"):
        found = [getattr(conversation, field) for conversation in channel.conversations]
        if len(set(found)) < len(found):
            raise ConfigurationError(
                "directory.duplicate_conversation",
                f"{me}: two of its conversations have the same {field}",
                advice="Give each conversation one name, and each name one conversation.",
            )


def _ancestors(me: str, caller: Caller, callers: Mapping[CallerId, Caller]) -> list[Caller]:
    """The parents of a caller, nearest first."""
    line: list[Caller] = []
    above = caller.parent
    while above is not None:
        if above not in callers:
            raise ConfigurationError(
                "directory.unknown_parent",
                f"{me}: its parent, or a parent above it, is not a registered caller",
                advice="Register the parent in the same tenant, or remove `parent`.",
            )
        parent = callers[above]
        if parent in (caller, *line):
            raise ConfigurationError(
                "directory.parent_cycle",
                f"{me}: its parents form a circle",
                advice="Let `parent` lead from a sub-agent to the agent that starts it.",
            )
        if len(line) == MAX_ANCESTORS:
            raise ConfigurationError(
                "directory.parent_depth",
                f"{me}: it has more than {MAX_ANCESTORS} parents above it",
                advice="Register the callers in between as actors of one caller.",
            )
        line.append(parent)
        above = parent.parent
    return line
