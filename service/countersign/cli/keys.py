"""The verbs about the service's own keys: show the public ones, replace one in a file."""

from __future__ import annotations

from typing import Annotated

import typer

from countersign.cli import output
from countersign.cli.audit.chosen import TenantOption, noted_keys
from countersign.cli.operator import ConfigOption, JsonOption
from countersign.config import Config, config_path, load
from countersign.errors import ConfigurationError
from countersign.keyring import keyring_of
from countersign.keys import Kind, Source, rotate_key
from countersign.model import JsonObject, JsonValue, TenantId
from countersign.rotation import KeyHistory, Role, public

app = typer.Typer(help="The keys that sign.", no_args_is_help=True)

_AFTER = {
    Role.PERMIT: "Permits of the old key stay good, and Trust.GetKeys tells it, until they lapse. "
    "For a claim that\nis repeated within a day, name the old file second in keys.permit.",
    Role.LOG: "Then write the trust file anew with `countersign audit trust`, and have auditors "
    "and witnesses\ncompare it: they refuse the new key until it names both. Destroy the old file.",
    Role.RECEIPT: "Receipts of the old key stay proofs: whoever holds one keeps that public key. "
    "Destroy the old file.",
}


@app.command()
def show(
    tenant: TenantOption = "default", config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Print the public keys, where each is, and those that were retired."""
    settings = load(config_path(config))
    log_id = f"{settings.log.name}/{TenantId(tenant)}"
    history = noted_keys(settings.path(settings.store.path))
    told = _current(settings, history, log_id)
    gone = _gone(history, TenantId(tenant), log_id)
    if as_json:
        output.as_json({"keys": list[JsonValue](told), "retired": list[JsonValue](gone)})
        return
    for key in told:
        print(f"{key['role']:8} {key['id']}  {key['source']}")
        print(f"         {key['key']}")
        if key["pending"]:
            print("         signs from the next start on; the log does not know it yet")
    for key in gone:
        until = f"@{key['until']}" if key.get("until") else ""
        print(f"retired  {key['id']}  {key['role']}")
        print(f"         {key['key']}{until}")


@app.command()
def rotate(
    role: Annotated[Role, typer.Argument(help="Whose key: permit, log or receipt.")],
    config: ConfigOption = None,
) -> None:
    """Put a new key in the place of one in a file. It signs from the next start on."""
    settings = load(config_path(config))
    setting = f"keys.{role.value}"
    source = Source.parse(setting, _text(settings, role))
    if source.kind is not Kind.FILE:
        raise ConfigurationError(
            "keys.not_a_file",
            f"{setting}: the key is not in a file of ours",
            advice="Make a new key where it is, under another name, and name that in the setting.",
        )
    try:
        aside = rotate_key(setting, settings.path(source.place))
    except OSError as error:
        raise ConfigurationError(
            "keys.unwritable",
            f"{setting}: {error.filename}: {error.strerror}",
            advice="Run this as the user whose key it is, in a directory that it may write.",
        ) from None
    print(f"{setting} has a new key; the old one is {aside}.")
    print("It signs from the next start of the service on, and every log says so then.")
    print(_AFTER[role])


def _text(settings: Config, role: Role) -> str:
    keys = settings.keys
    return {Role.PERMIT: keys.permit[0], Role.LOG: keys.log, Role.RECEIPT: keys.receipt}[role]


def _current(settings: Config, history: KeyHistory, log_id: str) -> list[JsonObject]:
    ring = keyring_of(settings).public()
    changed = history.changed(ring)
    return [
        {
            "role": role.value,
            **public(role, key, log_id),
            "source": str(Source.parse(f"keys.{role.value}", _text(settings, role))),
            "pending": role in changed,
        }
        for role, key in ring.items()
    ]


def _gone(history: KeyHistory, tenant: TenantId, log_id: str) -> list[JsonObject]:
    gone: list[JsonObject] = []
    for each in history.gone:
        until: JsonObject = {"until": each.until[tenant]} if tenant in each.until else {}
        gone.append({"role": each.role.value, **public(each.role, each.key, log_id), **until})
    return gone
