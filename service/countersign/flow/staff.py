"""The people of one moment: the directory's snapshot and what they lent each other.

What the rules of `review` are asked with (`review.People`). Delegations are
state of ours, not of the directory, so they come from the store.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from countersign.directory import Directory
from countersign.model import Delegation, PersonId, Stage, TenantId


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Staff:
    """`review.People` over one snapshot."""

    directory: Directory
    delegations: Sequence[Delegation] = ()
    """Those in force that matter here, oldest first."""

    def groups_of(self, tenant: TenantId, person: PersonId) -> frozenset[str] | None:
        """Groups of a person, or None for somebody unknown."""
        return self.directory.groups_of(tenant, person)

    def eligible(self, tenant: TenantId, stage: Stage) -> frozenset[PersonId]:
        """Everybody whom a stage names, directly or by group."""
        return self.directory.eligible(tenant, stage)

    def delegations_to(self, tenant: TenantId, delegate: PersonId) -> Sequence[Delegation]:
        """Standing lent to a person, by people who are still registered."""
        return [
            each
            for each in self.delegations
            if each.tenant == tenant
            and each.delegate == delegate
            and self.directory.person(tenant, each.delegator) is not None
        ]
