"""What a person types to read and decide reviews."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from countersign.cli import emergency, output
from countersign.cli.agent import CredentialOption
from countersign.cli.batch import approve_together
from countersign.cli.card import headline, plain, print_card, profile_shown
from countersign.cli.operator import JsonOption
from countersign.cli.reading import read
from countersign.client import ReviewsClient
from countersign.config import credential_path
from countersign.model import Choice
from countersign.v1 import reviews_pb2

app = typer.Typer(help="Read and decide reviews.", no_args_is_help=True)

ReviewId = Annotated[str, typer.Argument(help="Review id.")]
_PREVIEW = "Hash of the preview you read, as `review show` prints it"
PreviewOption = Annotated[str, typer.Option("--preview", help=f"{_PREVIEW}.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; sanitized before it is kept.")]


def _client(credential: Path | None) -> ReviewsClient:
    return ReviewsClient.from_credential(credential_path(credential))


@app.command("list")
def list_reviews(credential: CredentialOption = None, as_json: JsonOption = False) -> None:
    """Open reviews you may see, newest first."""
    with _client(credential) as client:
        reviews = list(client.list())
    if as_json:
        output.as_json([plain(review) for review in reviews])
        return
    if not reviews:
        print("Nothing is waiting.")
    for review in reviews:
        status = review.status
        state = output.STATES[status.state]
        print(f"{status.review_id}  {state:<14}  {output.safe(headline(review))}")
        if review.cannot_approve:
            output.field("note", f"you cannot approve: {review.cannot_approve}")
        elif review.batch and status.state in output.AWAITS_VOTES:
            output.field("note", "can be approved together with others")


@app.command()
def show(
    review_id: ReviewId, credential: CredentialOption = None, as_json: JsonOption = False
) -> None:
    """One review as you may see it: masked, with its facts."""
    with _client(credential) as client:
        review = client.get(review_id)
    if as_json:
        output.as_json(plain(review))
        return
    print_card(review, credential)


@app.command()
def approve(
    review_ids: Annotated[
        list[str], typer.Argument(metavar="REVIEW_ID", help="Review id; several for one batch.")
    ],
    previews: Annotated[
        list[str] | None,
        typer.Option("--preview", help=f"{_PREVIEW}; for several reviews one each, in order."),
    ] = None,
    reason: ReasonOption = "",
    credential: CredentialOption = None,
    as_json: JsonOption = False,
) -> int:
    """Approve what you were shown: name its --preview, or read and confirm now."""
    if len(review_ids) > 1:
        with _client(credential) as client:
            return approve_together(
                client, review_ids, previews or (), reason, credential, as_json=as_json
            )
    if len(previews or ()) > 1:
        raise typer.BadParameter("--preview: give one for each review, in their order")
    preview = previews[0] if previews else ""
    _decide(review_ids[0], Choice.APPROVE, preview, reason, credential, as_json=as_json)
    return 0


@app.command()
def deny(
    review_id: ReviewId,
    preview: PreviewOption = "",
    reason: ReasonOption = "",
    credential: CredentialOption = None,
    as_json: JsonOption = False,
) -> None:
    """Deny. One denial ends a review."""
    _decide(review_id, Choice.DENY, preview, reason, credential, as_json=as_json)


@app.command()
def ask(
    review_id: ReviewId,
    question: Annotated[str, typer.Argument(help="What you need to know.")],
    credential: CredentialOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask the requester something before deciding."""
    with _client(credential) as client:
        review = client.ask(client.get(review_id), question)
    _done(review, "Asked", as_json=as_json)


@app.command()
def revoke(
    review_id: ReviewId,
    reason: ReasonOption = "",
    credential: CredentialOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take an approval back, until it is claimed."""
    with _client(credential) as client:
        review = client.revoke(review_id, reason=reason)
    _done(review, "Revoked", as_json=as_json)


app.add_typer(emergency.after, name="after")
app.command("break-glass")(emergency.break_glass)


def _decide(
    review_id: str,
    choice: Choice,
    preview: str,
    reason: str,
    credential: Path | None,
    *,
    as_json: bool,
) -> None:
    with _client(credential) as client:
        review = client.get(review_id)
        if read(review, preview, credential):
            typer.confirm(f"{choice.value.capitalize()} this?", abort=True)
        profile = profile_shown(review)
        decided = client.decide(review, choice, profile=profile, reason=reason)
    _done(decided, "Approved" if choice is Choice.APPROVE else "Denied", as_json=as_json)


def _done(review: reviews_pb2.Review, what: str, *, as_json: bool) -> None:
    if as_json:
        output.as_json(plain(review))
        return
    print(f"{what}. The review is {output.STATES[review.status.state]}.")
