"""A log of real decisions beside the raw questions that led to them.

Contexts go through the flow with the real store, sanitizer and OPA, one after the
other; what OPA was asked is kept, which no service ever does. So a test can hold
what impact analysis says of the records against what the candidate really says of
the raw input.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit_world import PROMPT
from countersign.audit.local import LocalSink
from countersign.audit.note import Signer
from countersign.audit.publisher import Publisher
from countersign.errors import RequestError
from countersign.model import JsonObject, PolicyDecision
from countersign.policy.opa import OpaPolicy
from impact_contexts import Contexts
from simulators.world import AGENT, CALLERS, PEOPLE, TENANT, World, person

LOG_ID = "log.test/acme"
CLAIMED_EVERY = 9
GROUPS = """data-owners security finance platform dba release-managers on-call""".split()
VOTERS = tuple(person(f"voter-{number}", *GROUPS) for number in range(2))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decided:
    """One decision: what is on record, and what policy was really asked."""

    record: JsonObject
    raw: JsonObject


class Listening:
    """The policy point, which remembers what it was asked."""

    def __init__(self, policy: OpaPolicy) -> None:
        self._policy = policy
        self.asked: list[JsonObject] = []

    @property
    def revision(self) -> str:
        return self._policy.revision

    @property
    def ready(self) -> bool:
        return self._policy.ready

    async def decide(self, input_json: bytes, *, deadline_s: float) -> PolicyDecision:
        self.asked.append(json.loads(input_json))
        return await self._policy.decide(input_json, deadline_s=deadline_s)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Past:
    """A log and its raw side."""

    records: list[JsonObject]
    decided: list[Decided]
    objects: dict[str, bytes]


async def past(
    directory: Path, opa: Path, policy: Path, *, count: int, seed: str, log: Path | None = None
) -> Past:
    """So many Checks under a policy, some of them with a Claim; published below `log`."""
    contexts = Contexts(seed)
    world = await World.open(directory)
    world.register(CALLERS, (*PEOPLE, *VOTERS))
    point = OpaPolicy(opa, policy)
    await point.start()
    listening = Listening(point)
    world.parts = dataclasses.replace(
        world.parts,
        policy=listening,
        limits=dataclasses.replace(
            world.parts.limits,
            max_open_reviews=10_000,
            max_open_reviews_behind=10_000,
            quotas={},
        ),
    )
    world.flow = type(world.flow)(world.parts, world.flow.waiters)
    try:
        for number in range(count):
            context = contexts.draw(AGENT.actors[0])
            answer = await world.check(context)
            if answer.review is not None and number % CLAIMED_EVERY == 0:
                await _claim(world, answer.review.id, context)
            world.clock.advance(1 + number % 7)
        records = await _all_records(world)
        found = await world.store.objects(TENANT, 100_000)
        if log is not None:
            await _published(world, log)
    finally:
        await point.stop()
        await world.close()
    told = [
        record for record in records if record["kind"] in ("decision", "claim") and _asked(record)
    ]
    assert len(told) == len(listening.asked), (len(told), len(listening.asked))
    decided = [
        Decided(record=record, raw=raw) for record, raw in zip(told, listening.asked, strict=True)
    ]
    return Past(records=records, decided=decided, objects=dict(found))


def _asked(record: dict[str, Any]) -> bool:
    codes = {each["code"] for each in record.get("reasons", [])}
    return not codes & {"requester.unresolved", "context.not_permitted"}


async def _published(world: World, root: Path) -> None:
    """Everything there is, as a service's publisher writes it; to `root / LOG_ID`."""
    signer = Signer(name=LOG_ID, key=Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
    writer = Publisher(
        source=world.store,
        sink=LocalSink(root),
        log_id_of=lambda _tenant: LOG_ID,
        signer_of=lambda _tenant: signer,
        settings=PROMPT,
    )
    await writer.start()
    await writer.close()


async def _claim(world: World, review: Any, context: Any) -> None:
    """A vote that may do or not: either way the Claim asks policy."""
    for voter in VOTERS:
        with contextlib.suppress(RequestError):
            await world.vote(voter, review, reason="read it")
    with contextlib.suppress(RequestError):
        await world.claim(review, context)


async def _all_records(world: World) -> list[JsonObject]:
    records: list[JsonObject] = []
    while page := await world.records(len(records)):
        records += page
    return records
