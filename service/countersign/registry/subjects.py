"""Who stands in the registers, and what is registered of them. Used by `edit` and the edge."""

from __future__ import annotations

import dataclasses
from typing import TypeAlias

from countersign.credentials import SubjectKind
from countersign.model import Caller, Channel, Person, TenantId
from countersign.registry.tables import Values

Subject: TypeAlias = Caller | Person | Channel


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """One subject, registered or not."""

    tenant: TenantId
    kind: SubjectKind
    id: str

    @classmethod
    def of(cls, subject: Subject) -> Who:
        """Whom a subject's registration is about."""
        return cls(tenant=subject.tenant, kind=kind_of(subject), id=subject.id)

    def __str__(self) -> str:
        return f'{self.kind} "{self.id}" of tenant "{self.tenant}"'


def kind_of(subject: Subject) -> SubjectKind:
    """What kind of subject this is."""
    if isinstance(subject, Caller):
        return SubjectKind.CALLER
    return SubjectKind.PERSON if isinstance(subject, Person) else SubjectKind.CHANNEL


def registered(subject: Subject) -> Values:
    """What is registered of a subject: all but who it is and how it proves that."""
    if isinstance(subject, Caller):
        return {
            "actors": subject.actors,
            "environments": subject.environments,
            "resources": subject.resources,
            "owners": subject.owners,
            "users": subject.users,
            "parent": subject.parent or "",
            "audience": subject.audience,
            "clients": subject.clients,
        }
    if isinstance(subject, Person):
        accounts = ({"issuer": a.issuer, "subject": a.subject} for a in subject.accounts)
        return {
            "name": subject.name,
            "groups": tuple(sorted(subject.groups)),
            "accounts": tuple(accounts),
            "aliases": subject.aliases,
        }
    conversations = ({"name": each.name, "id": each.id} for each in subject.conversations)
    return {"issuers": subject.issuers, "conversations": tuple(conversations)}
