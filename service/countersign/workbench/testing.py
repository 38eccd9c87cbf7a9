"""`test`: a policy's own tests in Rego and its decision tables, by one real OPA.

Every test becomes an `Outcome`; what differs is said so that it can be mended
without reading a trace. Called by the command line.
"""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

from countersign import canonical
from countersign.errors import ConfigurationError, PolicyError
from countersign.policy.bundle import build
from countersign.policy.child import OpaChild, OpaSettings
from countersign.policy.snapshot import Snapshot
from countersign.sanitize import Sanitizer
from countersign.workbench import tables, trace
from countersign.workbench.comparing import differences
from countersign.workbench.opa_command import Output, Workplace, workplace

_DEADLINE_S: Final = 5.0
_FIX: Final = "Correct it, or ask `countersign policy check` for all that is wrong."


class Result(enum.StrEnum):
    """How one test ended."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    SKIP = "skip"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One test or case."""

    place: str
    """`export_test.rego:12`, below the policy's directory."""
    suite: str
    """The package of a test, the title of a table."""
    name: str
    result: Result
    detail: tuple[str, ...] = ()
    """What differs, a line each."""
    duration_s: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How much of the rules the tests reach."""

    percent: float
    missed: Mapping[str, tuple[tuple[int, int], ...]]
    """Of each file, first and last rows that no test reached."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """All of one run."""

    revision: str
    outcomes: tuple[Outcome, ...]
    coverage: Coverage | None

    @property
    def failed(self) -> int:
        return sum(each.result is Result.FAIL for each in self.outcomes)


def run(
    opa: Path, policy: Snapshot, sanitizer: Sanitizer, *, only: str = "", coverage: bool = False
) -> Tested:
    """Run what matches. Raises `ConfigurationError` for what cannot be run. Blocking."""
    wanted = _pattern(only)
    found = table_cases(policy, sanitizer)
    chosen = [case for case in found if wanted.search(case.title)]
    with workplace(opa, policy.files) as place:
        outcomes = [*_in_rego(place, only), *_in_tables(opa.absolute(), policy, chosen)]
        covered = _coverage(place, chosen) if coverage else None
    return Tested(revision=policy.revision, outcomes=tuple(outcomes), coverage=covered)


def table_cases(policy: Snapshot, sanitizer: Sanitizer) -> list[tables.Case]:
    """Every case of every table of a policy. Raises `ConfigurationError` for a wrong table."""
    found: list[tables.Case] = []
    try:
        for file in sorted(policy.files):
            if file.name.endswith(tables.SUFFIX):
                found += tables.cases(file, policy.files[file], sanitizer)
    except tables.TableError as error:
        raise ConfigurationError(
            "policy.table_invalid", str(error), advice="docs/policy.md shows a whole table."
        ) from None
    return found


def _pattern(only: str) -> re.Pattern[str]:
    try:
        return re.compile(only)
    except re.error as error:
        raise ConfigurationError(
            "policy.pattern_invalid",
            f"--run: is no regular expression: {error.msg}",
            advice="Give a part of a name, such as --run export.",
        ) from None


# --- tests in Rego -----------------------------------------------------------


def _in_rego(place: Workplace, only: str) -> Iterator[Outcome]:
    run = ["--run", only] if only else []
    done = place.run("test", *place.allowed, "--bundle", ".", "--format", "json", *run)
    told = done.json()
    if not isinstance(told, list):
        raise _not_compiled(done)
    for each in told:
        location = each.get("location") or {}
        yield Outcome(
            place=f"{location.get('file', '')}:{location.get('row', 0)}",
            suite=str(each.get("package", "")).removeprefix("data."),
            name=str(each.get("name", "")),
            result=_result(each),
            detail=tuple(_why(place, each)),
            duration_s=each.get("duration", 0) / 1e9,
        )


def _not_compiled(done: Output) -> ConfigurationError:
    words = (done.stderr or done.stdout).strip()
    return ConfigurationError(
        "policy.not_compiled", f"policy does not compile: {words}", advice=_FIX
    )


def _result(each: Mapping[str, Any]) -> Result:
    if each.get("skip"):
        return Result.SKIP
    return Result.FAIL if each.get("fail") or each.get("error") else Result.PASS


def _why(place: Workplace, each: Mapping[str, Any]) -> Iterator[str]:
    """The condition that a failed test stopped at."""
    if error := each.get("error"):
        yield from str(error.get("message", "failed")).splitlines()
    elif each.get("fail"):
        query = f"{each['package']}.{each['name']}"
        arguments = ["--format", "json", "--explain", "full", "--disable-indexing"]
        done = place.run("eval", *place.allowed, "--bundle", ".", *arguments, query)
        events = (done.json() or {}).get("explanation") or ()
        location = each.get("location") or {}
        at = (str(PurePosixPath(str(location.get("file", "")))), location.get("row"))
        own = [tried for tried in trace.tries(events) if tried.place == at]
        stopped = own[-1].failing() if own else None
        if stopped is not None:
            yield f"{stopped.place[0]}:{stopped.place[1]} does not hold: {_source(place, stopped)}"


def _source(place: Workplace, step: trace.Step) -> str:
    file, row = step.place
    lines = (place.source / file).read_text("utf-8", "replace").splitlines()
    return lines[row - 1].strip() if 0 < row <= len(lines) else ""


# --- decision tables ---------------------------------------------------------


def _in_tables(opa: Path, policy: Snapshot, cases: Sequence[tables.Case]) -> list[Outcome]:
    return asyncio.run(_asked(opa, policy, cases)) if cases else []


async def _asked(opa: Path, policy: Snapshot, cases: Sequence[tables.Case]) -> list[Outcome]:
    """One OPA that serves the policy answers all cases, as it would answer a service."""
    bundle = await asyncio.to_thread(build, opa, policy)
    child = await OpaChild.start(opa, bundle, OpaSettings())
    try:
        return [await _case(child, case) for case in cases]
    finally:
        await child.stop()


async def _case(child: OpaChild, case: tables.Case) -> Outcome:
    clock = asyncio.get_running_loop().time
    since = clock()
    try:
        answer = await child.client.decide(canonical.encode(case.question), deadline_s=_DEADLINE_S)
        found = differences(case.expect, answer)
    except PolicyError as error:
        found = [f"{error.code}: {line}" for line in (error.detail or error.message).splitlines()]
    return Outcome(
        place=f"{case.file}:{case.line}",
        suite=case.table,
        name=case.name,
        result=Result.FAIL if found else Result.PASS,
        detail=tuple(found),
        duration_s=clock() - since,
    )


# --- coverage ----------------------------------------------------------------


def _coverage(place: Workplace, cases: Sequence[tables.Case]) -> Coverage:
    """Of tests and tables together: each case is a test that asks and expects nothing."""
    written = PurePosixPath("countersign_cases_test.rego")
    lines = ["package countersign.cases_for_coverage", ""]
    for number, case in enumerate(cases):
        asked = canonical.encode(case.question).decode()
        lines.append(f"test_{number} if data.countersign.decision with input as {asked}")
    (place.source / written).write_text("\n".join(lines) + "\n", "utf-8")
    done = place.run("test", *place.allowed, "--bundle", ".", "--format", "json", "--coverage")
    told = done.json()
    if not isinstance(told, dict):
        raise _not_compiled(done)
    missed = {
        file.removeprefix("./"): tuple(_rows(report["not_covered"]))
        for file, report in sorted((told.get("files") or {}).items())
        if report.get("not_covered") and not file.endswith("_test.rego")
    }
    return Coverage(percent=float(told.get("coverage", 0.0)), missed=missed)


def _rows(ranges: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, int]]:
    for each in ranges:
        yield int(each["start"]["row"]), int(each["end"]["row"])
