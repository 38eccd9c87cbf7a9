"""`audit verify`: every record of a log, in one answer that says what it leaves open."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from countersign.audit.contents import MAX_DELAY_S
from countersign.audit.locks import Locks
from countersign.audit.logkeys import LogKeys
from countersign.audit.result import Result
from countersign.audit.state import State
from countersign.audit.verdict import line, not_checked, verdict
from countersign.audit.verify import Progress, verify
from countersign.cli import output
from countersign.cli.audit.chosen import (
    DelayOption,
    Given,
    KeyOption,
    Log,
    LogOption,
    TenantOption,
    TrustOption,
    examined,
    read_file,
    write_file,
)
from countersign.cli.operator import ConfigOption, JsonOption
from countersign.errors import ConfigurationError, LogError

app = typer.Typer()


@app.command("verify")
def verify_log(
    log: LogOption = None,
    key: KeyOption = "",
    trust: TrustOption = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="A checkpoint you kept: finds truncation and forks.")
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(help="Your file: go on from the last time, and keep what is found whole."),
    ] = None,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="With --state: read earlier records again too.")
    ] = False,
    max_delay_s: DelayOption = MAX_DELAY_S,
    tenant: TenantOption = "default",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Verify every record of a log. Exit code 0 whole, 1 tampered, 3 incomplete, 4 unknown."""
    given = Given(log=log, key=key, trust=trust, tenant=tenant, config=config)
    chosen = given.choose()
    with progress_bar() as progress:
        result = verify(
            chosen.source,
            chosen.keys,
            checkpoint=_kept(checkpoint, chosen.keys) if checkpoint else None,
            store=chosen.store,
            earlier=_earlier(state, chosen.keys) if state else None,
            from_start=from_start,
            witnesses=chosen.witnesses,
            progress=progress,
            max_delay_s=max_delay_s,
            keep=(lambda so_far: write_file("--state", state, so_far.encode())) if state else None,
        )
    result = examined(result, chosen.source)
    if state is not None and result.state is not None:
        write_file("--state", state, result.state.encode())
    if as_json:
        output.as_json(plain(result))
    else:
        _print(result, chosen)
    return verdict(result).exit_code


@contextlib.contextmanager
def progress_bar() -> Iterator[Progress | None]:
    """A bar on standard error, if that is a terminal; None otherwise."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("verifying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("verifying", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _earlier(path: Path, keys: LogKeys) -> State | None:
    """What an earlier verification kept; None the first time."""
    if not path.exists():
        return None
    return State.parse(read_file("--state", path), keys)


def _kept(path: Path, keys: LogKeys) -> bytes:
    """A checkpoint as somebody kept it: it has to be one, signed by this log's key."""
    data = read_file("--checkpoint", path)
    try:
        keys.open(data)
    except LogError as error:
        raise ConfigurationError(
            "audit.checkpoint_invalid",
            f"--checkpoint: {path}: {error.message}",
            advice="Name a copy of the `checkpoint` file that this log once had.",
        ) from error
    return data


def _print(result: Result, log: Log) -> None:
    print(f"{'VERIFIED' if result.ok else 'NOT VERIFIED'}: log {output.safe(result.origin)}")
    output.field("place", log.place)
    output.field("records", f"{result.size} in {result.segments} segment(s)")
    if result.resumed_at:
        output.field("from", f"record {result.resumed_at}; what is before was verified earlier")
    output.field("root", result.root.hex())
    output.field("checkpoints", f"{result.checkpoints} signed by the log's key")
    for anchor in result.anchors:
        output.field("against", anchor)
    for sight in result.witnesses:
        output.field("witness", str(sight))
    if result.locks is not None:
        output.field("locks", result.locks.words())
    if result.delay_s is not None:
        output.field("stored", f"at most {result.delay_s:.0f} s after the records' own times")
    for finding in result.findings:
        where = f" (in {finding.file})" if finding.file else ""
        seq = f" record {finding.seq}:" if finding.seq is not None else ""
        output.field("finding", f"{finding.code}:{seq} {finding.message}{where}")
    if result.suppressed:
        output.field("and", f"{result.suppressed} more finding(s)")
    sys.stdout.flush()
    print(line(result))


def plain(result: Result) -> dict[str, object]:
    """A result as JSON."""
    return {
        "verdict": verdict(result).value,
        "ok": result.ok,
        "origin": result.origin,
        "size": result.size,
        "root": result.root.hex(),
        "findings": [dataclasses.asdict(finding) for finding in result.findings],
        "suppressed": result.suppressed,
        "anchors": list(result.anchors),
        "witnesses": [dataclasses.asdict(sight) for sight in result.witnesses],
        "resumed_at": result.resumed_at,
        "segments": result.segments,
        "checkpoints": result.checkpoints,
        "objects": result.objects,
        "pending": result.pending,
        "locks": locks_plain(result.locks),
        "delay_s": result.delay_s,
        "not_checked": list(not_checked(result)),
    }


def locks_plain(locks: Locks | None) -> dict[str, object] | None:
    """Locks as JSON."""
    if locks is None:
        return None
    return {
        "locked": locks.locked,
        "over": locks.over,
        "unknown": locks.unknown,
        "until": f"{locks.until:%Y-%m-%dT%H:%M:%SZ}" if locks.until else None,
    }
