"""What a policy author types. Each subject has a file."""

from __future__ import annotations

from types import ModuleType
from typing import Final

import typer

from countersign.cli.policy import (
    authoring,
    beginning,
    benching,
    comparing,
    explaining,
    impact,
    serving,
    testing,
)

app = typer.Typer(help="Write, test and activate policy.", no_args_is_help=True)
_PARTS: Final[tuple[ModuleType, ...]] = (
    beginning,
    authoring,
    testing,
    explaining,
    comparing,
    benching,
    impact,
    serving,
)
for _part in _PARTS:
    app.registered_commands += _part.app.registered_commands
