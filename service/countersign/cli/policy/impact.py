"""`policy impact`: what recorded decisions would have been under another policy."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import gc
import os
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from countersign.audit.criteria import Criteria, stamp
from countersign.audit.reading import find_records
from countersign.audit.source import Source
from countersign.cli import output
from countersign.cli.audit.chosen import Given, LogOption, TenantOption
from countersign.cli.audit.finding import past
from countersign.cli.operator import ConfigOption
from countersign.cli.policy.chosen import objects_of, opa, settings
from countersign.errors import ConfigurationError
from countersign.policy.snapshot import Snapshot
from countersign.policy.sources.bundle import BundleSource
from countersign.policy.sources.directory import snapshot
from countersign.policy.sources.file import FilePlace
from countersign.sanitize import Sanitizer
from countersign.workbench.impact import telling
from countersign.workbench.impact.answers import EVERY_PART, Part
from countersign.workbench.impact.recorded import Unreplayed
from countersign.workbench.impact.replay import Choice, chosen, replay
from countersign.workbench.impact.summary import Summary, Verdict

app = typer.Typer()

_MAX_BUNDLE_BYTES = 64 * 1024 * 1024
FAILED = 3
"""The exit code when something named by `--fail-on` was found."""


class Format(enum.Enum):
    """How it is told."""

    TEXT = "text"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"


class FailOn(enum.Enum):
    """What makes the exit code 3."""

    CHANGED = "changed"
    LOOSENED = "loosened"
    TIGHTENED = "tightened"
    DEPENDS = "depends"
    UNREPLAYED = "unreplayed"


@app.command()
def impact(
    bundle: Annotated[Path, typer.Option(help="The candidate: a directory of Rego, or a bundle.")],
    since: Annotated[str, typer.Option(metavar="TIME", help="From then on: 2026-12-01, 7d.")] = "",
    until: Annotated[str, typer.Option(metavar="TIME", help="Before then.")] = "",
    action: Annotated[str, typer.Option(help="Only like db.export, or db.*.")] = "",
    compare: Annotated[
        list[Part] | None, typer.Option(help="What counts as a change; default: all of it.")
    ] = None,
    fail_on: Annotated[
        list[FailOn] | None, typer.Option("--fail-on", help="Exit code 3 when there is any.")
    ] = None,
    limit: Annotated[int, typer.Option(help="A random sample of so many; 0: all.", min=0)] = 0,
    seed: Annotated[int, typer.Option(help="Which sample.")] = 0,
    format: Annotated[Format, typer.Option(help="How it is told.")] = Format.TEXT,
    log: LogOption = None,
    tenant: TenantOption = "default",
    config: ConfigOption = None,
) -> int:
    """Replay recorded decisions against a candidate. Exit code 0 done, 3 what --fail-on names."""
    choice = Choice(
        action=action,
        since=past("--since", since),
        until=past("--until", until, end_of_day=True),
        limit=limit,
        seed=seed,
    )
    if choice.since and choice.until and choice.since >= choice.until:
        raise typer.BadParameter("--since, --until: the first must be before the other")
    source = Given(log=log, tenant=tenant, config=config).source()
    candidate, parts = _candidate(bundle), frozenset(compare or EVERY_PART)
    about = {"candidate": str(bundle), "revision": candidate.revision, "since": choice.since}
    summary = Summary()
    with _without_collector():
        asyncio.run(_run(source, candidate, choice, parts, summary, opa(settings(config)), format))
    if not summary.replayed and not source.inventory().segments:
        raise ConfigurationError(
            "audit.no_log",
            "there is no record of a log there",
            advice="Name the directory or address that holds a log's `records`, with --log or "
            "--tenant: nothing was compared.",
        )
    _tell(summary, about, format)
    return FAILED if any(map(_found(summary).get, fail_on or ())) else 0


def _candidate(path: Path) -> Snapshot:
    """The policy in a directory or a ready-made bundle; signatures are not looked at."""
    if not path.is_file():
        return snapshot(path)
    found = BundleSource(FilePlace(path, max_bytes=_MAX_BUNDLE_BYTES), None).fetch("")
    assert found is not None  # noqa: S101 - no version is the empty one
    return found


async def _run(
    source: Source,
    candidate: Snapshot,
    choice: Choice,
    parts: frozenset[Part],
    summary: Summary,
    opa: Path,
    format: Format,
) -> None:
    serving, judge_of = _extra()
    sanitizer = Sanitizer()
    records = find_records(source, _with_a_margin(choice))
    wanted = chosen(records, objects_of(source), sanitizer, choice, summary)
    if format is Format.CSV:
        print(telling.csv_line(telling.COLUMNS))
    async with serving(opa, candidate) as asked:
        judge = judge_of(
            asked, label=sanitizer.label, parts=parts, traces_at_once=os.cpu_count() or 1
        )
        with _progress_bar() as progress:
            async for one in replay(wanted, judge, parts, summary, progress=progress):
                if format is Format.CSV and one.verdict is not Verdict.SAME:
                    print(output.safe(telling.csv_line(telling.row(one))))


def _extra() -> tuple[Any, Any]:
    try:
        from countersign.workbench.impact.candidate import serving  # noqa: PLC0415 - an extra
        from countersign.workbench.impact.judging import Judge  # noqa: PLC0415
    except ImportError as error:
        raise ConfigurationError(
            "impact.not_installed",
            "impact analysis asks OPA's compile API through opa-python-client",
            advice="Install countersign[opa].",
        ) from error
    return serving, Judge


def _with_a_margin(choice: Choice) -> Criteria:
    """A review's record follows its decision's: it may be of a moment later."""
    if not choice.until:
        return Criteria(since=choice.since)
    until = datetime.fromisoformat(choice.until).astimezone(UTC) + timedelta(minutes=1)
    return Criteria(since=choice.since, until=stamp(until))


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    """Traces are large trees without cycles: looking for cycles in them costs most of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextlib.contextmanager
def _progress_bar() -> Iterator[Callable[[int], None] | None]:
    """A bar on standard error, if that is a terminal; None otherwise."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("replaying"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("replaying", total=None)
        yield lambda done: bar.update(task, completed=done)


def _tell(summary: Summary, about: dict[str, Any], format: Format) -> None:
    lines: Iterable[str] = ()
    match format:
        case Format.TEXT:
            lines = telling.text(summary)
        case Format.MARKDOWN:
            lines = telling.markdown(summary, about)
        case Format.JSON:
            output.as_json(telling.plain(summary, about))
        case Format.CSV:
            lines = ()
    for line in lines:
        print(output.safe(line))


def _found(summary: Summary) -> dict[FailOn, int]:
    """How much there is of each."""
    gone = (Unreplayed.PURGED, Unreplayed.UNREADABLE)
    return {
        FailOn.CHANGED: summary.counts[Verdict.CHANGED],
        FailOn.LOOSENED: summary.directions["loosened"],
        FailOn.TIGHTENED: summary.directions["tightened"],
        FailOn.DEPENDS: summary.counts[Verdict.DEPENDS],
        FailOn.UNREPLAYED: sum(summary.left_out[why] for why in gone),
    }
