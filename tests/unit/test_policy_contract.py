"""What policy may say, and how a broken rule is told to the person who wrote it."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.errors import PolicyError
from countersign.model import (
    Assurance,
    BreakGlass,
    Durability,
    Effect,
    Escalation,
    PolicyDecision,
    Requirement,
    Stage,
)
from countersign.policy.contract import decode

POINTER_OR_FACT = "must be a JSON pointer (* is any one step) or facts:<dotted name>"
SECRET = "4111-1111-kim@example.org"


def approval(**requirement):
    return {
        "effect": "needs_approval",
        "reasons": [{"code": "export.production", "message": "production export"}],
        "requirement": {
            "stages": [{"name": "data owner", "approvers": {"groups": ["data-owners"]}}],
            **requirement,
        },
    }


def stage(**fields):
    return {"name": "owner", "approvers": {"people": ["kim"]}, **fields}


def later(after_s, **fields):
    return {"after_s": after_s, "approvers": {"groups": ["managers"]}, **fields}


def breaches(result) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        decode(result, "r1")
    assert caught.value.code == "policy.invalid"
    assert not caught.value.retryable
    assert caught.value.__context__ is None, "a chained ValidationError would hold the answer"
    return caught.value.detail.splitlines()


def test_the_answer_of_the_design_means_what_it_says():
    decision = decode(
        {
            "effect": "needs_approval",
            "reasons": [{"code": "export.production", "message": "production export"}],
            "requirement": {
                "stages": [
                    {
                        "name": "data owner",
                        "approvers": {"groups": ["data-owners"], "people": ["kim"]},
                        "quorum": 2,
                        "escalate": [],
                    }
                ],
                "must_show": ["/resource", "/arguments/*/to", "facts:sql.predicate", ""],
                "approve_within_s": 60,
                "use_within_s": 30,
                "claim_by": ["gateway"],
                "channel": "teams:data-approvals",
                "profiles": {"*": "reviewer", "dpo": "full"},
                "exclude": ["lee"],
                "require_reason": True,
                "min_assurance": "person",
                "durability": "locked",
                "batch": False,
                "break_glass": None,
                "report_within_s": 90,
            },
            "mask": ["/arguments/customer_ids"],
        },
        "r1",
    )
    assert decision.effect is Effect.NEEDS_APPROVAL
    assert decision.revision == "r1"
    assert decision.mask == ("/arguments/customer_ids",)
    assert decision.requirement == Requirement(
        stages=(Stage(name="data owner", groups=("data-owners",), people=("kim",), quorum=2),),
        must_show=("/resource", "/arguments/*/to", "facts:sql.predicate", ""),
        approve_within_s=60,
        use_within_s=30,
        report_within_s=90,
        claim_by=("gateway",),
        channel="teams:data-approvals",
        profiles={"*": "reviewer", "dpo": "full"},
        exclude=("lee",),
        require_reason=True,
        min_assurance=Assurance.PERSON,
        durability=Durability.LOCKED,
    )


def test_what_is_left_out_has_the_defaults_of_the_model():
    requirement = decode(approval(), "r1").requirement
    assert requirement == Requirement(stages=(Stage(name="data owner", groups=("data-owners",)),))


def test_a_stage_may_ask_more_people_the_longer_it_stays_open():
    said = stage(
        escalate=[
            {"after_s": 600, "approvers": {"groups": ["managers"]}},
            {"after_s": 601, "approvers": {"people": ["lee"]}},
        ]
    )
    requirement = decode(approval(stages=[said]), "r1").requirement
    assert requirement is not None
    assert requirement.stages[0].escalate == (
        Escalation(after_s=600, groups=("managers",)),
        Escalation(after_s=601, people=("lee",)),
    )


def test_an_approval_may_be_one_of_several_in_one_act():
    requirement = decode(approval(batch=True), "r1").requirement
    assert requirement is not None
    assert requirement.batch is True


def test_the_glass_may_be_broken_by_whom_policy_names():
    breakers = {"groups": ["on-call"], "people": ["kim"]}
    named = {"approvers": breakers, "review_by": {"groups": ["security"], "people": ["lee"]}}
    requirement = decode(approval(break_glass=named), "r1").requirement
    assert requirement is not None
    assert requirement.break_glass == BreakGlass(
        groups=("on-call",),
        people=("kim",),
        review_groups=("security",),
        review_people=("lee",),
    )
    for silent in ({"approvers": breakers}, {"approvers": breakers, "review_by": None}):
        requirement = decode(approval(break_glass=silent), "r1").requirement
        assert requirement is not None
        assert requirement.break_glass == BreakGlass(groups=("on-call",), people=("kim",))


def test_an_allow_needs_no_reason():
    assert decode({"effect": "allow"}, "r1") == PolicyDecision(
        effect=Effect.ALLOW, reasons=(), revision="r1"
    )


@pytest.mark.parametrize(
    ("requirement", "told"),
    [
        ({"stages": [stage(quorum=0)]}, "requirement.stages[0].quorum: 0, must be ≥ 1"),
        ({"stages": [stage(quorum=21)]}, "requirement.stages[0].quorum: 21, must be ≤ 20"),
        ({"stages": [stage(quorum=True)]}, "requirement.stages[0].quorum: must be a whole number"),
        ({"stages": [stage(quorum=1.0)]}, "requirement.stages[0].quorum: must be a whole number"),
        ({"stages": []}, "requirement.stages: must have at least 1 entries"),
        ({"stages": [stage()] * 11}, "requirement.stages: must have at most 10 entries"),
        (
            {"stages": [stage(approvers={"groups": []})]},
            "requirement.stages[0].approvers: must name at least one group or person",
        ),
        (
            {"stages": [stage(escalate=[{"after_s": 60}])]},
            "requirement.stages[0].escalate[0].approvers: must be given",
        ),
        (
            {"stages": [stage(escalate=[later(60, approvers={"groups": [], "people": []})])]},
            "requirement.stages[0].escalate[0].approvers: must name at least one group or person",
        ),
        (
            {"stages": [stage(escalate=[later(60, quorum=1)])]},
            "requirement.stages[0].escalate[0].quorum: unknown key",
        ),
        (
            {"stages": [stage(escalate=[later(0)])]},
            "requirement.stages[0].escalate[0].after_s: 0, must be ≥ 1",
        ),
        (
            {"stages": [stage(escalate=[later(2_592_001)])]},
            "requirement.stages[0].escalate[0].after_s: 2592001, must be ≤ 2592000",
        ),
        (
            {"stages": [stage(escalate=[later(90), later(60)])]},
            "requirement.stages[0].escalate: must be in order of after_s, each later",
        ),
        (
            {"stages": [stage(escalate=[later(60), later(60)])]},
            "requirement.stages[0].escalate: must be in order of after_s, each later",
        ),
        (
            {"stages": [stage(escalate=[later(at) for at in range(1, 7)])]},
            "requirement.stages[0].escalate: must have at most 5 entries",
        ),
        ({"stages": [stage(escalate=None)]}, "requirement.stages[0].escalate: must be an array"),
        ({"stagez": 1}, "requirement.stagez: unknown key"),
        ({"batch": 0}, "requirement.batch: must be true or false"),
        ({"batch": None}, "requirement.batch: must be true or false"),
        ({"break_glass": {}}, "requirement.break_glass.approvers: must be given"),
        ({"break_glass": True}, "requirement.break_glass: must be an object"),
        (
            {"break_glass": {"approvers": {}}},
            "requirement.break_glass.approvers: must name at least one group or person",
        ),
        (
            {"break_glass": {"approvers": {"groups": ["on-call"], "roles": []}}},
            "requirement.break_glass.approvers.roles: unknown key",
        ),
        (
            {"break_glass": {"approvers": {"groups": ["on-call"]}, "quorum": 2}},
            "requirement.break_glass.quorum: unknown key",
        ),
        (
            {"break_glass": {"approvers": {"groups": ["on-call"]}, "review_by": {"people": []}}},
            "requirement.break_glass.review_by: must name at least one group or person",
        ),
        (
            {"approve_within_s": 2_592_001},
            "requirement.approve_within_s: 2592001, must be ≤ 2592000",
        ),
        ({"use_within_s": 0}, "requirement.use_within_s: 0, must be ≥ 1"),
        ({"use_within_s": 86_401}, "requirement.use_within_s: 86401, must be ≤ 86400"),
        ({"report_within_s": 604_801}, "requirement.report_within_s: 604801, must be ≤ 604800"),
        ({"require_reason": 1}, "requirement.require_reason: must be true or false"),
        ({"min_assurance": SECRET}, "requirement.min_assurance: must be channel or person"),
        ({"durability": None}, "requirement.durability: must be durable or locked"),
        (
            {"profiles": {"dpo": "full"}},
            "requirement.profiles: must name a profile for *, everybody else",
        ),
        ({"profiles": {"*": "x", SECRET: 1}}, "requirement.profiles[key withheld]: must be text"),
        ({"channel": "\ud800"}, "requirement.channel: must be valid Unicode"),
        (
            {"must_show": ["/ok", "no/slash"]},
            f"requirement.must_show[1]: {POINTER_OR_FACT}",
        ),
        (
            {"must_show": ["facts:Sql."]},
            f"requirement.must_show[0]: {POINTER_OR_FACT}",
        ),
    ],
)
def test_each_broken_rule_of_a_requirement_is_named(requirement, told):
    assert breaches(approval(**requirement)) == [told]


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (None, "decision: must be an object"),
        ([], "decision: must be an object"),
        (True, "decision: must be an object"),
        ({}, "effect: must be given"),
        ({"effect": "ALLOW"}, "effect: must be allow, deny or needs_approval"),
        ({"effect": ["allow"]}, "effect: must be allow, deny or needs_approval"),
        ({"effect": "allow", "obligations": []}, "obligations: unknown key"),
        ({"effect": "deny"}, "reasons: must not be empty when effect is deny"),
        ({"effect": "deny", "reasons": []}, "reasons: must not be empty when effect is deny"),
        (
            {"effect": "allow", "mask": ["/a~2"]},
            "mask[0]: must be a JSON pointer (* is any one step)",
        ),
        (
            {"effect": "allow", "mask": ["facts:sql.verb"]},
            "mask[0]: must be a JSON pointer (* is any one step)",
        ),
        ({"effect": "allow", "mask": [""] * 201}, "mask: must have at most 200 entries"),
        (
            {"effect": "allow", "reasons": [{"code": "Export\n", "message": "m"}]},
            "reasons[0].code: must be lower-case words joined by dots, such as export.production",
        ),
        (
            {"effect": "allow", "reasons": [{"code": "a" * 65, "message": "m"}]},
            "reasons[0].code: must have at most 64 characters",
        ),
        (
            {"effect": "allow", "reasons": [{"code": "a", "message": "m" * 501}]},
            "reasons[0].message: must have at most 500 characters",
        ),
        (
            {"effect": "allow", "requirement": approval()["requirement"]},
            "requirement: must not be given when effect is allow",
        ),
        (
            {"effect": "needs_approval", "reasons": approval()["reasons"]},
            "requirement: must be given when effect is needs_approval",
        ),
    ],
)
def test_each_broken_rule_of_a_decision_is_named(result, told):
    assert breaches(result) == [told]


def test_every_broken_rule_is_named_at_once():
    result = approval(stages=[stage(quorum=0), stage(approvers={})], stagez=1, batch=0)
    result["reasons"] = []
    assert breaches(result) == [
        "requirement.stages[0].quorum: 0, must be ≥ 1",
        "requirement.stages[1].approvers: must name at least one group or person",
        "requirement.batch: must be true or false",
        "requirement.stagez: unknown key",
        "reasons: must not be empty when effect is needs_approval",
    ]


def test_a_flood_of_broken_rules_is_cut():
    told = breaches(
        {"effect": "allow", **{f"key_{chr(97 + n // 26)}{chr(97 + n % 26)}": 1 for n in range(60)}}
    )
    assert len(told) == 51
    assert told[-1] == "and 10 more"


@pytest.mark.parametrize(
    "result",
    [
        {"effect": SECRET},
        {"effect": "allow", SECRET: 1},
        {"effect": "allow", "sk_live_51habcdef": 1},
        {"effect": "allow", "mask": [SECRET]},
        {"effect": "deny", "reasons": [{"code": SECRET, "message": SECRET * 100}]},
        approval(use_within_s=4111111111111111),
        approval(profiles={SECRET: 5}),
        approval(batch=SECRET),
        approval(break_glass={"approvers": {"groups": [5]}, SECRET: 1}),
        approval(stages=[stage(escalate=[later(4111111111111111, note=SECRET)])]),
        approval(durability=SECRET),
    ],
)
def test_nothing_that_could_be_input_is_repeated(result):
    told = "\n".join(breaches(result))
    assert "4111" not in told
    assert "kim" not in told
    assert "sk_live" not in told


def _places(node, path=()):
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _places(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _places(value, (*path, index))
    yield path


WHOLE = {
    **approval(
        stages=[stage(escalate=[later(60), later(90)])],
        must_show=["/a"],
        profiles={"*": "reviewer"},
        batch=True,
        break_glass={"approvers": {"groups": ["on-call"]}, "review_by": {"people": ["lee"]}},
    ),
    "mask": ["/b"],
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(place=st.sampled_from(list(_places(WHOLE))), value=JSON)
def test_any_change_gives_a_decision_or_a_typed_refusal(place, value):
    if not place:
        result = value
    else:
        result = copy.deepcopy(WHOLE)
        target = result
        for step in place[:-1]:
            target = target[step]
        target[place[-1]] = value
    try:
        decision = decode(result, "r1")
    except PolicyError as error:
        refusal = error
    else:
        assert decision.effect in Effect
        assert (decision.requirement is not None) == (decision.effect is Effect.NEEDS_APPROVAL)
        return
    assert refusal.code == "policy.invalid"
    assert refusal.detail
