"""What a witness may cosign.

Pure. Invariant 11 beyond the log's own reach: for each origin there is one chain
of cosigned checkpoints, each an extension of the one before. Whoever calls this
must not let another checkpoint of the same origin in between, and must keep
what it cosigns before anybody learns of it. Codes as c2sp.org/tlog-witness says.
"""

from __future__ import annotations

import dataclasses
import enum
from http import HTTPStatus

from countersign.audit.logkeys import Keys
from countersign.audit.merkle import EMPTY_ROOT, verify_consistency
from countersign.audit.note import Checkpoint
from countersign.audit.witness.request import Request
from countersign.errors import LogError


class Doubt(enum.Enum):
    """What a refusal says of the log."""

    NONE = "nothing"
    UNPROVEN = "unproven"
    """It is not shown that history goes on; the proof may be anybody's mistake."""
    FORK = "fork"
    """It has signed two histories: the two checkpoints prove it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a checkpoint is not cosigned."""

    status: HTTPStatus
    reason: str
    size: int | None = None
    """What the witness has, where that is the answer."""
    doubt: Doubt = Doubt.NONE


def judge(request: Request, keys: Keys | None, seen: Checkpoint | None) -> Refusal | None:
    """None when it may be cosigned.

    `keys` are the log's, if the origin is a known one; `seen` the largest
    checkpoint cosigned for this origin so far.
    """
    return (
        _signed(request, keys)
        or _follows(request, seen.size if seen else 0)
        or _extends(request, seen)
    )


def _signed(request: Request, keys: Keys | None) -> Refusal | None:
    if keys is None or keys.name != request.head.origin:
        return Refusal(status=HTTPStatus.NOT_FOUND, reason="this log is not known here")
    try:
        keys.signer(request.note, request.head.size)
    except LogError as error:
        return Refusal(status=HTTPStatus.FORBIDDEN, reason=error.message)
    return None


def _follows(request: Request, size: int) -> Refusal | None:
    if request.old > request.head.size:
        reason = "the old size is more than that of the checkpoint"
        return Refusal(status=HTTPStatus.BAD_REQUEST, reason=reason)
    if request.old != size:
        reason = f"the newest checkpoint cosigned here has size {size}"
        return Refusal(status=HTTPStatus.CONFLICT, reason=reason, size=size)
    return None


def _extends(request: Request, seen: Checkpoint | None) -> Refusal | None:
    head = request.head
    if seen is not None and seen.size == head.size and seen.root != head.root:
        reason = f"another checkpoint of size {seen.size} was cosigned"
        return Refusal(status=HTTPStatus.CONFLICT, reason=reason, size=seen.size, doubt=Doubt.FORK)
    unproven = Refusal(
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        reason="the proof does not lead from the cosigned checkpoint to this one",
        doubt=Doubt.UNPROVEN if seen is not None else Doubt.NONE,
    )
    if seen is None or seen.size == 0:
        empty = head.size > 0 or head.root == EMPTY_ROOT
        return None if empty and not request.proof else unproven
    try:
        verify_consistency(seen.size, head.size, seen.root, head.root, request.proof)
    except LogError:
        return unproven
    return None
