"""One decision after another: what was learned of one speaks for another only where it is so."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

import realparts
from countersign.errors import ConfigurationError
from countersign.policy.snapshot import Snapshot
from countersign.workbench.impact import candidate as candidate_module
from countersign.workbench.impact.answers import EVERY_PART
from countersign.workbench.impact.candidate import serving
from countersign.workbench.impact.judging import How, Judge
from countersign.workbench.impact.recorded import Case, read
from countersign.workbench.impact.replay import replay
from countersign.workbench.impact.summary import Summary
from impact_records import SANITIZER, record

POLICY = """
package countersign

default decision := {"effect": "deny", "reasons": [{"code": "a.many", "message": "too many"}]}

decision := {"effect": "allow", "reasons": [{"code": "a.few", "message": "few"}]} if {
	count(input.context.arguments) > 1
	input.recent.hour.allow + input.recent.hour.claimed < 20
}
"""


def case(allow, claimed=0, contact="ada@example.org", seq=1):
    made = record({"contact": contact, "plan": "gold"}, seq=seq)
    made["policy"]["recent"] = {"hour": {"allow": allow, "claimed": claimed}}
    found = read(made, lambda _name: None, SANITIZER)
    assert isinstance(found, Case)
    return found


async def judged(policy, cases):
    """The effects in order, `None` where it depends, and what settled them."""
    files = {PurePosixPath("a.rego"): policy.encode()}
    snapshot = Snapshot(files=files, revision="r", version="1", origin="test")
    async with serving(realparts.opa(), snapshot) as candidate:
        judge = Judge(candidate, label=SANITIZER.label, parts=EVERY_PART, traces_at_once=2)
        found = [await judge.judge(each) for each in cases]
    return [each.answer.effect if each.answer else None for each in found], judge.settled


async def test_counts_of_the_recent_past_are_never_rounded_over_a_threshold():
    counts = [
        (3, 0),
        (4, 0),
        (12, 4),
        (15, 3),
        (19, 0),
        (20, 0),
        (12, 8),
        (19, 1),
        (48, 3),
        (21, 9),
    ]
    effects, settled = await judged(POLICY, [case(*each, seq=n) for n, each in enumerate(counts)])
    assert effects == ["allow" if sum(each) < 20 else "deny" for each in counts]
    assert settled[How.ALIKE] > 0, "4 is like 3, and 18 like 16"


async def test_the_same_question_is_put_once():
    effects, settled = await judged(
        POLICY, [case(3, contact=who) for who in ("a@b.example", "c@d.example")]
    )
    assert effects == ["allow", "allow"]
    assert settled[How.ALIKE] == 1, "which address it was is unknown either way"


async def test_what_was_settled_for_one_place_does_not_speak_for_another():
    policy = POLICY.replace(
        "count(input.context.arguments) > 1", 'input.context.arguments.plan == "gold"'
    )
    shown, hidden = case(3, seq=1), record({"contact": "none", "plan": "ada@example.org"}, seq=2)
    hidden["policy"]["recent"] = {"hour": {"allow": 3, "claimed": 0}}
    other = read(hidden, lambda _name: None, SANITIZER)
    effects, _ = await judged(policy, [shown, other, shown])
    assert effects == ["allow", None, "allow"]


async def test_masked_keys_are_as_many_as_there_were():
    names = "[name | some name, _ in input.context.arguments]"
    policy = POLICY.replace("count(input.context.arguments) > 1", f"count({names}) == 3")
    made = record({"a@b.example": 1, "c@d.example": 2, "plan": "gold"})
    made["policy"]["recent"] = {"hour": {"allow": 1, "claimed": 0}}
    effects, _ = await judged(policy, [read(made, lambda _name: None, SANITIZER)])
    assert effects == ["allow"]


async def test_an_answer_that_names_a_masked_key_is_not_known():
    policy = """
package countersign

decision := {
	"effect": "needs_approval",
	"reasons": [{"code": "a.people", "message": "ask them"}],
	"requirement": {"stages": [{"name": "all", "approvers": {"people": people}, "quorum": 1}]},
}

people contains name if some name, _ in input.context.arguments
"""
    made = record({"a@b.example": 1, "plan": "gold"})
    effects, _ = await judged(policy, [read(made, lambda _name: None, SANITIZER)])
    assert effects == [None]


async def test_a_candidate_that_does_not_end_is_told_of_and_not_waited_for(monkeypatch):
    monkeypatch.setattr(candidate_module, "_DEADLINE_S", 0.3)
    policy = """
package countersign

many := numbers.range(1, 100000)

decision := {"effect": "allow"} if count([1 | some i in many; some j in many; i == -j]) == 0
"""
    with pytest.raises(ConfigurationError) as refused:
        await judged(policy, [case(1)])
    assert refused.value.code == "impact.not_evaluated"


async def test_a_log_is_judged_in_its_order_and_counted():
    cases = [case(each, seq=each) for each in range(12)]
    files = {PurePosixPath("a.rego"): POLICY.encode()}
    snapshot = Snapshot(files=files, revision="r", version="1", origin="test")
    summary = Summary()
    async with serving(realparts.opa(), snapshot) as candidate:
        judge = Judge(candidate, label=SANITIZER.label, parts=EVERY_PART, traces_at_once=2)
        order = [one.case.seq async for one in replay(cases, judge, EVERY_PART, summary)]
    assert order == list(range(12))
    assert summary.replayed == 12
