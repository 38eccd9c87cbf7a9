"""What an operator types about callers, people and channels.

Each command works on the register files of this host, or, with `--as`, through
a running service as the operator whose credential is named.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from countersign.cli import output
from countersign.cli.desk import Desk, entry, opened
from countersign.cli.enrolled import details, hand_over, plain, require_place, table
from countersign.cli.operator import ConfigOption, JsonOption
from countersign.credentials import SubjectKind
from countersign.model import (
    Account,
    Caller,
    CallerId,
    Channel,
    ChannelId,
    Conversation,
    Person,
    PersonId,
)
from countersign.registry import Subject, kind_of

callers = typer.Typer(help="Machines that may ask.", no_args_is_help=True)
people = typer.Typer(help="People who may decide.", no_args_is_help=True)
channels = typer.Typer(help="Bots and consoles that people act through.", no_args_is_help=True)

OperatorFile = Annotated[
    Path | None,
    typer.Option(
        "--as", metavar="FILE", help="Credential of an operator: ask a running service instead."
    ),
]
CredentialFile = Annotated[
    Path | None,
    typer.Option("--credential", help="Also write the credential to this new file (0600)."),
]
TenantOption = Annotated[str | None, typer.Option(help="Tenant; default: default.")]
ReplaceOption = Annotated[
    bool, typer.Option("--replace", help="Replace what is registered, but its credentials.")
]
Id = Annotated[str, typer.Argument(help="Its id.")]


@callers.command("add")
def caller_add(
    id: Annotated[str, typer.Argument(help="Its id, such as export-agent.")],
    owner: Annotated[list[str], typer.Option(help="Person responsible; repeat for more.")],
    resource: Annotated[
        list[str], typer.Option(help="`type:id` pattern it may name, such as 'table:*'.")
    ],
    actor: Annotated[
        list[str] | None, typer.Option(help="Actor it speaks for; default: its own id.")
    ] = None,
    environment: Annotated[
        list[str] | None, typer.Option(help="Environment; default: dev, staging, production.")
    ] = None,
    user: Annotated[list[str] | None, typer.Option(help="Person who can drive it.")] = None,
    parent: Annotated[str, typer.Option(help="Caller that starts this one.")] = "",
    audience: Annotated[str, typer.Option(help="Audience of the permits it claims.")] = "",
    client: Annotated[
        list[str] | None, typer.Option(help="OAuth client whose tokens prove who is behind it.")
    ] = None,
    replace: ReplaceOption = False,
    tenant: TenantOption = None,
    credential: CredentialFile = None,
    operator: OperatorFile = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Register a machine and print its credential, once."""
    with opened(operator, config, tenant) as desk:
        caller = Caller(
            tenant=desk.tenant,
            id=CallerId(id),
            actors=tuple(actor or [id]),
            environments=tuple(environment or ["dev", "staging", "production"]),
            resources=tuple(resource),
            owners=tuple(map(PersonId, owner)),
            users=tuple(map(PersonId, user or [])),
            parent=CallerId(parent) if parent else None,
            audience=audience,
            clients=tuple(client or []),
        )
        _put(desk, caller, credential, replace=replace, as_json=as_json)


@people.command("add")
def person_add(
    id: Annotated[str, typer.Argument(help="Their id, such as alice.")],
    name: Annotated[str, typer.Option(help="Name to show.")],
    group: Annotated[list[str] | None, typer.Option(help="Group; repeat for more.")] = None,
    alias: Annotated[
        list[str] | None, typer.Option(help="Other name of theirs, such as an e-mail address.")
    ] = None,
    account: Annotated[
        list[str] | None,
        typer.Option(
            metavar="'ISSUER SUBJECT'",
            help="Account that proves them, such as 'teams:<tenant> <id>'.",
        ),
    ] = None,
    replace: ReplaceOption = False,
    tenant: TenantOption = None,
    credential: CredentialFile = None,
    operator: OperatorFile = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Register a person and print their credential, once."""
    with opened(operator, config, tenant) as desk:
        person = Person(
            tenant=desk.tenant,
            id=PersonId(id),
            name=name,
            groups=frozenset(group or []),
            accounts=tuple(map(_account, account or [])),
            aliases=tuple(alias or []),
        )
        _put(desk, person, credential, replace=replace, as_json=as_json)


@channels.command("add")
def channel_add(
    id: Annotated[str, typer.Argument(help="Its id, such as teams-bot.")],
    issuer: Annotated[
        list[str], typer.Option(help="Issuer whose accounts it may assert; repeat for more.")
    ],
    conversation: Annotated[
        list[str] | None,
        typer.Option(help="A conversation that policy may name, as NAME=ID; repeat for more."),
    ] = None,
    replace: ReplaceOption = False,
    tenant: TenantOption = None,
    credential: CredentialFile = None,
    operator: OperatorFile = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Register a channel and print its credential, once."""
    with opened(operator, config, tenant) as desk:
        channel = Channel(
            tenant=desk.tenant,
            id=ChannelId(id),
            issuers=tuple(issuer),
            conversations=tuple(map(_conversation, conversation or [])),
        )
        _put(desk, channel, credential, replace=replace, as_json=as_json)


def _account(text: str) -> Account:
    issuer, _, subject = text.partition(" ")
    if not issuer or not subject:
        raise typer.BadParameter("an account is 'ISSUER SUBJECT', with a blank between the two")
    return Account(issuer=issuer, subject=subject)


def _conversation(text: str) -> Conversation:
    name, _, identity = text.partition("=")
    if not name or not identity:
        raise typer.BadParameter("a conversation is NAME=ID, as in data-approvals=19:…@thread.v2")
    return Conversation(name=name, id=identity)


def _put(desk: Desk, subject: Subject, path: Path | None, *, replace: bool, as_json: bool) -> None:
    kind = kind_of(subject)
    if replace:
        if path is not None:
            raise typer.BadParameter("--replace makes no credential; leave --credential out")
        desk.replace(subject)
        if as_json:
            output.as_json({"subject": f"{kind} {subject.id}", "replaced": True})
        else:
            print(f"Replaced what is registered of {kind} {subject.id}. Its credentials stay.")
        return
    require_place(path)
    token = desk.add(subject)
    hand_over(desk, kind, subject.id, token, path, as_json=as_json)


def _reading(app: typer.Typer, kind: SubjectKind) -> None:
    """The commands that look, the same for every kind of subject."""

    @app.command("list")
    def list_all(
        tenant: TenantOption = None,
        operator: OperatorFile = None,
        config: ConfigOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Everybody registered, and when each was last seen."""
        with opened(operator, config, tenant) as desk:
            found = desk.entries(kind)
        if as_json:
            output.as_json([plain(entry) for entry in found])
        else:
            table(found, knows_use=desk.knows_use)

    @app.command("show")
    def show(
        id: Id,
        tenant: TenantOption = None,
        operator: OperatorFile = None,
        config: ConfigOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """All that is registered, with the names of the credentials."""
        with opened(operator, config, tenant) as desk:
            found = entry(desk, kind, id)
        if as_json:
            output.as_json(plain(found))
        else:
            details(found, knows_use=desk.knows_use)


def _changing(app: typer.Typer, kind: SubjectKind) -> None:
    """The commands that change, the same for every kind of subject."""

    @app.command("rotate")
    def rotate(
        id: Id,
        tenant: TenantOption = None,
        credential: CredentialFile = None,
        operator: OperatorFile = None,
        config: ConfigOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Make a new token beside the old ones, which go on working, and print it, once."""
        with opened(operator, config, tenant) as desk:
            require_place(credential)
            token = desk.rotate(kind, id)
            hand_over(desk, kind, id, token, credential, rotated=True, as_json=as_json)

    @app.command("revoke")
    def revoke(
        id: Id,
        token: Annotated[
            str, typer.Option(metavar="NAME", help="The one of this name, as show prints it.")
        ] = "",
        every: Annotated[
            bool, typer.Option("--all", help="All of them; on the server's host only.")
        ] = False,
        tenant: TenantOption = None,
        operator: OperatorFile = None,
        config: ConfigOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Take tokens away: all but the newest, unless you say which."""
        if token and every:
            raise typer.BadParameter("--token and --all exclude each other")
        with opened(operator, config, tenant) as desk:
            gone = desk.revoke(kind, id, token, every=every)
        if as_json:
            output.as_json({"subject": f"{kind} {id}", "revoked": list(gone)})
        elif gone:
            print(f"No longer valid for {kind} {id}: {', '.join(gone)}")
        else:
            print(f"Nothing to revoke: {kind} {id} has no token but the newest.")

    @app.command("remove")
    def remove(
        id: Id,
        tenant: TenantOption = None,
        operator: OperatorFile = None,
        config: ConfigOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Remove it; its credentials stop working."""
        with opened(operator, config, tenant) as desk:
            desk.remove(kind, id)
        if as_json:
            output.as_json({"subject": f"{kind} {id}", "removed": True})
        else:
            print(f"Removed {kind} {id}. Give its id to nobody else.")


for _app, _kind in (
    (callers, SubjectKind.CALLER),
    (people, SubjectKind.PERSON),
    (channels, SubjectKind.CHANNEL),
):
    _reading(_app, _kind)
    _changing(_app, _kind)
