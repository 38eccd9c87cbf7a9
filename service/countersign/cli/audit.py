"""What an auditor types: verify a log, read what happened."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import typer

from countersign.audit.merkle import Frontier
from countersign.audit.note import Signer, Verifier, open_checkpoint
from countersign.audit.reading import read_records
from countersign.audit.story import story
from countersign.audit.verify import Result, verify
from countersign.cli import output
from countersign.cli.operator import ConfigOption, JsonOption
from countersign.config import config_path, load
from countersign.errors import ConfigurationError, LogError
from countersign.keys import read_key
from countersign.model import TenantId
from countersign.store import sqlite_file
from countersign.store.sqlite_reads import SqliteReads

app = typer.Typer(help="Verify the log, and read what happened.", no_args_is_help=True)

LogOption = Annotated[
    Path | None,
    typer.Option("--log", help="A copy of one log's directory; default: the service's."),
]
KeyOption = Annotated[
    str, typer.Option("--key", help="The log's verifier key, or a file holding it.")
]
TenantOption = Annotated[str, typer.Option(help="Whose log, when it is the service's.")]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Log:
    directory: Path
    key: str
    store: Frontier | None = None
    """What the service's store says it published; None when only a copy is at hand."""


@app.command("verify")
def verify_log(
    log: LogOption = None,
    key: KeyOption = "",
    checkpoint: Annotated[
        Path | None, typer.Option(help="A checkpoint you kept: finds truncation and forks.")
    ] = None,
    tenant: TenantOption = "default",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Verify every record of a log. Exit code 0 whole, 1 not."""
    chosen = _log(log, key, tenant, config)
    remembered = _kept(checkpoint, chosen.key) if checkpoint else None
    result = verify(chosen.directory, chosen.key, checkpoint=remembered, store=chosen.store)
    if as_json:
        output.as_json(_plain(result))
    else:
        _print(result, chosen, kept=remembered is not None or chosen.store is not None)
    return 0 if result.ok else 1


def _log(log: Path | None, key: str, tenant: str, config: Path | None) -> _Log:
    """The directory and key as given, or those of the service configured here."""
    if log is not None:
        if not key:
            raise ConfigurationError(
                "audit.key_missing",
                "--key: a copy of a log is verified with its verifier key",
                advice="`Trust.GetKeys` and `countersign audit key` tell it; get it from a place "
                "that whoever could change the log cannot change.",
            )
        _require_log(log)
        return _Log(directory=log, key=_key(key))
    settings = load(config_path(config))
    name = f"{settings.log.name}/{TenantId(tenant)}"
    directory = settings.path(settings.log.directory) / name
    _require_log(directory)
    signer = Signer(name=name, key=read_key("keys.log", settings.path(settings.keys.log)))
    return _Log(
        directory=directory,
        key=_key(key) if key else str(signer.verifier),
        store=_published(settings.path(settings.store.path), TenantId(tenant)),
    )


def _published(path: Path, tenant: TenantId) -> Frontier | None:
    """What the store beside the log says it published; read only, server or not."""
    if not path.exists():
        return None
    with sqlite_file.opening(path), contextlib.closing(sqlite_file.connect_reading(path)) as store:
        state = SqliteReads(store).log_state(tenant)
    return Frontier(hashes=state.frontier, size=state.published)


def _require_log(directory: Path) -> None:
    if not directory.is_dir():
        raise ConfigurationError(
            "audit.no_log",
            f"there is no log at {directory}",
            advice="Name its --tenant or --log. A log begins when the service first starts.",
        )


def _key(given: str) -> str:
    if "+" not in given or Path(given).is_file():  # every verifier key has a plus
        return _read("--key", Path(given)).decode("ascii", "replace").strip()
    return given


def _kept(path: Path, key: str) -> bytes:
    """A checkpoint as somebody kept it: it has to be one, signed by this log's key."""
    data = _read("--checkpoint", path)
    try:
        open_checkpoint(data, Verifier.parse(key))
    except LogError as error:
        raise ConfigurationError(
            "audit.checkpoint_invalid",
            f"--checkpoint: {path}: {error.message}",
            advice="Name a copy of the `checkpoint` file that this log once had.",
        ) from error
    return data


def _read(option: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            "audit.unreadable",
            f"{option}: {path}: {error.strerror}",
            advice="Name a file that this user may read.",
        ) from None


@app.command()
def show(
    subject: Annotated[
        str, typer.Argument(help="A review, decision, permit, session or trace id, or a seq.")
    ],
    log: LogOption = None,
    tenant: TenantOption = "default",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Tell what happened about one thing, in the order it was recorded."""
    directory = log or _log(None, "", tenant, config).directory
    _require_log(directory)
    records = list(read_records(directory))
    if subject.isdigit():
        found = [record for record in records if record.get("seq") == int(subject)]
        if found:
            output.as_json(found[0])
        else:
            print(f"There is no record {subject}; the log has {len(records)}.", file=sys.stderr)
        return 0 if found else 1
    told = story(records, subject)
    if as_json:
        output.as_json(told.json())
    elif told.entries:
        print(told.text())
        print("As recorded. `countersign audit verify` says whether the log is whole.")
    else:
        print(f"None of the {len(records)} records is about {output.safe(subject)}.")
    return 0 if told.entries else 1


@app.command("key")
def key_of_log(tenant: TenantOption = "default", config: ConfigOption = None) -> None:
    """Print the log's verifier key. Give it to auditors by a way of its own."""
    print(_log(None, "", tenant, config).key)


def _print(result: Result, log: _Log, *, kept: bool) -> None:
    print(f"{'VERIFIED' if result.ok else 'NOT VERIFIED'}: log {result.origin}")
    output.field("directory", str(log.directory))
    output.field("records", f"{result.size} in {result.segments} segment(s)")
    output.field("root", result.root.hex())
    output.field("checkpoints", f"{result.checkpoints}, all signed by the log's key")
    if result.pending:
        output.field("pending", f"{result.pending} record(s) no checkpoint covers yet")
    for anchor in result.anchors:
        output.field("against", anchor)
    if not kept:
        output.field(
            "not checked", "truncation by whoever has the key: give a --checkpoint you kept"
        )
    for finding in result.findings:
        where = f" (in {finding.file})" if finding.file else ""
        seq = f" record {finding.seq}:" if finding.seq is not None else ""
        output.field("finding", f"{finding.code}:{seq} {finding.message}{where}")
    if result.suppressed:
        output.field("and", f"{result.suppressed} more finding(s)")


def _plain(result: Result) -> dict[str, object]:
    plain = dataclasses.asdict(result)
    return {**plain, "root": result.root.hex(), "ok": result.ok}
