"""`audit reconcile`: claims against outcomes."""

from __future__ import annotations

import dataclasses

import typer

from countersign.audit.reading import read_records
from countersign.audit.reconcile import reconcile
from countersign.cli import output
from countersign.cli.audit.chosen import Given, LogOption, TenantOption
from countersign.cli.operator import ConfigOption, JsonOption

app = typer.Typer()


@app.command("reconcile")
def reconcile_log(
    log: LogOption = None,
    tenant: TenantOption = "default",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Hold claims against outcomes. Exit code 0 all accounted for, 1 not."""
    sums = reconcile(read_records(Given(log=log, tenant=tenant, config=config).source()))
    if as_json:
        output.as_json(dataclasses.asdict(sums))
        return 1 if sums.found else 0
    print(f"{'NOT RECONCILED' if sums.found else 'RECONCILED'}: {len(sums.found)} exception(s)")
    output.field("claims", f"{sums.claims}, {sums.reported} reported, {sums.open} not due yet")
    output.field("allowed", f"{sums.allowed} at once, {sums.allowed_reported} reported")
    for item in sums.found:
        output.field("exception", f"{item.code}: record {item.seq}: {item.message} ({item.about})")
    print("As recorded: what was never logged is in the executors' own logs; `verify` proves.")
    return 1 if sums.found else 0
