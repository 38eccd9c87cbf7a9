"""The verbs about keys: print the log's own, and write down what to trust."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from countersign.audit.cosignature import WitnessKey
from countersign.audit.logkeys import Retired
from countersign.audit.trust import Trust, TrustedLog
from countersign.cli.audit.chosen import Given, TenantOption, key_of, write_file
from countersign.cli.operator import ConfigOption
from countersign.errors import ConfigurationError

app = typer.Typer()


@app.command("key")
def key_of_log(tenant: TenantOption = "default", config: ConfigOption = None) -> None:
    """Print the log's verifier key. Give it to auditors by a way of its own."""
    print(Given(log=None, tenant=tenant, config=config).own().verifier)


@app.command()
def trust(
    out: Annotated[
        Path | None, typer.Option(help="Write this new file; default: print it.")
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(help="A log's verifier key, or its file; repeat. Default: the service's."),
    ] = None,
    retired: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY@SIZE",
            help="A key before it and the last size it signed; repeat, the oldest first.",
        ),
    ] = None,
    witness: Annotated[
        list[str] | None,
        typer.Option(help="A witness's key; repeat. All must have cosigned what is believed."),
    ] = None,
    receipt_key: Annotated[
        str, typer.Option("--receipt-key", help="The key of the log's receipts, or its file.")
    ] = "",
    place: Annotated[
        list[str] | None, typer.Option(help="Where the log is published; for people to read.")
    ] = None,
    tenant: TenantOption = "default",
    config: ConfigOption = None,
) -> None:
    """Write down which logs, keys and witnesses an auditor trusts."""
    before = _retired(retired or [])
    chosen = [TrustedLog(verifier=key_of(item)) for item in key or ()]
    if not chosen:
        chosen = [Given(log=None, tenant=tenant, config=config).own()]
    made = Trust(
        logs=tuple(
            dataclasses.replace(
                log,
                retired=tuple(e for e in before if e.verifier.name == log.origin) or log.retired,
                witnesses=tuple(map(WitnessKey.parse, witness or ())),
                places=tuple(place or ()),
                receipts=key_of(receipt_key, "--receipt-key") if receipt_key else None,
            )
            for log in chosen
        )
    )
    text = Trust.parse(made.encode().encode()).encode()  # what is written can be read
    if out is None:
        print(text, end="")
        return
    if out.exists():
        raise ConfigurationError(
            "audit.exists",
            f"--out: {out} is there already",
            advice="Name a new file; what is trusted is not replaced.",
        )
    write_file("--out", out, text.encode())
    print(f"Wrote {out}. Compare its keys with their owners, by a way of their own.")


def _retired(given: list[str]) -> list[Retired]:
    found = []
    for item in given:
        key, _, size = item.rpartition("@")
        if not key or not size.isascii() or not size.isdigit() or len(size) > 18:
            raise ConfigurationError(
                "audit.retired_invalid",
                "--retired: it is not KEY@SIZE",
                advice="`countersign keys show` prints it so, where the service is.",
            )
        found.append(Retired(verifier=key_of(key), until=int(size)))
    return found
