"""`policy init`: a policy project to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from countersign.cli.policy import chosen
from countersign.config import shipped_policy
from countersign.workbench import beginning

app = typer.Typer()


@app.command()
@chosen.judged
def init(
    directory: Annotated[Path, typer.Argument(help="Where; it may be there already.")] = Path(),
    pack: Annotated[
        list[str] | None, typer.Option(help="A ready pack, such as export; repeat for more.")
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="Only list the packs there are.")] = False,
) -> int:
    """Write a policy project: the library, packs, a first rule with tests, a CI recipe."""
    shipped = shipped_policy()
    if show:
        for name in beginning.packs(shipped):
            print(name)
        return 0
    files = beginning.plan(shipped, list(dict.fromkeys(pack or ())))
    beginning.write(directory, files)
    print(f"Wrote {len(files)} files: policy/ and .github/workflows/policy.yml.")
    print("Next:")
    if directory != Path():
        print(f"  cd {directory}")
    print("  countersign policy test")
    print("  countersign policy check")
    print("Your first rule is policy/rules/tickets.rego.")
    return 0
