"""Any sequence of commands, on a real store and on a model of dictionaries.

The model says what the transaction semantics are: commands run one after the
other, all or nothing, on state that starts where the last one ended. The store
batches them, fails some, restarts in between, and must not be told apart.
"""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import json
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from store_suite import Backend, BoomError
from store_values import START, a_decision, a_key, a_permit, a_review, an_answer

from countersign.model import Instant, ReviewState
from countersign.store.protocol import AlreadyExistsError, StaleReviewError

TENANTS = ("acme", "other")
NUMBERS = range(4)
DAY_US = 24 * 3600 * 1_000_000


@dataclasses.dataclass
class Model:
    """The whole store, in words everybody can check."""

    reviews: dict[Any, Any] = dataclasses.field(default_factory=dict)
    decisions: dict[Any, Any] = dataclasses.field(default_factory=dict)
    permits: dict[Any, Any] = dataclasses.field(default_factory=dict)
    answers: dict[Any, Any] = dataclasses.field(default_factory=dict)
    objects: dict[Any, Any] = dataclasses.field(default_factory=dict)
    records: dict[Any, list[int]] = dataclasses.field(default_factory=dict)
    checks: dict[Any, int] = dataclasses.field(default_factory=dict)

    def open_review(self, tenant, caller, base):
        for review in self.reviews.values():
            same = (review.tenant, review.caller, review.base_fingerprint)
            if review.state.is_open and same == (tenant, caller, base):
                return review
        return None

    def put_review(self, review):
        stored = self.reviews.get((review.tenant, review.id))
        rival = self.open_review(review.tenant, review.caller, review.base_fingerprint)
        if (stored.version if stored else 0) != review.version - 1:
            raise StaleReviewError
        if review.state.is_open and rival is not None and rival.id != review.id:
            raise StaleReviewError
        self.reviews[review.tenant, review.id] = review

    def append(self, tenant, mark):
        self.records.setdefault(tenant, []).append(mark)
        return len(self.records[tenant]) - 1


# Every operation runs on the transaction and on the model, and what both say
# must be the same, errors included.


@dataclasses.dataclass(frozen=True)
class Op:
    """One step of a command."""

    what: str
    tenant: str
    n: int
    m: int
    state: ReviewState

    def on_store(self, tx) -> Any:
        match self.what:
            case "put_review":
                return tx.put_review(self._review())
            case "put_decision":
                return tx.put_decision(self._decision())
            case "put_permit":
                return tx.put_permit(a_permit(f"per_{self.n}", tenant=self.tenant, seq=self.m))
            case "remember":
                return tx.remember(a_key(str(self.n), self.tenant), an_answer(str(self.m)))
            case "put_object":
                return tx.put_object(self.tenant, f"{self.n:064x}", b"data")
            case "append":
                return tx.append(self.tenant, {"mark": self.m}).seq
            case "read":
                open_review = tx.open_review(self.tenant, "agent", f"base {self.n}")
                return (
                    tx.review(self.tenant, f"rev_{self.n}"),
                    tx.decision(self.tenant, f"dec_{self.n}"),
                    tx.permit(self.tenant, f"per_{self.n}"),
                    tx.answer(a_key(str(self.n), self.tenant)),
                    open_review,
                    tx.count_open_reviews(self.tenant, "agent"),
                    tx.next_record(self.tenant),
                )
            case "raise":
                raise BoomError
        raise AssertionError(self.what)

    def on_model(self, model: Model, now: Instant) -> Any:  # noqa: C901 - one arm an operation
        key = (self.tenant, self.n)
        match self.what:
            case "put_review":
                return model.put_review(self._review())
            case "put_decision":
                if key not in model.decisions:
                    model.checks[self.tenant] = model.checks.get(self.tenant, 0) + 1
                model.decisions[key] = self._decision()
            case "put_permit":
                if key in model.permits:
                    raise AlreadyExistsError
                model.permits[key] = a_permit(f"per_{self.n}", tenant=self.tenant, seq=self.m)
            case "remember":
                if key in model.answers and model.answers[key][0] > now - DAY_US:
                    raise AlreadyExistsError
                model.answers[key] = (now, an_answer(str(self.m)))
            case "put_object":
                model.objects[key] = b"data"
            case "append":
                return model.append(self.tenant, self.m)
            case "read":
                return self._read_model(model, now)
            case "raise":
                raise BoomError
        return None

    def _read_model(self, model: Model, now: Instant) -> Any:
        key = (self.tenant, self.n)
        at, answer = model.answers.get(key, (0, None))
        opened = [r for r in model.reviews.values() if r.tenant == self.tenant and r.state.is_open]
        return (
            model.reviews.get((self.tenant, f"rev_{self.n}")),
            model.decisions.get(key),
            model.permits.get(key),
            answer if at > now - DAY_US else None,
            model.open_review(self.tenant, "agent", f"base {self.n}"),
            len(opened),
            (f"{self.tenant}/log", len(model.records.get(self.tenant, []))),
        )

    def _review(self):
        return a_review(
            f"rev_{self.n}",
            tenant=self.tenant,
            version=self.m + 1,
            state=self.state,
            base_fingerprint=f"base {self.n // 2}",
        )

    def _decision(self):
        return a_decision(f"dec_{self.n}", tenant=self.tenant, commitment=str(self.m), at=START)


WHATS = ("put_review", "put_decision", "put_permit", "remember", "put_object", "append", "read")
OPS = st.builds(
    Op,
    what=st.sampled_from((*WHATS, "append", "read", "put_review")),
    tenant=st.sampled_from(TENANTS),
    n=st.sampled_from(NUMBERS),
    m=st.integers(0, 3),
    state=st.sampled_from(
        (ReviewState.PENDING, ReviewState.APPROVED, ReviewState.DENIED, ReviewState.CLAIMED)
    ),
)
RAISE = Op("raise", "acme", 0, 0, ReviewState.PENDING)
COMMANDS = st.tuples(st.lists(OPS, min_size=1, max_size=5), st.booleans()).map(
    lambda pair: [*pair[0], RAISE] if pair[1] else pair[0]
)


def as_command(ops: list[Op]) -> Callable[[Any], Any]:
    return lambda tx: ([op.on_store(tx) for op in ops], tx.now)


class StoreMachine(RuleBasedStateMachine):
    """Drives one backend and the model side by side."""

    new_backend: Callable[[], Backend]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.backend = type(self).new_backend()
        self.store = self.runner.run(self.backend.open())
        self.model = Model()

    def teardown(self) -> None:
        self.runner.run(self.store.close())
        self.runner.close()

    @rule(commands=st.lists(COMMANDS, min_size=1, max_size=4))
    def commands_arrive_together(self, commands) -> None:
        async def together():
            calls = (self.store.apply(as_command(ops)) for ops in commands)
            return await asyncio.gather(*calls, return_exceptions=True)

        now = self.store.now()
        for ops, outcome in zip(commands, self.runner.run(together()), strict=True):
            expected = self.run_on_model(ops, now)
            if isinstance(expected, Exception):
                assert type(outcome) is type(expected)
            else:
                assert outcome == (expected, now)

    def run_on_model(self, ops, now) -> Any:
        attempt = copy.deepcopy(self.model)
        try:
            results = [op.on_model(attempt, now) for op in ops]
        except (StaleReviewError, AlreadyExistsError, BoomError) as error:
            return error
        self.model = attempt
        return results

    @rule(hours=st.integers(1, 30))
    def time_passes(self, hours) -> None:
        self.backend.clock.move(hours * 3600)

    @rule()
    def the_wall_clock_is_set_back(self) -> None:
        before = self.store.now()
        self.backend.clock.move(-600)
        assert self.store.now() == before
        self.backend.clock.move(600)

    @rule()
    def the_server_restarts(self) -> None:
        self.runner.run(self.store.close())
        self.store = self.runner.run(self.backend.open())

    @rule()
    def expired_answers_are_swept(self) -> None:
        self.runner.run(self.store.sweep(self.store.now()))

    @invariant()
    def the_store_says_what_the_model_says(self) -> None:
        self.runner.run(self.compare())

    async def compare(self) -> None:
        store, model, now = self.store, self.model, self.store.now()
        for tenant in TENANTS:
            for n in NUMBERS:
                key = (tenant, n)
                at, answer = model.answers.get(key, (0, None))
                fresh = answer if at > now - DAY_US else None
                assert await store.answer(a_key(str(n), tenant)) == fresh
                assert await store.decision(tenant, f"dec_{n}") == model.decisions.get(key)
                assert await store.permit(tenant, f"per_{n}") == model.permits.get(key)
                review = model.reviews.get((tenant, f"rev_{n}"))
                assert await store.review(tenant, f"rev_{n}") == review
            await self.compare_log(tenant)
            await self.compare_lists(tenant)

    async def compare_log(self, tenant) -> None:
        marks = self.model.records.get(tenant, [])
        records = await self.store.records(tenant, 0, 10_000)
        bodies = [json.loads(record.body) for record in records]
        assert [record.seq for record in records] == list(range(len(marks)))
        assert [(body["seq"], body["mark"]) for body in bodies] == list(enumerate(marks))
        times = [record.time for record in records]
        assert times == sorted(times)
        assert (await self.store.log_state(tenant)).size == len(marks)

    async def compare_lists(self, tenant) -> None:
        listed = await self.store.reviews(tenant, list(ReviewState), after="", limit=100)
        stored = {name: r for (owner, name), r in self.model.reviews.items() if owner == tenant}
        assert {review.id: review for review in listed} == stored
        objects = {f"{n:064x}" for owner, n in self.model.objects if owner == tenant}
        assert {name for name, _ in await self.store.objects(tenant, 100)} == objects
        due = [name for owner, name in await self.store.due(Instant(2**62), 100) if owner == tenant]
        waiting = {name for name, review in stored.items() if review.state.awaits_votes}
        assert set(due) == waiting


def check_against_model(new_backend: Callable[[], Backend]) -> None:
    """Search for a sequence of commands that the store and the model judge apart."""
    machine = type("Machine", (StoreMachine,), {"new_backend": staticmethod(new_backend)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=25,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=True,
        ),
    )
