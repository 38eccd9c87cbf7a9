"""What a directory is made of besides the model's subjects."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeAlias

from countersign.credentials import SubjectKind, proof_of_token
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

LoginKey: TypeAlias = tuple[TenantId, SubjectKind, str]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What one subject proves itself with. Holds hashes, never a token.

    People prove themselves with their accounts as well; those are the person's.
    """

    tenant: TenantId
    kind: SubjectKind
    subject: str
    """The id of a caller, person or channel."""
    token_sha256: tuple[str, ...] = ()
    shown_to: tuple[tuple[str, PersonId], ...] = ()
    """Which person was shown which token when it was made, by its hash; and who added which
    of a person's accounts, by its proof's digest. The start of either counts, too."""
    mtls_subject: str | None = None
    """A subject alternative name of a client certificate."""
    jwt: tuple[Account, ...] = ()
    """A caller's `iss` and `sub` at identity providers."""

    def seen_by(self) -> frozenset[PersonId]:
        """Everybody who was shown a token that still works."""
        return frozenset(maker for _, maker in self.makers(map(proof_of_token, self.token_sha256)))

    def makers(self, proofs: Iterable[str]) -> Iterator[tuple[str, PersonId]]:
        """Which of these proofs were made by somebody, and by whom."""
        known = dict(self.shown_to)
        lengths = sorted({len(name) for name in known})
        for proof in proofs:
            digest = proof.partition(":")[2]
            for name in (digest[:length] for length in lengths):
                if name in known:
                    yield proof, known[name]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A group whose members are those of other groups too, besides its own."""

    tenant: TenantId
    id: str
    includes: tuple[str, ...] = ()


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
    """A caller, and what follows from its registration alone.

    Its line is the caller itself and all its ancestors.
    """

    caller: Caller
    resources: tuple[Pattern, ...]
    line: frozenset[CallerId]
    unspared: frozenset[PersonId]
    """Owners of the whole line, and whoever was shown a token of it."""
    behind: frozenset[PersonId]
    """The same, and the users of the whole line."""

    def behind_when(self, proven: PersonId | None) -> frozenset[PersonId]:
        """Who is behind a call, when this person is proven to be.

        Proof by one of those who could be spares the line's other users. Proof by
        anybody else spares nobody, and adds them.
        """
        if proven is None:
            return self.behind
        return (self.unspared if proven in self.behind else self.behind) | {proven}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """Everything of one tenant. `names` and `workloads` are keyed by `fold`."""

    callers: Mapping[CallerId, Entry]
    people: Mapping[PersonId, Person]
    channels: Mapping[ChannelId, Channel]
    accounts: Mapping[Account, PersonId]
    names: Mapping[str, frozenset[PersonId]]
    """Whose id, alias or account's subject it is; only a subject can be several people's."""
    workloads: Mapping[str, tuple[Entry, ...]]
    """By each caller id and each registered actor."""
    groups: Mapping[str, Group]
    """Those that were given; most groups are there by having members."""
    groups_of: Mapping[PersonId, frozenset[str]]
    """Of which they are a member, through other groups too."""
    members: Mapping[str, frozenset[PersonId]]
    """The same by group."""
    clients: frozenset[str]
    """OAuth clients of all callers."""
    known: frozenset[str]
    """Ids of callers, actors, people, channels and groups, exactly as registered."""


EMPTY: Final = Book(
    callers={},
    people={},
    channels={},
    accounts={},
    names={},
    workloads={},
    groups={},
    groups_of={},
    members={},
    clients=frozenset(),
    known=frozenset(),
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
