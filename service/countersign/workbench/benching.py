"""`bench`: what a decision costs, case by case, and which rules it is spent in.

By OPA's own timers, in an OPA of ours that serves the policy as a service does;
where the time goes is asked of another one, since profiling costs more than
what it measures. Blocking; called by the command line.
"""

from __future__ import annotations

import asyncio
import dataclasses
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from countersign import canonical
from countersign.errors import ConfigurationError, PolicyError
from countersign.model import JsonObject, JsonValue
from countersign.policy import generated
from countersign.policy.bundle import build
from countersign.policy.child import OpaChild, OpaSettings
from countersign.policy.snapshot import Snapshot
from countersign.policy.syntax import Module, Rule, parse
from countersign.workbench.opa_command import workplace

_DEADLINE_S: Final = 10.0
_WARM_UP: Final = 10
_EVAL: Final = "timer_rego_query_eval_ns"
_HANDLER: Final = "timer_server_handler_ns"
_PER_ACTION: Final = 3
_PROFILED: Final = 20
"""How often each question is asked for the profile: the first time is a slow one."""
_QUERY: Final = "count([d | some q in input; d := data.countersign.decision with input as q])"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One question that is timed."""

    action: str
    name: str
    question: JsonObject = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one question costs, in microseconds of OPA's time."""

    action: str
    name: str
    evaluation_us: float
    """The median."""
    evaluation_p99_us: float
    whole_us: float
    """The median with parsing the input and writing the answer."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What is spent in one rule, over all questions together."""

    rule: str
    place: str
    share: float
    """Of the time in all rules, 0 to 1."""
    evaluations: int
    """Of its expressions."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Benched:
    """One run."""

    revision: str
    costs: tuple[Cost, ...]
    spent: tuple[Spent, ...]


def made_up(opa: Path, policy: Snapshot) -> list[Asked]:
    """Questions for a policy without tables: a few for each action it mentions."""
    words = generated.vocabulary(parse(opa, policy.compiled()))
    count = _PER_ACTION * len(words.actions)
    return [
        Asked(
            action=question["context"]["action"],
            name=f"generated {number // len(words.actions) + 1}",
            question=question,
        )
        for number, question in enumerate(generated.questions(words, count=count))
    ]


def bench(opa: Path, policy: Snapshot, asked: Sequence[Asked], *, repeat: int) -> Benched:
    """Time each question. Raises `ConfigurationError` when the policy does not answer it."""
    opa = opa.absolute()
    return Benched(
        revision=policy.revision,
        costs=tuple(asyncio.run(_timed(opa, policy, asked, repeat))),
        spent=tuple(_profiled(opa, policy, asked)),
    )


async def _timed(opa: Path, policy: Snapshot, asked: Sequence[Asked], repeat: int) -> list[Cost]:
    bundle = await asyncio.to_thread(build, opa, policy)
    child = await OpaChild.start(opa, bundle, OpaSettings())
    try:
        return [await _cost(child, each, repeat) for each in asked]
    finally:
        await child.stop()


async def _cost(child: OpaChild, asked: Asked, repeat: int) -> Cost:
    sent = canonical.encode(asked.question)
    found: list[dict[str, int]] = []
    try:
        for number in range(_WARM_UP + repeat):
            timers = await child.client.timers(sent, deadline_s=_DEADLINE_S)
            if number >= _WARM_UP:
                found.append(timers)
    except PolicyError as error:
        raise ConfigurationError(
            "policy.not_timed",
            f"{asked.name}: {error.code}: {error.detail or error.message}",
            advice="`countersign policy check` says what is wrong with the policy.",
        ) from None
    evaluation = sorted(timers.get(_EVAL, 0) / 1000 for timers in found)
    return Cost(
        action=asked.action,
        name=asked.name,
        evaluation_us=statistics.median(evaluation),
        evaluation_p99_us=evaluation[min(len(evaluation) - 1, int(len(evaluation) * 0.99))],
        whole_us=statistics.median(timers.get(_HANDLER, 0) / 1000 for timers in found),
    )


# --- where it goes -----------------------------------------------------------


def _profiled(opa: Path, policy: Snapshot, asked: Sequence[Asked]) -> list[Spent]:
    compiled = policy.compiled()
    questions: list[JsonValue] = [each.question for each in asked]
    with workplace(opa, compiled) as place:
        done = place.run(
            *("eval", *place.allowed, "--bundle", ".", "--stdin-input", "--format", "json"),
            *("--profile", "--profile-limit", "100000", _QUERY),
            given=canonical.encode(questions * _PROFILED).decode(),
        )
    told = done.json()
    lines = told.get("profile") if isinstance(told, dict) else None
    return _by_rule(parse(opa, compiled), lines or [])


def _by_rule(modules: Sequence[Module], lines: Sequence[dict[str, Any]]) -> list[Spent]:
    """OPA's profile is by expression; each belongs to the rule that begins above it."""
    rules = {str(module.file): sorted(module.rules, key=lambda r: r.row) for module in modules}
    found: dict[str, tuple[Rule, int, int]] = {}
    for line in lines:
        location = line.get("location") or {}
        above = [r for r in rules.get(location.get("file", ""), ()) if r.row <= location["row"]]
        if above:
            rule = above[-1]
            _, time_ns, count = found.get(rule.place, (rule, 0, 0))
            time_ns, count = time_ns + line["total_time_ns"], count + line["num_eval"]
            found[rule.place] = (rule, time_ns, count)
    whole = sum(time_ns for _, time_ns, _ in found.values()) or 1
    spent = [
        Spent(
            rule=f"{rule.package}.{rule.name}" + (f" [{rule.code}]" if rule.code else ""),
            place=place,
            share=time_ns / whole,
            evaluations=count,
        )
        for place, (rule, time_ns, count) in found.items()
    ]
    return sorted(spent, key=lambda each: (-each.share, each.place))
