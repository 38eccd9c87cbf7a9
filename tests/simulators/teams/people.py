"""Who is in this Teams: people of the tenant, guests, strangers, and an application."""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any

from simulators.teams.cloud import TENANT_ID

OTHER_TENANT_ID = "9d8c7b6a-1111-4222-8333-944455556666"
_NAMESPACE = uuid.UUID("3a0c4f4c-52f1-4d9e-a4d1-9f5b1f3b8c11")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One account. `user` is how tests and pages call it; it appears nowhere on the wire."""

    user: str
    name: str
    object_id: str
    tenant_id: str = TENANT_ID
    """Where the account lives; a guest has one in the tenant that it visits, too."""
    role: str = "user"
    """`userRole` of the roster: `user`, `guest` or `anonymous`."""
    application: bool = False
    """No human: an application's identity, which no roster lists."""
    locale: str = "en-US"

    @property
    def mri(self) -> str:
        """Its id towards this bot: a hash in Teams, of the same length here."""
        if self.application:
            return f"28:{self.object_id}"
        return "29:1" + (uuid.uuid5(_NAMESPACE, self.object_id).hex * 2)[:60] + "-A"

    @property
    def account(self) -> dict[str, Any]:
        """`from` of an activity."""
        return {"id": self.mri, "name": self.name, "aadObjectId": self.object_id}

    @property
    def member(self) -> dict[str, Any]:
        """One line of a roster."""
        given, _, surname = self.name.partition(" ")
        address = f"{self.user}@{self.tenant_id[:8]}.example"
        return {
            "id": self.mri, "name": self.name, "objectId": self.object_id,
            "aadObjectId": self.object_id, "givenName": given, "surname": surname,
            "email": address, "userPrincipalName": address, "tenantId": self.tenant_id,
            "userRole": self.role,
        }  # fmt: skip


def person(user: str, name: str, **more: Any) -> Person:
    """An account with an object id made from its user name."""
    return Person(user=user, name=name, object_id=object_id(user), **more)


def object_id(user: str) -> str:
    """The object id of an account, the same in every run."""
    return str(uuid.uuid5(_NAMESPACE, user))


CAST = (
    person("alice", "Alice Adams"),
    person("bob", "Bob Brown"),
    person("carol", "Carol Clark"),
    person("dave", "Dave Diaz"),
    # The same human's second account, as it is seen: one name, another object id.
    person("alice-guest", "Alice Adams", role="guest"),
    person("eve", "Eve Else", tenant_id=OTHER_TENANT_ID),
    person("robot", "Deploy Robot", application=True),
)
"""Who plays unless a test says otherwise."""
