"""`audit show`: what happened about one thing, as recorded."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from countersign.audit.reading import read_records
from countersign.audit.story import story
from countersign.cli import output
from countersign.cli.audit.chosen import Given, LogOption, TenantOption
from countersign.cli.operator import ConfigOption, JsonOption

app = typer.Typer()


@app.command()
def show(
    subject: Annotated[
        str, typer.Argument(help="A review, decision, permit, session or trace id, or a seq.")
    ],
    log: LogOption = None,
    tenant: TenantOption = "default",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Tell what happened about one thing, in the order it was recorded."""
    source = Given(log=log, tenant=tenant, config=config).source()
    records = list(read_records(source))
    if subject.isdigit():
        found = [record for record in records if record.get("seq") == int(subject)]
        if found:
            output.as_json(found[0])
        else:
            print(f"There is no record {subject}; the log has {len(records)}.", file=sys.stderr)
        return 0 if found else 1
    told = story(records, subject)
    if as_json:
        output.as_json(told.json())
    elif told.entries:
        print(told.text())
        print("As recorded. `countersign audit verify` says whether the log is whole.")
    else:
        print(f"None of the {len(records)} records is about {output.safe(subject)}.")
    return 0 if told.entries else 1
