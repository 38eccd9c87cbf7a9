"""What agents did and saw besides: masked, and on record if they want it.

Invariant 3: nothing of it leaves unmasked. `sanitize` tags with a key of its
own that is then forgotten: with a lasting one, guessing values and comparing
tags would tell what stands masked on a card (it would be an oracle).
"""

from __future__ import annotations

import dataclasses
import secrets
from typing import Final

from countersign import canonical
from countersign.errors import NotFoundError
from countersign.flow import keeping, masking, record
from countersign.flow.filing import file
from countersign.flow.judge import tenant_tag_key
from countersign.flow.parts import Parts
from countersign.flow.request import Named, Request
from countersign.model import Caller, DecisionId, JsonValue, RecordRef
from countersign.sanitize import Scrubbed
from countersign.store.protocol import Transaction

_TAG_KEY_BYTES: Final = 32


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class LogAsk:
    """A Log as the edge parsed it."""

    type: str
    content: JsonValue
    session: str
    decision_id: DecisionId | None
    request_id: str
    trace: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """Where it stands."""

    record: RecordRef
    replayed: bool = False


async def sanitize(parts: Parts, content: JsonValue, size_bytes: int) -> Scrubbed:
    """The content without what must not be shown. Nothing is stored."""
    key = secrets.token_bytes(_TAG_KEY_BYTES)
    return await masking.scrubbed(parts, content, size_bytes, key)


async def log(parts: Parts, caller: Caller, ask: LogAsk) -> Logged:
    """Record it, masked, in the caller's log."""
    keeping.require_room(parts, caller.tenant)
    given = canonical.encode({"content": ask.content})
    key = tenant_tag_key(parts, caller, parts.store.now())
    scrubbed = await masking.scrubbed(parts, ask.content, len(given), key)
    request = Request.of(
        parts,
        caller,
        "log",
        ask.request_id,
        ask.type.encode(),
        (ask.decision_id or "").encode(),
        given,
    )
    body = record.record(
        "activity",
        caller.tenant,
        caller=caller.id,
        activity={
            "type": await masking.said(parts, ask.type),
            "content": scrubbed.value,
            "mask_report": scrubbed.report,
            "complete": scrubbed.complete,
        },
        decision=ask.decision_id,
        request=request.record,
        session=await masking.said(parts, ask.session),
        trace=ask.trace,
    )

    def run(tx: Transaction) -> Logged:
        before = request.replayed(tx)
        if before is not None:
            return Logged(record=record.ref_of(before), replayed=True)
        decision = tx.decision(caller.tenant, ask.decision_id) if ask.decision_id else None
        if ask.decision_id and (decision is None or decision.caller != caller.id):
            raise NotFoundError("activity.unknown_decision", "decision_id: none of this caller's")
        ref = file(tx, caller.tenant, body)
        request.remember(tx, record.ref_body(ref))
        return Logged(record=ref)

    return await parts.store.apply(Named(name="log", run=run))
