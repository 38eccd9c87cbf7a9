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

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from store_suite import Backend, BoomError
from store_values import (
    START,
    a_broken_glass,
    a_decision,
    a_delegation,
    a_key,
    a_permit,
    a_review,
    an_answer,
)

from countersign.model import Effect, Instant, ReviewState
from countersign.store.protocol import AlreadyExistsError, StaleReviewError

TENANTS = ("acme", "other")
NUMBERS = range(4)
PEOPLE = ("ann", "bob")
PROOFS = ("p0", "p1", "p2", "p3")
MINUTE_US = 60 * 1_000_000
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US
MAX_SUM = 2**53 - 1


@dataclasses.dataclass
class Model:
    """The whole store, in words everybody can check."""

    reviews: dict[Any, Any] = dataclasses.field(default_factory=dict)
    decisions: dict[Any, Any] = dataclasses.field(default_factory=dict)
    permits: dict[Any, Any] = dataclasses.field(default_factory=dict)
    answers: dict[Any, Any] = dataclasses.field(default_factory=dict)
    objects: dict[Any, Any] = dataclasses.field(default_factory=dict)
    records: dict[Any, list[int]] = dataclasses.field(default_factory=dict)
    decided: list[Any] = dataclasses.field(default_factory=list)
    books: set[Any] = dataclasses.field(default_factory=set)
    proofs: dict[Any, Instant] = dataclasses.field(default_factory=dict)
    delegations: dict[Any, Any] = dataclasses.field(default_factory=dict)
    used: dict[Any, Instant] = dataclasses.field(default_factory=dict)

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

    def put_decision(self, key, decision):
        if key not in self.decisions:
            self.decided.append(decision)
        self.decisions[key] = decision

    def put_proofs(self, tenant, proofs, now):
        since = now if tenant in self.books else Instant(0)
        self.books.add(tenant)
        told = {(tenant, person, proof) for person in proofs for proof in proofs[person]}
        others = {key: at for key, at in self.proofs.items() if key[0] != tenant}
        self.proofs = others | {key: self.proofs.get(key, since) for key in told}

    def lent(self, tenant, now, **who):
        return [
            d
            for d in self.delegations.values()
            if d.tenant == tenant
            and min(d.ends_at, d.ended_at or d.ends_at) > now
            and all(getattr(d, name) == person for name, person in who.items())
        ]

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

    def on_store(self, tx) -> Any:  # noqa: C901 - one arm an operation
        match self.what:
            case "put_review":
                return tx.put_review(self._review())
            case "put_decision":
                stored = tx.decision(self.tenant, f"dec_{self.n}")
                return tx.put_decision(self._decision(stored, tx.now))
            case "put_proofs":
                return tx.put_proofs(self.tenant, self._proofs())
            case "put_delegation":
                return tx.put_delegation(self._delegation(tx.now))
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
                    tx.count_open_reviews_behind(self.tenant, "ann"),
                    tx.count_open_reviews_of_tenant(self.tenant),
                    [tx.proof_since(self.tenant, person, PROOFS[self.n]) for person in PEOPLE],
                    tx.delegation(self.tenant, f"del_{self.n}"),
                    [list(tx.delegations_to(self.tenant, person)) for person in PEOPLE],
                    [tx.count_delegations(self.tenant, person) for person in PEOPLE],
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
                model.put_decision(key, self._decision(model.decisions.get(key), now))
            case "put_proofs":
                model.put_proofs(self.tenant, self._proofs(), now)
            case "put_delegation":
                model.delegations[key] = self._delegation(now)
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
            len([review for review in opened if review.requester == "ann"]),
            len(opened),
            [model.proofs.get((self.tenant, person, PROOFS[self.n])) for person in PEOPLE],
            model.delegations.get(key),
            [
                [d for d in model.lent(self.tenant, now, delegate=person) if d.holds(now)]
                for person in PEOPLE
            ],
            [len(model.lent(self.tenant, now, delegator=person)) for person in PEOPLE],
            (f"{self.tenant}/log", len(model.records.get(self.tenant, []))),
        )

    def _review(self):
        return a_review(
            f"rev_{self.n}",
            tenant=self.tenant,
            version=self.m + 1,
            state=self.state,
            base_fingerprint=f"base {self.n // 2}",
            requester=PEOPLE[self.n % 2],
            after_review=self._glass(),
        )

    def _glass(self):
        if self.state is ReviewState.APPROVED:
            return a_broken_glass(Instant(START - self.n % 2))
        closed = self.state is ReviewState.CLAIMED
        return a_broken_glass(closed_at=START) if closed else None

    def _decision(self, stored, now):
        if stored is not None:
            return dataclasses.replace(stored, commitment=str(self.m))
        return a_decision(
            f"dec_{self.n}",
            tenant=self.tenant,
            commitment=str(self.m),
            method="claim" if self.n == 3 else "check",
            effect=list(Effect)[self.m % 3],
            rows=self.m * 10,
            amount=2**52 + self.m,
            at=now,
        )

    def _proofs(self):
        some = {"ann": PROOFS[: self.n], "bob": [PROOFS[self.m]]}
        return {} if self.n == self.m else some

    def _delegation(self, now):
        starts_at = Instant(now + (self.m - 1) * HOUR_US)
        return a_delegation(
            f"del_{self.n}",
            tenant=self.tenant,
            delegator=PEOPLE[self.m % 2],
            delegate=PEOPLE[self.n % 2],
            starts_at=starts_at,
            ends_at=Instant(starts_at + (self.m + 1) * 5 * HOUR_US),
            ended_at=now if self.state is ReviewState.DENIED else None,
        )


WHATS = (
    "put_review put_decision put_permit remember put_object put_proofs put_delegation append read"
).split()
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
        self.backend.clock.run(60)
        assert self.store.now() == before + MINUTE_US
        self.backend.clock.move(600)

    @rule(
        used=st.dictionaries(
            st.tuples(st.sampled_from(TENANTS), st.sampled_from(PROOFS)), st.integers(0, 9)
        )
    )
    def credentials_were_used(self, used) -> None:
        self.runner.run(self.store.note_used(used))
        for key, at in used.items():
            self.model.used[key] = max(at, self.model.used.get(key, at))

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
            await self.compare_standing(tenant)
            assert await store.recent(tenant, "agent", "db.export") == {
                name: recounted(self.model.decided, tenant, now // MINUTE_US - minutes)
                for name, minutes in (("hour", 60), ("day", 1440))
            }

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

    async def compare_standing(self, tenant) -> None:
        store, model, now = self.store, self.model, self.store.now()
        owing = [
            review
            for review in model.reviews.values()
            if review.tenant == tenant and review.after_review and not review.after_review.closed_at
        ]
        owing.sort(key=lambda review: review.after_review.at)
        assert list(await store.after_reviews(tenant)) == owing
        assert list(await store.delegations(tenant)) == model.lent(tenant, now)
        used = {proof: at for (owner, proof), at in model.used.items() if owner == tenant}
        assert await store.last_used(tenant) == used


def recounted(decided, tenant, since_minute) -> dict[str, int]:
    """What `Store.recent` has to say of one window, all decisions counted again."""
    there = [d for d in decided if d.tenant == tenant and d.at // MINUTE_US >= since_minute]
    effects = [d.effect for d in there if d.method == "check"]
    claims = [d for d in there if (d.method, d.effect) == ("claim", Effect.ALLOW)]
    let_through = [d for d in there if d.effect is Effect.ALLOW]
    return {
        "checks": len(effects),
        **{effect.value: effects.count(effect) for effect in Effect},
        "claimed": len(claims),
        "rows": min(sum(d.rows for d in let_through), MAX_SUM),
        "amount": min(sum(d.amount for d in let_through), MAX_SUM),
    }


DECISIONS = st.lists(
    st.tuples(
        st.integers(0, 200),
        st.integers(0, 40),
        st.sampled_from(["check", "claim"]),
        st.sampled_from(list(Effect)),
        st.integers(0, 50) | st.just(2**53 - 1),
        st.integers(0, 50),
    ),
    max_size=30,
)


def check_recent_over_restarts(new_backend: Callable[[], Backend]) -> None:
    """Search for decisions that a started server counts in another way than a running one."""

    @settings(max_examples=40, deadline=None, derandomize=True)
    @given(DECISIONS, st.integers(0, 1500))
    def search(events, wait) -> None:
        with asyncio.Runner() as runner:
            runner.run(_recent_over_a_restart(new_backend(), events, wait))

    search()


async def _recent_over_a_restart(backend, events, wait) -> None:
    store = await backend.open()
    decided: dict[str, Any] = {}

    async def same() -> None:
        minute = store.now() // MINUTE_US
        assert await store.recent("acme", "agent", "db.export") == {
            "hour": recounted(decided.values(), "acme", minute - 60),
            "day": recounted(decided.values(), "acme", minute - 1440),
        }

    for gap, n, method, effect, rows, amount in events:
        backend.clock.move(gap * 60)
        decision = decided.get(f"dec_{n}") or a_decision(
            f"dec_{n}", method=method, effect=effect, rows=rows, amount=amount, at=store.now()
        )
        decided[decision.id] = dataclasses.replace(decision, commitment="changed")
        await store.apply(lambda tx, decision=decided[decision.id]: tx.put_decision(decision))
    await same()
    backend.clock.move(wait * 60)
    await store.close()
    store = await backend.open()
    await same()
    await store.close()


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
