"""How callers, people and channels are shown, and how a token is handed over, once."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp

from countersign.cli import output
from countersign.cli.desk import Desk
from countersign.client.admin import Entry
from countersign.credentials import Credential, SubjectKind, write_credential
from countersign.errors import ConfigurationError
from countersign.v1 import admin_pb2

_UNKNOWN_USE: Final = (
    "When a credential was last used, only a running service knows: ask it with --as."
)


def plain(entry: Entry) -> dict[str, Any]:
    """An entry for scripts: every field, under its own name."""
    return MessageToDict(
        entry, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def table(entries: Sequence[Entry], *, knows_use: bool) -> None:
    """One line each."""
    if not entries:
        print("Nobody is registered.")
        return
    rows = [("ID", _column(entries[0]), "CREDENTIALS", "LAST USED")]
    rows += [
        (entry.id, _summary(entry), str(len(entry.credentials)), _last_used(entry))
        for entry in entries
    ]
    shown = [[output.safe(cell) for cell in row[: 4 if knows_use else 3]] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )
    if not knows_use:
        print(f"\n{_UNKNOWN_USE}")


def details(entry: Entry, *, knows_use: bool) -> None:
    """Everything about one subject."""
    print(entry.id)
    for name, value in plain(entry).items():
        if name not in ("id", "credentials", "accounts", "conversations") and value:
            output.field(name, value if isinstance(value, str) else "\n".join(value))
    if isinstance(entry, admin_pb2.ChannelEntry):
        for each in entry.conversations:
            output.field("conversation", f"{each.name} = {each.id}")
    for way in entry.credentials:
        used = f"  last used {_moment(way)}" if knows_use else ""
        output.field(way.kind, f"{way.name}{used}")
    if entry.credentials and not knows_use:
        print(f"\n{_UNKNOWN_USE}")


def _column(entry: Entry) -> str:
    if isinstance(entry, admin_pb2.CallerEntry):
        return "OWNERS"
    return "GROUPS" if isinstance(entry, admin_pb2.PersonEntry) else "ISSUERS"


def _summary(entry: Entry) -> str:
    if isinstance(entry, admin_pb2.CallerEntry):
        return ", ".join(entry.owners)
    if isinstance(entry, admin_pb2.PersonEntry):
        return ", ".join(entry.groups)
    return ", ".join(entry.issuers)


def _last_used(entry: Entry) -> str:
    used = [way for way in entry.credentials if way.HasField("last_used_at")]
    return _newest(way.last_used_at for way in used) if used else "never seen"


def _newest(stamps: Iterable[Timestamp]) -> str:
    return output.moment(max(stamps, key=lambda stamp: (stamp.seconds, stamp.nanos)))


def _moment(way: admin_pb2.CredentialInfo) -> str:
    return output.moment(way.last_used_at) if way.HasField("last_used_at") else "never seen"


# --- tokens ---


def require_place(path: Path | None) -> None:
    """Before a token is made that would then have no place to go."""
    if path is None:
        return
    if path.exists():
        raise ConfigurationError(
            "credential.exists", f"{path} is there already", advice="Name another file."
        )
    if not os.access(path.absolute().parent, os.W_OK | os.X_OK):
        raise ConfigurationError(
            "credential.unwritable",
            f"{path} cannot be written",
            advice="Name a file in an existing directory that this user may write to.",
        )


def hand_over(
    desk: Desk,
    kind: SubjectKind,
    id: str,
    token: str,
    path: Path | None,
    *,
    rotated: bool = False,
    as_json: bool,
) -> None:
    """Show a token once, as a credential file that can be pasted or was written."""
    given = desk.credential(token)
    if path is not None:
        write_credential(path, given)
    if as_json:
        told = {"subject": f"{kind} {id}", "endpoint": given.endpoint, "token": token}
        print(json.dumps(told))
        return
    if rotated:
        print(f"Made another token for {kind} {id}. Those it has go on working.\n")
    else:
        known = (
            "It is in force" if desk.knows_use else "A running service knows it in a second or so"
        )
        print(f"Registered {kind} {id}. {known}.\n")
    if path is not None:
        print(f"The credential is in {path}, and nowhere else.\n")
    else:
        _paste(given)
    if rotated:
        print(f"Once it is in use, end the others: countersign {kind} revoke {id}")
    else:
        _use(kind, path or Path(f"{id}.credential"))


def _paste(given: Credential) -> None:
    print("This is shown once. Keep it in a file that only its owner can read (chmod 600):\n")
    print(f'  endpoint = "{given.endpoint}"')
    print(f'  token = "{given.token}"')
    if given.ca_file:
        print(f'  ca_file = "{given.ca_file}"')
    print()


def _use(kind: SubjectKind, path: Path) -> None:
    if kind is SubjectKind.CALLER:
        print("Use it:\n")
        print("  from countersign.client import Client")
        print(f'  client = Client.from_credential("{path}")\n')
        print("or, on a terminal:\n")
        print(f"  countersign check context.json --credential {path}")
    elif kind is SubjectKind.PERSON:
        print("Use it:\n")
        print(f"  export COUNTERSIGN_CREDENTIAL={shlex.quote(str(path.absolute()))}")
        print("  countersign review list")
    else:
        print("Name it in the settings of what acts through the channel; of the bot for Teams:\n")
        print(f"  [service]\n  credential = {json.dumps(str(path.absolute()))}")
