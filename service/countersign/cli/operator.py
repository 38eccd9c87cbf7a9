"""What an operator types: init and serve."""

from __future__ import annotations

import enum
import importlib.resources
import json
import logging
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from countersign.config import CONFIG_NAME, config_path, load, shipped_policy
from countersign.errors import ConfigurationError
from countersign.keys import create_key

app = typer.Typer()

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help=f"Settings; default $COUNTERSIGN_CONFIG, else {CONFIG_NAME}."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_KEYS = ("permit", "log", "receipt")
_CALLERS = "# Machines that may ask. `countersign caller add` appends; see docs/reference.\n"
_PEOPLE = "# People who may decide. `countersign person add` appends; see docs/reference.\n"


class LogLevel(enum.Enum):
    """How much the service tells."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(help="Where to put everything.")] = Path(),
) -> None:
    """Write commented default settings, keys, empty registers and the example policy."""
    made = [directory / name for name in (CONFIG_NAME, "callers.toml", "people.toml", "policy")]
    for path in (*made, *(directory / "keys" / f"{name}.pem" for name in _KEYS)):
        if path.exists():
            raise ConfigurationError(
                "init.exists",
                f"{path} is there already",
                advice="Name another directory; nothing was changed.",
            )
    try:
        _write_everything(directory)
    except OSError as error:
        raise ConfigurationError(
            "init.unwritable",
            f"{error.filename}: {error.strerror}",
            advice="Name a directory that this user may write to.",
        ) from None
    print(f"Wrote {made[0]}, three keys, callers.toml, people.toml and policy/.")
    print("Next:")
    print(f"  cd {directory}")
    print("  countersign person add alice --name Alice --credential alice.credential")
    print("  countersign person add bob --name Bob --group data-owners --credential bob.credential")
    print("  countersign caller add export-agent --owner alice --resource 'table:*' \\")
    print("      --credential agent.credential")
    print("  countersign doctor")
    print("  countersign serve")


def _write_everything(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    text = importlib.resources.files("countersign").joinpath("default.toml").read_text("utf-8")
    (directory / CONFIG_NAME).write_text(text, "utf-8")
    for name in _KEYS:
        create_key(directory / "keys" / f"{name}.pem")
    for name, content in (("callers.toml", _CALLERS), ("people.toml", _PEOPLE)):
        path = directory / name
        path.touch(mode=0o600)
        path.write_text(content, "utf-8")
    shutil.copytree(shipped_policy(), directory / "policy")


@app.command()
def serve(
    config: ConfigOption = None,
    log_level: Annotated[LogLevel, typer.Option(help="What to tell on stderr.")] = LogLevel.INFO,
    accept_weaker: Annotated[
        bool,
        typer.Option("--accept-weaker", help="Start even if the sanitizer finds less than before."),
    ] = False,
) -> int:
    """Run the service until SIGTERM."""
    from countersign.app import serve as run  # noqa: PLC0415 - keeps other verbs quick to start

    logging.basicConfig(
        level=log_level.value.upper(),
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    settings = load(config_path(config))

    def announce(port: int, status_port: int) -> None:
        ready = {"event": "ready", "port": port, "status_port": status_port}
        print(json.dumps(ready), flush=True)

    return uvloop.run(run(settings, announce, accept_weaker=accept_weaker))
