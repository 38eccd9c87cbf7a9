"""What a person types to let somebody else decide in their place for a time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp

from countersign.cli import output
from countersign.cli.agent import CredentialOption
from countersign.cli.moments import FORMS, future, moment
from countersign.cli.operator import JsonOption
from countersign.client import ReviewsClient
from countersign.config import credential_path
from countersign.v1 import reviews_pb2

top = typer.Typer()
app = typer.Typer(help="Who decides in whose place.", no_args_is_help=True)


@top.command()
def delegate(
    person: Annotated[str, typer.Argument(help="Person id of who decides instead.")],
    until: Annotated[str, typer.Option(help=f"When it ends, {FORMS}.")],
    reason: Annotated[str, typer.Option(help="Why; sanitized before it is kept.")],
    starts: Annotated[str, typer.Option("--from", help="When it starts; default now.")] = "",
    credential: CredentialOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let somebody else decide in your place until then. You have one vote together."""
    now = datetime.now(UTC)
    begin = moment("--from", starts, now=now) if starts else None
    end = future("--until", until, now=now, after=begin or now, end_of_day=True)
    with ReviewsClient.from_credential(credential_path(credential)) as client:
        given = client.delegate(person, end, starts=begin, reason=reason)
    if as_json:
        output.as_json(_plain(given))
        return
    print(f"Delegated: {_who(given)}.")
    _terms(given)
    output.field("take back", f"countersign delegation end {given.delegation_id}")


@app.command("list")
def list_delegations(credential: CredentialOption = None, as_json: JsonOption = False) -> None:
    """Delegations that have not ended."""
    with ReviewsClient.from_credential(credential_path(credential)) as client:
        found = client.delegations()
    if as_json:
        output.as_json([_plain(given) for given in found])
        return
    if not found:
        print("Nobody decides in another's place.")
    for given in found:
        print(f"{given.delegation_id}  {_who(given)}")
        _terms(given)


@app.command()
def end(
    delegation_id: Annotated[str, typer.Argument(help="Delegation id.")],
    credential: CredentialOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take your own delegation back. Votes cast in your place stand."""
    with ReviewsClient.from_credential(credential_path(credential)) as client:
        ended = client.end_delegation(delegation_id)
    if as_json:
        output.as_json(_plain(ended))
        return
    print(f"Ended: {_who(ended)} no more.")


def _who(given: reviews_pb2.Delegation) -> str:
    return output.safe(f"{given.delegate_id} decides for {given.delegator_id}")


def _terms(given: reviews_pb2.Delegation) -> None:
    output.field("from", _moment(given.starts_at))
    output.field("until", _moment(given.ends_at))
    output.field("reason", given.reason or "(none given)")
    if given.assurance == "channel":
        output.field("note", "given through a channel: not enough where policy wants a credential")


def _moment(stamp: Timestamp) -> str:
    """In UTC and as the clock on the wall here will show it."""
    here = stamp.ToDatetime(tzinfo=UTC).astimezone()
    return f"{output.moment(stamp)} ({here:%a %Y-%m-%d %H:%M %Z} here)"


def _plain(given: reviews_pb2.Delegation) -> dict[str, Any]:
    return MessageToDict(given, preserving_proto_field_name=True)
