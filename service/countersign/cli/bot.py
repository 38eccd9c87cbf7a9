"""What whoever runs the Teams bot types: run it, and make its app for Teams."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
import re
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from countersign.cli.finding import told
from countersign.cli.operator import JsonOption, LogLevel
from countersign.errors import ConfigurationError

app = typer.Typer(help="Reviews in Microsoft Teams.", no_args_is_help=True)

SettingsOption = Annotated[Path, typer.Option("--config", help="The bot's settings.")]
_SETTINGS: Final = Path("bot.toml")
_MAX_NAME: Final = 30
_MAX_DEVELOPER: Final = 32
"""As the schema of the manifest has it."""
_WEBSITE: Final = re.compile(r"https://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~%/-]*)?")


@app.command()
def serve(
    config: SettingsOption = _SETTINGS,
    log_level: Annotated[LogLevel, typer.Option(help="What to tell on stderr.")] = LogLevel.INFO,
) -> int:
    """Run the bot until SIGTERM."""
    _require_bot()
    from countersign_bot.app import serve as run  # noqa: PLC0415 - an extra, and slow to import
    from countersign_bot.settings import load  # noqa: PLC0415

    logging.basicConfig(
        level=log_level.value.upper(),
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )

    def announce(port: int) -> None:
        print(json.dumps({"event": "ready", "port": port}), flush=True)

    return asyncio.run(run(load(config), announce))


@app.command()
def doctor(config: SettingsOption = _SETTINGS, as_json: JsonOption = False) -> int:
    """Look whether the bot reaches Teams and the service, and whom it reaches."""
    _require_bot()
    from countersign.cli.bot_doctor import examine  # noqa: PLC0415
    from countersign_bot.settings import load  # noqa: PLC0415

    # What the bot would log, the findings say with a remedy.
    logging.getLogger("countersign_bot").addHandler(logging.NullHandler())
    return told(asyncio.run(examine(load(config))), as_json=as_json)


@app.command()
def manifest(
    out: Annotated[Path, typer.Option(help="The new zip, for Teams' admin center.")],
    developer: Annotated[str, typer.Option(help="Your organisation, as Teams shows it.")],
    website: Annotated[
        str, typer.Option(help="Its https address; /privacy and /terms are expected below it.")
    ],
    config: SettingsOption = _SETTINGS,
    name: Annotated[str, typer.Option(help="What the bot is called.")] = "Countersign",
) -> None:
    """Make the app that is uploaded to Teams."""
    _require_bot()
    from countersign_bot.manifest import package  # noqa: PLC0415
    from countersign_bot.settings import load  # noqa: PLC0415

    if not _WEBSITE.fullmatch(website):
        raise typer.BadParameter(
            "--website: must be an https address, such as https://example.com, without a query"
        )
    for option, text, most in (("name", name, _MAX_NAME), ("developer", developer, _MAX_DEVELOPER)):
        if not 0 < len(text.strip()) <= len(text) <= most or not text.isprintable():
            raise typer.BadParameter(f"--{option}: 1 to {most} characters")
    app_id = load(config).app.id
    if not app_id:
        raise ConfigurationError(
            "bot.settings", "app.id: is missing", advice="Teams needs the bot's id from Azure."
        )
    data = package(app_id=app_id, name=name, developer=developer, website=website)
    try:
        with out.open("xb") as file:
            file.write(data)
    except FileExistsError:
        raise ConfigurationError(
            "bot.exists", f"--out: {out} is there already", advice="Name a new file."
        ) from None
    except OSError as error:
        raise ConfigurationError(
            "bot.unwritable",
            f"--out: {out} cannot be written: {error.strerror}",
            advice="Name a new file in a directory that this user may write to.",
        ) from None
    print(f"Wrote {out}. Upload it in the Teams admin center, under Manage apps.")


def _require_bot() -> None:
    if importlib.util.find_spec("botbuilder") is None:
        raise ConfigurationError(
            "bot.missing",
            "what the bot needs is not installed",
            advice="Install countersign[bot].",
        )
