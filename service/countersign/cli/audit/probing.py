"""`countersign audit probe-store`: what a bucket really protects."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer

from countersign.audit import s3
from countersign.cli import output
from countersign.cli.operator import JsonOption
from countersign.errors import ConfigurationError

if TYPE_CHECKING:
    from countersign.audit.s3.probe import Report

app = typer.Typer()
_NOT_JUDGED: Final = 2
_TARGET: Final = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([\x20-\x7e]{0,512}))?")

EndpointOption = Annotated[str, typer.Option("--endpoint", help="The store's URL; default: AWS.")]
RegionOption = Annotated[str, typer.Option("--region", help="Default: what AWS settings say.")]


@app.command("probe-store")
def probe_store(
    target: Annotated[str, typer.Argument(help="s3://BUCKET/PREFIX for scratch objects.")],
    endpoint: EndpointOption = "",
    region: RegionOption = "",
    create: Annotated[
        bool,
        typer.Option("--create", help="Make the bucket, attack its settings too, remove it."),
    ] = False,
    governance: Annotated[
        bool, typer.Option("--governance", help="A rehearsal: lock in GOVERNANCE only.")
    ] = False,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Leave objects that are still locked at the end.")
    ] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="A table.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Attack scratch objects to see what a store protects. Exit code 0 all, 1 not, 2 unknown."""
    bucket, prefix = parse_target(target)
    s3.require()
    # Only now: boto3 comes with an extra, and is slow to import.
    from countersign.audit.s3.client import Place  # noqa: PLC0415
    from countersign.audit.s3.probe_judge import COMPLIANCE, exit_code, summary  # noqa: PLC0415
    from countersign.audit.s3.probe_run import run  # noqa: PLC0415
    from countersign.audit.s3.probe_scratch import GOVERNANCE, Target  # noqa: PLC0415

    chosen = Target(
        place=Place(endpoint=endpoint, region=region),
        bucket=bucket,
        prefix=prefix,
        mode=GOVERNANCE if governance else COMPLIANCE,
        own=create,
    )
    try:
        report = run(chosen, wait=not no_wait, tell=_tell)
    except ConfigurationError as error:
        # Not 1: nothing was found broken, nothing was judged.
        print(f"countersign: {output.safe(str(error))}", file=sys.stderr)
        return _NOT_JUDGED
    _print(report, as_json=as_json, as_markdown=as_markdown)
    return exit_code(summary(report.results))


def parse_target(target: str) -> tuple[str, str]:
    """`s3://BUCKET/PREFIX` as bucket and prefix."""
    match = _TARGET.fullmatch(target)
    if match is None:
        raise ConfigurationError(
            "s3.target_invalid",
            f"{target}: not s3://BUCKET/PREFIX",
            advice="A bucket has 3 to 63 lower-case letters, digits, '.' and '-'.",
        )
    return match[1], match[2] or ""


def _tell(line: str) -> None:
    """Progress, where somebody is looking."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)


def _print(report: Report, *, as_json: bool, as_markdown: bool) -> None:
    from countersign.audit.s3 import probe_report  # noqa: PLC0415 - as above

    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    if as_json:
        output.as_json(probe_report.plain(report))
    elif as_markdown:
        print(output.safe(probe_report.markdown(report)))
    else:
        print(output.safe(probe_report.text(report)))
