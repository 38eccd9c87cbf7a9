"""The policy contract: what `data.countersign.decision` may say, to the letter.

Invariant 2: policy's answer is checked as strictly as a caller's request. An
unknown key, a wrong type, a bound passed or a demand nobody here enforces is
`policy.invalid`, with every broken rule named in an author's words. Strings of
an answer may carry input, so they are never quoted (invariant 3). Pure; called
by `opa` for every answer, and by the policy author's tools.
"""

from __future__ import annotations

import itertools
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from countersign import model
from countersign.errors import PolicyError
from countersign.policy.breaches import author_words

DAY_S: Final = 86_400
_POINTER: Final = r"(?:/(?:[^~/]|~[01])*)*"
_FACT: Final = r"facts:[a-z][a-z0-9_]*(?:\.[a-z0-9_]+)*"


def _everybody(profiles: dict[str, str]) -> dict[str, str]:
    if "*" not in profiles:
        raise PydanticCustomError("profiles", "must name a profile for *, everybody else")
    return profiles


Name = Annotated[str, Field(min_length=1, max_length=200)]
Pointer = Annotated[str, Field(pattern=rf"\A{_POINTER}\z", max_length=500)]
PointerOrFact = Annotated[str, Field(pattern=rf"\A(?:{_POINTER}|{_FACT})\z", max_length=500)]
Names = Annotated[list[Name], Field(max_length=200)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class _Reason(_Strict):
    """Why, for machines and for people."""

    code: Annotated[
        str,
        Field(
            pattern=r"\A[a-z][a-z0-9_.]*\z",
            max_length=64,
            description="A stable name that agents and auditors match on.",
        ),
    ]
    message: Annotated[
        str, Field(min_length=1, max_length=500, description="One sentence; never input.")
    ]


class _Approvers(_Strict):
    """Who may decide."""

    groups: Annotated[Names, Field(description="Names of groups.")] = []
    people: Annotated[Names, Field(description="Person ids.")] = []


def _somebody(approvers: _Approvers) -> _Approvers:
    if not approvers.groups and not approvers.people:
        raise PydanticCustomError("approvers", "must name at least one group or person")
    return approvers


Somebody = Annotated[_Approvers, AfterValidator(_somebody)]


class _Escalation(_Strict):
    """Who may approve as well when a stage has been open for long."""

    after_s: Annotated[
        int, Field(ge=1, le=30 * DAY_S, description="Once the stage has been open so long.")
    ]
    approvers: Annotated[Somebody, Field(description="At least one group or person.")]


def _later_each(steps: list[_Escalation]) -> list[_Escalation]:
    if any(later.after_s <= step.after_s for step, later in itertools.pairwise(steps)):
        raise PydanticCustomError("escalate", "must be in order of after_s, each later")
    return steps


class _Stage(_Strict):
    """One question to people."""

    name: Annotated[Name, Field(description="As people read it.")]
    approvers: Annotated[Somebody, Field(description="At least one group or person.")]
    quorum: Annotated[
        int, Field(ge=1, le=20, description="How many different people have to approve.")
    ] = 1
    escalate: Annotated[
        list[_Escalation],
        Field(max_length=5, description="In order of `after_s`, each later."),
        AfterValidator(_later_each),
    ] = []


class _BreakGlass(_Strict):
    """An emergency: one person may approve alone, and somebody else looks at it afterwards."""

    approvers: Annotated[Somebody, Field(description="One of these may approve alone.")]
    review_by: Annotated[
        Somebody | None, Field(description="Who looks at it afterwards; null: of the stages.")
    ] = None


class _Requirement(_Strict):
    """What people have to do before the action may run."""

    stages: Annotated[list[_Stage], Field(min_length=1, max_length=10, description="In order.")]
    must_show: Annotated[
        list[PointerOrFact],
        Field(max_length=200, description="What an approver must have seen; `facts:<name>` too."),
    ] = []
    approve_within_s: Annotated[
        int, Field(ge=1, le=30 * DAY_S, description="From Check until the votes are in.")
    ] = 3600
    use_within_s: Annotated[
        int, Field(ge=1, le=DAY_S, description="From the last vote until the Claim.")
    ] = 300
    report_within_s: Annotated[
        int, Field(ge=1, le=7 * DAY_S, description="From the Claim until the outcome is told.")
    ] = 900
    claim_by: Annotated[
        Names, Field(description="Audiences that may claim; empty: the requesting caller.")
    ] = []
    channel: Annotated[
        str, Field(max_length=200, description="Where the card goes; empty: the server's default.")
    ] = ""
    profiles: Annotated[
        dict[Name, Name],
        Field(max_length=200, description="Group to mask profile; `*` is everybody else."),
        AfterValidator(_everybody),
    ] = {"*": "reviewer"}
    exclude: Annotated[Names, Field(description="People who must not decide.")] = []
    require_reason: Annotated[bool, Field(description="An approval needs words.")] = False
    min_assurance: Annotated[
        Literal["channel", "person"], Field(description="Who has to say who voted.")
    ] = "channel"
    durability: Annotated[
        Literal["durable", "locked"], Field(description="`locked`: under Object Lock first.")
    ] = "durable"
    batch: Annotated[bool, Field(description="May be approved among several in one act.")] = False
    break_glass: Annotated[
        _BreakGlass | None, Field(description="Who may approve alone in an emergency.")
    ] = None


class _Decision(_Strict):
    """The answer to one question."""

    effect: Annotated[
        Literal["allow", "deny", "needs_approval"], Field(description="What is decided.")
    ]
    reasons: Annotated[
        list[_Reason],
        Field(max_length=50, description="Never empty for `deny` and `needs_approval`."),
    ] = []
    requirement: Annotated[
        _Requirement | None, Field(description="Exactly with `needs_approval`.")
    ] = None
    mask: Annotated[
        list[Pointer],
        Field(max_length=200, description="Masked on every card and in the record."),
    ] = []


def decision_schema() -> dict[str, Any]:
    """JSON Schema of the answer, as far as one can say it: see `_rules_of_the_whole`."""
    return _Decision.model_json_schema()


def decode(result: object, revision: str) -> model.PolicyDecision:
    """The decision that one value of `data.countersign.decision` stands for.

    `result` is parsed JSON. Raises `PolicyError` `policy.invalid` whose `detail`
    has one line for each broken rule.
    """
    decision, errors = None, []
    try:
        decision = _Decision.model_validate(result)
    except ValidationError as error:
        errors = error.errors(include_url=False)
    breaches = author_words(errors) + _rules_of_the_whole(result)
    # Raised outside the handler: a ValidationError kept as context holds the answer.
    if decision is None or breaches:
        raise PolicyError(
            "policy.invalid",
            "policy answered what the contract does not allow",
            retryable=False,
            detail="\n".join(breaches),
        )
    said = decision.requirement
    return model.PolicyDecision(
        effect=model.Effect(decision.effect),
        reasons=tuple(model.Reason(code=r.code, message=r.message) for r in decision.reasons),
        revision=revision,
        requirement=None if said is None else _requirement(said),
        mask=tuple(decision.mask),
    )


def _rules_of_the_whole(result: object) -> list[str]:
    """Rules between fields, judged even when a field is broken by itself."""
    if not isinstance(result, dict):
        return []
    effect, breaches = result.get("effect"), []
    if effect in ("deny", "needs_approval") and not result.get("reasons"):
        breaches.append(f"reasons: must not be empty when effect is {effect}")
    if effect == "needs_approval" and result.get("requirement") is None:
        breaches.append("requirement: must be given when effect is needs_approval")
    if effect in ("allow", "deny") and result.get("requirement") is not None:
        breaches.append(f"requirement: must not be given when effect is {effect}")
    return breaches


def _requirement(said: _Requirement) -> model.Requirement:
    return model.Requirement(
        stages=tuple(
            model.Stage(
                name=stage.name,
                groups=tuple(stage.approvers.groups),
                people=tuple(map(model.PersonId, stage.approvers.people)),
                quorum=stage.quorum,
                escalate=tuple(
                    model.Escalation(
                        after_s=step.after_s,
                        groups=tuple(step.approvers.groups),
                        people=tuple(map(model.PersonId, step.approvers.people)),
                    )
                    for step in stage.escalate
                ),
            )
            for stage in said.stages
        ),
        must_show=tuple(said.must_show),
        approve_within_s=said.approve_within_s,
        use_within_s=said.use_within_s,
        report_within_s=said.report_within_s,
        claim_by=tuple(said.claim_by),
        channel=said.channel,
        profiles=said.profiles,
        exclude=tuple(said.exclude),
        require_reason=said.require_reason,
        min_assurance=model.Assurance(said.min_assurance),
        durability=model.Durability(said.durability),
        batch=said.batch,
        break_glass=None if said.break_glass is None else _break_glass(said.break_glass),
    )


def _break_glass(said: _BreakGlass) -> model.BreakGlass:
    afterwards = said.review_by or _Approvers()
    return model.BreakGlass(
        groups=tuple(said.approvers.groups),
        people=tuple(map(model.PersonId, said.approvers.people)),
        review_groups=tuple(afterwards.groups),
        review_people=tuple(map(model.PersonId, afterwards.people)),
    )
