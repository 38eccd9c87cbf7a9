"""What every backend must do about people: reviews behind them, what they owe and lend.

Proofs of who is who, delegations, when a credential was last used, and the
reviews whose glass was broken. Joined like `store_suite`.
"""

from __future__ import annotations

import asyncio

import pytest
from store_suite import DAY_S, Backend, BoomError, appending, putting
from store_values import (
    ACME,
    OTHER,
    START,
    a_broken_glass,
    a_delegation,
    a_review,
    next_version,
)

from countersign.model import Instant, ReviewState

HOUR_US = 3600 * 1_000_000


def taking_over(tenant, proofs):
    """A command that takes over the proofs of a tenant."""
    return lambda tx: tx.put_proofs(tenant, proofs)


def lending(*delegations):
    """A command that puts delegations."""

    def command(tx):
        for delegation in delegations:
            tx.put_delegation(delegation)

    return command


async def since(store, *names, tenant=ACME):
    """Since when each proof, `person/proof`, is this person's."""
    return await store.apply(
        lambda tx: [tx.proof_since(tenant, *name.split("/", 1)) for name in names]
    )


class StandingSuite:
    """Inherit it, with a `backend` fixture."""

    @pytest.fixture
    async def store(self, backend: Backend):
        store = await backend.open()
        yield store
        await store.close()

    # --- open reviews ---

    async def test_open_reviews_are_counted_by_who_is_behind_them_and_by_tenant(self, store):
        def counts(tx):
            return (
                tx.count_open_reviews_behind(ACME, "ann"),
                tx.count_open_reviews_behind(ACME, "bob"),
                tx.count_open_reviews_of_tenant(ACME),
                tx.count_open_reviews_behind(OTHER, "ann"),
                tx.count_open_reviews_of_tenant(OTHER),
            )

        anns = a_review("rev_1", requester="ann", caller="one")
        await store.apply(
            putting(
                anns,
                a_review("rev_2", requester="ann", caller="two", state=ReviewState.APPROVED),
                a_review("rev_3", requester="ann", state=ReviewState.CLAIMED),
                a_review("rev_4", requester="bob", state=ReviewState.INFO_REQUESTED),
                a_review("rev_5"),
                a_review("rev_6", requester="ann", tenant=OTHER),
            )
        )
        assert await store.apply(counts) == (2, 1, 4, 1, 1)
        await store.apply(putting(next_version(anns, state=ReviewState.DENIED)))
        assert await store.apply(counts) == (1, 1, 3, 1, 1)

    async def test_an_escalation_is_a_timer_too(self, store):
        review = a_review(escalate_at=START + HOUR_US // 2)
        await store.apply(putting(review))
        assert await store.next_due() == START + HOUR_US // 2
        await store.apply(putting(next_version(review, escalate_at=None)))
        assert await store.next_due() == review.approve_by

    # --- after-reviews ---

    async def test_open_after_reviews_are_listed_until_somebody_closes_them(self, store):
        owing = [
            a_review(f"rev_{n}", state=state, after_review=a_broken_glass(Instant(START + at)))
            for n, state, at in (
                (1, ReviewState.CLAIMED, 20),
                (2, ReviewState.APPROVED, 10),
                (3, ReviewState.LAPSED, 30),
                (4, ReviewState.CLAIMED, 30),
            )
        ]
        closed = a_review("rev_5", after_review=a_broken_glass(START, Instant(START + 5)))
        elsewhere = a_review("rev_6", tenant=OTHER, after_review=a_broken_glass())
        await store.apply(putting(*owing, closed, elsewhere, a_review("rev_7")))

        async def listed():
            return [review.id for review in await store.after_reviews(ACME)]

        assert await listed() == ["rev_2", "rev_1", "rev_3", "rev_4"], "the oldest debt first"
        assert (await store.after_reviews(ACME))[1] == owing[0]
        await store.apply(
            putting(next_version(owing[0], after_review=a_broken_glass(START, Instant(START + 9))))
        )
        assert await listed() == ["rev_2", "rev_3", "rev_4"]
        assert [review.id for review in await store.after_reviews(OTHER)] == ["rev_6"]
        assert await store.after_reviews("nobody") == []

    async def test_what_owes_an_after_review_is_never_swept(self, backend, store):
        owing = a_review(state=ReviewState.LAPSED, after_review=a_broken_glass())
        await store.apply(putting(owing))
        await store.apply(putting(a_review("rev_2", state=ReviewState.LAPSED)))
        backend.clock.move(400 * DAY_S)
        await store.sweep(store.now())
        assert await store.review(ACME, "rev_1") == owing
        assert await store.review(ACME, "rev_2") is None
        closed = next_version(owing, after_review=a_broken_glass(START, store.now()))
        await store.apply(putting(closed))
        await store.sweep(store.now())
        assert await store.review(ACME, "rev_1") == closed, "its term counts from its closing"
        backend.clock.move(30 * DAY_S)
        await store.sweep(store.now())
        assert await store.review(ACME, "rev_1") is None

    # --- proofs ---

    async def test_the_first_proofs_of_a_tenant_are_as_old_as_its_book(self, backend, store):
        await store.apply(taking_over(ACME, {"ann": ["p1", "p2"], "bob": ["p3"], "cy": []}))
        assert await since(store, "ann/p1", "ann/p2", "bob/p3") == [0, 0, 0]
        assert await since(store, "ann/p3", "bob/p1", "cy/p1") == [None] * 3
        assert await since(store, "ann/p1", tenant=OTHER) == [None]
        backend.clock.move(60)
        await store.apply(taking_over(OTHER, {"ann": ["p1"]}))
        assert await since(store, "ann/p1", tenant=OTHER) == [0], "each tenant has its own start"

    async def test_a_later_proof_is_new_and_one_that_was_gone_is_new_again(self, backend, store):
        await store.apply(taking_over(ACME, {"ann": ["p1", "p2"]}))
        backend.clock.move(60)
        first = backend.clock.time
        await store.apply(taking_over(ACME, {"ann": ["p1", "p9"], "bob": ["p2"]}))
        assert await since(store, "ann/p1", "ann/p9", "ann/p2") == [0, first, None]
        assert await since(store, "bob/p2") == [first], "what another person had is new to this one"
        backend.clock.move(60)
        await store.apply(taking_over(ACME, {"ann": ["p1", "p2", "p9"], "bob": ["p2"]}))
        second = backend.clock.time
        assert await since(store, "ann/p1", "ann/p9", "ann/p2") == [0, first, second]
        assert await since(store, "bob/p2") == [first]

    async def test_a_tenant_that_everybody_left_is_not_new(self, backend):
        store = await backend.open()
        await store.apply(taking_over(ACME, {"ann": ["p1"]}))
        await store.apply(taking_over(ACME, {}))
        assert await since(store, "ann/p1") == [None]
        await store.close()
        backend.clock.move(60)
        store = await backend.open()
        await store.apply(taking_over(ACME, {"ann": ["p1"]}))
        assert await since(store, "ann/p1") == [backend.clock.time]
        await store.close()

    async def test_a_tenant_that_began_without_anybody_is_not_new_later(self, backend, store):
        await store.apply(taking_over(ACME, {}))
        backend.clock.move(60)
        await store.apply(taking_over(ACME, {"ann": ["p1"]}))
        assert await since(store, "ann/p1") == [backend.clock.time]

    async def test_proofs_are_taken_over_all_or_nothing(self, store):
        await store.apply(taking_over(ACME, {"ann": ["p1"]}))

        def changes_its_mind(tx):
            tx.put_proofs(ACME, {"bob": ["p2"]})
            assert tx.proof_since(ACME, "ann", "p1") is None
            assert tx.proof_since(ACME, "bob", "p2") == tx.now
            tx.put_proofs(OTHER, {"bob": ["p2"]})
            raise BoomError

        failure, unstorable = await asyncio.gather(
            store.apply(changes_its_mind),
            store.apply(taking_over(ACME, {"ann": [], "bob": ["p2", None]})),
            return_exceptions=True,
        )
        assert isinstance(failure, BoomError)
        assert isinstance(unstorable, Exception)
        assert await since(store, "ann/p1", "bob/p2") == [0, None]
        await store.apply(taking_over(OTHER, {"bob": ["p2"]}))
        assert await since(store, "bob/p2", tenant=OTHER) == [0], "it was never taken over"

    async def test_proofs_survive_a_restart(self, backend):
        store = await backend.open()
        await store.apply(taking_over(ACME, {"ann": ["p1"]}))
        backend.clock.move(60)
        await store.apply(taking_over(ACME, {"ann": ["p1", "p2"]}))
        expected = await since(store, "ann/p1", "ann/p2")
        await store.close()
        store = await backend.open()
        backend.clock.move(60)
        await store.apply(taking_over(ACME, {"ann": ["p2", "p1"]}))
        assert await since(store, "ann/p1", "ann/p2") == expected == [0, START + 60_000_000]
        await store.close()

    # --- delegations ---

    async def test_a_delegation_holds_from_its_start_until_just_before_its_end(
        self, backend, store
    ):
        soon = a_delegation(starts_at=START + HOUR_US, ends_at=START + 2 * HOUR_US)
        await store.apply(lending(soon))

        def held(tx):
            in_force = list(tx.delegations_to(ACME, "peter"))
            assert in_force == ([soon] if soon.holds(tx.now) else [])
            return len(in_force), tx.count_delegations(ACME, "olga")

        seen = []
        for step_us in (0, HOUR_US - 1, 1, HOUR_US - 1, 1):
            backend.clock.move(step_us / 1_000_000)
            seen.append((*await store.apply(held), len(await store.delegations(ACME))))
        assert seen == [(0, 1, 1), (0, 1, 1), (1, 1, 1), (1, 1, 1), (0, 0, 0)]
        assert await store.apply(lambda tx: tx.delegation(ACME, "del_1")) == soon

    async def test_a_delegation_taken_back_ends_then(self, backend, store):
        await store.apply(lending(a_delegation()))
        backend.clock.move(60)
        ended = a_delegation(ended_at=backend.clock.time)
        await store.apply(lending(ended))
        assert await store.apply(lambda tx: tx.delegations_to(ACME, "peter")) == []
        assert await store.apply(lambda tx: tx.count_delegations(ACME, "olga")) == 0
        assert await store.delegations(ACME) == []
        assert await store.apply(lambda tx: tx.delegation(ACME, "del_1")) == ended

    async def test_taking_back_late_does_not_lengthen_a_delegation(self, backend, store):
        await store.apply(lending(a_delegation(ended_at=START + 5 * HOUR_US)))
        backend.clock.move(3600)
        assert await store.apply(lambda tx: tx.delegations_to(ACME, "peter")) == []
        assert await store.delegations(ACME) == []

    async def test_delegations_are_told_oldest_first_by_tenant_and_person(self, store):
        def lend(n, **changes):
            return a_delegation(f"del_{n}", **changes)

        mine = [lend(n, delegator=f"owner_{n}") for n in (3, 1, 2)]
        others = [
            lend(4, delegate="quinn", ends_at=START + 2 * HOUR_US),
            lend(1, tenant=OTHER, delegator="else"),
        ]
        await store.apply(lending(*mine, *others))
        await store.apply(lending(mine[0]))

        def reads(tx):
            assert tx.delegation(OTHER, "del_3") is None
            assert tx.delegation(OTHER, "del_1") == others[1]
            assert tx.count_delegations(ACME, "owner_1") == 1
            assert tx.count_delegations(OTHER, "owner_1") == 0
            assert tx.delegations_to(OTHER, "quinn") == []
            return tx.delegations_to(ACME, "peter")

        assert await store.apply(reads) == mine
        assert await store.delegations(ACME) == [*mine, others[0]]
        assert await store.delegations(OTHER) == [others[1]]

    async def test_a_delegation_of_a_command_that_raises_was_never_lent(self, store):
        def changes_its_mind(tx):
            tx.put_delegation(a_delegation())
            assert len(tx.delegations_to(ACME, "peter")) == 1
            raise BoomError

        with pytest.raises(BoomError):
            await store.apply(changes_its_mind)
        assert await store.delegations(ACME) == []

    async def test_a_delegation_is_forgotten_thirty_days_after_its_end(self, backend, store):
        await store.apply(appending(ACME))
        lent = a_delegation(ends_at=START + 100 * DAY_S * 1_000_000)
        await store.apply(lending(lent))
        await store.apply(lending(a_delegation("del_2", ended_at=START)))

        async def kept():
            await store.sweep(store.now())
            return [
                n
                for n in (1, 2)
                if await store.apply(lambda tx, n=n: tx.delegation(ACME, f"del_{n}"))
            ]

        backend.clock.move(30 * DAY_S - 1)
        assert await kept() == [1, 2]
        backend.clock.move(1)
        assert await kept() == [1]

    # --- notes ---

    async def test_a_note_is_the_newest_of_its_name_and_survives(self, backend):
        store = await backend.open()
        assert await store.note("one") is None
        await store.put_note("one", {"a": [1, "ä"]})
        await store.put_note("other", {})
        await store.put_note("one", {"a": [2], "b": {"c": None}})
        assert await store.note("one") == {"a": [2], "b": {"c": None}}
        await store.close()
        store = await backend.open()
        assert await store.note("one") == {"a": [2], "b": {"c": None}}
        assert await store.note("other") == {}
        assert await store.tenants() == [], "a note has no record"
        await store.close()

    # --- last used ---

    async def test_uses_are_noted_never_earlier_than_before(self, backend):
        store = await backend.open()
        await store.note_used({(ACME, "p1"): START, (ACME, "p2"): START, (OTHER, "p1"): START})
        later, earlier = Instant(START + 5), Instant(START - 5)
        await store.note_used({(ACME, "p1"): later, (ACME, "p2"): earlier})
        await store.note_used({})
        assert await store.last_used(ACME) == {"p1": later, "p2": START}
        assert await store.last_used(OTHER) == {"p1": START}
        assert await store.last_used("nobody") == {}
        await store.close()
        store = await backend.open()
        assert await store.last_used(ACME) == {"p1": later, "p2": START}
        assert await store.tenants() == [], "a use has no record"
        await store.close()

    async def test_very_many_uses_are_noted_too(self, store):
        used = {(ACME, f"p{n}"): Instant(START + n) for n in range(1201)}
        await store.note_used(used)
        assert await store.last_used(ACME) == {proof: at for (_, proof), at in used.items()}
