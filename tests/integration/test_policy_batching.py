"""Many contexts in one query of real OPA: each gets the answer that it gets alone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from pathlib import Path

import psutil
import pytest

import realparts
from countersign.errors import PolicyError
from countersign.model import PolicyDecision
from countersign.policy.opa import OpaPolicy
from countersign.policy.pool import Pool
from countersign.policy.wire import post, post_head

SECRET = "kim@example.org"
KINDS = ("allow", "deny", "needs", "undefined", "false", "null", "invalid", "conflict", "large")
POLICY = """
package countersign

said(effect) := {"effect": effect, "reasons": [{"code": "asked.for", "message": input.who}]}

decision := said(input.ask) if input.ask in {"allow", "deny"}

decision := object.union(said("needs_approval"), {"requirement": {"stages": [
	{"name": "owner", "approvers": {"groups": [input.who]}},
]}}) if {
	input.ask == "needs"
}

decision := false if input.ask == "false"

decision := null if input.ask == "null"

decision := {"effect": input.who, "stagez": 1} if input.ask == "invalid"

decision := said("allow") if input.ask == "conflict"

decision := said("deny") if input.ask == "conflict"

decision := object.union(said("allow"), {"mask": pointers}) if input.ask == "large"

pointers := [pointer | some i in hundred; pointer := sprintf("/a/%d", [i])]

hundred := numbers.range(1, 100)

many := numbers.range(1, 100000)

decision := said("allow") if {
	input.ask == "endless"
	count([1 | some i in many; some j in many; i == -j]) == 0
}
"""
TAKES_OVER = """
package answers

answers := {"0": {"effect": "allow", "reasons": []}}

key := "0"

items := []
"""


def asking(ask: str, who: str) -> bytes:
    return json.dumps({"ask": ask, "who": who}).encode()


def drawn(seed: int, count: int, kinds: tuple[str, ...] = KINDS) -> list[bytes]:
    chance = random.Random(seed)
    return [asking(chance.choice(kinds), f"person-{number}") for number in range(count)]


async def alone(policy: OpaPolicy, item: bytes, deadline_s: float) -> object:
    try:
        return told(await policy.decide(item, deadline_s=deadline_s))
    except PolicyError as error:
        return told(error)


def told(said: PolicyDecision | PolicyError) -> object:
    """What can be compared; a decision names whom it is for."""
    if isinstance(said, PolicyError):
        assert SECRET not in f"{said!r} {said.detail}"
        return (said.code, said.message, said.detail, said.retryable)
    return said


def who(said: object) -> str:
    """For whom a decision was made."""
    assert isinstance(said, PolicyDecision)
    return said.reasons[0].message


def written(directory: Path, text: str = POLICY) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / "policy.rego").write_text(text, encoding="utf-8")
    return directory


@contextlib.asynccontextmanager
async def running(directory: Path):
    policy = OpaPolicy(realparts.opa(), directory)
    await policy.start()
    try:
        yield policy
    finally:
        await policy.stop()


@pytest.fixture
async def policy(tmp_path):
    async with running(written(tmp_path / "policy")) as running_policy:
        yield running_policy


def code(said: PolicyDecision | PolicyError) -> tuple[str, str]:
    """What does not change with the revision or the place of a line."""
    return ("", said.code) if isinstance(said, PolicyError) else (said.effect.value, who(said))


class Queries:
    """Counts the requests that reach OPA, and what each asks."""

    def __init__(self, policy: OpaPolicy) -> None:
        self.bodies: list[bytes] = []
        assert policy._active
        pool, send = policy._active.client._pool, policy._active.client._pool.request

        async def request(data: bytes, *, deadline_s: float):
            self.bodies.append(data)
            return await send(data, deadline_s=deadline_s)

        pool.request = request  # type: ignore[method-assign]


@pytest.mark.parametrize("seed", range(12))
async def test_a_batch_says_of_each_what_it_says_of_it_alone(policy, seed):
    # Every other draw leaves out what fails a query, so that both ways are taken.
    kinds = KINDS if seed % 2 else tuple(kind for kind in KINDS if kind != "conflict")
    items = drawn(seed, 1 + seed * 4, kinds)
    together = await policy.decide_many(items, deadline_s=60)
    assert [told(said) for said in together.each] == [
        await alone(policy, item, 60) for item in items
    ]
    assert together.revision == policy.revision


@pytest.mark.parametrize("seed", range(100, 103))
async def test_slow_ones_among_any_mix_are_late_and_change_nothing_else(policy, seed):
    items = drawn(seed, 20)
    slow = set(random.Random(seed).sample(range(20), 1 + seed % 3))
    mixed = [asking("endless", SECRET) if n in slow else item for n, item in enumerate(items)]
    answers = [told(said) for said in (await policy.decide_many(mixed, deadline_s=4)).each]
    late = ("policy.unavailable", "policy could not be asked in time")
    assert {answers[n][:2] for n in slow} == {late}
    for n, item in enumerate(items):
        if n not in slow:
            assert answers[n] == await alone(policy, item, 60)


async def test_fifty_are_one_query_and_every_answer_is_its_own(policy):
    queries = Queries(policy)
    items = [asking("allow" if number % 3 else "undefined", f"p{number}") for number in range(50)]
    answers = await policy.decide_many(items, deadline_s=60)
    assert len(queries.bodies) == 1
    for number, said in enumerate(answers.each):
        if number % 3:
            assert who(said) == f"p{number}"
        else:
            assert isinstance(said, PolicyError)
            assert said.code == "policy.undefined"


async def test_a_conflict_costs_the_others_a_second_question_and_nothing_else(policy):
    queries = Queries(policy)
    items = [asking("allow", "a"), asking("conflict", SECRET), asking("deny", "b")]
    first, conflict, last = (await policy.decide_many(items, deadline_s=60)).each
    assert (who(first), who(last)) == ("a", "b")
    assert told(conflict)[0] == "policy.invalid"
    assert len(queries.bodies) == 4


async def test_a_slow_one_costs_only_itself(policy):
    items = [asking("allow", f"p{number}") for number in range(20)]
    items[7] = asking("endless", SECRET)
    answers = await policy.decide_many(items, deadline_s=3)
    slow = answers.each[7]
    assert isinstance(slow, PolicyError)
    assert (slow.code, slow.retryable) == ("policy.unavailable", True)
    assert [who(said) for n, said in enumerate(answers.each) if n != 7] == [
        f"p{n}" for n in range(20) if n != 7
    ]


async def test_others_are_answered_while_a_batch_of_slow_ones_runs(policy):
    slow = asyncio.create_task(
        policy.decide_many([asking("endless", str(n)) for n in range(50)], deadline_s=6)
    )
    await asyncio.sleep(0)
    while not slow.done():
        assert who(await policy.decide(asking("allow", "quick"), deadline_s=5)) == "quick"
    assert {said.code for said in slow.result().each} == {"policy.unavailable"}


async def test_one_is_asked_about_alone_and_none_not_at_all(policy):
    queries = Queries(policy)
    assert (await policy.decide_many([], deadline_s=60)).each == []
    (only,) = (await policy.decide_many([asking("allow", "a")], deadline_s=60)).each
    assert who(only) == "a"
    assert [b"/v1/data/countersign/decision" in body for body in queries.bodies] == [True]


async def test_no_rule_of_an_author_bears_on_how_many_are_asked(tmp_path):
    items = drawn(99, 10)
    async with running(written(tmp_path / "policy")) as policy:
        before = [code(said) for said in (await policy.decide_many(items, deadline_s=60)).each]
    (tmp_path / "policy" / "answers.rego").write_text(TAKES_OVER, encoding="utf-8")
    (tmp_path / "policy" / "data.json").write_text('{"input": {"items": []}, "key": "0"}')
    async with running(written(tmp_path / "policy")) as policy:
        after = [code(said) for said in (await policy.decide_many(items, deadline_s=60)).each]
    assert after == before


async def test_a_batch_is_answered_by_one_revision_while_another_takes_over(policy, tmp_path):
    """The shared query fails, the swap comes, and what is left is asked of the first OPA."""
    old = policy.revision
    other = written(tmp_path / "other", POLICY + "\n# another\n")
    items = [asking("allow", f"p{number}") for number in range(30)] + [asking("endless", "x")]
    batch = asyncio.create_task(policy.decide_many(items, deadline_s=8))
    await asyncio.sleep(0)
    swap = asyncio.create_task(policy.activate(other))
    answers = await batch
    await swap
    assert policy.revision != old
    assert answers.revision == old
    assert {said.revision for said in answers.each[:30]} == {old}


async def test_whoever_dies_under_a_batch_refuses_all_of_it_at_once(policy):
    batch = asyncio.create_task(
        policy.decide_many([asking("endless", "a"), asking("allow", "b")], deadline_s=60)
    )
    await asyncio.sleep(0.2)
    psutil.Process(policy.status().pid).kill()
    answers = await asyncio.wait_for(batch, 20)
    assert [said.code for said in answers.each] == ["policy.unavailable"] * 2


async def test_drain_waits_for_what_is_held_between_requests(policy):
    pool = Pool(str(policy._active._home.socket), max_connections=1)
    with pool.held():
        draining = asyncio.create_task(pool.drain(deadline_s=60))
        await pool.request(
            post(post_head("/v1/data/countersign/decision"), b'{"input":{}}'), deadline_s=60
        )
        await asyncio.sleep(0.05)
        assert not draining.done()
    await asyncio.wait_for(draining, 5)
    pool.close()
