"""Wake-ups are hints; nobody is forgotten, and nobody holds too many."""

from __future__ import annotations

import asyncio

import pytest

from countersign.errors import ExhaustedError
from countersign.model import CallerId, PersonId, ReviewId, TenantId
from countersign.waiters import Waiters

T, U = TenantId("t"), TenantId("u")
AGENT, OTHER = CallerId("agent"), CallerId("other")
REVIEW = ReviewId("rev_1")


async def test_only_those_who_wait_for_a_changed_review_of_their_tenant_wake():
    waiters = Waiters()
    with (
        waiters.register(T, AGENT, REVIEW) as mine,
        waiters.register(T, AGENT, ReviewId("rev_2")) as another,
        waiters.register(U, AGENT, REVIEW) as foreign,
    ):
        waiters.notify([(T, REVIEW, 2)])
        assert mine.done()
        assert not another.done()
        assert not foreign.done()
        waiters.notify([(T, REVIEW, 3)])  # a second change of the same review is no error
    assert len(waiters) == 0


async def test_everybody_leaves_when_the_server_does():
    waiters = Waiters()
    with waiters.register(T, AGENT, REVIEW) as mine, waiters.watch(T, PersonId("bob")) as watching:
        waiters.release(spread_s=0)
        await asyncio.wait_for(mine, 5)
        assert watching.is_set()
        assert waiters.released()


async def test_one_subject_cannot_hold_every_place():
    waiters = Waiters(max_waits=2, max_watches=1)
    with waiters.register(T, AGENT, REVIEW), waiters.register(T, AGENT, REVIEW):
        with pytest.raises(ExhaustedError), waiters.register(T, AGENT, REVIEW):
            pass
        with waiters.register(T, OTHER, REVIEW), waiters.register(U, AGENT, REVIEW):
            assert len(waiters) == 4
    with waiters.register(T, AGENT, REVIEW):
        assert len(waiters) == 1
    with waiters.watch(T, PersonId("bob")):
        with pytest.raises(ExhaustedError), waiters.watch(T, PersonId("bob")):
            pass
        with waiters.watch(T, PersonId("carol")):
            pass
