"""What every backend must do, told as stories against `store.protocol`.

A backend joins by one more parameter of the `backend` fixture in
`test_store_conformance.py`: an object that opens the same storage again and
again.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import pytest
from store_values import (
    ACME,
    AGENT,
    OTHER,
    START,
    Clock,
    a_decision,
    a_key,
    a_permit,
    a_review,
    an_answer,
    next_version,
)

from countersign.errors import LogError, UnavailableError
from countersign.model import Effect, Outcome, ReviewState, rfc3339
from countersign.store.protocol import (
    MAX_RECORD_BYTES,
    AlreadyExistsError,
    LogState,
    RecordTooLargeError,
    StaleReviewError,
    Store,
    Transaction,
)

DAY_S = 24 * 3600
OPEN = [ReviewState.PENDING, ReviewState.INFO_REQUESTED, ReviewState.APPROVED]


class Backend(Protocol):
    """One place where a store lives, across restarts of the process."""

    clock: Clock

    async def open(self, *, reached: Callable[[str], None] = ...) -> Store:
        """Open the store that lives here; logs are called `<tenant>/log`."""


class BoomError(Exception):
    """Raised by a command that changes its mind."""


def putting(*values: Any) -> Callable[[Transaction], None]:
    """A command that puts decisions, reviews and permits."""

    def command(tx: Transaction) -> None:
        for value in values:
            put = {"Review": tx.put_review, "Decision": tx.put_decision}
            put.get(type(value).__name__, tx.put_permit)(value)

    return command


def appending(tenant: Any, count: int = 1) -> Callable[[Transaction], list[Any]]:
    """A command that appends small records."""
    return lambda tx: [tx.append(tenant, {"kind": "test", "i": i}) for i in range(count)]


class StoreSuite:
    """Inherit it, with a `backend` fixture."""

    @pytest.fixture
    async def store(self, backend: Backend):
        store = await backend.open()
        yield store
        await store.close()

    # --- commands ---

    async def test_a_command_sees_its_own_writes_and_its_result_comes_back(self, store):
        review, decision, permit = a_review(), a_decision(), a_permit()

        def command(tx):
            putting(review, decision, permit)(tx)
            tx.remember(a_key(), an_answer())
            return (
                tx.review(ACME, review.id),
                tx.decision(ACME, decision.id),
                tx.permit(ACME, permit.id),
                tx.answer(a_key()),
                tx.open_review(ACME, AGENT, review.base_fingerprint),
                tx.count_open_reviews(ACME, AGENT),
            )

        seen = await store.apply(command)
        assert seen == (review, decision, permit, an_answer(), review, 1)
        assert await store.review(ACME, review.id) == review
        assert await store.decision(ACME, decision.id) == decision
        assert await store.permit(ACME, permit.id) == permit
        assert await store.answer(a_key()) == an_answer()

    async def test_a_command_that_raises_leaves_nothing_and_harms_nobody(self, store):
        def changes_its_mind(tx):
            putting(a_review("rev_bad"), a_decision("dec_bad"), a_permit("per_bad"))(tx)
            tx.remember(a_key("bad"), an_answer())
            tx.put_object(ACME, "0" * 64, b"data")
            tx.append(ACME, {"kind": "bad"})
            raise BoomError

        def reads(tx):
            return tx.review(ACME, "rev_bad"), tx.answer(a_key("bad")), tx.next_record(ACME)

        before, failure, between, after = await asyncio.gather(
            store.apply(appending(ACME)),
            store.apply(changes_its_mind),
            store.apply(reads),
            store.apply(appending(ACME)),
            return_exceptions=True,
        )
        assert isinstance(failure, BoomError)
        assert between == (None, None, ("acme/log", 1))
        assert (before[0].seq, after[0].seq) == (0, 1)
        assert await store.decision(ACME, "dec_bad") is None
        assert await store.permit(ACME, "per_bad") is None
        assert await store.objects(ACME, 10) == []
        assert [record.seq for record in await store.records(ACME, 0, 10)] == [0, 1]
        assert (await store.recent(ACME, AGENT, "db.export"))["day"]["checks"] == 0

    async def test_a_failed_first_record_does_not_start_a_log(self, store):
        def changes_its_mind(tx):
            tx.append(ACME, {"kind": "bad"})
            raise BoomError

        with pytest.raises(BoomError):
            await store.apply(changes_its_mind)
        await store.apply(lambda tx: tx.next_record(ACME))
        assert await store.tenants() == []
        assert (await store.apply(appending(ACME)))[0].seq == 0
        assert await store.tenants() == [ACME]

    async def test_even_stop_iteration_reaches_its_caller_only(self, store):
        def stops(tx):
            raise StopIteration

        outcomes = await asyncio.gather(
            store.apply(stops), store.apply(appending(ACME)), return_exceptions=True
        )
        assert isinstance(outcomes[0], RuntimeError | StopIteration)
        assert outcomes[1][0].seq == 0

    async def test_a_command_with_an_unstorable_value_fails_alone(self, store):
        wrong, right = await asyncio.gather(
            store.apply(putting(a_decision(commitment=object()))),
            store.apply(appending(ACME)),
            return_exceptions=True,
        )
        assert isinstance(wrong, Exception)
        assert right[0].seq == 0
        assert await store.decision(ACME, "dec_1") is None

    async def test_a_value_of_the_wrong_type_is_not_called_a_stale_review(self, store):
        with pytest.raises(Exception) as wrong:  # noqa: PT011 - any, but not the one that means retry
            await store.apply(putting(a_review(base_fingerprint=None)))
        assert not isinstance(wrong.value, StaleReviewError)
        with pytest.raises(Exception):  # noqa: B017, PT011 - whatever the backend says
            await store.apply(putting(a_decision(caller=None)))
        assert (await store.apply(appending(ACME)))[0].seq == 0

    async def test_a_cancelled_caller_does_not_disturb_the_others(self, store):
        first = asyncio.create_task(store.apply(appending(ACME)))
        second = asyncio.create_task(store.apply(appending(ACME)))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second)[0].seq == 1

    async def test_closing_finishes_what_is_queued_and_refuses_more(self, backend):
        store = await backend.open()
        queued = [asyncio.create_task(store.apply(appending(ACME))) for _ in range(20)]
        await asyncio.sleep(0)
        await store.close()
        assert [refs[0].seq for refs in await asyncio.gather(*queued)] == list(range(20))
        with pytest.raises(UnavailableError):
            await store.apply(appending(ACME))

    async def test_points_of_a_commit_are_reached_in_order_and_by_name(self, backend):
        points: list[str] = []
        store = await backend.open(reached=points.append)

        def command(tx):
            points.append("ran")

        command.name = "vote"
        await store.apply(command)
        await store.close()
        assert points == ["ran", "store.before_commit", "store.committed", "vote.committed"]

    # --- records ---

    async def test_records_are_canonical_and_number_themselves_without_holes(self, store):
        refs = [
            ref
            for refs in await asyncio.gather(*(store.apply(appending(ACME, 3)) for _ in range(20)))
            for ref in refs
        ]
        records = await store.records(ACME, 0, 100)
        assert [ref.seq for ref in refs] == [record.seq for record in records] == list(range(60))
        for ref, record in zip(refs, records, strict=True):
            body = json.loads(record.body)
            assert ref.leaf_hash == hashlib.sha256(b"\x00" + record.body).digest()
            assert ref.log_id == body["log_id"] == "acme/log"
            assert body["seq"] == record.seq
            assert body["time"] == rfc3339(record.time)
            assert list(body) == sorted(body)
        assert await store.log_state(ACME) == LogState(size=60, published=0, frontier=())

    async def test_every_tenant_has_its_own_log(self, store):
        assert (await store.apply(lambda tx: tx.next_record(OTHER))) == ("other/log", 0)
        await asyncio.gather(store.apply(appending(ACME, 2)), store.apply(appending(OTHER, 1)))
        assert [r.seq for r in await store.records(ACME, 0, 10)] == [0, 1]
        assert [r.seq for r in await store.records(OTHER, 0, 10)] == [0]
        assert await store.tenants() == [ACME, OTHER]
        assert await store.records("nobody", 0, 10) == []
        assert await store.log_state("nobody") == LogState(size=0, published=0, frontier=())

    async def test_records_are_read_in_windows(self, store):
        await store.apply(appending(ACME, 10))
        assert [r.seq for r in await store.records(ACME, 4, 3)] == [4, 5, 6]
        assert [r.seq for r in await store.records(ACME, 8, 100)] == [8, 9]

    async def test_a_record_over_the_limit_is_refused_and_leaves_no_hole(self, store):
        room = MAX_RECORD_BYTES - len(
            (await self._bytes(store, {"clean": ""})).replace(b'"seq":0', b'"seq":1')
        )
        with pytest.raises(RecordTooLargeError):
            await store.apply(lambda tx: tx.append(ACME, {"clean": "x" * (room + 1)}))
        ref = await store.apply(lambda tx: tx.append(ACME, {"clean": "x" * room}))
        assert ref.seq == 1

    async def _bytes(self, store, body):
        await store.apply(lambda tx: tx.append(ACME, body))
        return (await store.records(ACME, 0, 1))[0].body

    async def test_log_continues_after_a_restart_with_the_same_bytes_and_key(self, backend):
        store = await backend.open()
        await store.apply(appending(ACME, 5))
        before, key = await store.records(ACME, 0, 10), store.key
        await store.close()
        store = await backend.open()
        assert await store.records(ACME, 0, 10) == before
        assert (await store.apply(appending(ACME)))[0].seq == 5
        assert store.key == key
        assert len(key) == 32
        await store.close()

    # --- time ---

    async def test_the_clock_never_goes_back_not_even_over_a_restart(self, backend):
        store = await backend.open()
        backend.clock.move(100)
        first = await store.apply(lambda tx: (appending(ACME)(tx), tx.now)[1])
        backend.clock.move(-5000)
        assert await store.apply(lambda tx: tx.now) >= first
        assert store.now() >= first
        await store.close()
        store = await backend.open()
        assert await store.apply(lambda tx: tx.now) >= first
        assert store.now() >= first
        backend.clock.move(9000)
        assert store.now() == backend.clock.time
        await store.close()

    async def test_deadlines_pass_while_the_wall_clock_is_an_hour_behind(self, backend, store):
        use_by = START + 300 * 1_000_000
        await store.apply(putting(a_review(state=ReviewState.APPROVED, use_by=use_by)))
        backend.clock.move(-3600)
        assert store.now() == START
        backend.clock.run(299)
        assert store.now() < use_by
        assert await store.due(store.now(), 10) == []
        backend.clock.run(1)
        assert store.now() == use_by
        assert await store.apply(lambda tx: tx.now) == use_by
        assert await store.due(store.now(), 10) == [(ACME, "rev_1")]

    async def test_time_stands_still_inside_a_command(self, backend, store):
        def command(tx):
            before = tx.now
            backend.clock.move(1)
            return before == tx.now

        assert await store.apply(command)

    # --- reviews ---

    async def test_a_review_changes_only_from_the_version_before(self, store):
        review = a_review()
        await store.apply(putting(review))
        for stale in (review, a_review(version=3), a_review(version=0)):
            with pytest.raises(StaleReviewError):
                await store.apply(putting(stale))
        after = next_version(review, state=ReviewState.APPROVED, use_by=START)
        await store.apply(putting(after))
        with pytest.raises(StaleReviewError):
            await store.apply(putting(after))
        assert await store.review(ACME, review.id) == after
        with pytest.raises(StaleReviewError):
            await store.apply(putting(a_review("rev_new", version=2)))

    async def test_of_many_claims_of_one_approval_exactly_one_wins(self, store):
        review = a_review(state=ReviewState.APPROVED, use_by=START)
        await store.apply(putting(review))
        claimed = next_version(review, state=ReviewState.CLAIMED, report_by=START)
        outcomes = await asyncio.gather(
            *(store.apply(putting(claimed)) for _ in range(30)), return_exceptions=True
        )
        assert outcomes.count(None) == 1
        assert sum(isinstance(outcome, StaleReviewError) for outcome in outcomes) == 29

    async def test_one_open_review_for_a_fingerprint(self, store):
        first = a_review("rev_1", base_fingerprint="same")
        await store.apply(putting(first))
        second = a_review("rev_2", base_fingerprint="same")
        for state in OPEN:
            first = next_version(first, state=state)
            await store.apply(putting(first))
            with pytest.raises(StaleReviewError):
                await store.apply(putting(second))
        elsewhere = a_review("rev_3", base_fingerprint="same", caller="another")
        next_door = a_review("rev_4", base_fingerprint="same", tenant=OTHER)
        await store.apply(putting(elsewhere, next_door))
        denied = next_version(first, state=ReviewState.DENIED)
        await store.apply(putting(denied, second))

        def reads(tx):
            return (
                tx.open_review(ACME, AGENT, "same"),
                tx.last_denied(ACME, AGENT, "same"),
                tx.count_open_reviews(ACME, AGENT),
                tx.last_denied(ACME, "another", "same"),
            )

        assert await store.apply(reads) == (second, denied, 1, None)

    async def test_a_closed_review_cannot_reopen_beside_an_open_one(self, store):
        first = a_review("rev_1", base_fingerprint="same", state=ReviewState.DENIED)
        await store.apply(putting(first, a_review("rev_2", base_fingerprint="same")))
        with pytest.raises(StaleReviewError):
            await store.apply(putting(next_version(first, state=ReviewState.PENDING)))

    async def test_the_newest_denial_counts(self, store):
        for name in ("rev_1", "rev_2"):
            denied = a_review(name, base_fingerprint="same", state=ReviewState.DENIED)
            await store.apply(putting(denied))
        newest = await store.apply(lambda tx: tx.last_denied(ACME, AGENT, "same"))
        assert newest.id == "rev_2"

    async def test_reviews_are_listed_newest_first_in_pages(self, store):
        for i in range(7):
            state = ReviewState.DENIED if i == 3 else ReviewState.PENDING
            await store.apply(putting(a_review(f"rev_{i}", state=state)))
        await store.apply(putting(a_review("rev_x", tenant=OTHER)))

        async def page(after, states=(ReviewState.PENDING, ReviewState.APPROVED)):
            listed = await store.reviews(ACME, list(states), after=after, limit=4)
            return [review.id for review in listed]

        assert await page("") == ["rev_6", "rev_5", "rev_4", "rev_2"]
        assert await page("rev_2") == ["rev_1", "rev_0"]
        assert await page("rev_0") == []
        assert await page("", states=[ReviewState.DENIED]) == ["rev_3"]
        assert await page("", states=[]) == []
        assert await page("rev_x") == await page("rev_unknown") == []

    async def test_timers_are_those_of_the_state(self, store):
        def at(seconds):
            return START + seconds * 1_000_000

        times = {"approve_by": at(10), "use_by": at(20), "report_by": at(30)}
        due = {
            ReviewState.PENDING: at(10),
            ReviewState.INFO_REQUESTED: at(10),
            ReviewState.APPROVED: at(20),
            ReviewState.CLAIMED: at(30),
        }
        assert await store.next_due() is None
        for state in ReviewState:
            await store.apply(putting(a_review(f"rev_{state.value}", state=state, **times)))
        reported = a_review(
            "rev_reported", state=ReviewState.CLAIMED, outcome=Outcome.SUCCEEDED, **times
        )
        await store.apply(putting(reported))
        assert await store.next_due() == at(10)
        assert await store.due(at(10) - 1, 10) == []
        for now in (at(10), at(20), at(30)):
            expected = {f"rev_{state.value}" for state, when in due.items() if when <= now}
            assert {due_id for _, due_id in await store.due(now, 10)} == expected
        assert len(await store.due(at(30), 2)) == 2

    async def test_listeners_hear_of_committed_changes_on_the_event_loop(self, store):
        heard: list[Any] = []

        def listener(changes):
            asyncio.get_running_loop()
            heard.extend(changes)

        store.subscribe(listener)
        review = a_review()

        def changes_its_mind(tx):
            tx.put_review(a_review("rev_bad"))
            raise BoomError

        await asyncio.gather(
            store.apply(putting(review)),
            store.apply(changes_its_mind),
            store.apply(putting(next_version(review))),
            return_exceptions=True,
        )
        await asyncio.sleep(0)
        assert heard == [(ACME, "rev_1", 1), (ACME, "rev_1", 2)]

    # --- decisions, permits, answers ---

    async def test_a_decision_can_be_replaced_to_note_its_outcome_or_forget_its_salt(self, store):
        await store.apply(putting(a_decision()))
        replaced = a_decision(outcome=Outcome.FAILED, salt=None)
        await store.apply(putting(replaced))
        assert await store.decision(ACME, "dec_1") == replaced

    async def test_a_permit_is_put_once(self, store):
        await store.apply(putting(a_permit()))
        with pytest.raises(AlreadyExistsError):
            await store.apply(putting(a_permit(kid="another")))
        assert await store.permit(ACME, "per_1") == a_permit()

    async def test_an_answer_is_given_for_24_hours_and_then_free_again(self, backend, store):
        await store.apply(lambda tx: tx.remember(a_key(), an_answer("first")))
        with pytest.raises(AlreadyExistsError):
            await store.apply(lambda tx: tx.remember(a_key(), an_answer("second")))
        backend.clock.move(DAY_S - 1)
        assert await store.apply(lambda tx: tx.answer(a_key())) == an_answer("first")
        backend.clock.move(1)
        assert await store.answer(a_key()) is None
        assert await store.apply(lambda tx: tx.answer(a_key())) is None
        await store.apply(lambda tx: tx.remember(a_key(), an_answer("third")))
        assert await store.answer(a_key()) == an_answer("third")

    async def test_every_part_of_the_request_key_counts(self, store):
        key = a_key()
        await store.apply(lambda tx: tx.remember(key, an_answer()))
        for field in ("tenant", "subject", "method", "request_id"):
            other = type(key)(
                **{
                    name: getattr(key, name) + ("x" if name == field else "")
                    for name in ("tenant", "subject", "method", "request_id")
                }
            )
            assert await store.answer(other) is None

    # --- tenants ---

    async def test_another_tenants_ids_are_like_ids_that_never_were(self, store):
        def everything(tx):
            putting(a_review(), a_decision(), a_permit())(tx)
            tx.remember(a_key(), an_answer())
            tx.put_object(ACME, "0" * 64, b"data")
            tx.append(ACME, {"kind": "secret"})

        await store.apply(everything)

        def reads(tx):
            return [
                tx.review(OTHER, "rev_1"),
                tx.decision(OTHER, "dec_1"),
                tx.permit(OTHER, "per_1"),
                tx.answer(a_key(tenant=OTHER)),
                tx.open_review(OTHER, AGENT, "base of rev_1"),
                tx.last_denied(OTHER, AGENT, "base of rev_1"),
            ]

        assert set(await store.apply(reads)) == {None}
        assert await store.apply(lambda tx: tx.count_open_reviews(OTHER, AGENT)) == 0
        assert await store.review(OTHER, "rev_1") is None
        assert await store.decision(OTHER, "dec_1") is None
        assert await store.permit(OTHER, "per_1") is None
        assert await store.answer(a_key(tenant=OTHER)) is None
        assert await store.reviews(OTHER, OPEN, after="", limit=10) == []
        assert await store.records(OTHER, 0, 10) == []
        assert await store.objects(OTHER, 10) == []
        assert (await store.recent(OTHER, AGENT, "db.export"))["day"]["checks"] == 0
        with pytest.raises(StaleReviewError):
            await store.apply(putting(a_review(tenant=OTHER, version=2)))
        await store.apply(putting(a_review(tenant=OTHER), a_decision(tenant=OTHER)))
        assert (await store.review(ACME, "rev_1")).tenant == ACME
        assert (await store.decision(ACME, "dec_1")).tenant == ACME

    # --- recent counts ---

    async def test_recent_counts_committed_decisions_by_effect(self, backend):
        store = await backend.open()
        decided = [("check", effect) for effect in Effect] * 2
        decided += [("claim", Effect.ALLOW), ("claim", Effect.DENY)]
        for i, (method, effect) in enumerate(decided):
            decision = a_decision(f"dec_{i}", method=method, effect=effect)
            await store.apply(putting(decision))
        await store.apply(putting(a_decision("dec_0", outcome=Outcome.FAILED)))
        await store.apply(putting(a_decision("dec_x", action="iam.change")))
        counts = {"checks": 6, "allow": 2, "deny": 2, "needs_approval": 2, "claimed": 1}
        counts |= {"rows": 0, "amount": 0}
        expected = {"hour": counts, "day": counts}
        assert await store.recent(ACME, AGENT, "db.export") == expected
        await store.close()
        store = await backend.open()
        assert await store.recent(ACME, AGENT, "db.export") == expected
        assert (await store.recent(ACME, AGENT, "unseen"))["hour"]["checks"] == 0
        await store.close()

    async def test_recent_sums_what_was_let_through_once(self, backend):
        store = await backend.open()
        decided = [("check", effect, 100, 7) for effect in Effect]
        decided += [("claim", effect, 1000, 50) for effect in (Effect.ALLOW, Effect.DENY)]
        for i, (method, effect, rows, amount) in enumerate(decided):
            decision = a_decision(
                f"dec_{i}", method=method, effect=effect, rows=rows, amount=amount
            )
            await store.apply(putting(decision))
            await store.apply(putting(dataclasses.replace(decision, outcome=Outcome.FAILED)))

        async def sums():
            hour = (await store.recent(ACME, AGENT, "db.export"))["hour"]
            return hour["rows"], hour["amount"]

        assert await sums() == (1100, 57)
        await store.close()
        store = await backend.open()
        assert await sums() == (1100, 57)
        await store.close()

    async def test_sums_saturate_and_a_number_below_zero_takes_nothing_back(self, backend):
        store = await backend.open()
        told = ((2**53 - 1, 5), (2**53 - 1, -(10**30)), (10**30, 6))

        async def sums():
            hour = (await store.recent(ACME, AGENT, "db.export"))["hour"]
            return hour["rows"], hour["amount"]

        decisions = [
            a_decision(f"dec_{i}", rows=rows, amount=amount)
            for i, (rows, amount) in enumerate(told * 400)
        ]
        await store.apply(putting(*decisions))
        assert await sums() == (2**53 - 1, 4400)
        await store.close()
        store = await backend.open()
        assert await sums() == (2**53 - 1, 4400), "a start does not fail on a sum that overflows"
        stored = await store.decision(ACME, "dec_2")
        assert (stored.rows, stored.amount) == (2**53 - 1, 6)
        await store.close()

    async def test_recent_counts_leave_their_window(self, backend):
        store = await backend.open()

        async def check(id):
            await store.apply(lambda tx: tx.put_decision(a_decision(id, at=tx.now)))

        async def checks():
            recent = await store.recent(ACME, AGENT, "db.export")
            return recent["hour"]["checks"], recent["day"]["checks"]

        await check("dec_1")
        backend.clock.move(3000)
        await check("dec_2")
        assert await checks() == (2, 2)
        backend.clock.move(660)
        assert await checks() == (1, 2)
        backend.clock.move(DAY_S - 3720)
        assert await checks() == (0, 2)
        await store.close()
        store = await backend.open()
        assert await checks() == (0, 2)
        backend.clock.move(660)
        assert await checks() == (0, 1)
        backend.clock.move(DAY_S)
        await store.sweep(store.now())
        assert await checks() == (0, 0)
        await store.close()

    # --- publishing and terms ---

    async def test_publishing_moves_forward_only_and_drops_published_objects(self, store):
        names = [f"{i:064x}" for i in range(3)]

        def command(tx):
            for name in names:
                tx.put_object(ACME, name, name.encode())
                tx.put_object(ACME, name, name.encode())
            tx.append(ACME, {"kind": "a"})
            tx.append(ACME, {"kind": "b"})
            tx.append(ACME, {"kind": "c"})

        await store.apply(command)
        assert await store.objects(ACME, 2) == [(name, name.encode()) for name in names[:2]]
        roots = (b"a" * 32, b"b" * 32)
        await store.mark_published(ACME, 3, roots, names[:2])
        assert await store.log_state(ACME) == LogState(size=3, published=3, frontier=roots)
        assert await store.objects(ACME, 10) == [(names[2], names[2].encode())]
        for size, frontier in ((2, roots[:1]), (4, roots[:1]), (3, roots[:1])):
            with pytest.raises(LogError):
                await store.mark_published(ACME, size, frontier, names)
        assert (await store.log_state(ACME)).published == 3
        assert len(await store.objects(ACME, 10)) == 1

    async def test_sweeping_keeps_every_term(self, backend, store):
        def life(tx):
            tx.remember(a_key(), an_answer())
            tx.put_review(a_review("rev_closed", state=ReviewState.DENIED))
            tx.put_review(a_review("rev_open"))
            tx.put_review(a_review("rev_timeless", state=ReviewState.APPROVED, use_by=None))
            tx.put_review(a_review("rev_unreported", state=ReviewState.CLAIMED, report_by=tx.now))
            tx.append(ACME, {"kind": "old"})

        async def left():
            closed, *waiting = [
                await store.review(ACME, name) is not None
                for name in ("rev_closed", "rev_open", "rev_timeless", "rev_unreported")
            ]
            assert all(waiting)
            return closed, len(await store.records(ACME, 0, 10))

        await store.apply(life)
        backend.clock.move(40 * DAY_S)
        await store.sweep(store.now())
        assert await left() == (True, 1), "nothing goes before it is published"

        await store.mark_published(ACME, 1, (b"r" * 32,), [])
        await store.sweep(START + 30 * DAY_S * 1_000_000 - 1)
        assert await left() == (True, 1), "reviews stay 30 days"
        await store.sweep(START + 30 * DAY_S * 1_000_000)
        assert await left() == (False, 1), "records stay a week longer"
        await store.sweep(START + 37 * DAY_S * 1_000_000)
        assert await left() == (False, 0)
        assert (await store.apply(appending(ACME)))[0].seq == 1
        assert await store.log_state(ACME) == LogState(size=2, published=1, frontier=(b"r" * 32,))

    async def test_a_review_stays_while_a_record_of_its_time_is_unpublished(self, backend, store):
        await store.apply(appending(ACME))
        backend.clock.move(60)

        def closes(tx):
            tx.put_review(a_review(state=ReviewState.DENIED))
            tx.append(ACME, {"kind": "review.closed"})

        await store.apply(closes)
        backend.clock.move(60)
        await store.apply(appending(ACME))
        await store.mark_published(ACME, 1, (b"r" * 32,), [])
        backend.clock.move(60 * DAY_S)
        await store.sweep(store.now())
        assert await store.review(ACME, "rev_1") is not None
        await store.mark_published(ACME, 2, (b"r" * 32,), [])
        await store.sweep(store.now())
        assert await store.review(ACME, "rev_1") is None

    # --- reads ---

    async def test_reads_see_committed_state_only(self, backend):
        seen: list[Any] = []
        inside: dict[str, Callable[[], Awaitable[Any]]] = {}
        loop = asyncio.get_running_loop()

        def look(point):
            if point == "store.before_commit" and inside:
                future = asyncio.run_coroutine_threadsafe(inside["read"](), loop)
                seen.append(future.result(timeout=10))

        store = await backend.open(reached=look)

        async def read():
            return (
                await store.review(ACME, "rev_1"),
                await store.records(ACME, 0, 10),
                (await store.log_state(ACME)).size,
                (await store.recent(ACME, AGENT, "db.export"))["day"]["checks"],
            )

        inside["read"] = read

        def command(tx):
            putting(a_review(), a_decision())(tx)
            tx.append(ACME, {"kind": "decision"})

        await store.apply(command)
        assert seen == [(None, [], 0, 0)]
        inside.clear()
        review, records, size, checks = await read()
        assert (review, len(records), size, checks) == (a_review(), 1, 1, 1)
        await store.close()
