"""`policy check`: what is wrong with a policy, before anybody asks it."""

from __future__ import annotations

import dataclasses
import itertools
import shutil
from pathlib import Path
from typing import Annotated

import typer

from countersign.cli import output
from countersign.cli.operator import ConfigOption, JsonOption
from countersign.cli.policy import chosen
from countersign.cli.policy.chosen import DirectoryArgument
from countersign.policy.probing import ProbeSettings
from countersign.workbench import checking

app = typer.Typer()


@app.command()
@chosen.judged
def check(
    directory: DirectoryArgument = Path("policy"),
    questions: Annotated[
        int, typer.Option(help="How many generated questions the contract is tried with.", min=0)
    ] = 1000,
    seed: Annotated[int, typer.Option(help="Another one makes other questions.", min=0)] = 0,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> int:
    """Check form, types and contract of a policy. Exit code 0 clean, 1 findings, 2 wrong usage."""
    policy = chosen.policy_in(directory)
    regal = shutil.which("regal")
    checked = checking.check(
        chosen.opa(chosen.settings(config)),
        policy,
        ProbeSettings(questions=questions, seed=seed, max_s=120),
        regal=Path(regal) if regal else None,
    )
    _tell(directory, checked, as_json=as_json)
    return 1 if checked.findings else 0


def _tell(directory: Path, checked: checking.Checked, *, as_json: bool) -> None:
    findings = [
        dataclasses.replace(finding, place=chosen.shown(directory, finding.place))
        for finding in checked.findings
    ]
    if as_json:
        output.as_json(
            {
                "ok": not findings,
                "revision": checked.revision,
                "questions": checked.questions,
                "regal": checked.regal,
                "findings": [dataclasses.asdict(finding) for finding in findings],
            }
        )
        return
    for group, found in itertools.groupby(findings, lambda finding: finding.group):
        print(f"{checking.TITLES[group]}:")
        for finding in found:
            print(f"  {output.safe(f'{finding.place} {finding.message}')}")
    if not checked.questions:
        print("The contract was not tried: the policy does not compile, or no question was wanted.")
    print(_summary(checked))


def _summary(checked: checking.Checked) -> str:
    count = len(checked.findings)
    if count:
        return f"{count} finding{'s' if count > 1 else ''} in {checked.revision}."
    regal = "" if checked.regal else " (Regal is not on PATH.)"
    return f"{checked.revision} is clean, {checked.questions} questions included.{regal}"
