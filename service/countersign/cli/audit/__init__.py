"""What an auditor types. Each subject has a file; `chosen` finds the log they are about."""

from __future__ import annotations

import typer

from countersign.cli.audit import (
    finding,
    opening,
    packing,
    proving,
    reading,
    reconciling,
    trusting,
    verifying,
)

app = typer.Typer(help="Verify the log, and read what happened.", no_args_is_help=True)
for _part in (trusting, verifying, proving, opening, reading, finding, reconciling, packing):
    app.registered_commands += _part.app.registered_commands
