"""`kill -9` anywhere: what was acknowledged is there, once, and the log holds.

Each story arms one fault point, at which the server kills itself as the kernel
would kill it. The client that was calling stays in the same call of the SDK
until the next process, on the same state, gives it its one answer.
"""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from countersign.client import (
    AlreadyClaimed,
    Client,
    Outcome,
    Pending,
    ReviewsClient,
    ReviewState,
)
from countersign.model import Choice
from countersign.v1 import context_pb2, decisions_pb2, reviews_pb2
from service import Service, context, eventually, is_logged

WANTED = context("demo.approve")


class Story:
    """One action on its way: every step is one call, and is counted when it is answered."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.client: Client = service.client("agent")
        self.bob: ReviewsClient = service.reviewer("bob")
        self.acknowledged: list[Any] = []
        self.pending: Pending
        self.shown: reviews_pb2.Review
        self.permit_id = ""

    def check(self) -> None:
        decision = self.client.check(WANTED, request_id="the-check")
        assert decision.pending, decision.reasons
        self.pending = decision.pending
        self.acknowledged.append(decision.record)

    def ask(self) -> None:
        self.bob.ask(self.bob.get(self.pending.review_id), "Why now?")

    def answer(self) -> None:
        (question,) = self.client.wait(self.pending, timeout_s=0).questions
        status = self.client.answer(self.pending.review_id, question.id, "Because.")
        assert status.revision == 2

    def decide(self) -> None:
        self.bob.decide(self.bob.get(self.pending.review_id), Choice.APPROVE)
        status = self.client.wait(self.pending, timeout_s=0)
        assert status.state is ReviewState.APPROVED

    def claim(self) -> None:
        grant = self.client.claim(self.pending.review_id, WANTED)
        assert grant.permit
        self.permit_id = grant.permit.id
        self.acknowledged.append(grant.record)

    def report(self) -> None:
        status = self.client.report(self.permit_id, Outcome.SUCCEEDED)
        assert status
        assert status.outcome is Outcome.SUCCEEDED

    def revoke(self) -> None:
        shown = self.bob.revoke(self.pending.review_id, reason="no")
        assert shown.status.state == context_pb2.REVIEW_STATE_REVOKED

    def cancel(self) -> None:
        assert self.client.cancel(self.pending, reason="no").state is ReviewState.CANCELLED


ALL = ("check", "ask", "answer", "decide", "claim", "report")
TAKEN_BACK = ("check", "decide", "revoke")
WITHDRAWN = ("check", "cancel")
CUTS = {
    "check": ("check.committed", "check.answering"),
    "ask": ("ask.committed", "askinfo.answering"),
    "answer": ("answer.committed", "answer.answering"),
    "decide": ("decide.committed", "decide.answering"),
    "claim": ("claim.committed", "claim.answering"),
    "report": ("report.committed", "report.answering"),
    "revoke": ("revoke.committed", "revoke.answering"),
    "cancel": ("cancel.committed", "cancel.answering"),
}
BELOW = (
    "store.before_commit",
    "store.committed",
    "log.segment_written",
    "log.checkpoint_written",
    "log.marked",
)
ONE_RECORD_EACH = {
    "check": ("decision", "review.created"),
    "ask": ("review.updated",),
    "answer": ("review.updated",),
    "decide": ("vote",),
    "claim": ("claim",),
    "report": ("outcome",),
    "revoke": ("review.closed",),
    "cancel": ("review.closed",),
}


def assert_whole(story: Story, steps: tuple[str, ...]) -> None:
    """Every step happened once, whatever happened in between, and the log says so."""
    service = story.service
    assert service.stop() == 0
    result, records = service.verified_log()
    assert result.pending == 0
    assert result.size == len(records)
    for ref in story.acknowledged:
        assert is_logged(ref, records)
    expected = Counter(kind for step in steps for kind in ONE_RECORD_EACH[step])
    found = Counter(json.loads(record)["kind"] for record in records)
    about_us = ("config.changed", "policy.changed", "heartbeat")
    assert {kind: n for kind, n in found.items() if kind not in about_us} == dict(expected)


@pytest.mark.parametrize("steps", [ALL, TAKEN_BACK, WITHDRAWN], ids=lambda steps: steps[-1])
def test_the_call_that_was_cut_off_gets_its_one_answer(
    prepared: Service, steps: tuple[str, ...]
) -> None:
    """Each call is cut off twice: once committed, and once more when it is replayed."""
    tested = [step for step in steps if steps is ALL or step == steps[-1]]
    points = [point for step in tested for point in CUTS[step]]
    service = prepared.start(fault=points[0])
    story = Story(service)

    def tell() -> None:
        for step in steps:
            getattr(story, step)()

    with ThreadPoolExecutor() as pool:
        told = pool.submit(tell)
        for following in (*points[1:], ""):
            service.killed_itself()
            service.start(fault=following)
        told.result(60)
    assert_whole(story, steps)


def test_no_acknowledged_record_is_lost_below_the_verbs(prepared: Service) -> None:
    """The fourth commit or publication of a process is beyond what it writes at its start."""
    points = [f"{point}@4" for point in BELOW]
    service = prepared.start(fault=points[0])
    client = service.client("agent")
    answers = []

    def ask_until_it_came_back_for_good() -> None:
        last = False
        while not last:
            last = service.generation > len(points)
            number = len(answers)
            wanted = context("demo.allow", f"t{number}")
            answers.append(client.check(wanted, request_id=f"check-{number}"))

    with ThreadPoolExecutor() as pool:
        asking = pool.submit(ask_until_it_came_back_for_good)
        for following in (*points[1:], ""):
            service.killed_itself()
            service.start(fault=following)
        asking.result(60)
    assert service.stop() == 0
    _, records = service.verified_log()
    assert all(is_logged(answer.record, records) for answer in answers)
    asked = Counter(
        body["request"]["id"] for body in map(json.loads, records) if body["kind"] == "decision"
    )
    assert asked == {f"check-{number}": 1 for number in range(len(answers))}


def test_killed_between_every_two_steps(running: Service) -> None:
    story = Story(running)
    for step in ALL:
        getattr(story, step)()
        running.kill()
        running.start()
    with pytest.raises(AlreadyClaimed):
        story.client.claim(story.pending.review_id, WANTED)
    status = story.client.wait(story.pending, timeout_s=0)
    assert (status.state, status.outcome) == (ReviewState.CLAIMED, Outcome.SUCCEEDED)
    assert_whole(story, (*ALL, "claim"))


def test_whoever_waits_waits_on_through_a_restart(running: Service) -> None:
    story = Story(running)
    story.check()
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(story.client.wait, story.pending, timeout_s=60)
        eventually(lambda: running.metric("countersign_waiters") == 1)
        running.kill()
        running.start()
        eventually(lambda: running.metric("countersign_waiters") == 1)
        assert not waiting.done()
        story.decide()
        assert waiting.result(60).state is ReviewState.APPROVED


def test_whoever_watches_sees_on_through_a_restart(running: Service) -> None:
    story = Story(running)
    story.check()
    with ThreadPoolExecutor() as pool:
        watching = story.bob.watch()
        assert next(watching).status.state == context_pb2.REVIEW_STATE_PENDING
        running.kill()
        running.start()
        assert next(watching).status.state == context_pb2.REVIEW_STATE_PENDING
        following = pool.submit(next, watching)
        running.reviewer("carol").decide(story.bob.get(story.pending.review_id), Choice.APPROVE)
        assert following.result(60).status.state == context_pb2.REVIEW_STATE_APPROVED
        ending = pool.submit(next, watching)
        assert running.stop() == 0
        running.start()
        assert ending.result(60).status.state == context_pb2.REVIEW_STATE_APPROVED
        watching.close()


def test_whoever_authorizes_acts_once_through_restarts(running: Service) -> None:
    story = Story(running)
    with ThreadPoolExecutor() as pool:
        grant = pool.submit(story.client.authorize, WANTED, timeout_s=60)
        eventually(lambda: running.metric("countersign_waiters") == 1)
        running.kill()
        running.start()
        (shown,) = story.bob.list()
        story.bob.decide(shown, Choice.APPROVE)
        assert grant.result(60).permit


def test_sigterm_sends_waiters_elsewhere_and_ends_well(running: Service) -> None:
    story = Story(running)
    story.check()
    line = running.line("agent")
    cursor = line.call(
        "Decisions.Await", decisions_pb2.AwaitRequest(review_id=story.pending.review_id)
    ).review.cursor
    waiting = [
        line.begin(
            "Decisions.Await",
            decisions_pb2.AwaitRequest(
                review_id=story.pending.review_id, after=cursor, max_wait=Duration(seconds=30)
            ),
        )
        for _ in range(20)
    ]
    eventually(lambda: running.metric("countersign_waiters") == len(waiting))
    assert running.stop() == 0
    for call in waiting:
        answer = call.result(timeout=0)
        assert answer.reconnect
        assert not answer.changed
        assert answer.review.cursor == cursor
    running.verified_log()
