"""What people do: read, vote, ask, revoke. As themselves, nobody else.

The rules judge inside the transaction; a refused vote is recorded before its
sender learns of it. What is asked here is sanitized like everything else.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from countersign.directory import Directory
from countersign.flow import record
from countersign.flow.filing import file
from countersign.flow.parts import Parts
from countersign.flow.request import Named, Request
from countersign.flow.transition import as_error, current, moved, unknown_review
from countersign.model import (
    Assurance,
    Choice,
    JsonValue,
    Person,
    QuestionId,
    Review,
    ReviewId,
    ReviewState,
    new_id,
)
from countersign.review import (
    ApprovalRevoked,
    Event,
    QuestionAsked,
    Refusal,
    RequesterWidened,
    VoteCast,
    may_see,
)
from countersign.store.protocol import Transaction


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VoteAsk:
    """A Decide as the edge parsed it."""

    review_id: ReviewId
    revision: int
    profile: str
    preview_hash: str
    choice: Choice
    reason: str
    request_id: str


async def get(parts: Parts, person: Person, review_id: ReviewId) -> Review:
    """A review this person may see. Raises `NotFoundError` for any other."""
    review = await parts.store.review(person.tenant, review_id)
    if review is None or not may_see(review, person.id, parts.directory()):
        raise unknown_review()
    return review


async def list_visible(
    parts: Parts, person: Person, states: Sequence[ReviewState], *, after: str, limit: int
) -> tuple[list[Review], str]:
    """A page of visible reviews, newest first, and the token of the next page."""
    people = parts.directory()
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


async def vote(parts: Parts, person: Person, ask: VoteAsk) -> Review:
    """Cast one vote. Raises the refusal as `RequestError` once it is recorded."""
    cast = VoteCast(
        person=person.id,
        choice=ask.choice,
        revision=ask.revision,
        profile=ask.profile,
        preview_hash=ask.preview_hash,
        reason=parts.sanitizer.text(ask.reason),
        assurance=Assurance.PERSON,
        people=parts.directory(),
    )
    request = Request.of(
        parts.store.key,
        person,
        "decide",
        ask.request_id,
        ask.review_id.encode(),
        str(ask.revision).encode(),
        ask.choice.value.encode(),
        ask.preview_hash.encode(),
        ask.reason.encode(),
    )
    return await _act(parts, person, ask.review_id, request, cast, "vote")


async def ask_info(
    parts: Parts,
    person: Person,
    review_id: ReviewId,
    *,
    revision: int,
    question: str,
    request_id: str,
) -> Review:
    """Put a question to the requester."""
    event = QuestionAsked(
        person=person.id,
        id=QuestionId(new_id("qst")),
        question=parts.sanitizer.text(question),
        revision=revision,
        people=parts.directory(),
    )
    request = Request.of(
        parts.store.key,
        person,
        "ask",
        request_id,
        review_id.encode(),
        str(revision).encode(),
        question.encode(),
    )
    return await _act(parts, person, review_id, request, event, "review.updated")


async def revoke(
    parts: Parts, person: Person, review_id: ReviewId, *, reason: str, request_id: str
) -> Review:
    """Take an unspent approval back."""
    event = ApprovalRevoked(
        person=person.id, reason=parts.sanitizer.text(reason), people=parts.directory()
    )
    request = Request.of(
        parts.store.key, person, "revoke", request_id, review_id.encode(), reason.encode()
    )
    return await _act(parts, person, review_id, request, event, "review.closed")


async def _act(
    parts: Parts,
    person: Person,
    review_id: ReviewId,
    request: Request,
    event: VoteCast | QuestionAsked | ApprovalRevoked,
    kind: str,
) -> Review:
    """Run one event of a person's in a transaction, and record even its refusal."""
    directory = parts.directory()

    def run(tx: Transaction) -> Review | Refusal:
        review = current(tx, person.tenant, review_id)
        if not may_see(review, person.id, directory):
            raise unknown_review()
        if request.replayed(tx) is not None:
            return review
        review = _excluding_todays_chain(tx, directory, review)
        fields = _of_event(event, review)
        result = moved(tx, review, event, kind, request=request.record, **fields)
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

    name = {"vote": "decide", "review.updated": "ask", "review.closed": "revoke"}[kind]
    result = await parts.store.apply(Named(name=name, run=run))
    if isinstance(result, Refusal):
        raise as_error(result)
    return result


def _excluding_todays_chain(tx: Transaction, directory: Directory, review: Review) -> Review:
    """Whoever owns or drives the requester by now is excluded as well (invariant 6)."""
    excluded = directory.registered_chain(review.tenant, review.caller)
    widened = moved(tx, review, RequesterWidened(excluded=excluded), "review.updated")
    return review if isinstance(widened, Refusal) else widened


def _of_event(event: Event, review: Review) -> dict[str, JsonValue]:
    """What the record says of the attempt itself."""
    if isinstance(event, VoteCast):
        cast: dict[str, JsonValue] = {
            "person": event.person,
            "choice": event.choice.value,
            "revision": event.revision,
            "profile": event.profile,
            "preview_hash": event.preview_hash,
            "reason": event.reason,
            "assurance": event.assurance.value,
            "requirement_hash": record.requirement_hash(review.requirement),
        }
        return {"vote": cast}
    if isinstance(event, QuestionAsked):
        return {"question": {"id": event.id, "asked_by": event.person, "text": event.question}}
    if isinstance(event, ApprovalRevoked):
        return {"revocation": {"person": event.person, "reason": event.reason}}
    return {}
