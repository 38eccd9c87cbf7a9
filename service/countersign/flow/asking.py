"""A Check until policy is asked: whether it is well-formed, and was answered before.

Invariants: 4 (what is bound are the canonical bytes made here), 5 (the same
request id gets the same answer). Called by `check` and `checking_many`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from countersign import canonical
from countersign.errors import InvalidRequestError
from countersign.flow import masking
from countersign.flow.answer import Answer, replay
from countersign.flow.evidence import Evidence
from countersign.flow.parts import Parts
from countersign.flow.request import Named, Request
from countersign.model import ActionContext, Caller, JsonValue, PersonId


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class CheckAsk:
    """A Check as the edge parsed it."""

    context: ActionContext
    request_id: str = ""
    create_review: bool = True
    permit_audience: str = ""
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    supersedes: str = ""
    trace: str = ""
    evidence: Evidence | None = None
    """Who is proven to be behind it; outside the commitment."""
    made_by: PersonId | None = None
    """Who has seen the caller's token besides, and so may be the one who asks."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Begun:
    """A Check that has no answer yet."""

    ask: CheckAsk
    request: Request
    context_bytes: bytes
    """The canonical form of its context."""


async def begin(parts: Parts, caller: Caller, ask: CheckAsk) -> Begun | Answer:
    """Begin a Check, or give the answer it was given before. Raises `RequestError`."""
    if await masking.said(parts, ask.permit_audience) != ask.permit_audience:
        raise InvalidRequestError(
            "permit_audience",
            "looks like personal data or a secret, and permits are recorded; name the executor",
        )
    context_bytes = canonical.encode(ask.context.to_json())
    request = Request.of(parts, caller, "check", ask.request_id, context_bytes, _options(ask))
    if request.key is not None and await parts.store.answer(request.key):
        before = await parts.store.apply(
            Named(name="check.replay", run=lambda tx: replay(tx, caller, request))
        )
        if before:
            return before
    return Begun(ask=ask, request=request, context_bytes=context_bytes)


def _options(ask: CheckAsk) -> bytes:
    return canonical.encode(
        {
            "proof": ask.evidence.proof if ask.evidence else None,
            "create_review": ask.create_review,
            "labels": dict[str, JsonValue](ask.labels),
            "permit_audience": ask.permit_audience,
            "supersedes": ask.supersedes,
        }
    )
