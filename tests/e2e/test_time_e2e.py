"""Clocks set back, old copies put back, and restarts: nothing that is over lives again.

What has passed stays passed whatever the wall clock says, what is still ahead
passes in its time, and what was lent, owed or doubted outlives the process.
"""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest

from clocked import DAY_S, HOUR_S, Clocked
from countersign.client import (
    AlreadyClaimed,
    Context,
    Expired,
    Lapsed,
    NotFound,
    NotPermitted,
    Outcome,
    PreconditionFailed,
    ReviewState,
    Unauthenticated,
)
from countersign.client.shown import batch_request
from countersign.model import Choice
from countersign.v1 import context_pb2, reviews_pb2
from service import PATIENCE_S, Service, context, eventually

POLICY = """
package countersign

decision := {
    "effect": "needs_approval",
    "reasons": [{"code": "time.review", "message": "people look at everything here"}],
    "requirement": {
        "stages": [{"name": "approvers", "approvers": {"groups": ["approvers"]}}],
        "must_show": ["/resource"],
        "approve_within_s": within,
        "use_within_s": 300,
        "report_within_s": 900,
        "batch": true,
        "break_glass": {
            "approvers": {"groups": ["on-call"]},
            "review_by": {"groups": ["approvers"]},
        },
    },
}

within := 1 if input.context.action == "time.quick"

within := 1800 if input.context.action == "time.slow"
"""
BATCH = 5


@pytest.fixture
def prepared(tmp_path: Path) -> Iterator[Clocked]:
    """bob and carol approve; erin is on call; dave lends nothing but may borrow; alice owns it."""
    policy = tmp_path / "policy"
    policy.mkdir()
    (policy / "policy.rego").write_text(POLICY)
    with Clocked(tmp_path / "countersign", policy=policy) as service:
        service.person("alice", "approvers")
        service.person("bob", "approvers")
        service.person("carol", "approvers")
        service.person("dave")
        service.person("erin", "on-call")
        service.caller("agent", "alice")
        yield service


@pytest.fixture
def running(prepared: Clocked) -> Clocked:
    prepared.start()
    return prepared


def slow(table: str) -> Context:
    return context("time.slow", table)


def asked(service: Service, table: str, action: str = "time.slow") -> str:
    pending = service.client("agent").check(context(action, table)).pending
    assert pending
    return pending.review_id


def approve(service: Service, review_id: str, person: str = "bob") -> None:
    view = service.reviewer(person)
    view.decide(view.get(review_id), Choice.APPROVE)


def state(service: Service, review_id: str) -> ReviewState:
    return service.client("agent").wait(review_id, timeout_s=0).state


# --- the clock ---


@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
def test_what_is_over_stays_over_when_the_clock_is_set_back(
    running: Clocked, restarted: bool
) -> None:
    service, agent = running, running.client("agent")
    undecided, unused, unreported = (asked(service, name) for name in ("a", "b", "c"))
    approve(service, unused)
    approve(service, unreported)
    spent = agent.claim(unreported, slow("c"))
    service.set_clock(2 * HOUR_S)
    eventually(lambda: state(service, undecided) is ReviewState.EXPIRED)
    eventually(lambda: state(service, unused) is ReviewState.LAPSED)
    eventually(lambda: agent.wait(unreported, timeout_s=0).outcome is Outcome.AMBIGUOUS)
    late = asked(service, "d")
    approve(service, late)
    later = agent.claim(late, slow("d"))

    if restarted:
        assert service.stop() == 0
        service.set_clock(-DAY_S)
        service.start()
    else:
        service.set_clock(-DAY_S)
    bob = service.reviewer("bob")
    with pytest.raises(PreconditionFailed) as over:
        bob.decide(bob.get(undecided), Choice.APPROVE)
    assert over.value.code == "review.closed"
    for review_id, table, why in (
        (undecided, "a", Expired),
        (unused, "b", Lapsed),
        (unreported, "c", AlreadyClaimed),
        (late, "d", AlreadyClaimed),
    ):
        with pytest.raises(why):
            agent.claim(review_id, slow(table))
    assert agent.wait(unreported, timeout_s=0).outcome is Outcome.AMBIGUOUS
    assert spent.permit
    assert later.permit
    fresh = asked(service, "e")
    approve(service, fresh)
    newest = agent.claim(fresh, slow("e"))
    assert newest.permit
    ends = [grant.permit.expires_at for grant in (spent, later, newest) if grant.permit]
    assert ends == sorted(ends), "no permit is given an earlier time than one before it"


@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
def test_a_deadline_passes_in_its_time_though_the_clock_is_set_back(
    running: Clocked, restarted: bool
) -> None:
    """The wall would need a day to get there; the store's time goes on without it."""
    service = running
    asked(service, "before", "time.slow")
    service.set_clock(-DAY_S)
    if restarted:
        service.kill()
        service.start()
    began = time.monotonic()
    quick = asked(service, "quick", "time.quick")
    eventually(lambda: state(service, quick) is ReviewState.EXPIRED)
    assert 0.9 <= time.monotonic() - began < PATIENCE_S


def test_records_are_dated_forwards_whatever_the_clock_does(running: Clocked) -> None:
    for number, ahead_s in enumerate((0, HOUR_S, -DAY_S, HOUR_S // 2, 2 * HOUR_S)):
        running.set_clock(ahead_s)
        asked(running, f"t{number}")
        if number == 2:
            running.kill()
            running.start()
    running.stop()
    _, records = running.verified_log()
    times = [json.loads(record)["time"] for record in records]
    assert times == sorted(times)


# --- old copies ---


def copied(service: Service, name: str) -> Path:
    """A copy of the state or the log of a stopped service."""
    kept = service.directory / f"{name}.kept"
    shutil.copytree(service.directory / name, kept)
    return kept


def put_back(service: Service, name: str) -> Path:
    """Put the copy in the place of what is there; returns where that is now."""
    newest = service.directory / f"{name}.newest"
    (service.directory / name).rename(newest)
    (service.directory / f"{name}.kept").rename(service.directory / name)
    return newest


def spent_in_public(service: Clocked, kept: str) -> str:
    """An approval that is spent and published since the copy of `kept` was made."""
    review_id = asked(service, "t")
    approve(service, review_id)
    assert service.stop() == 0
    copied(service, kept)
    service.start()
    assert service.client("agent").claim(review_id, slow("t")).permit
    assert service.stop() == 0
    return review_id


def still_spent(service: Clocked, review_id: str) -> None:
    service.start()
    with pytest.raises(AlreadyClaimed):
        service.client("agent").claim(review_id, slow("t"))
    assert service.stop() == 0
    service.verified_log()


def test_a_store_from_before_a_spend_that_was_published_does_not_start(running: Clocked) -> None:
    review_id = spent_in_public(running, "state")
    newest = put_back(running, "state")
    for _ in range(2):
        said = running.refuses_to_start()
        assert "[log.rolled_back]" in said
        assert "records were published, the store has" in said
        assert "Restore the newest store" in said
    shutil.rmtree(running.directory / "state")
    newest.rename(running.directory / "state")
    still_spent(running, review_id)


def test_a_store_that_lost_a_spend_killed_before_it_stopped_does_not_start(
    running: Clocked,
) -> None:
    """The same with a `kill -9` as soon as the claim is published: nothing is tidied up."""
    review_id = asked(running, "t")
    approve(running, review_id)
    assert running.stop() == 0
    copied(running, "state")
    running.start()
    grant = running.client("agent").claim(review_id, slow("t"))
    assert grant.record
    seq = grant.record.seq

    def published() -> bool:
        pointer = (running.log_directory() / "checkpoint").read_text().splitlines()
        return int(pointer[1]) > seq

    eventually(published)
    running.kill()
    newest = put_back(running, "state")
    assert "[log.rolled_back]" in running.refuses_to_start()
    shutil.rmtree(running.directory / "state")
    newest.rename(running.directory / "state")
    still_spent(running, review_id)


@pytest.mark.parametrize("gone", ["older", "all"])
def test_a_log_that_lost_what_was_published_is_noticed(running: Clocked, gone: str) -> None:
    review_id = spent_in_public(running, "log")
    if gone == "older":
        newest = put_back(running, "log")
    else:
        newest = running.directory / "log.newest"
        (running.directory / "log").rename(newest)
    said = running.refuses_to_start()
    assert "[log.sink_behind]" in said
    assert "were published" in said
    assert "restore it from a copy" in said
    shutil.rmtree(running.directory / "log", ignore_errors=True)
    newest.rename(running.directory / "log")
    still_spent(running, review_id)


def test_a_pointer_that_is_rolled_back_is_made_good(running: Clocked) -> None:
    """Only the pointer is rebuilt: what it points to is all there."""
    pointer = running.log_directory() / "checkpoint"
    review_id = asked(running, "t")
    approve(running, review_id)
    assert running.stop() == 0
    old = pointer.read_bytes()
    running.start()
    assert running.client("agent").claim(review_id, slow("t")).permit
    assert running.stop() == 0
    pointer.write_bytes(old)
    still_spent(running, review_id)
    assert pointer.read_bytes() != old


# --- what outlives the process ---


def test_a_new_credential_waits_on_through_a_restart(prepared: Clocked) -> None:
    prepared.configure({"directory.new_account_wait_s": HOUR_S})
    service = prepared
    service.start()
    review_id = asked(service, "t")
    approve(service, asked(service, "others"))  # who was there at the first start need not wait
    service.person("fred", "approvers")
    fred = service.reviewer("fred")

    def known() -> bool:
        try:
            fred.get(review_id)
        except Unauthenticated:
            return False
        return True

    eventually(known)

    def refused() -> str:
        with pytest.raises(NotPermitted) as waits:
            fred.decide(fred.get(review_id), Choice.APPROVE)
        return waits.value.code

    assert refused() == "vote.account_too_new"
    service.kill()
    service.start()
    assert refused() == "vote.account_too_new"
    service.set_clock(HOUR_S // 4)
    assert refused() == "vote.account_too_new"
    assert service.stop() == 0
    service.set_clock(HOUR_S + 60)
    service.start()
    late = asked(service, "late")
    approve(service, late, "fred")
    assert state(service, late) is ReviewState.APPROVED


def test_a_delegation_ends_in_time_over_a_restart(running: Clocked) -> None:
    service = running
    bob, dave = service.reviewer("bob"), service.reviewer("dave")
    first, second = asked(service, "first"), asked(service, "second")
    bob.delegate("dave", datetime.now(UTC) + timedelta(seconds=1200))
    service.kill()
    service.start()
    dave.decide(dave.get(first), Choice.APPROVE)
    (vote,) = bob.get(first).votes
    assert (vote.person_id, vote.delegated_by) == ("dave", "bob")
    assert service.stop() == 0
    service.set_clock(1260)
    service.start()
    assert not dave.delegations()
    with pytest.raises(NotFound):
        dave.get(second)
    service.set_clock(0)
    service.kill()
    service.start()
    assert not dave.delegations(), "set back, the clock lends nothing again"
    approve(service, second)
    assert state(service, second) is ReviewState.APPROVED


def test_a_broken_glass_stays_owed_over_a_restart(running: Clocked) -> None:
    service = running
    erin, carol = service.reviewer("erin"), service.reviewer("carol")
    review_id = asked(service, "t")
    broken = erin.break_glass(erin.get(review_id), "the site is down")
    assert broken.status.state == context_pb2.REVIEW_STATE_APPROVED
    assert service.client("agent").claim(review_id, slow("t")).permit
    for _ in range(2):
        service.kill()
        service.start()
        assert [owed.status.review_id for owed in carol.after_reviews()] == [review_id]
    service.set_clock(60 * DAY_S)
    assert service.stop() == 0
    service.start()
    (owed,) = carol.after_reviews()
    with pytest.raises(NotPermitted):
        erin.close_after_review(owed, justified=True, note="I was right")
    carol.close_after_review(owed, justified=False, note="it could have waited")
    service.kill()
    service.start()
    assert not carol.after_reviews()


# --- a batch, cut off ---


def batch_of(service: Clocked, reviews: list[str]) -> reviews_pb2.BatchDecideRequest:
    bob = service.reviewer("bob")
    return batch_request([bob.get(review_id) for review_id in reviews], "seen")


def approved_among(service: Clocked, reviews: list[str]) -> set[str]:
    """Which are approved; each of them by one vote, and the others by none."""
    bob, found = service.reviewer("bob"), set()
    for review_id in reviews:
        shown = bob.get(review_id)
        if shown.status.state == context_pb2.REVIEW_STATE_APPROVED:
            found.add(review_id)
        assert len(shown.votes) == int(review_id in found)
    return found


def complete(service: Clocked, request: reviews_pb2.BatchDecideRequest, reviews: list[str]) -> None:
    """The same request again approves what is left, and nothing was ever recorded twice."""
    answer = service.line("bob").call("Reviews.BatchDecide", request)
    assert [result.review_id for result in answer.results] == reviews
    assert not any(result.HasField("refusal") for result in answer.results)
    assert approved_among(service, reviews) == set(reviews)
    assert service.stop() == 0
    _, records = service.verified_log()
    votes = [body for body in map(json.loads, records) if body["kind"] == "vote"]
    assert Counter(body["review"] for body in votes) == dict.fromkeys(reviews, 1)


@pytest.mark.parametrize(
    "fault", ["decide.committed@1", "decide.committed@3", "batchdecide.answering"]
)
def test_a_batch_that_is_cut_off_is_completed_by_the_same_request(
    prepared: Clocked, fault: str
) -> None:
    """Votes of one batch may share a COMMIT: what is there after the death are whole votes."""
    service = prepared
    service.start()
    reviews = [asked(service, f"t{number}") for number in range(BATCH)]
    service.kill()
    service.start(fault=fault)
    request = batch_of(service, reviews)
    call = service.line("bob").begin("Reviews.BatchDecide", request)
    service.killed_itself()
    assert isinstance(call.exception(), grpc.RpcError)

    service.start()
    voted = approved_among(service, reviews)
    assert voted
    if fault.startswith("batchdecide"):
        assert voted == set(reviews)
    complete(service, request, reviews)


@pytest.mark.parametrize("voted", [1, BATCH - 1])
def test_a_batch_that_died_between_two_votes_is_completed_by_the_same_request(
    running: Clocked, voted: int
) -> None:
    """Each vote is filed under its own id: the first few alone are what such a death leaves."""
    service = running
    reviews = [asked(service, f"t{number}") for number in range(BATCH)]
    request = batch_of(service, reviews)
    begun = reviews_pb2.BatchDecideRequest()
    begun.CopyFrom(request)
    del begun.items[voted:]
    service.line("bob").call("Reviews.BatchDecide", begun)
    service.kill()
    service.start()
    assert approved_among(service, reviews) == set(reviews[:voted])
    complete(service, request, reviews)
