"""What whoever runs a witness types: make its key, and serve."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import stat
import sys
import threading
from pathlib import Path
from typing import Annotated, Final

import typer

from countersign.audit.cosignature import WitnessSigner
from countersign.audit.trust import Trust
from countersign.audit.witness.memory import Memory
from countersign.cli.audit.chosen import read_file
from countersign.errors import ConfigurationError, LogError

app = typer.Typer(help="Cosign checkpoints of others' logs.", no_args_is_help=True)

_ADDRESS: Final = re.compile(r"(?:\[([0-9a-fA-F:]+)\]|([A-Za-z0-9.-]+)):([0-9]{1,5})")


@app.command()
def key(
    out: Annotated[Path, typer.Option(help="The new private key's file.")],
    name: Annotated[str, typer.Option(help="The witness's name: a domain and path you own.")],
) -> None:
    """Make a witness's private key, and print its public one."""
    signer = WitnessSigner.generate(name)
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigurationError(
            "audit.exists",
            f"--out: {out} is there already",
            advice="Name a new file; keys are not replaced.",
        ) from None
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{signer.encode()}\n")
        file.flush()
        os.fsync(file.fileno())
    print(signer.public)


@app.command()
def serve(
    key: Annotated[Path, typer.Option(help="The private key, as `witness key` writes it.")],
    logs: Annotated[
        Path, typer.Option(help="The logs it cosigns: a file like `audit trust` writes.")
    ],
    state: Annotated[Path, typer.Option(help="What it remembers. Never restore an older one.")],
    listen: Annotated[
        str, typer.Option(help="Where it listens, plain HTTP: for a proxy that ends TLS.")
    ] = "127.0.0.1:7445",
) -> None:
    """Run a witness until SIGTERM: one that cosigns no second history of a log."""
    from countersign.audit.witness.server import Server  # noqa: PLC0415 - keeps others quick
    from countersign.audit.witness.service import Witness  # noqa: PLC0415

    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    host, port = _address(listen)
    signer = _signer(key)
    memory = Memory(state, signer.public)
    server = Server(host, port, Witness(signer, _logs(logs), memory))
    stopping = threading.Event()
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, lambda *_: stopping.set())
    threading.Thread(target=server.serve_forever, name="witness", daemon=True).start()
    ready = {"event": "ready", "port": server.port, "key": str(signer.public)}
    print(json.dumps(ready), flush=True)
    stopping.wait()
    server.shutdown()
    server.server_close()
    memory.close()


def _address(listen: str) -> tuple[str, int]:
    match = _ADDRESS.fullmatch(listen)
    if match is None or int(match[3]) > 65_535:
        raise ConfigurationError(
            "witness.listen_invalid",
            "--listen: it is not ADDRESS:PORT",
            advice="For example 127.0.0.1:7445, with a proxy in front that ends TLS.",
        )
    return match[1] or match[2], int(match[3])


def _signer(path: Path) -> WitnessSigner:
    data = read_file("--key", path)
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigurationError(
            "keys.permissions", f"--key: {path} is open to others", advice=f"chmod 600 {path}"
        )
    try:
        return WitnessSigner.parse(data.decode("utf-8", "replace"))
    except LogError as error:
        raise ConfigurationError(
            "keys.invalid",
            f"--key: {path}: {error.message}",
            advice="`countersign witness key` makes one.",
        ) from None


def _logs(path: Path) -> Trust:
    data = read_file("--logs", path)
    try:
        return Trust.parse(data)
    except ConfigurationError as error:
        message = error.message.replace("--trust", "--logs", 1)
        raise ConfigurationError("audit.trust_invalid", message, advice=error.advice) from None
