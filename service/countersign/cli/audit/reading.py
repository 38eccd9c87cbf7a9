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
    if subject.isdigit():
        records = read_records(source)
        found = next((record for record in records if record.get("seq") == int(subject)), None)
        if found is not None:
            output.as_json(found)
        else:
            print(f"The log has no record {subject}.", file=sys.stderr)
        return 1 if found is None else 0
    told = story(read_records(source), subject)
    if as_json:
        output.as_json(told.json())
    elif told.entries:
        print(told.text())
        print("As recorded. `countersign audit verify` says whether the log is whole.")
    else:
        print(f"No record is about {output.safe(subject)}.")
    return 0 if told.entries else 1
