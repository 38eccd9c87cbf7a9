"""What is registered, checked as a whole and indexed by tenant.

The building half of the directory, and pure like it: it refuses what could
make two subjects out of one or one out of two, so that every later lookup has
exactly one answer. Invariant 12: each tenant gets a `Book` of its own, and
names only ever resolve within it. Used by `directory` alone, apart from
`Login` and `is_id`, which reading the files needs too.

Messages name the subject and the field, never what the field holds.
"""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from countersign.credentials import SubjectKind
from countersign.errors import ConfigurationError
from countersign.model import Caller, CallerId, Person, PersonId, TenantId

MAX_ANCESTORS: Final = 8
_ID_RULE: Final = "An id is 1 to 128 of a-z 0-9 . _ @ - and starts with a letter or digit."
_ID: Final = re.compile(r"[a-z0-9][a-z0-9._@-]{0,127}")
_TOKEN_HASH: Final = re.compile(r"[0-9a-f]{64}")

LoginKey = tuple[TenantId, SubjectKind, str]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What one subject proves itself with. Holds hashes, never a token."""

    tenant: TenantId
    kind: SubjectKind
    subject: str
    """The id of a caller or person."""
    token_sha256: tuple[str, ...] = ()
    mtls_subject: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """One `type:id` glob. The first colon parts them; each half matches alone."""

    type: tuple[str, ...]
    id: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> Pattern:
        """Parse a pattern. `*` matches any run of characters, `/` too."""
        kind, _, name = text.partition(":")
        return cls(type=tuple(kind.split("*")), id=tuple(name.split("*")))

    def matches(self, type: str, id: str) -> bool:
        """Whether a resource of this type and id falls under the pattern."""
        return _glob(self.type, type) and _glob(self.id, id)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A caller, and what follows from its registration alone."""

    caller: Caller
    resources: tuple[Pattern, ...]
    behind: frozenset[PersonId]
    """Owners and users of the caller and of all its ancestors."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """Everything of one tenant. `names` and `workloads` are keyed by `fold`."""

    callers: Mapping[CallerId, Entry]
    people: Mapping[PersonId, Person]
    names: Mapping[str, PersonId]
    """Ids and accounts of people."""
    workloads: Mapping[str, frozenset[PersonId]]
    """Who is behind each caller id and each registered actor."""
    members: Mapping[str, frozenset[PersonId]]
    """People by group."""
    known: frozenset[str]
    """Ids of callers, actors, people and groups, exactly as registered."""


EMPTY: Final = Book(callers={}, people={}, names={}, workloads={}, members={}, known=frozenset())


def is_id(text: str) -> bool:
    """Whether this is well-formed as an id. No token is: ids have no `_`."""
    return _ID.fullmatch(text) is not None


def fold(name: str) -> str:
    """One spelling for names that differ only in what nobody sees or means.

    Case, Unicode form, outer blanks, invisible format characters and the scheme
    of an address do not make another person.
    """
    if not name.isascii():
        plain = unicodedata.normalize("NFKC", name)
        name = "".join(char for char in plain if unicodedata.category(char) != "Cf").casefold()
    return name.lower().strip().removeprefix("mailto:")


def books(callers: Sequence[Caller], people: Sequence[Person]) -> dict[TenantId, Book]:
    """Check and index all subjects. Raises `ConfigurationError`."""
    _check_ids(SubjectKind.CALLER, callers)
    _check_ids(SubjectKind.PERSON, people)
    callers_of: dict[TenantId, dict[CallerId, Caller]] = defaultdict(dict)
    people_of: dict[TenantId, dict[PersonId, Person]] = defaultdict(dict)
    for caller in callers:
        callers_of[caller.tenant][caller.id] = caller
    for person in people:
        people_of[person.tenant][person.id] = person
    tenants = callers_of.keys() | people_of.keys()
    return {tenant: _book(callers_of[tenant], people_of[tenant]) for tenant in sorted(tenants)}


def logins(given: Iterable[Login], books: Mapping[TenantId, Book]) -> dict[LoginKey, Login]:
    """Check and index credentials: each proves exactly one registered subject."""
    found: dict[LoginKey, Login] = {}
    taken: dict[str, Login] = {}
    for login in given:
        key = (login.tenant, login.kind, login.subject)
        book = books.get(login.tenant, EMPTY)
        ids: Iterable[str] = book.callers if login.kind is SubjectKind.CALLER else book.people
        if login.subject not in ids or key in found:
            raise ConfigurationError(
                "directory.unknown_subject",
                f"a credential belongs to no {login.kind}, or to one that has its own already",
                advice="Give each registered subject one set of credentials.",
            )
        found[key] = login
        _check_login(login, taken)
    return found


def _check_login(login: Login, taken: dict[str, Login]) -> None:
    """One subject's credentials. Kinds share `taken`: nobody is two subjects."""
    me = subject_name(login.kind, login.tenant, login.subject)
    proofs = [f"token {sha256}" for sha256 in login.token_sha256]
    if not all(map(_TOKEN_HASH.fullmatch, login.token_sha256)):
        raise ConfigurationError(
            "directory.invalid_token_hash",
            f"{me}: token_sha256 must hold 64 lower-case hex digits each",
            advice="Give the SHA-256 of a whole token, never the token itself.",
        )
    if login.mtls_subject is not None:
        if not _is_plain(login.mtls_subject):
            raise _unprintable(f"{me}: mtls_subject")
        proofs.append(f"mtls {login.mtls_subject}")
    for proof in proofs:
        other = taken.setdefault(proof, login)
        if other is not login:
            them = subject_name(other.kind, other.tenant, other.subject)
            raise ConfigurationError(
                "directory.duplicate_credential",
                f"{me} and {them} have the same {proof.split(' ')[0]} credential",
                advice="Issue a new credential to one of them and remove the shared one.",
            )


def subject_name(kind: SubjectKind, tenant: str, id: str) -> str:
    """How messages name a caller or person whose id is well-formed."""
    return f'{kind} "{id}" of tenant "{tenant}"'


def _check_ids(kind: SubjectKind, subjects: Sequence[Caller | Person]) -> None:
    """Ids first: whatever fails later can then be named by its id."""
    seen: set[tuple[TenantId, str]] = set()
    for number, subject in enumerate(subjects, start=1):
        for field, value in (("id", subject.id), ("tenant", subject.tenant)):
            _check_id(f"{kind} number {number}: {field}", value)
        if (subject.tenant, subject.id) in seen:
            raise ConfigurationError(
                "directory.duplicate_id",
                f"{subject_name(kind, subject.tenant, subject.id)} is there twice",
                advice="Remove one of the two, or give it another id.",
            )
        seen.add((subject.tenant, subject.id))


def _book(callers: Mapping[CallerId, Caller], people: Mapping[PersonId, Person]) -> Book:
    names = _names(people.values())
    members: dict[str, set[PersonId]] = defaultdict(set)
    for person in people.values():
        for group in person.groups:
            _check_id(
                f"{subject_name(SubjectKind.PERSON, person.tenant, person.id)}: groups", group
            )
            members[group].add(person.id)
    entries = {caller.id: _entry(caller, callers, people) for caller in callers.values()}
    workloads: dict[str, frozenset[PersonId]] = {}
    for entry in entries.values():
        for name in {fold(entry.caller.id), *map(fold, entry.caller.actors)}:
            workloads[name] = workloads.get(name, frozenset()) | entry.behind
    actors = (actor for caller in callers.values() for actor in caller.actors)
    return Book(
        callers=entries,
        people=people,
        names=names,
        workloads=workloads,
        members={group: frozenset(ids) for group, ids in members.items()},
        known=frozenset({*callers, *actors, *people, *members}),
    )


def _names(people: Iterable[Person]) -> dict[str, PersonId]:
    """Every name a person goes by. Two people must never share one."""
    names: dict[str, PersonId] = {}
    for person in people:
        me = subject_name(SubjectKind.PERSON, person.tenant, person.id)
        if not _is_plain(person.name):
            raise _unprintable(f"{me}: name")
        for index, account in enumerate(person.accounts):
            if not _is_plain(account):
                raise _unprintable(f"{me}: accounts[{index}]")
        for name in {fold(person.id), *map(fold, person.accounts)}:
            other = names.setdefault(name, person.id)
            if other != person.id:
                raise ConfigurationError(
                    "directory.duplicate_account",
                    f'{me} and person "{other}" share an id or account',
                    advice="One account belongs to one person: remove it from one of the two.",
                )
    return names


def _entry(
    caller: Caller, callers: Mapping[CallerId, Caller], people: Mapping[PersonId, Person]
) -> Entry:
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
            if person not in people:
                raise ConfigurationError(
                    "directory.unknown_person",
                    f"{me}: {field}[{index}] is not a registered person of its tenant",
                    advice="Register the person first, or correct the id.",
                )
    line = [caller, *_ancestors(me, caller, callers)]
    behind = frozenset(who for member in line for who in (*member.owners, *member.users))
    return Entry(caller=caller, resources=tuple(map(Pattern.of, caller.resources)), behind=behind)


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
            _check_id(f"{me}: {field}[{index}]", name)
    if caller.audience and not _is_plain(caller.audience):
        raise _unprintable(f"{me}: audience")
    for index, pattern in enumerate(caller.resources):
        kind, _, name = pattern.partition(":")
        if not (kind and name and _is_plain(pattern)):
            raise ConfigurationError(
                "directory.invalid_pattern",
                f"{me}: resources[{index}] is not a pattern",
                advice='Write "type:id", with * for any run of characters, as in "table:sales/*".',
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


def _check_id(place: str, id: str) -> None:
    if not is_id(id):
        raise ConfigurationError("directory.invalid_id", f"{place} is not an id", advice=_ID_RULE)


def _is_plain(text: str) -> bool:
    """Printable, not empty, and without blanks around it."""
    return bool(text) and text.isprintable() and text == text.strip()


def _unprintable(place: str) -> ConfigurationError:
    return ConfigurationError(
        "directory.invalid_text",
        f"{place} is empty, has blanks around it or holds control characters",
        advice="Write it as plain text.",
    )


def _glob(parts: tuple[str, ...], text: str) -> bool:
    """Whether text is these parts in order with any runs between them.

    Each part is taken at its first place after the one before, which is enough
    and keeps the time linear: the text comes from the caller.
    """
    head, tail = parts[0], parts[-1]
    if len(parts) == 1:
        return text == head
    at, end = len(head), len(text) - len(tail)
    if at > end or not text.startswith(head) or not text.endswith(tail):
        return False
    for part in parts[1:-1]:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True
