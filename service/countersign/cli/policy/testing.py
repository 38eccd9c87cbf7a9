"""`policy test`: tests in Rego and decision tables, once or whenever something changes."""

from __future__ import annotations

import dataclasses
import itertools
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from countersign.cli import output
from countersign.cli.operator import ConfigOption, JsonOption
from countersign.cli.policy import chosen
from countersign.cli.policy.chosen import DirectoryArgument
from countersign.errors import ConfigurationError
from countersign.policy.snapshot import Snapshot
from countersign.policy.sources.directory import DirectorySource
from countersign.sanitize import Sanitizer
from countersign.workbench import junit, testing, watching
from countersign.workbench.testing import Result, Tested

app = typer.Typer()
_LOOK_EVERY_S = 0.3
_MARKS = {Result.PASS: "ok  ", Result.FAIL: "FAIL", Result.SKIP: "skip"}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What was typed."""

    directory: Path
    only: str
    verbose: bool
    coverage: bool
    threshold: float
    as_json: bool
    junit: Path | None


@app.command("test")
@chosen.judged
def run(
    directory: DirectoryArgument = Path("policy"),
    watch: Annotated[
        bool, typer.Option("--watch", help="Run again whenever a file changes, until Ctrl-C.")
    ] = False,
    only: Annotated[
        str, typer.Option("--run", metavar="PATTERN", help="Only tests and cases of such names.")
    ] = "",
    verbose: Annotated[bool, typer.Option("--verbose", help="List what passed as well.")] = False,
    coverage: Annotated[
        bool, typer.Option("--coverage", help="Say which rows of the rules no test reaches.")
    ] = False,
    threshold: Annotated[
        float, typer.Option(help="Fail below this percentage of rows.", min=0, max=100)
    ] = 0,
    junit: Annotated[
        Path | None, typer.Option(help="Write the results as JUnit XML as well.")
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> int:
    """Run tests and decision tables. Exit code 0 all pass, 1 some fail, 2 wrong usage."""
    settings = chosen.settings(config)
    opa = chosen.opa(settings)
    sanitizer = chosen.sanitizer(settings)
    wanted = _Wanted(
        directory=directory,
        only=only,
        verbose=verbose,
        coverage=coverage or threshold > 0,
        threshold=threshold,
        as_json=as_json,
        junit=junit,
    )
    if not watch:
        return _once(opa, chosen.policy_in(directory), sanitizer, wanted)
    if as_json:
        raise ConfigurationError(
            "policy.watch_json", "--watch, --json: give one of them", advice="JSON is one run."
        )
    _ = chosen.policy_in(directory)  # a directory that is not there is wrong usage
    _watch(opa, sanitizer, wanted)
    return 0


def _once(opa: Path, policy: Snapshot, sanitizer: Sanitizer, wanted: _Wanted) -> int:
    tested = testing.run(opa, policy, sanitizer, only=wanted.only, coverage=wanted.coverage)
    if wanted.junit is not None:
        wanted.junit.write_text(junit.xml(tested), "utf-8")
    if wanted.as_json:
        output.as_json(_as_json(tested, wanted))
    else:
        _tell(tested, wanted)
    return 0 if _good(tested, wanted) else 1


def _watch(opa: Path, sanitizer: Sanitizer, wanted: _Wanted) -> None:
    def act(policy: Snapshot) -> None:
        _ = _once(opa, policy, sanitizer, wanted)
        print("Waiting for a change; Ctrl-C ends this.", flush=True)

    def failed(error: ConfigurationError) -> None:
        print(f"countersign: {output.safe(str(error))}", file=sys.stderr)
        print("Waiting for a change; Ctrl-C ends this.", flush=True)

    def pause() -> bool:
        time.sleep(_LOOK_EVERY_S)
        return True

    try:
        watching.watch(DirectorySource(wanted.directory), act, failed, pause)
    except KeyboardInterrupt:
        print()


def _good(tested: Tested, wanted: _Wanted) -> bool:
    enough = tested.coverage is None or tested.coverage.percent >= wanted.threshold
    return not tested.failed and enough and bool(tested.outcomes)


def _as_json(tested: Tested, wanted: _Wanted) -> dict[str, object]:
    return {
        "ok": _good(tested, wanted),
        "revision": tested.revision,
        "tests": [
            {
                **dataclasses.asdict(each),
                "place": chosen.shown(wanted.directory, each.place),
            }
            for each in tested.outcomes
        ],
        "coverage": dataclasses.asdict(tested.coverage) if tested.coverage else None,
    }


def _tell(tested: Tested, wanted: _Wanted) -> None:
    for suite, outcomes in itertools.groupby(tested.outcomes, lambda outcome: outcome.suite):
        shown = [each for each in outcomes if wanted.verbose or each.result is not Result.PASS]
        if shown:
            print(output.safe(suite))
        for each in shown:
            place = chosen.shown(wanted.directory, each.place)
            print(f"  {_MARKS[each.result]} {output.safe(f'{each.name}  ({place})')}")
            for line in each.detail:
                print(f"         {output.safe(line)}")
    if tested.coverage is not None:
        _tell_coverage(tested.coverage, wanted)
    print(_summary(tested))


def _tell_coverage(coverage: testing.Coverage, wanted: _Wanted) -> None:
    for file, ranges in coverage.missed.items():
        rows = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges)
        print(f"not reached: {chosen.shown(wanted.directory, file)}: {rows}")
    least = f" (at least {wanted.threshold:g} % wanted)" if wanted.threshold else ""
    print(f"Coverage: {coverage.percent:.1f} % of the rows of the rules{least}.")


def _summary(tested: Tested) -> str:
    if not tested.outcomes:
        return "There is nothing to run: no *_test.rego, no *_cases.yaml, or no such name."
    counts = {result: sum(each.result is result for each in tested.outcomes) for result in Result}
    words = [f"{counts[Result.PASS]} passed"]
    words += [f"{counts[Result.FAIL]} failed"] if counts[Result.FAIL] else []
    words += [f"{counts[Result.SKIP]} skipped"] if counts[Result.SKIP] else []
    return f"{', '.join(words)} in {tested.revision}."
