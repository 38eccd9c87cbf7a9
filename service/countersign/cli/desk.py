"""Where the commands about callers, people and channels are carried out.

Either on this host, in the register files that the settings name, or by a
running service, as an operator. Both are one to the commands.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from countersign.client.admin import AdminClient, Entry
from countersign.config import Config, config_path, load
from countersign.credentials import Credential, SubjectKind, read_credential
from countersign.edge import registrations
from countersign.errors import ConfigurationError
from countersign.model import Caller, Person, TenantId
from countersign.registry import DEFAULT_TENANT, Registers, Subject, Who, kind_of


class Desk(Protocol):
    """What can be done to the registers, whoever does it."""

    knows_use: bool
    """Whether its entries tell when a credential was last used."""

    @property
    def tenant(self) -> TenantId:
        """Whose registers they are; the service decides it by the credential."""

    def entries(self, kind: SubjectKind) -> Sequence[Entry]:
        """All registered subjects of a kind."""

    def add(self, subject: Subject) -> str:
        """Register a new subject; its token."""

    def replace(self, subject: Subject) -> None:
        """Replace what is registered of a subject, but its credentials."""

    def remove(self, kind: SubjectKind, id: str) -> None:
        """Remove a subject."""

    def rotate(self, kind: SubjectKind, id: str) -> str:
        """A new token beside the old ones."""

    def revoke(self, kind: SubjectKind, id: str, name: str, *, every: bool) -> Sequence[str]:
        """Take tokens away; the names of those gone."""

    def credential(self, token: str) -> Credential:
        """What its owner uses it with."""


class Files:
    """The register files on this host."""

    knows_use = False

    def __init__(self, settings: Config, tenant: TenantId) -> None:
        self.tenant = tenant
        self._settings = settings
        section = settings.directory
        self._registers = Registers(
            callers=settings.path(section.callers),
            people=settings.path(section.people),
            channels=settings.path(section.channels),
        )

    def entries(self, kind: SubjectKind) -> Sequence[Entry]:
        """See `Desk`."""
        directory = self._registers.load()
        listings: dict[SubjectKind, Callable[[TenantId], Sequence[Subject]]] = {
            SubjectKind.CALLER: directory.callers,
            SubjectKind.PERSON: directory.people,
            SubjectKind.CHANNEL: directory.channels,
        }
        found = []
        for subject in listings[kind](self.tenant):
            entry = entry_of(subject)
            for way in directory.credentials(self.tenant, kind, subject.id):
                entry.credentials.append(registrations.credential(way, {}))
            found.append(entry)
        return found

    def add(self, subject: Subject) -> str:
        """See `Desk`."""
        _require_new(self, subject)
        return self._registers.add(subject)

    def replace(self, subject: Subject) -> None:
        """See `Desk`."""
        entry(self, kind_of(subject), subject.id)
        self._registers.put(subject)

    def remove(self, kind: SubjectKind, id: str) -> None:
        """See `Desk`."""
        self._registers.remove(self._who(kind, id))

    def rotate(self, kind: SubjectKind, id: str) -> str:
        """See `Desk`."""
        return self._registers.rotate(self._who(kind, id))

    def revoke(self, kind: SubjectKind, id: str, name: str, *, every: bool) -> Sequence[str]:
        """See `Desk`."""
        return self._registers.revoke(self._who(kind, id), name, every=every)

    def credential(self, token: str) -> Credential:
        """See `Desk`."""
        section = self._settings.server
        ca_file = self._settings.path(section.tls_certificate) if section.tls_certificate else None
        return Credential(endpoint=section.listen, token=token, ca_file=ca_file)

    def _who(self, kind: SubjectKind, id: str) -> Who:
        return Who(tenant=self.tenant, kind=kind, id=id)


class Operator:
    """A running service, asked as an operator."""

    knows_use = True
    tenant = DEFAULT_TENANT  # the service puts the operator's own in its place

    def __init__(self, client: AdminClient, own: Credential) -> None:
        self._client = client
        self._own = own

    def entries(self, kind: SubjectKind) -> Sequence[Entry]:
        """See `Desk`."""
        return self._client.entries(kind)

    def add(self, subject: Subject) -> str:
        """See `Desk`."""
        _require_new(self, subject)
        token = self._client.put(entry_of(subject))
        if not token:
            raise ConfigurationError(
                "register.replaced",
                "somebody registered it at this moment, and this replaced what they registered",
                advice="Look at it with `show`; rotate for a token.",
            )
        return token

    def replace(self, subject: Subject) -> None:
        """See `Desk`."""
        entry(self, kind_of(subject), subject.id)
        self._client.put(entry_of(subject))

    def remove(self, kind: SubjectKind, id: str) -> None:
        """See `Desk`."""
        self._client.remove(kind, id)

    def rotate(self, kind: SubjectKind, id: str) -> str:
        """See `Desk`."""
        return self._client.rotate(kind, id)

    def revoke(self, kind: SubjectKind, id: str, name: str, *, every: bool) -> Sequence[str]:
        """See `Desk`."""
        if every:
            raise ConfigurationError(
                "register.on_host_only",
                "--all works on the server's host only",
                advice="Name the tokens one by one with --token, or remove the subject.",
            )
        return self._client.revoke(kind, id, name)

    def credential(self, token: str) -> Credential:
        """See `Desk`."""
        return Credential(endpoint=self._own.endpoint, token=token, ca_file=self._own.ca_file)


@contextlib.contextmanager
def opened(operator: Path | None, config: Path | None, tenant: str | None) -> Iterator[Desk]:
    """The desk that the options ask for."""
    if operator is None:
        yield Files(load(config_path(config)), TenantId(tenant or DEFAULT_TENANT))
        return
    if tenant is not None:
        raise ConfigurationError(
            "register.tenant",
            "--tenant: an operator's credential decides the tenant",
            advice="Leave it out, or use a credential of that tenant.",
        )
    own = read_credential(operator)
    with AdminClient(own) as client:
        yield Operator(client, own)


def entry_of(subject: Subject) -> Entry:
    """A subject as the protocol says it."""
    if isinstance(subject, Caller):
        return registrations.caller_entry(subject, ())
    if isinstance(subject, Person):
        return registrations.person_entry(subject, ())
    return registrations.channel_entry(subject, ())


def entry(desk: Desk, kind: SubjectKind, id: str) -> Entry:
    """The entry of one subject. Raises `ConfigurationError` when it is not registered."""
    for found in desk.entries(kind):
        if found.id == id:
            return found
    raise ConfigurationError(
        "directory.not_registered",
        f"no such {kind} is registered in its tenant",
        advice=f"See who is: countersign {kind} list",
    )


def _require_new(desk: Desk, subject: Subject) -> None:
    kind = kind_of(subject)
    if any(found.id == subject.id for found in desk.entries(kind)):
        raise ConfigurationError(
            "directory.duplicate_id",
            f'{kind} "{subject.id}" is registered already',
            advice="Give it another id, or --replace what is registered.",
        )
