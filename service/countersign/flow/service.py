"""All verbs bound to their parts: what the edge calls."""

from __future__ import annotations

from collections.abc import Sequence

from countersign.cards import Address, Endpoint
from countersign.errors import RequestError
from countersign.flow import (
    activity,
    check,
    checking_many,
    claim,
    delegating,
    delivering,
    people,
    requester,
    wait,
)
from countersign.flow.activity import LogAsk, Logged
from countersign.flow.answer import Answer
from countersign.flow.asking import CheckAsk
from countersign.flow.claim import ClaimAsk
from countersign.flow.delegating import DelegateAsk
from countersign.flow.delivering import Acknowledged, Delivering, Delivery, Shown
from countersign.flow.evidence import Evidence
from countersign.flow.parts import Parts
from countersign.flow.people import BatchAnswer, Broken, VoteAsk
from countersign.flow.requester import ReportAsk, Reported
from countersign.flow.staff import Staff
from countersign.flow.voter import Voter
from countersign.flow.wait import Waited
from countersign.model import (
    Caller,
    CardId,
    Channel,
    Delegation,
    DelegationId,
    JsonValue,
    Person,
    PersonId,
    Principal,
    QuestionId,
    Review,
    ReviewId,
    ReviewState,
)
from countersign.sanitize import Scrubbed
from countersign.waiters import Waiters


class Flow:
    """The verbs of Countersign. Each raises `RequestError` when nothing was decided."""

    def __init__(self, parts: Parts, waiters: Waiters) -> None:
        self.parts = parts
        self.waiters = waiters
        self._delivering = Delivering(parts, waiters)
        parts.store.subscribe(waiters.notify)

    async def check(self, caller: Caller, ask: CheckAsk, *, deadline_s: float) -> Answer:
        """See `flow.check`."""
        return await check.check(self.parts, caller, ask, deadline_s=deadline_s)

    async def check_many(
        self, caller: Caller, asks: Sequence[CheckAsk | RequestError], *, deadline_s: float
    ) -> Sequence[checking_many.Outcome]:
        """See `flow.checking_many`."""
        return await checking_many.check_many(self.parts, caller, asks, deadline_s=deadline_s)

    async def claim(self, caller: Caller, ask: ClaimAsk, *, deadline_s: float) -> Answer:
        """See `flow.claim`."""
        return await claim.claim(self.parts, caller, ask, deadline_s=deadline_s)

    async def wait(
        self, caller: Caller, review_id: ReviewId, *, after: str, max_wait_s: float
    ) -> Waited:
        """See `flow.wait`."""
        return await wait.wait(
            self.parts, self.waiters, caller, review_id, after=after, max_wait_s=max_wait_s
        )

    async def answer(
        self,
        caller: Caller,
        review_id: ReviewId,
        *,
        question_id: QuestionId,
        text: str,
        request_id: str,
        answered_by: Principal | None = None,
        evidence: Evidence | None = None,
        made_by: PersonId | None = None,
    ) -> Review:
        """See `flow.requester`."""
        return await requester.answer(
            self.parts,
            caller,
            review_id,
            question_id=question_id,
            text=text,
            request_id=request_id,
            answered_by=answered_by,
            evidence=evidence,
            made_by=made_by,
        )

    async def cancel(
        self, caller: Caller, review_id: ReviewId, *, reason: str, request_id: str
    ) -> Review:
        """See `flow.requester`."""
        return await requester.cancel(
            self.parts, caller, review_id, reason=reason, request_id=request_id
        )

    async def report(self, caller: Caller, ask: ReportAsk) -> Reported:
        """See `flow.requester`."""
        return await requester.report(self.parts, caller, ask)

    async def sanitize(self, content: JsonValue, size_bytes: int) -> Scrubbed:
        """See `flow.activity`."""
        return await activity.sanitize(self.parts, content, size_bytes)

    async def log(self, caller: Caller, ask: LogAsk) -> Logged:
        """See `flow.activity`."""
        return await activity.log(self.parts, caller, ask)

    async def staff(self, person: Person) -> Staff:
        """The people as they are now, for this one."""
        return await people.staff(self.parts, person)

    async def get(self, person: Person, review_id: ReviewId) -> Review:
        """See `flow.people`."""
        return await people.get(self.parts, person, review_id)

    async def list_visible(
        self, person: Person, states: Sequence[ReviewState], *, after: str, limit: int
    ) -> tuple[Sequence[Review], str]:
        """See `flow.people`."""
        return await people.list_visible(self.parts, person, states, after=after, limit=limit)

    async def after_reviews(self, person: Person) -> Sequence[Review]:
        """See `flow.people`."""
        return await people.after_reviews(self.parts, person)

    async def vote(self, voter: Voter, ask: VoteAsk) -> Review:
        """See `flow.people`."""
        return await people.vote(self.parts, voter, ask)

    async def batch(self, voter: Voter, asks: Sequence[VoteAsk]) -> Sequence[BatchAnswer]:
        """See `flow.people`."""
        return await people.batch(self.parts, voter, asks)

    async def break_glass(self, voter: Voter, ask: VoteAsk) -> Broken:
        """See `flow.people`."""
        return await people.break_glass(self.parts, voter, ask)

    async def close_after_review(
        self, voter: Voter, review_id: ReviewId, *, justified: bool, note: str, request_id: str
    ) -> Review:
        """See `flow.people`."""
        return await people.close_after_review(
            self.parts,
            voter,
            review_id,
            justified=justified,
            note=note,
            request_id=request_id,
        )

    async def ask_info(
        self, voter: Voter, review_id: ReviewId, *, revision: int, question: str, request_id: str
    ) -> Review:
        """See `flow.people`."""
        return await people.ask_info(
            self.parts,
            voter,
            review_id,
            revision=revision,
            question=question,
            request_id=request_id,
        )

    async def revoke(
        self, voter: Voter, review_id: ReviewId, *, reason: str, request_id: str
    ) -> Review:
        """See `flow.people`."""
        return await people.revoke(
            self.parts, voter, review_id, reason=reason, request_id=request_id
        )

    async def delegate(self, voter: Voter, ask: DelegateAsk) -> Delegation:
        """See `flow.delegating`."""
        return await delegating.delegate(self.parts, voter, ask)

    async def delegations(self, person: Person) -> Sequence[Delegation]:
        """See `flow.delegating`."""
        return await delegating.given(self.parts, person.tenant)

    async def end_delegation(
        self, voter: Voter, id: DelegationId, *, request_id: str
    ) -> Delegation:
        """See `flow.delegating`."""
        return await delegating.end(self.parts, voter, id, request_id=request_id)

    async def lease(
        self, channel: Channel, *, max_cards: int, max_wait_s: float
    ) -> Sequence[Delivery]:
        """See `flow.delivering`."""
        return await self._delivering.lease(channel, max_cards=max_cards, max_wait_s=max_wait_s)

    async def acknowledge(self, channel: Channel, said: Acknowledged) -> bool:
        """See `flow.delivering`."""
        return await delivering.acknowledge(self.parts, channel, said)

    async def card(self, channel: Channel, id: CardId) -> Shown:
        """See `flow.delivering`."""
        return await delivering.card(self.parts, channel, id)

    async def put_endpoint(
        self, channel: Channel, address: Address, *, installed: bool, reference: str
    ) -> Endpoint:
        """See `flow.delivering`."""
        return await delivering.put_endpoint(
            self.parts, channel, address, installed=installed, reference=reference
        )

    async def endpoints(self, channel: Channel) -> Sequence[Endpoint]:
        """See `flow.delivering`."""
        return await delivering.endpoints(self.parts, channel)

    async def unreached(self, review: Review) -> tuple[str, ...]:
        """See `flow.delivering`."""
        return await delivering.unreached(self.parts, review)
