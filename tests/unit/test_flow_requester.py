"""What the requester does after a Check, as stories: wait, answer, cancel, report."""

from __future__ import annotations

import asyncio
import json

import pytest

from countersign.errors import InvalidRequestError, NotFoundError, RequestError
from countersign.flow import sweep
from countersign.flow.requester import ReportAsk
from countersign.flow.wait import cursor
from countersign.model import Choice, Outcome, ReviewState
from countersign.store.protocol import MAX_RECORD_BYTES
from simulators.world import (
    AGENT,
    BOB,
    CAROL,
    GATEWAY,
    SCOUT,
    STRANGER,
    TENANT,
    World,
    allow,
    context,
    needs,
    voter,
)


@pytest.fixture
async def world(tmp_path):
    made = await World.open(tmp_path)
    yield made
    await made.close()


async def refusal(attempt) -> str:
    """Why an attempt is refused."""
    with pytest.raises(RequestError) as refused:
        await attempt
    return refused.value.code


def wait(world, review, *, after="", max_wait_s=30.0, caller=AGENT):
    return world.flow.wait(caller, review.id, after=after, max_wait_s=max_wait_s)


async def asleep(world, attempt, waiting=1):
    """The attempt as a task, once it waits."""
    task = asyncio.create_task(attempt)
    while len(world.flow.waiters) < waiting:  # noqa: ASYNC110 - each turn of the loop, no timer
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    return task


def report(world, caller=AGENT, **changes):
    values = {
        "permit_id": None,
        "decision_id": None,
        "outcome": Outcome.SUCCEEDED,
        "detail": {},
        "request_id": world.request_id(),
    }
    return world.flow.report(caller, ReportAsk(**(values | changes)))


async def asked(world):
    """A review with an open question."""
    review = await world.opened(context())
    return await world.flow.ask_info(
        voter(BOB), review.id, revision=1, question="Why?", request_id=world.request_id()
    )


def answer(world, review, text="because", caller=AGENT, **changes):
    values = {
        "question_id": review.thread[-1].id,
        "text": text,
        "request_id": world.request_id(),
    }
    return world.flow.answer(caller, review.id, **(values | changes))


# --- await -------------------------------------------------------------------------------


async def test_without_a_cursor_the_snapshot_comes_at_once(world):
    review = await world.opened(context())
    waited = await wait(world, review)
    assert (waited.review, waited.changed, waited.reconnect) == (review, True, False)


async def test_with_the_newest_cursor_there_is_no_news(world):
    review = await world.opened(context())
    waited = await wait(world, review, after=cursor(review), max_wait_s=0)
    assert (waited.review, waited.changed, waited.reconnect) == (review, False, False)
    assert (await wait(world, review, after=cursor(review), max_wait_s=0.001)).changed is False


async def test_a_vote_wakes_who_waits(world):
    review = await world.opened(context())
    waiting = await asleep(world, wait(world, review, after=cursor(review)))
    await world.vote(BOB, review.id)
    waited = await asyncio.wait_for(waiting, timeout=5)
    assert waited.changed
    assert waited.review.state is ReviewState.APPROVED
    assert cursor(waited.review) != cursor(review)
    assert len(world.flow.waiters) == 0


async def test_a_timer_wakes_who_waits(world):
    review = await world.opened(context())
    waiting = await asleep(world, wait(world, review, after=cursor(review)))
    world.clock.advance(3600)
    assert await sweep.fire_due(world.parts) == 1
    assert (await asyncio.wait_for(waiting, timeout=5)).review.state is ReviewState.EXPIRED
    assert await sweep.fire_due(world.parts) == 0


async def test_a_server_that_goes_away_lets_everybody_go(world):
    review = await world.opened(context())
    waiting = await asleep(world, wait(world, review, after=cursor(review)))
    world.flow.waiters.release(spread_s=0)
    waited = await asyncio.wait_for(waiting, timeout=5)
    assert (waited.changed, waited.reconnect) == (False, True)
    late = await asyncio.wait_for(wait(world, review, after=cursor(review)), timeout=5)
    assert (late.changed, late.reconnect) == (False, True)


async def test_an_unknown_cursor_is_refused(world):
    review = await world.opened(context())
    for bad in ("1", "v", "vx", "v-1", "v²", "v" + "1" * 16):
        with pytest.raises(InvalidRequestError) as refused:
            await wait(world, review, after=bad)
        assert refused.value.field == "after"


@pytest.mark.parametrize("somebody", [SCOUT, GATEWAY, STRANGER])
async def test_only_the_requester_waits(world, somebody):
    review = await world.opened(context())
    with pytest.raises(NotFoundError):
        await wait(world, review, caller=somebody)


# --- answer and cancel ---------------------------------------------------------------------


async def test_an_answer_is_sanitized_and_voids_what_did_not_see_it(world):
    review = await asked(world)
    answered = await answer(world, review, "jane.doe@example.com wants it")
    assert (answered.state, answered.revision) == (ReviewState.PENDING, 2)
    assert "jane.doe" not in answered.thread[0].answer
    assert "jane.doe" not in json.dumps(await world.records())
    stale = world.vote(BOB, review.id, revision=1)
    assert await refusal(stale) == "vote.stale_revision"
    assert (await world.vote(BOB, review.id)).state is ReviewState.APPROVED


async def test_a_question_is_answered_once_and_by_the_requester(world):
    review = await asked(world)
    assert await refusal(answer(world, review, caller=SCOUT)) == "review.not_found"
    first = await answer(world, review, request_id="r")
    assert await answer(world, review, request_id="r") == first
    assert await refusal(answer(world, review, "x", request_id="r")) == "request_id.reused"
    assert await refusal(answer(world, review)) == "answer.nothing_asked"


async def test_a_withdrawn_review_takes_no_votes(world):
    review = await world.opened(context())
    cancel = {"reason": "jane.doe@example.com said no", "request_id": "r"}
    assert await refusal(world.flow.cancel(SCOUT, review.id, **cancel)) == "review.not_found"
    cancelled = await world.flow.cancel(AGENT, review.id, **cancel)
    assert cancelled.state is ReviewState.CANCELLED
    assert "jane.doe" not in cancelled.closed_reasons[0].message
    assert await world.flow.cancel(AGENT, review.id, **cancel) == cancelled
    assert await refusal(world.vote(BOB, review.id)) == "review.closed"
    again = world.flow.cancel(AGENT, review.id, reason="", request_id="r2")
    assert await refusal(again) == "review.closed"
    assert (await world.opened(context())).id != review.id


# --- report ----------------------------------------------------------------------------------


async def test_an_outcome_is_sanitized_recorded_and_settled_once(world):
    review = await world.approved(context())
    claimed = await world.claim(review.id, context())
    done = {"permit_id": claimed.permit.id, "detail": {"log": "mailed jane.doe@example.com"}}
    reported = await report(world, request_id="r", **done)
    assert reported.review.outcome is Outcome.SUCCEEDED
    again = await report(world, request_id="r", **done)
    assert (again.record, again.replayed) == (reported.record, True)
    other = report(world, permit_id=claimed.permit.id, outcome=Outcome.FAILED)
    assert await refusal(other) == "outcome.settled"
    reused = report(world, request_id="r", permit_id=claimed.permit.id, outcome=Outcome.FAILED)
    assert await refusal(reused) == "request_id.reused"
    record = (await world.records())[-1]
    assert (record["kind"], record["outcome"]["outcome"]) == ("outcome", "succeeded")
    assert record["permit"]["jti"] == claimed.permit.id
    assert "jane.doe" not in json.dumps(record)


async def test_without_a_report_the_outcome_is_ambiguous_until_a_late_one(world):
    review = await world.approved(context())
    claimed = await world.claim(review.id, context())
    world.clock.advance(900)
    await sweep.fire_due(world.parts)
    assert (await world.review(review.id)).outcome is Outcome.AMBIGUOUS
    late = await report(world, permit_id=claimed.permit.id, outcome=Outcome.FAILED)
    assert late.review.outcome is Outcome.FAILED
    assert (await world.kinds())[-2:] == ["outcome", "outcome"]


async def test_only_who_was_allowed_reports(world):
    world.policy.says(allow())
    allowed = await world.check(context(), permit_audience="database")
    world.policy.says(needs())
    waiting = await world.check(context())
    unknown = [
        report(world, SCOUT, permit_id=allowed.permit.id),
        report(world, SCOUT, decision_id=allowed.decision.id),
        report(world, STRANGER, decision_id=allowed.decision.id),
        report(world, permit_id="pmt_0"),
        report(world),
    ]
    for attempt in unknown:
        assert await refusal(attempt) == "outcome.unknown_permit"
    not_allowed = report(world, decision_id=waiting.decision.id)
    assert await refusal(not_allowed) == "outcome.not_allowed"
    assert (await report(world, decision_id=allowed.decision.id)).review is None
    settled = report(world, permit_id=allowed.permit.id, outcome=Outcome.FAILED)
    assert await refusal(settled) == "outcome.settled"


async def test_a_large_detail_is_an_object_that_the_record_names(world):
    world.policy.says(allow())
    allowed = await world.check(context())
    lines = ["a line of what was done"] * 2000
    await report(world, decision_id=allowed.decision.id, detail={"log": lines})
    stored = (await world.store.records(TENANT, 1, 1))[0]
    assert len(stored.body) <= MAX_RECORD_BYTES
    outcome = json.loads(stored.body)["outcome"]
    assert outcome["outcome"] == "succeeded"
    ((digest, data),) = await world.store.objects(TENANT, 10)
    assert outcome["detail"] == {"object": digest}
    assert json.loads(data)["log"] == lines


async def test_what_people_denied_stays_denied_over_a_restart(world):
    review = await world.opened(context())
    await world.vote(CAROL, review.id, Choice.DENY)
    await world.reopen()
    assert (await wait(world, review)).review.state is ReviewState.DENIED
    answer = await world.claim(review.id, context())
    assert answer.decision.reasons[0].code == "review.denied"
