"""Who is in which group, when groups include groups.

What is included need not exist: a group nobody is in is empty, like any other.
Were it refused, the removal of a group's last member would have to wait until
somebody had mended the groups that include it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from countersign.enrolment.names import check_id, subject_name
from countersign.enrolment.values import Group
from countersign.errors import ConfigurationError
from countersign.model import Person, PersonId

MAX_NESTED_GROUPS: Final = 8


def members(
    people: Iterable[Person], groups: Mapping[str, Group]
) -> dict[str, frozenset[PersonId]]:
    """Everybody in each group, by whatever way. Raises `ConfigurationError`."""
    own: dict[str, set[PersonId]] = defaultdict(set)
    for person in people:
        for group in person.groups:
            check_id(f"{subject_name('person', person.tenant, person.id)}: groups", group)
            own[group].add(person.id)
    below: dict[str, tuple[frozenset[str], int]] = {}
    for group in groups:
        _descend(groups, group, (), below)
    return {
        group: frozenset[PersonId]().union(*(own.get(name, ()) for name in reached))
        for group, reached in {
            **{group: frozenset({group}) for group in own},
            **{group: reached for group, (reached, _) in below.items()},
        }.items()
    }


def groups_of(
    people: Iterable[PersonId], members: Mapping[str, frozenset[PersonId]]
) -> dict[PersonId, frozenset[str]]:
    """The groups of each person, by whatever way."""
    found: dict[PersonId, set[str]] = {person: set() for person in people}
    for group, ids in members.items():
        for person in ids:
            found[person].add(group)
    return {person: frozenset(groups) for person, groups in found.items()}


def _descend(
    groups: Mapping[str, Group],
    id: str,
    path: tuple[str, ...],
    below: dict[str, tuple[frozenset[str], int]],
) -> tuple[frozenset[str], int]:
    """A group and all below it, and how deep that goes. `below` keeps what is found.

    The path is bounded before each step down, so a circle ends too.
    """
    if id in below:
        return below[id]
    group = groups.get(id)
    if group is None:
        return frozenset({id}), 0
    me = subject_name("group", group.tenant, id)
    reached, depth = {id}, 0
    for index, part in enumerate(group.includes):
        check_id(f"{me}: includes[{index}]", part)
        if part in (*path, id):
            raise ConfigurationError(
                "directory.group_cycle",
                f"{me}: the groups it includes form a circle",
                advice="Let `includes` lead from a wider group to narrower ones.",
            )
        if len(path) == MAX_NESTED_GROUPS:
            raise _too_deep(me)
        under, levels = _descend(groups, part, (*path, id), below)
        reached |= under
        depth = max(depth, levels + 1)
    if depth > MAX_NESTED_GROUPS:
        raise _too_deep(me)
    below[id] = frozenset(reached), depth
    return below[id]


def _too_deep(me: str) -> ConfigurationError:
    return ConfigurationError(
        "directory.group_depth",
        f"{me}: groups include each other more than {MAX_NESTED_GROUPS} deep",
        advice="Include the narrower groups directly.",
    )
