"""A candidate is tried with generated questions: what it breaks is said with the line."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import PurePosixPath

import pytest

import realparts
from countersign.errors import PolicyError
from countersign.policy.bundle import build
from countersign.policy.child import OpaChild, OpaSettings
from countersign.policy.probing import ProbeSettings, breaches, probe, prober
from countersign.policy.snapshot import Snapshot
from countersign.policy.sources.directory import snapshot

WRONG = """package countersign.rules.pay

import data.countersign.lib

needs contains {
	"code": "pay.large",
	"message": "a large payment",
	"stages": [{
		"name": "finance", "groups": ["finance"],
		"quorum": 0,
	}],
	"must_show": {"resource"},
} if {
	input.context.action == "pay.out"
	not lib.below("amount", 12345)
}

deny contains {"code": "pay.no", "message": input.context.reason} if {
	input.context.action == "pay.out"
	input.context.arguments.mode == "text"
}

mask contains "/a~b" if input.context.action == "pay.out"
"""
SLOW = """package countersign.rules.slow

allow contains {"code": "slow.count", "message": "counted"} if {
	input.context.action == "slow.count"
	many := numbers.range(1, 20000)
	count([1 | some i in many; some j in many; i == -j]) == 0
}
"""
CONFLICT = """package countersign.rules.odd

parity(request) := "even" if request.context.action == "odd.ask"

parity(request) := "odd" if request.context.environment == "dev"

allow contains {"code": "odd.ask", "message": "asked"} if parity(input) == "even"
"""
MALFORMED = """package countersign.rules.shape

deny if input.context.action == "shape.ask"
"""
MALFORMED_WORDS = "contributes something malformed, so every request is denied"
MOMENT = """package countersign.rules.moment

mask contains "/a~b" if {
	input.context.action == "moment.ask"
	input.time == "2027-03-01T09:00:00.000000Z"
}
"""


@contextlib.asynccontextmanager
async def serving(*rules: str) -> AsyncIterator[tuple[OpaChild, Snapshot]]:
    """An OPA that serves the library and these rules."""
    whole = snapshot(realparts.ROOT / "rego")
    files = {
        path: content for path, content in whole.files.items() if path.parts[0] == "countersign"
    }
    if not rules:
        files = dict(whole.files)
    for index, text in enumerate(rules):
        files[PurePosixPath(f"mine/rules_{index}.rego")] = text.encode()
    policy = dataclasses.replace(whole, files=files, revision="r")
    child = await OpaChild.start(realparts.opa(), build(realparts.opa(), policy), OpaSettings())
    try:
        yield child, policy
    finally:
        await child.stop()


async def sentences(*rules: str, deadline_s: float = 10.0) -> list[str]:
    async with serving(*rules) as (child, policy):
        settings = ProbeSettings(deadline_s=deadline_s, max_s=120)
        return list(await prober(realparts.opa(), policy.compiled(), settings)(child.client))


async def test_the_shipped_policy_keeps_the_contract_whatever_it_is_asked() -> None:
    async with serving() as (child, policy):
        for seed in (1, 2):
            settings = ProbeSettings(questions=600, seed=seed, deadline_s=10, max_s=120)
            opa = realparts.opa()
            assert await breaches(child.client, opa, policy.compiled(), settings) == []


async def test_each_breach_names_the_line_it_comes_from() -> None:
    found = await sentences(WRONG)
    assert "mine/rules_0.rego:10 requirement.stages[0].quorum: 0, must be ≥ 1" in found
    assert [line for line in found if line.startswith("mine/rules_0.rego:12 requirement.must_show")]
    assert [line for line in found if line.startswith("mine/rules_0.rego:23 mask[0]: must be a")]
    assert not [line for line in found if "because" in line]


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        (CONFLICT, "mine/rules_0.rego:5 evaluation: two rules gave different values"),
        (
            MALFORMED,
            f"mine/rules_0.rego:3 package countersign.rules.shape: {MALFORMED_WORDS}",
        ),
    ],
)
async def test_what_fails_while_it_is_evaluated_is_found_too(rules: str, words: str) -> None:
    assert await sentences(rules) == [words]


async def test_a_rule_about_one_instant_is_reached() -> None:
    (found,) = await sentences(MOMENT)
    assert found.startswith("mine/rules_0.rego:3 mask[0]: must be a JSON pointer")


async def test_a_slow_rule_is_told_by_its_action_and_line() -> None:
    found = await sentences(SLOW, deadline_s=0.5)
    assert found == ["mine/rules_0.rego:3 takes longer than 0.5 s to answer on slow.count"]


async def test_a_policy_without_an_answer_for_some_input_is_found() -> None:
    bare = 'package countersign\n\ndecision := {"effect": "allow"} if input.context.reason != ""\n'
    files = {PurePosixPath("bare.rego"): bare.encode()}
    policy = Snapshot(files=files, revision="r", version="r", origin="a test")
    child = await OpaChild.start(realparts.opa(), build(realparts.opa(), policy), OpaSettings())
    try:
        found = await prober(realparts.opa(), files)(child.client)
    finally:
        await child.stop()
    assert found == ["bare.rego:3 decision: must be defined for every input"]


async def test_a_candidate_is_tried_by_the_bundle_it_was_built_into() -> None:
    """As before an activation: no answer is a denial, and a late one is raised."""
    opa = realparts.opa()
    async with serving() as (child, _):
        assert await probe(child.client, opa, child.bundle.archive, deadline_s=10) == []
    async with serving(WRONG) as (child, _):
        found = await probe(child.client, opa, child.bundle.archive, deadline_s=10)
        assert "mine/rules_0.rego:10 requirement.stages[0].quorum: 0, must be ≥ 1" in found
    async with serving(SLOW) as (child, _):
        with pytest.raises(PolicyError) as caught:
            await probe(child.client, opa, child.bundle.archive, deadline_s=0.3)
        assert caught.value.code == "policy.unavailable"
