"""What an auditor types. Each subject has a file; `chosen` finds the log they are about."""

from __future__ import annotations

import typer

from countersign.cli.audit import (
    finding,
    init_bucket,
    opening,
    packing,
    probing,
    proving,
    reading,
    receipts,
    reconciling,
    trusting,
    verifying,
)

app = typer.Typer(help="Verify the log, and read what happened.", no_args_is_help=True)
_PARTS = (
    *(trusting, verifying, proving, opening, reading, finding, reconciling, packing),
    *(receipts, probing, init_bucket),
)
for _part in _PARTS:
    app.registered_commands += _part.app.registered_commands
