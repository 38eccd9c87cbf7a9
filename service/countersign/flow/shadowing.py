"""A candidate policy is offered what was decided, and its differences are put on record.

Invariants: 2 (it is offered after the answer is committed; nothing waits for it),
3 (a record of it names decisions, effects, codes and revisions, never input).
Called by the verbs that ask policy, and by `app`.
"""

from __future__ import annotations

from countersign.errors import PolicyError
from countersign.flow.answer import Answer
from countersign.flow.filing import file
from countersign.flow.judge import Judgement
from countersign.flow.parts import Keeper, Parts
from countersign.flow.record import record, sorted_list
from countersign.flow.request import Named
from countersign.model import JsonObject
from countersign.policy.protocol import ShadowDifference, ShadowSaid, Trial
from countersign.store.protocol import Store, Transaction


def offer(parts: Parts, judgement: Judgement | None, answer: Answer) -> None:
    """Let the candidate, if there is one, be tried on what has just been decided."""
    verdict = judgement.verdict if judgement else None
    if parts.shadow is None or verdict is None or answer.replayed:
        return
    said = verdict.said
    if isinstance(said, PolicyError) and said.retryable:
        return  # nobody knows what policy would have said
    parts.shadow.offer(
        Trial(
            tenant=answer.decision.tenant,
            decision=answer.decision.id,
            input_json=verdict.query,
            said=said,
            revision=verdict.revision if isinstance(said, PolicyError) else said.revision,
        )
    )


async def recorded(store: Store, keeper: Keeper | None, found: ShadowDifference) -> bool:
    """Record one difference; False when the log has no room for what nobody needs."""
    if keeper is not None and not keeper.has_room(found.tenant, essential=False):
        return False
    body = record(
        "policy.shadow",
        found.tenant,
        decision=found.decision,
        shadow={
            "changed": sorted_list(found.changed),
            "live": _said(found.live),
            "candidate": _said(found.candidate),
        },
    )

    def run(tx: Transaction) -> None:
        file(tx, found.tenant, body)

    await store.apply(Named(name="shadow", run=run))
    return True


def _said(said: ShadowSaid) -> JsonObject:
    return {
        "effect": said.effect.value,
        "codes": sorted_list(said.codes),
        "revision": said.revision,
    }
