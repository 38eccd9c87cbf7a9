"""`audit search` and `audit export`: records as they stand, found and written down."""

from __future__ import annotations

import enum
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from countersign.audit.criteria import Criteria, stamp
from countersign.audit.flat import flat
from countersign.audit.reading import find_records
from countersign.audit.story import tell
from countersign.audit.tables import WRITERS
from countersign.cli import moments, output
from countersign.cli.audit.chosen import Given, LogOption, TenantOption
from countersign.cli.operator import ConfigOption
from countersign.errors import ConfigurationError
from countersign.model import JsonObject

app = typer.Typer()

_NO_EVIDENCE = "As recorded, and no evidence by itself: `countersign audit verify` is what proves."


class Format(enum.Enum):
    """What `export` writes."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"
    OCSF = "ocsf"


FromOption = Annotated[
    str, typer.Option("--from", metavar="TIME", help="No earlier than then: 2026-12-01, 3d, …")
]
ToOption = Annotated[
    str, typer.Option("--to", metavar="TIME", help="Before then; a day includes it.")
]
KindOption = Annotated[str, typer.Option(help="Like vote.refused, or vote*.")]
ActorOption = Annotated[str, typer.Option(help="An agent or caller.")]
ActionOption = Annotated[str, typer.Option(help="Like db.export, or db.*.")]
PersonOption = Annotated[str, typer.Option("--reviewer", help="Who voted, asked, changed, …")]
EffectOption = Annotated[str, typer.Option(help="allow, deny or needs_approval.")]
IdOption = Annotated[str, typer.Option("--id", help="A decision, review, permit or session.")]


def criteria(
    since: str, until: str, kind: str, actor: str, action: str, person: str, effect: str, id: str
) -> Criteria:
    """What was typed. A distance such as `3d` reaches back from now."""
    return Criteria(
        since=past("--from", since),
        until=past("--to", until, end_of_day=True),
        kind=kind,
        actor=actor,
        action=action,
        person=person,
        effect=effect,
        subject=id,
    )


def past(option: str, text: str, *, end_of_day: bool = False) -> str:
    """A time that was typed, as records say it; a distance lies in the past."""
    if not text:
        return ""
    now = datetime.now(UTC)
    found = moments.moment(option, text, now=now, end_of_day=end_of_day)
    if text[-1:] in "mhd" and found > now:
        found = now - (found - now)
    return stamp(found)


@app.command()
def search(
    since: FromOption = "",
    until: ToOption = "",
    kind: KindOption = "",
    actor: ActorOption = "",
    action: ActionOption = "",
    person: PersonOption = "",
    effect: EffectOption = "",
    id: IdOption = "",
    limit: Annotated[int, typer.Option(help="At most so many; 0: all.", min=0)] = 0,
    as_jsonl: Annotated[bool, typer.Option("--jsonl", help="Print whole records.")] = False,
    log: LogOption = None,
    tenant: TenantOption = "default",
    config: ConfigOption = None,
) -> int:
    """Find records. Exit code 0 found, 1 none."""
    source = Given(log=log, tenant=tenant, config=config).source()
    wanted = criteria(since, until, kind, actor, action, person, effect, id)
    count = 0
    for record in find_records(source, wanted):
        if limit and count == limit:
            print(f"More than {limit}; raise --limit.", file=sys.stderr)
            break
        count += 1
        if as_jsonl:
            print(json.dumps(record, sort_keys=True, separators=(",", ":")))
        else:
            print(_line(record))
    print(f"{count} record(s). {_NO_EVIDENCE}", file=sys.stderr)
    return 0 if count else 1


def _line(record: JsonObject) -> str:
    row, told = flat(record), tell(record)
    effect = row["effect"] or row["outcome"] or row["refused"] or row["review_state"] or ""
    about = row["review"] or row["decision"] or ""
    seq = "?" if row["seq"] is None else row["seq"]
    line = f"{seq:>9}  {str(row['time'])[:19]}Z  {told.kind:<19} {effect:<15} {about}"
    return output.safe(f"{line}  {told.title}")


@app.command()
def export(
    out: Annotated[Path, typer.Option(help="The new file.")],
    format: Annotated[Format, typer.Option(help="How it is written.")] = Format.JSONL,
    since: FromOption = "",
    until: ToOption = "",
    kind: KindOption = "",
    actor: ActorOption = "",
    action: ActionOption = "",
    person: PersonOption = "",
    effect: EffectOption = "",
    id: IdOption = "",
    log: LogOption = None,
    tenant: TenantOption = "default",
    config: ConfigOption = None,
) -> None:
    """Write records as a table, for other tools. A table is no evidence."""
    source = Given(log=log, tenant=tenant, config=config).source()
    wanted = criteria(since, until, kind, actor, action, person, effect, id)
    count = _write(out, format, find_records(source, wanted))
    print(f"Wrote {out}: {count} record(s) as {format.value}.")
    print(_NO_EVIDENCE)


def _write(out: Path, format: Format, records: Iterator[JsonObject]) -> int:
    """A whole file or none."""
    try:
        stream = out.open("xb")
    except OSError as error:
        raise ConfigurationError(
            "audit.unwritable",
            f"--out: {out}: {error.strerror}",
            advice="Name a new file in a directory that this user may write.",
        ) from None
    try:
        with stream:
            return WRITERS[format.value](records, stream)
    except BaseException:
        out.unlink(missing_ok=True)
        raise
