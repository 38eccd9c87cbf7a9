"""A small world for the flow: everything real but policy, which is scripted.

The store is a real SQLite file, rules, directory, sanitizer and permit keys are
those of production, time is told by a clock the test moves. Policy is the one
part that a story wants to dictate, so `ScriptedPolicy` implements the very
protocol that OPA's client does and says what it was told to say.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from countersign.directory import Directory
from countersign.errors import PolicyError
from countersign.flow.answer import Answer
from countersign.flow.asking import CheckAsk
from countersign.flow.claim import ClaimAsk
from countersign.flow.parts import Keeper, Limits, Parts
from countersign.flow.people import VoteAsk
from countersign.flow.service import Flow
from countersign.flow.voter import Voter
from countersign.model import (
    SECOND_US,
    ActionContext,
    Assurance,
    Caller,
    CallerId,
    Choice,
    Effect,
    Instant,
    JsonObject,
    Person,
    PersonId,
    PolicyDecision,
    Principal,
    Reason,
    Requirement,
    Resource,
    Review,
    ReviewId,
    Stage,
    TenantId,
)
from countersign.permit import PermitKeys
from countersign.policy.protocol import Answers
from countersign.policy.question import QUESTION
from countersign.sanitize import Sanitizer
from countersign.store.sqlite import SqliteStore
from countersign.waiters import Waiters

TENANT = TenantId("acme")
START = Instant(1_800_000_000 * SECOND_US)
DEADLINE_S = 5.0

OWNERS = Stage(name="owner", groups=("data-owners",))
SECURITY = Stage(name="security", groups=("security",))


@dataclasses.dataclass
class Source:
    """`directory.DirectorySource`: who is registered, and how long ago that was confirmed."""

    current: Directory
    age: float = 0.0

    def age_s(self) -> float:
        """Seconds since the directory was last confirmed."""
        return self.age


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> Instant:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now = Instant(self.now + int(seconds * SECOND_US))


# --- policy -------------------------------------------------------------------


def allow() -> PolicyDecision:
    """Policy has no objection."""
    return PolicyDecision(
        effect=Effect.ALLOW, reasons=(Reason(code="rule.open", message="harmless"),), revision="r1"
    )


def deny() -> PolicyDecision:
    """Policy says no."""
    return PolicyDecision(
        effect=Effect.DENY, reasons=(Reason(code="rule.never", message="never"),), revision="r1"
    )


def needs(*stages: Stage, **demands: Any) -> PolicyDecision:
    """Policy wants people to decide: the owners, unless stages are given."""
    return PolicyDecision(
        effect=Effect.NEEDS_APPROVAL,
        reasons=(Reason(code="rule.people", message="people decide"),),
        revision="r1",
        requirement=Requirement(stages=stages or (OWNERS,), **demands),
    )


def down() -> PolicyError:
    """OPA is gone for now."""
    return PolicyError("policy.unavailable", "policy did not answer", retryable=True)


def broken() -> PolicyError:
    """Policy answers what the contract does not allow."""
    return PolicyError("policy.invalid", "policy answered nonsense", retryable=False)


class ScriptedPolicy:
    """`policy.protocol.PolicyPoint` that says what it was told, by action and environment."""

    def __init__(self) -> None:
        self.revision = "r1"
        self.ready = True
        self.asked: list[JsonObject] = []
        self.batches: list[int] = []
        self._script: dict[tuple[str, str], PolicyDecision | PolicyError] = {}

    def says(
        self, answer: PolicyDecision | PolicyError, action: str = "*", environment: str = "*"
    ) -> None:
        """Answer so from now on; `*` is every action or environment without its own."""
        self._script[action, environment] = answer

    async def decide(self, input_json: bytes, *, deadline_s: float) -> PolicyDecision:
        """Answer what the script says of this context. Every question must be of its type."""
        _ = QUESTION.validate_json(input_json)
        document = json.loads(input_json)
        self.asked.append(document)
        action, environment = document["context"]["action"], document["context"]["environment"]
        for key in ((action, environment), (action, "*"), ("*", environment), ("*", "*")):
            answer = self._script.get(key)
            if isinstance(answer, PolicyError):
                raise answer
            if answer is not None:
                return dataclasses.replace(answer, revision=self.revision)
        raise PolicyError("policy.undefined", "policy says nothing of this", retryable=False)

    async def decide_many(self, inputs: Sequence[bytes], *, deadline_s: float) -> Answers:
        """What `decide` says of each."""
        self.batches.append(len(inputs))
        each: list[PolicyDecision | PolicyError] = []
        for item in inputs:
            try:
                each.append(await self.decide(item, deadline_s=deadline_s))
            except PolicyError as error:
                each.append(error)
        return Answers(revision=self.revision, each=each)


# --- who ------------------------------------------------------------------------


def caller(id: str, *, owners: Sequence[str], tenant: TenantId = TENANT, **facts: Any) -> Caller:
    """A registered caller: by default it may do anything in production and staging."""
    defaults: dict[str, Any] = {
        "actors": (f"{id}-bot",),
        "environments": ("production", "staging"),
        "resources": ("*:*",),
    }
    people = tuple(map(PersonId, owners))
    return Caller(tenant=tenant, id=CallerId(id), owners=people, **(defaults | facts))


def person(id: str, *groups: str, tenant: TenantId = TENANT, **facts: Any) -> Person:
    """A registered person."""
    return Person(
        tenant=tenant, id=PersonId(id), name=id.title(), groups=frozenset(groups), **facts
    )


def voter(who: Person | Voter, **facts: Any) -> Voter:
    """Somebody who proved themselves with their own credential, unless told otherwise."""
    if isinstance(who, Voter):
        return who
    defaults = {"assurance": Assurance.PERSON, "proof": f"token:{who.id}"}
    return Voter(person=who, **(defaults | facts))


AGENT = caller("agent", owners=["alice"])
SCOUT = caller("scout", owners=["sam"])
GATEWAY = caller("gateway", owners=["gwen"], audience="gateway")
STRANGER = caller("agent", owners=["zoe"], tenant=TenantId("other"))
CALLERS = (AGENT, SCOUT, GATEWAY, STRANGER)

ALICE = person("alice", "data-owners")
BOB = person("bob", "data-owners")
CAROL = person("carol", "data-owners")
DAVE = person("dave", "security")
ERIN = person("erin")
SAM = person("sam")
GWEN = person("gwen")
ZOE = person("zoe", "data-owners", tenant=TenantId("other"))
PEOPLE = (ALICE, BOB, CAROL, DAVE, ERIN, SAM, GWEN, ZOE)


def context(caller: Caller = AGENT, **changes: Any) -> ActionContext:
    """What the agent is about to do."""
    values: dict[str, Any] = {
        "actor": Principal(type="workload", id=caller.actors[0]),
        "on_behalf_of": (),
        "action": "db.export",
        "resource": Resource(type="table", id="customers", owner="", attributes={}),
        "environment": "production",
        "arguments": {"rows": 100},
        "reason": "monthly report",
        "session": "s1",
    }
    return ActionContext(**(values | changes))


# --- the world --------------------------------------------------------------------


class World:
    """One server's parts, and the verbs as a test wants to say them. Make it with `open`."""

    def __init__(
        self,
        path: Path,
        limits: Limits,
        sanitizer: Sanitizer,
        *,
        lockable: bool,
        keeper: Keeper | None = None,
    ) -> None:
        self.clock = Clock()
        self.policy = ScriptedPolicy()
        self.policy.says(needs())
        self.source = Source(Directory.of(CALLERS, PEOPLE))
        self.permits = PermitKeys("https://countersign.test", [Ed25519PrivateKey.generate()])
        self._path = path
        self._limits = limits
        self._sanitizer = sanitizer
        self._lockable = lockable
        self._keeper = keeper
        self._requests = 0
        self.store: SqliteStore
        self.parts: Parts
        self.flow: Flow

    @classmethod
    async def open(
        cls,
        directory: Path,
        *,
        limits: Limits | None = None,
        sanitizer: Sanitizer | None = None,
        lockable: bool = False,
        keeper: Keeper | None = None,
    ) -> Self:
        """A new world with nothing in its store."""
        world = cls(
            directory / "store.db",
            limits or Limits(),
            sanitizer or Sanitizer(),
            lockable=lockable,
            keeper=keeper,
        )
        await world._start()
        return world

    async def _start(self) -> None:
        self.store = await SqliteStore.open(
            self._path, log_id_of=lambda tenant: f"log.test/{tenant}", clock=self.clock
        )
        self.parts = Parts(
            store=self.store,
            policy=self.policy,
            sanitizer=self._sanitizer,
            source=self.source,
            permits=self.permits,
            limits=self._limits,
            lockable=self._lockable,
            keeper=self._keeper,
        )
        self.flow = Flow(self.parts, Waiters())

    async def reopen(self) -> None:
        """Stop the server and start it again on the same file."""
        await self.store.close()
        await self._start()

    async def close(self) -> None:
        """Let go of the store."""
        await self.store.close()

    def register(
        self, callers: Sequence[Caller] = CALLERS, people: Sequence[Person] = PEOPLE
    ) -> None:
        """Replace the directory: who is not given is no longer registered."""
        self.source.current = Directory.of(callers, people)

    @property
    def directory(self) -> Directory:
        """Who is registered now."""
        return self.source.current

    def request_id(self) -> str:
        """A request id nobody used before."""
        self._requests += 1
        return f"request-{self._requests}"

    # --- verbs ---

    async def check(self, context: ActionContext, caller: Caller = AGENT, **options: Any) -> Answer:
        """Check, with a request id of its own unless one is given."""
        options.setdefault("request_id", self.request_id())
        ask = CheckAsk(context=context, **options)
        return await self.flow.check(caller, ask, deadline_s=DEADLINE_S)

    async def opened(
        self, context: ActionContext, caller: Caller = AGENT, **options: Any
    ) -> Review:
        """Check, and expect a review."""
        answer = await self.check(context, caller, **options)
        assert answer.review is not None, answer.decision.reasons
        return answer.review

    async def vote(
        self,
        person: Person | Voter,
        review_id: ReviewId,
        choice: Choice = Choice.APPROVE,
        **changes: Any,
    ) -> Review:
        """Vote on what the review shows now, unless the vote is told to say otherwise."""
        ask = await self.vote_ask(review_id, choice=choice, **changes)
        return await self.flow.vote(voter(person), ask)

    async def vote_ask(self, review_id: ReviewId, **changes: Any) -> VoteAsk:
        """A vote on what the review shows now, with these changes."""
        review = await self.review(review_id)
        values: dict[str, Any] = {
            "review_id": review_id,
            "revision": review.revision,
            "profile": "reviewer",
            "preview_hash": review.previews["reviewer"].hash,
            "choice": Choice.APPROVE,
            "reason": "",
            "request_id": self.request_id(),
        }
        return VoteAsk(**(values | changes))

    async def approved(self, context: ActionContext, *voters: Person, **options: Any) -> Review:
        """A review that these people approved."""
        review = await self.opened(context, **options)
        for voter in voters or (BOB,):
            review = await self.vote(voter, review.id)
        return review

    async def claim(
        self, review_id: ReviewId, context: ActionContext, caller: Caller = AGENT, **options: Any
    ) -> Answer:
        """Claim, with a request id of its own unless one is given."""
        options.setdefault("request_id", self.request_id())
        ask = ClaimAsk(review_id=review_id, context=context, **options)
        return await self.flow.claim(caller, ask, deadline_s=DEADLINE_S)

    # --- what is on record ---

    async def review(self, id: ReviewId, tenant: TenantId = TENANT) -> Review:
        """A review as it is stored."""
        review = await self.store.review(tenant, id)
        assert review is not None
        return review

    async def records(self, first: int = 0) -> list[dict[str, Any]]:
        """The log of the tenant from that sequence number on."""
        stored = await self.store.records(TENANT, first, 10_000)
        return [json.loads(record.body) for record in stored]

    async def kinds(self, first: int = 0) -> list[str]:
        """What was recorded, by kind."""
        return [record["kind"] for record in await self.records(first)]

    def token(self, answer: Answer) -> str:
        """The permit an answer carries, as the edge would mint it."""
        assert answer.permit is not None
        assert answer.decision.salt is not None
        return self.permits.mint(answer.permit, answer.decision.salt)


def code(answer: Answer) -> str:
    """Why an answer is what it is: the code of its first reason, or nothing."""
    return answer.decision.reasons[0].code if answer.decision.reasons else ""
