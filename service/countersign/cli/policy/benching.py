"""`policy bench`: what a decision costs, and where."""

from __future__ import annotations

import dataclasses
import statistics
from pathlib import Path
from typing import Annotated

import typer

from countersign.cli import output
from countersign.cli.operator import ConfigOption, JsonOption
from countersign.cli.policy import chosen
from countersign.cli.policy.chosen import DirectoryArgument
from countersign.workbench import benching
from countersign.workbench.benching import Asked, Benched
from countersign.workbench.testing import table_cases

app = typer.Typer()


@app.command()
@chosen.judged
def bench(
    directory: DirectoryArgument = Path("policy"),
    repeat: Annotated[int, typer.Option(help="How often each case is asked.", min=1)] = 200,
    top: Annotated[int, typer.Option(help="How many rules to name.", min=1)] = 10,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> int:
    """Time a policy: each case of its tables, and the most expensive rules."""
    settings = chosen.settings(config)
    opa = chosen.opa(settings)
    policy = chosen.policy_in(directory)
    asked = [
        Asked(action=str(_action(case.question)), name=case.title, question=case.question)
        for case in table_cases(policy, chosen.sanitizer(settings))
    ] or benching.made_up(opa, policy)
    found = benching.bench(opa, policy, asked, repeat=repeat)
    if as_json:
        output.as_json(dataclasses.asdict(found))
    else:
        _tell(directory, found, repeat=repeat, top=top)
    return 0


def _action(question: object) -> object:
    context = question["context"] if isinstance(question, dict) else {}
    return context["action"] if isinstance(context, dict) else ""


def _tell(directory: Path, found: Benched, *, repeat: int, top: int) -> None:
    print(f"{found.revision}: {repeat} times each, microseconds of OPA's own time")
    print(f"{'median':>8} {'p99':>8} {'whole':>8}  case")
    for cost in sorted(found.costs, key=lambda each: -each.evaluation_us):
        numbers = (cost.evaluation_us, cost.evaluation_p99_us, cost.whole_us)
        cells = " ".join(f"{number:8.0f}" for number in numbers)
        print(output.safe(f"{cells}  {cost.action}: {cost.name}"))
    if found.costs:
        middle = statistics.median(cost.evaluation_us for cost in found.costs)
        print(f"{middle:8.0f} {'':8} {'':8}  the case in the middle")
    print(f"\n{'share':>6} {'evaluated':>10}  rule")
    for spent in found.spent[:top]:
        place = chosen.shown(directory, spent.place)
        print(output.safe(f"{spent.share:6.1%} {spent.evaluations:10}  {spent.rule}  ({place})"))
