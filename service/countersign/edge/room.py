"""How much one tenant's operators may register, and have done at once.

The registers are files of all tenants together, which every change reads whole:
what one fills, or keeps busy, the others wait for. Used by `admin` alone.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Final

from countersign.directory import Directory
from countersign.errors import ExhaustedError
from countersign.model import TenantId

MAX_AT_ONCE: Final = 3
"""Calls of one tenant: one that is worked on, and two that wait."""
MAX_SUBJECTS: Final = 5_000
MAX_TEXTS: Final = 50_000
"""In all lists of all subjects of one tenant."""


class Places:
    """A few for each tenant, so that others have their turn."""

    def __init__(self) -> None:
        self._taken: Counter[TenantId] = Counter()

    @contextlib.contextmanager
    def one(self, tenant: TenantId) -> Iterator[None]:
        """Take a place while this lasts. Raises `ExhaustedError` when there is none."""
        if self._taken[tenant] >= MAX_AT_ONCE:
            raise ExhaustedError(
                "admin.busy",
                f"{MAX_AT_ONCE} calls of operators of this tenant are in progress; "
                "try again when one has ended",
            )
        self._taken[tenant] += 1
        try:
            yield
        finally:
            self._taken[tenant] -= 1


def require_room(tenant: TenantId, old: Directory, new: Directory) -> None:
    """Raises `ExhaustedError` when a tenant would have more than it may, and more than before.

    What was registered by hand may be more.
    """
    for most, what, count in (
        (MAX_SUBJECTS, "callers, people and channels", _subjects),
        (MAX_TEXTS, "entries in their lists", _texts),
    ):
        now = count(new, tenant)
        if now > most and now > count(old, tenant):
            raise ExhaustedError(
                "admin.too_many",
                f"more than {most} {what} of one tenant are not registered by call",
                advice="Remove what is no longer needed; whoever runs the server can add more.",
            )


def _subjects(directory: Directory, tenant: TenantId) -> int:
    callers, people = directory.callers(tenant), directory.people(tenant)
    return len(callers) + len(people) + len(directory.channels(tenant))


def _texts(directory: Directory, tenant: TenantId) -> int:
    lists = [
        *((c.actors, c.environments, c.resources) for c in directory.callers(tenant)),
        *((c.owners, c.users, c.clients) for c in directory.callers(tenant)),
        *((p.groups, p.accounts, p.aliases) for p in directory.people(tenant)),
        *((c.issuers,) for c in directory.channels(tenant)),
    ]
    return sum(len(one) for some in lists for one in some)
