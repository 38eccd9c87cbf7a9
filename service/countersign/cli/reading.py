"""That what is decided was read: its preview named, or the card shown just now.

A vote names the preview that was on the screen (invariant 4). At a terminal the
card is shown and confirmed; a script names the hash of what was read before.
There is no third way, and no `--yes`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from countersign.cli.card import print_card, profile_shown
from countersign.errors import PreconditionError
from countersign.v1 import reviews_pb2

MIN_PREFIX: Final = 8


def read(review: reviews_pb2.Review, preview: str, credential: Path | None) -> bool:
    """See to it that this was read; whether it was shown just now, to be confirmed.

    Raises `PreconditionError` when neither a preview nor a terminal is there.
    """
    if preview:
        require_shown(review, preview)
        return False
    require_terminal(f"countersign review show {review.status.review_id}")
    print_card(review, credential)
    return True


def require_shown(review: reviews_pb2.Review, prefix: str) -> None:
    """The preview that was read must be the one the vote will name."""
    profile = profile_shown(review)
    current = review.previews[profile].hash.hex() if profile in review.previews else ""
    if len(prefix) < MIN_PREFIX or not current.startswith(prefix.lower()):
        raise PreconditionError(
            "vote.preview_mismatch",
            f"--preview: is not the preview of {review.status.review_id} "
            f"(at least {MIN_PREFIX} digits of it)",
            advice="Read it again: `countersign review show` prints the hash to give.",
        )


def require_terminal(read_with: str) -> None:
    """Nothing is decided unread."""
    if not sys.stdin.isatty():
        raise PreconditionError(
            "vote.preview_missing",
            "a vote names what was read, and no --preview was given",
            advice=f"Read it with: {read_with}",
        )
