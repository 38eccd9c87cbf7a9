"""What an operator types: init, serve, caller add, person add."""

from __future__ import annotations

import enum
import importlib.resources
import json
import logging
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from countersign.config import CONFIG_NAME, Config, config_path, load, shipped_policy
from countersign.credentials import Credential, write_credential
from countersign.errors import ConfigurationError
from countersign.keys import create_key
from countersign.model import Caller, CallerId, Person, PersonId, TenantId
from countersign.registry import add_caller, add_person

app = typer.Typer()
callers = typer.Typer(help="Machines that may ask.", no_args_is_help=True)
people = typer.Typer(help="People who may decide.", no_args_is_help=True)

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help=f"Settings; default $COUNTERSIGN_CONFIG, else {CONFIG_NAME}."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
CredentialFile = Annotated[
    Path | None,
    typer.Option("--credential", help="Also write the credential to this new file (0600)."),
]

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
    for path in (*made, directory / "keys" / "permit.pem", directory / "keys" / "log.pem"):
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
    print(f"Wrote {made[0]}, two keys, callers.toml, people.toml and policy/.")
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
    for name in ("permit", "log"):
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

    return uvloop.run(run(settings, announce))


@callers.command("add")
def caller_add(
    id: Annotated[str, typer.Argument(help="Its id, such as export-agent.")],
    owner: Annotated[list[str], typer.Option(help="Person responsible; repeat for more.")],
    resource: Annotated[
        list[str], typer.Option(help="`type:id` pattern it may name, such as 'table:*'.")
    ],
    actor: Annotated[
        list[str] | None, typer.Option(help="Actor it speaks for; default: its own id.")
    ] = None,
    environment: Annotated[
        list[str] | None, typer.Option(help="Environment; default: dev, staging, production.")
    ] = None,
    user: Annotated[list[str] | None, typer.Option(help="Person who can drive it.")] = None,
    parent: Annotated[str, typer.Option(help="Caller that starts this one.")] = "",
    audience: Annotated[str, typer.Option(help="Audience of the permits it claims.")] = "",
    tenant: Annotated[str, typer.Option(help="Tenant.")] = "default",
    credential: CredentialFile = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Register a machine and print its credential, once."""
    settings = load(config_path(config))
    caller = Caller(
        tenant=TenantId(tenant),
        id=CallerId(id),
        actors=tuple(actor or [id]),
        environments=tuple(environment or ["dev", "staging", "production"]),
        resources=tuple(resource),
        owners=tuple(map(PersonId, owner)),
        users=tuple(map(PersonId, user or [])),
        parent=CallerId(parent) if parent else None,
        audience=audience,
    )
    _require_place(credential)
    token = add_caller(*_registers(settings), caller)
    _hand_over(settings, f"caller {id}", token, credential, as_json=as_json)
    if not as_json:
        print("Use it:\n")
        print("  from countersign.client import Client")
        print(f'  client = Client.from_credential("{credential or f"{id}.credential"}")\n')
        print("or, on a terminal:\n")
        print(f"  countersign check context.json --credential {credential or f'{id}.credential'}")


@people.command("add")
def person_add(
    id: Annotated[str, typer.Argument(help="Their id, such as alice.")],
    name: Annotated[str, typer.Option(help="Name to show.")],
    group: Annotated[list[str] | None, typer.Option(help="Group; repeat for more.")] = None,
    account: Annotated[
        list[str] | None, typer.Option(help="E-mail address or other account of theirs.")
    ] = None,
    tenant: Annotated[str, typer.Option(help="Tenant.")] = "default",
    credential: CredentialFile = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Register a person and print their credential, once."""
    settings = load(config_path(config))
    person = Person(
        tenant=TenantId(tenant),
        id=PersonId(id),
        name=name,
        groups=frozenset(group or []),
        accounts=tuple(account or []),
    )
    _require_place(credential)
    token = add_person(*_registers(settings), person)
    _hand_over(settings, f"person {id}", token, credential, as_json=as_json)
    if not as_json:
        print("Use it:\n")
        path = (credential or Path(f"{id}.credential")).absolute()
        print(f"  export COUNTERSIGN_CREDENTIAL={shlex.quote(str(path))}")
        print("  countersign review list")


def _registers(settings: Config) -> tuple[Path, Path]:
    section = settings.directory
    return settings.path(section.callers), settings.path(section.people)


def _require_place(path: Path | None) -> None:
    """Before a token is made that would then have no place to go."""
    if path is None:
        return
    if path.exists():
        raise ConfigurationError(
            "credential.exists", f"{path} is there already", advice="Name another file."
        )
    if not os.access(path.absolute().parent, os.W_OK | os.X_OK):
        raise ConfigurationError(
            "credential.unwritable",
            f"{path} cannot be written",
            advice="Name a file in an existing directory that this user may write to.",
        )


def _hand_over(settings: Config, who: str, token: str, path: Path | None, *, as_json: bool) -> None:
    """Show a token once, as a credential file that can be pasted or was written."""
    section = settings.server
    ca_file = settings.path(section.tls_certificate) if section.tls_certificate else None
    given = Credential(endpoint=section.listen, token=token, ca_file=ca_file)
    if path is not None:
        write_credential(path, given)
    if as_json:
        print(json.dumps({"subject": who, "endpoint": section.listen, "token": token}))
        return
    print(f"Registered {who}. A running service knows it within a second or so.\n")
    if path is not None:
        print(f"The credential is in {path}, and nowhere else.\n")
        return
    print("This is shown once. Keep it in a file that only its owner can read (chmod 600):\n")
    print(f'  endpoint = "{section.listen}"')
    print(f'  token = "{token}"')
    if ca_file:
        print(f'  ca_file = "{ca_file}"')
    print()
