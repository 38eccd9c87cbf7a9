"""Breaking the glass, and what is said of it afterwards.

One person approves alone, so nothing here happens by habit: the card must have
been read, and the name of the action is typed. Used by `reviews`.
"""

from __future__ import annotations

import enum
import sys
from typing import Annotated

import typer

from countersign.cli import output
from countersign.cli.agent import CredentialOption
from countersign.cli.card import action_shown, after_review, headline, plain, profile_shown
from countersign.cli.operator import JsonOption
from countersign.cli.reading import read
from countersign.client import ReviewsClient
from countersign.config import credential_path
from countersign.errors import NotPermittedError
from countersign.v1 import reviews_pb2

after = typer.Typer(help="After-reviews of broken glasses.", no_args_is_help=True)


class Verdict(enum.Enum):
    """What an after-review found."""

    JUSTIFIED = "justified"
    UNJUSTIFIED = "unjustified"


def break_glass(
    review_id: Annotated[str, typer.Argument(help="Review id.")],
    reason: Annotated[str, typer.Option(help="Why it cannot wait; sanitized before it is kept.")],
    preview: Annotated[
        str,
        typer.Option("--preview", help="Hash of the preview you read, as `review show` prints it."),
    ] = "",
    confirm: Annotated[
        str, typer.Option(help="The action, in a script that cannot type it at the prompt.")
    ] = "",
    credential: CredentialOption = None,
    as_json: JsonOption = False,
) -> None:
    """EMERGENCY: approve alone, for everybody. Recorded; somebody else looks at it afterwards."""
    if not reason.strip():
        raise typer.BadParameter("--reason: say why this cannot wait")
    with ReviewsClient.from_credential(credential_path(credential)) as client:
        review = client.get(review_id)
        _require_allowed(review)
        read(review, preview, credential)
        _confirm(review, confirm)
        broken = client.break_glass(review, reason, profile=profile_shown(review))
    if as_json:
        output.as_json(plain(broken))
        return
    print(f"The glass is broken. The review is {output.STATES[broken.status.state]}.")
    output.field("claim by", output.until(broken.status.use_by))
    output.field("owed", f"somebody else closes it: countersign review after close {review_id}")


def _require_allowed(review: reviews_pb2.Review) -> None:
    if not review.can_break_glass:
        raise NotPermittedError(
            "vote.no_break_glass",
            "you cannot break the glass of this review: policy does not let you, "
            "you are behind it, or it is decided",
            advice=f"Look at it: countersign review show {review.status.review_id}",
        )


def _confirm(review: reviews_pb2.Review, given: str) -> None:
    """The action, typed: at the prompt, or in the script by whoever wrote it."""
    action = action_shown(review)
    if not given and sys.stdin.isatty():
        print("\n" + "!" * 72)
        print("You are about to BREAK THE GLASS: you approve ALONE what others should")
        print("decide. It is recorded under your name, and somebody else examines it.")
        print("!" * 72)
        typed = typer.prompt(f"Type the action, {output.safe(action)}, to go on")
        if typed.strip() != action:
            raise typer.Abort
    elif given != action:
        raise typer.BadParameter("--confirm: must be the action of this review, word for word")


@after.command("list")
def list_after(credential: CredentialOption = None, as_json: JsonOption = False) -> None:
    """Broken glasses that nobody has looked at yet, oldest first."""
    with ReviewsClient.from_credential(credential_path(credential)) as client:
        reviews = client.after_reviews()
    if as_json:
        output.as_json([plain(review) for review in reviews])
        return
    if not reviews:
        print("No after-review is open.")
    for review in reviews:
        state = output.STATES[review.status.state]
        print(f"{review.status.review_id}  {state:<14}  {output.safe(headline(review))}")
        output.field("glass", after_review(review))
        for vote in review.votes:
            if vote.break_glass:
                output.field("because", vote.reason)


@after.command("close")
def close_after(
    review_id: Annotated[str, typer.Argument(help="Review id.")],
    verdict: Annotated[Verdict, typer.Option(help="Whether it was right.")],
    note: Annotated[str, typer.Option(help="What you found; sanitized before it is kept.")],
    credential: CredentialOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say whether breaking the glass was right. Not for who broke it."""
    with ReviewsClient.from_credential(credential_path(credential)) as client:
        closed = client.close_after_review(
            client.get(review_id), justified=verdict is Verdict.JUSTIFIED, note=note
        )
    if as_json:
        output.as_json(plain(closed))
        return
    print(output.safe(f"Closed: {after_review(closed)}."))
