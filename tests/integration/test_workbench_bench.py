"""`countersign policy bench`: what each case costs, and the rule that costs most."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from workbench_world import Author, author

COSTLY = """package countersign.rules.costly

allow contains {"code": "costly.count", "message": "counted"} if {
	input.context.action == "costly.count"
	_pairs == 0
}

_pairs := count([1 | some i in _many; some j in _many; i == -j])

_many := numbers.range(1, 60)
"""
CASES = """table: costly
cases:
  - name: counting
    given: {context: {action: costly.count}}
    expect: {effect: allow}
  - name: nothing to do
    given: {context: {action: other.act}}
    expect: {effect: deny}
"""


@pytest.fixture
def ann(tmp_path: Path) -> Author:
    made = author(tmp_path)
    made.writes("costly.rego", COSTLY)
    return made


def test_each_case_has_its_cost_and_the_costliest_rule_is_named(ann: Author) -> None:
    ann.writes("costly_cases.yaml", CASES)
    told = json.loads(ann.types("bench", "--repeat", "20", "--json").out)
    costs = {cost["name"]: cost for cost in told["costs"]}
    assert set(costs) == {"costly: counting", "costly: nothing to do"}
    for cost in costs.values():
        assert 0 < cost["evaluation_us"] <= cost["evaluation_p99_us"]
    first = told["spent"][0]
    assert (first["rule"], first["place"]) == ("countersign.rules.costly._pairs", "costly.rego:8")
    assert sum(spent["share"] for spent in told["spent"]) == pytest.approx(1)


def test_without_tables_made_up_questions_are_timed(ann: Author) -> None:
    said = ann.types("bench", "--repeat", "5", "--top", "1")
    assert said.code == 0, said.err
    assert "costly.count: generated 1" in said.out
    assert said.out.rstrip().splitlines()[-1].endswith("(policy/costly.rego:8)")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("bench", "polcy"), "polcy: does not exist"),
        (("bench", "--repeat", "0"), "'--repeat'"),
    ],
)
def test_wrong_usage_is_a_sentence_and_another_exit_code(
    ann: Author, words: tuple[str, ...], problem: str
) -> None:
    said = ann.types(*words)
    assert said.code == 2
    assert problem in said.err


def test_a_policy_that_fails_on_a_case_is_not_timed(ann: Author) -> None:
    ann.writes("costly_cases.yaml", CASES)
    ann.writes(
        "odd.rego", "package countersign.rules.odd\n\np := 1\n\np := 2\n\nallow contains p\n"
    )
    said = ann.types("bench")
    assert said.code == 2
    assert "costly: counting: policy.invalid: odd.rego:" in said.err
