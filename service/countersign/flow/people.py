"""What people do with reviews: read, vote, ask, revoke. As themselves, nobody else.

The rules judge inside the transaction; a refused vote is recorded before its
sender learns of it. What is said here is sanitized like everything else.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from countersign.directory import Directory
from countersign.errors import InvalidRequestError, RequestError
from countersign.flow import keeping, masking, record
from countersign.flow.filing import file
from countersign.flow.gate import assurance, not_now, seen_by
from countersign.flow.parts import Parts
from countersign.flow.request import Named, Request
from countersign.flow.staff import Staff
from countersign.flow.transition import as_error, elapsed, moved, unknown_review, widen
from countersign.flow.voter import Voter
from countersign.model import (
    Choice,
    JsonObject,
    JsonValue,
    Person,
    QuestionId,
    Reason,
    Review,
    ReviewId,
    ReviewState,
    new_id,
)
from countersign.review import (
    AfterReviewClosed,
    ApprovalRevoked,
    Event,
    GlassBroken,
    QuestionAsked,
    Refusal,
    VoteCast,
    may_see,
)
from countersign.store.protocol import Transaction

log = logging.getLogger(__name__)

_Event: TypeAlias = VoteCast | GlassBroken | AfterReviewClosed | QuestionAsked | ApprovalRevoked

MAX_BATCH: Final = 25
"""Reviews that one act may approve: what a person can be expected to have read."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VoteAsk:
    """A Decide, or a BreakGlass, as the edge parsed it."""

    review_id: ReviewId
    revision: int
    profile: str
    preview_hash: str
    choice: Choice
    reason: str
    request_id: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BatchAnswer:
    """What became of one review of a batch: the vote was taken, or why not."""

    review_id: ReviewId
    outcome: Review | Reason


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A review whose glass was broken: now, or by the same request before."""

    review: Review
    replayed: bool


async def staff(parts: Parts, reader: Person) -> Staff:
    """The people as they are now, with what was lent to this one: to show reviews with."""
    lent = await parts.store.delegations_to(reader.tenant, reader.id)
    return Staff(directory=parts.directory(), delegations=lent)


async def get(parts: Parts, person: Person, review_id: ReviewId) -> Review:
    """A review this person may see. Raises `NotFoundError` for any other."""
    people = await staff(parts, person)
    review = await parts.store.review(person.tenant, review_id)
    if review is None or not may_see(review, person.id, people):
        raise unknown_review()
    return review


async def list_visible(
    parts: Parts, person: Person, states: Sequence[ReviewState], *, after: str, limit: int
) -> tuple[list[Review], str]:
    """A page of visible reviews, newest first, and the token of the next page.

    After a review that this person may not see there is nothing, as after none:
    or its place in the list would tell that it is there.
    """
    people = await staff(parts, person)
    if after:
        last = await parts.store.review(person.tenant, ReviewId(after))
        if last is None or not may_see(last, person.id, people):
            return [], ""
    visible: list[Review] = []
    while True:
        page = await parts.store.reviews(person.tenant, states, after=after, limit=limit)
        for review in page:
            after = review.id
            if may_see(review, person.id, people):
                visible.append(review)
                if len(visible) == limit:
                    return visible, after
        if len(page) < limit:
            return visible, ""


async def after_reviews(parts: Parts, person: Person) -> list[Review]:
    """Visible reviews whose after-review is open, oldest first."""
    people = await staff(parts, person)
    owed = await parts.store.after_reviews(person.tenant)
    return [review for review in owed if may_see(review, person.id, people)]


async def vote(parts: Parts, voter: Voter, ask: VoteAsk) -> Review:
    """Cast one vote. Raises the refusal as `RequestError` once it is recorded."""
    request = _request(parts, voter, "decide", ask, ask.choice.value.encode())
    return await _vote(parts, voter, ask, request, batch=False)


async def batch(parts: Parts, voter: Voter, asks: Sequence[VoteAsk]) -> list[BatchAnswer]:
    """Approve several reviews, each judged and recorded on its own.

    Raises `InvalidRequestError` when the list itself is wrong.
    """
    ids = [ask.review_id for ask in asks]
    if not 1 <= len(ids) <= MAX_BATCH:
        raise InvalidRequestError("items", f"must be 1 to {MAX_BATCH} reviews")
    if len(set(ids)) < len(ids):
        raise InvalidRequestError("items", "names a review twice")
    return list(await asyncio.gather(*(_one_of_batch(parts, voter, ask) for ask in asks)))


async def _one_of_batch(parts: Parts, voter: Voter, ask: VoteAsk) -> BatchAnswer:
    own_id = dataclasses.replace(ask, request_id=f"{ask.request_id}/{ask.review_id}")
    request = _request(parts, voter, "batch", own_id)
    outcome: Review | Reason
    try:
        outcome = await _vote(parts, voter, ask, request, batch=True)
    except RequestError as error:
        outcome = Reason(code=error.code, message=error.message)
    return BatchAnswer(review_id=ask.review_id, outcome=outcome)


async def _vote(
    parts: Parts, voter: Voter, ask: VoteAsk, request: Request, *, batch: bool
) -> Review:
    keeping.require_room(parts, voter.person.tenant, essential=ask.choice is Choice.DENY)
    known_to = seen_by(parts, voter)
    reason = await masking.said(parts, ask.reason)

    def cast(people: Staff) -> VoteCast:
        return VoteCast(
            person=voter.person.id,
            choice=ask.choice,
            revision=ask.revision,
            profile=ask.profile,
            preview_hash=ask.preview_hash,
            reason=reason,
            assurance=assurance(parts, voter),
            people=people,
            channel=voter.channel,
            known_to=known_to,
            batch=batch,
        )

    act = _Act(name="decide", kind="vote", event=cast)
    return await _act(parts, voter, ask.review_id, request, act)


async def break_glass(parts: Parts, voter: Voter, ask: VoteAsk) -> Broken:
    """Approve alone in an emergency. Said aloud, and owed an after-review."""
    keeping.require_room(parts, voter.person.tenant)
    reason = await masking.said(parts, ask.reason)

    def broken(people: Staff) -> GlassBroken:
        return GlassBroken(
            person=voter.person.id,
            revision=ask.revision,
            profile=ask.profile,
            preview_hash=ask.preview_hash,
            reason=reason,
            assurance=assurance(parts, voter),
            people=people,
        )

    request = _request(parts, voter, "break_glass", ask)
    act = _Act(name="break_glass", kind="break_glass", event=broken)
    before = request.key is not None and await parts.store.answer(request.key)
    review = await _act(parts, voter, ask.review_id, request, act)
    if not before:
        log.critical("BREAK GLASS: %s approved %s alone", voter.person.id, review.id)
    return Broken(review=review, replayed=bool(before))


async def close_after_review(
    parts: Parts,
    voter: Voter,
    review_id: ReviewId,
    *,
    justified: bool,
    note: str,
    request_id: str,
) -> Review:
    """Say whether breaking the glass was right, and so settle what is owed."""
    keeping.require_room(parts, voter.person.tenant)
    known_to = seen_by(parts, voter)
    clean = await masking.said(parts, note)
    request = Request.of(
        parts,
        voter.person,
        "close_after_review",
        request_id,
        review_id.encode(),
        str(justified).encode(),
        note.encode(),
    )

    def closed(people: Staff) -> AfterReviewClosed:
        return AfterReviewClosed(
            person=voter.person.id,
            justified=justified,
            note=clean,
            people=people,
            known_to=known_to,
        )

    act = _Act(name="close_after_review", kind="after_review.closed", event=closed)
    return await _act(parts, voter, review_id, request, act)


async def ask_info(
    parts: Parts,
    voter: Voter,
    review_id: ReviewId,
    *,
    revision: int,
    question: str,
    request_id: str,
) -> Review:
    """Put a question to the requester."""
    keeping.require_room(parts, voter.person.tenant)
    question_id, clean = QuestionId(new_id("qst")), await masking.said(parts, question)

    def asked(people: Staff) -> QuestionAsked:
        return QuestionAsked(
            person=voter.person.id, id=question_id, question=clean, revision=revision, people=people
        )

    request = Request.of(
        parts,
        voter.person,
        "ask",
        request_id,
        review_id.encode(),
        str(revision).encode(),
        question.encode(),
    )
    act = _Act(name="ask", kind="review.updated", event=asked)
    return await _act(parts, voter, review_id, request, act)


async def revoke(
    parts: Parts, voter: Voter, review_id: ReviewId, *, reason: str, request_id: str
) -> Review:
    """Take an unspent approval back."""
    keeping.require_room(parts, voter.person.tenant, essential=True)
    clean = await masking.said(parts, reason)

    def revoked(people: Staff) -> ApprovalRevoked:
        return ApprovalRevoked(person=voter.person.id, reason=clean, people=people)

    request = Request.of(
        parts, voter.person, "revoke", request_id, review_id.encode(), reason.encode()
    )
    act = _Act(name="revoke", kind="review.closed", event=revoked)
    return await _act(parts, voter, review_id, request, act)


def _request(parts: Parts, voter: Voter, method: str, ask: VoteAsk, *more: bytes) -> Request:
    return Request.of(
        parts,
        voter.person,
        method,
        ask.request_id,
        ask.review_id.encode(),
        str(ask.revision).encode(),
        *more,
        ask.preview_hash.encode(),
        ask.reason.encode(),
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Act:
    """One thing a person does to a review."""

    name: str
    """Of the command, for fault points."""
    kind: str
    """Of its record."""
    event: Callable[[Staff], _Event]


async def _act(
    parts: Parts, voter: Voter, review_id: ReviewId, request: Request, act: _Act
) -> Review:
    """Run one event of a person's in a transaction, and record even its refusal."""
    directory, person = parts.directory(), voter.person

    def run(tx: Transaction) -> Review | Refusal:
        people = Staff(directory=directory, delegations=tx.delegations_to(person.tenant, person.id))
        review = tx.review(person.tenant, review_id)
        if review is None or not may_see(review, person.id, people):
            raise unknown_review()
        if request.replayed(tx) is not None:
            return review
        review = _excluding_todays_chain(tx, directory, elapsed(tx, review))
        event = act.event(people)
        fields = _of_event(event, review, _of_voter(parts, voter, people))
        result = not_now(parts, tx, voter, review, event) or moved(
            tx, review, event, act.kind, request=request.record, **fields
        )
        if isinstance(result, Refusal):
            refused = record.of_review(
                "vote.refused",
                review,
                refusal=record.refusal(result),
                request=request.record,
                **fields,
            )
            file(tx, review.tenant, refused)
        else:
            request.remember(tx, {"review": review.id})
        return result

    result = await parts.store.apply(Named(name=act.name, run=run))
    if isinstance(result, Refusal):
        raise as_error(result)
    return result


def _excluding_todays_chain(tx: Transaction, directory: Directory, review: Review) -> Review:
    """Whoever owns or drives the requester by now is excluded as well (invariant 6)."""
    excluded = directory.registered_chain(review.tenant, review.caller, review.requester)
    return widen(tx, review, excluded)


def _of_event(event: Event, review: Review, who: JsonObject) -> dict[str, JsonValue]:
    """What the record says of the attempt itself."""
    if isinstance(event, VoteCast | GlassBroken):
        cast: JsonObject = {
            **who,
            "choice": event.choice.value if isinstance(event, VoteCast) else Choice.APPROVE.value,
            "revision": event.revision,
            **_preview_named(event, review),
            "reason": event.reason,
            "requirement_hash": record.requirement_hash(review.requirement),
        }
        if isinstance(event, VoteCast) and event.batch:
            cast["batch"] = True
        if isinstance(event, GlassBroken):
            cast["break_glass"] = True
        return {"vote": cast}
    if isinstance(event, QuestionAsked):
        return {
            "question": {**who, "id": event.id, "asked_by": event.person, "text": event.question}
        }
    if isinstance(event, ApprovalRevoked):
        return {"revocation": {**who, "reason": event.reason}}
    if isinstance(event, AfterReviewClosed):
        return {"after_review": {**who, "justified": event.justified, "note": event.note}}
    return {}


def _preview_named(event: VoteCast | GlassBroken, review: Review) -> JsonObject:
    """Profile and hash, where the review has such: others are whatever the sender wrote."""
    named: JsonObject = {}
    if event.profile in review.previews:
        named["profile"] = event.profile
    if any(event.preview_hash == preview.hash for preview in review.previews.values()):
        named["preview_hash"] = event.preview_hash
    return named


def _of_voter(parts: Parts, voter: Voter, people: Staff) -> JsonObject:
    """Who acted and how well that is proven, as it was then."""
    person = voter.person
    said: JsonObject = {
        "person": person.id,
        "groups": record.sorted_list(people.groups_of(person.tenant, person.id) or ()),
        "assurance": assurance(parts, voter).value,
    }
    known_to = record.sorted_list(seen_by(parts, voter))
    if known_to:
        said["known_to"] = known_to
    if voter.channel is not None:
        said["channel"] = voter.channel
    if voter.message_ref:
        said["message_ref"] = parts.sanitizer.label(voter.message_ref)
    return said
