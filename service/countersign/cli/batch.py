"""Several approvals in one act, which must not become a rubber stamp.

Only reviews that policy lets stand together, all of which this reader can
approve: one that cannot be keeps all from being sent. Every card is shown, one
after the other; then what they have in common and where they differ; and the
answer is their number, which nobody types by habit. A script names each
preview. The server judges and records each vote by itself. Used by `reviews`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from countersign.cli import output
from countersign.cli.card import plain, print_card, profile_shown, summary
from countersign.cli.reading import require_shown, require_terminal
from countersign.client import Reason, ReviewsClient
from countersign.client.shown import MAX_BATCH
from countersign.errors import PreconditionError
from countersign.v1 import reviews_pb2

_ALIKE = ("caller", "requester", "action", "environment")


def approve_together(
    client: ReviewsClient,
    review_ids: Sequence[str],
    previews: Sequence[str],
    reason: str,
    credential: Path | None,
    *,
    as_json: bool,
) -> int:
    """Read, confirm and approve; exit code 1 when any vote was refused."""
    _require_sound(review_ids, previews)
    reviews = [client.get(review_id) for review_id in review_ids]
    _require_batch(reviews)
    if previews:
        for review, preview in zip(reviews, previews, strict=True):
            require_shown(review, preview)
    else:
        require_terminal("countersign review show, for each of them")
        _show_all(reviews, credential)
    results = client.batch_approve(
        [(review, profile_shown(review)) for review in reviews], reason=reason
    )
    if as_json:
        output.as_json(
            [_plain(name, result) for name, result in zip(review_ids, results, strict=True)]
        )
    else:
        for name, result in zip(review_ids, results, strict=True):
            _tell(name, result)
    return int(any(isinstance(result, Reason) for result in results))


def _require_sound(review_ids: Sequence[str], previews: Sequence[str]) -> None:
    if len(set(review_ids)) < len(review_ids):
        raise typer.BadParameter("REVIEW: one is named twice")
    if len(review_ids) > MAX_BATCH:
        raise typer.BadParameter(f"REVIEW: at most {MAX_BATCH} at once")
    if previews and len(previews) != len(review_ids):
        raise typer.BadParameter("--preview: give one for each review, in their order")


def _require_batch(reviews: Sequence[reviews_pb2.Review]) -> None:
    """All or none are sent: what is confirmed is what is done."""
    problems = [
        f"{review.status.review_id}: {problem}" for review in reviews if (problem := _bar(review))
    ]
    if problems:
        raise PreconditionError(
            "vote.batch_not_allowed",
            "nothing was approved, for these cannot be approved with the others:\n  "
            + "\n  ".join(problems),
            advice="Leave them out, or look at each: countersign review show REVIEW",
        )


def _bar(review: reviews_pb2.Review) -> str:
    """Why this one cannot be approved together with others; empty when it can."""
    profile = profile_shown(review)
    if review.status.state not in output.AWAITS_VOTES:
        return f"it is {output.STATES[review.status.state]}"
    if review.cannot_approve:
        return review.cannot_approve
    if not review.batch:
        return "policy wants it decided by itself"
    if not profile or not review.previews[profile].reviewable:
        return "what must be seen is cut or masked"
    return ""


def _show_all(reviews: Sequence[reviews_pb2.Review], credential: Path | None) -> None:
    """Every card, then the summary, then one answer. Raises `typer.Abort`."""
    total = len(reviews)
    for number, review in enumerate(reviews, start=1):
        print(f"\n======== {number} of {total} ========")
        print_card(review, credential)
        if number < total:
            typer.prompt("Enter shows the next one", default="", show_default=False)
    _compare(reviews)
    answer = typer.prompt(f"Type {total} to approve these {total}, anything else to stop")
    if answer.strip() != str(total):
        raise typer.Abort


def _compare(reviews: Sequence[reviews_pb2.Review]) -> None:
    """What all have in common, and each by what it has not: unlike things stand out."""
    told = [summary(review) for review in reviews]
    common = [name for name in _ALIKE if len({words[name] for words in told}) == 1]
    print("\n======== all of them ========")
    for name in common:
        output.field(name, told[0][name])
    unlike = [name for name in _ALIKE if name not in common]
    if unlike:
        output.field("NOT ALIKE", f"they differ in {', '.join(unlike)}")
    for number, words in enumerate(told, start=1):
        own = [words["resource"], *(f"{name} {words[name]}" for name in unlike), words["facts"]]
        output.field(str(number), "; ".join(own))


def _tell(review_id: str, result: reviews_pb2.Review | Reason) -> None:
    if isinstance(result, Reason):
        print(output.safe(f"{review_id}  REFUSED  {result.message} [{result.code}]"))
    else:
        print(f"{review_id}  Approved. The review is {output.STATES[result.status.state]}.")


def _plain(review_id: str, result: reviews_pb2.Review | Reason) -> dict[str, object]:
    if isinstance(result, Reason):
        return {
            "review_id": review_id,
            "refusal": {"code": result.code, "message": result.message},
        }
    return {"review_id": review_id, "review": plain(result)}
