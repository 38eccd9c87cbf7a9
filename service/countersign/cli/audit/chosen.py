"""Which log an audit command is about, and what it is trusted by.

A copy in a directory, given with a trust file or a key; or the log of the
service that is configured here. Commands take it as a `Source`, so that they do
not know where it is kept.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from countersign.audit.cosignature import WitnessKey
from countersign.audit.directory import Directory
from countersign.audit.locks import Locks
from countersign.audit.logkeys import LogKeys
from countersign.audit.merkle import Frontier
from countersign.audit.note import MAX_NOTE_BYTES, Verifier
from countersign.audit.plan import POINTER, checkpoint_name
from countersign.audit.result import Result
from countersign.audit.source import MAX_FILE_BYTES, Source, UnsafeFileError
from countersign.audit.trust import Trust, TrustedLog
from countersign.cli.audit import bucket
from countersign.config import Config, config_path, load
from countersign.errors import ConfigurationError
from countersign.keyring import log_key
from countersign.model import TenantId
from countersign.rotation import NOTE, KeyHistory
from countersign.store import sqlite_file
from countersign.store.sqlite_reads import SqliteReads

LogOption = Annotated[
    str | None,
    typer.Option("--log", help="One log: a copy's directory, or s3://…; default: the service's."),
]
KeyOption = Annotated[
    str, typer.Option("--key", help="The log's verifier key, or a file holding it.")
]
TrustOption = Annotated[
    Path | None, typer.Option("--trust", help="What you trust: `audit trust` writes it.")
]
DelayOption = Annotated[
    float,
    typer.Option(
        "--max-delay-s",
        help="A bucket that got records so much after their time: a finding.",
        min=0,
    ),
]
TenantOption = Annotated[str, typer.Option(help="Whose log, when it is the service's.")]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """One log, and what it is verified with."""

    source: Source
    place: str
    keys: LogKeys
    witnesses: tuple[WitnessKey, ...] = ()
    receipts: Verifier | None = None
    store: Frontier | None = None
    """What the service's store says it published; None when only a copy is at hand."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What was typed to choose a log."""

    log: str | None
    """Where it is: a directory, or an address in S3."""
    key: str = ""
    trust: Path | None = None
    tenant: str = "default"
    config: Path | None = None

    def choose(self) -> Log:
        """The log, with the key it is trusted by."""
        if self.key and self.trust is not None:
            raise ConfigurationError(
                "audit.key_twice",
                "--key, --trust: both say which key to trust",
                advice="Give one of them.",
            )
        if self.log is None:
            return self._of_service()
        if not self.key and self.trust is None:
            raise ConfigurationError(
                "audit.key_missing",
                "--key: a copy of a log is verified with its verifier key",
                advice="`Trust.GetKeys` and `countersign audit key` tell it; get it from a place "
                "that whoever could change the log cannot change. Or give a --trust file.",
            )
        source = self.source()
        trusted = self._trusted(source)
        return Log(
            source=source,
            place=self.log,
            keys=trusted.keys,
            witnesses=trusted.witnesses,
            receipts=trusted.receipts,
        )

    def trusted_under(self, origin: str | None) -> TrustedLog:
        """What the key or trust file says about the log that claims this name.

        The claim only chooses among the trusted keys: the key then has to fit.
        """
        if self.trust is None:
            return TrustedLog(verifier=key_of(self.key))
        return Trust.parse(read_file("--trust", self.trust)).find(origin)

    def _trusted(self, source: Source) -> TrustedLog:
        """The same of a log at hand. One spoiled head does not keep it from being judged."""
        names = [POINTER]
        if self.trust is not None:
            sizes = source.inventory().checkpoints
            names += [checkpoint_name(size) for size in (*sizes[:1], *sizes[-1:])]
        claims = list(dict.fromkeys(_claims(source, name) for name in names))
        for claim in claims[:-1]:
            with contextlib.suppress(ConfigurationError):
                return self.trusted_under(claim)
        return self.trusted_under(claims[-1])

    def source(self) -> Source:
        """The log to read, whether trusted or not."""
        if self.log is not None and self.log.startswith(bucket.SCHEME):
            return bucket.of_address(self.log)
        settings = self._settings() if self.log is None else None
        if settings is not None and settings.log.sink == "s3":
            return bucket.of_service(settings, self._origin(settings))
        directory = self._directory() if self.log is None else Path(self.log)
        if not directory.is_dir():
            raise ConfigurationError(
                "audit.no_log",
                f"there is no log at {directory}",
                advice="Name its --tenant or --log. A log begins when the service first starts.",
            )
        return Directory(directory)

    def _settings(self) -> Config:
        """The service's. Whoever has none reads a copy of a log, and is told how."""
        path = config_path(self.config)
        if not path.exists():
            raise ConfigurationError(
                "config.missing",
                f"there is no {path}, so no service whose log to read",
                advice="Name a copy of a log with --log, or a service's settings with --config.",
            )
        return load(path)

    def own(self) -> TrustedLog:
        """The service's log, which may not have begun: others want its key first."""
        return self._own(load(config_path(self.config)))

    def _own(self, settings: Config) -> TrustedLog:
        verifier = Verifier(name=self._origin(settings), key=log_key(settings).public_key())
        store = settings.path(settings.store.path)
        keys = noted_keys(store).log_keys(TenantId(self.tenant), verifier)
        return TrustedLog(verifier=keys.current, retired=keys.retired)

    def _directory(self) -> Path:
        settings = load(config_path(self.config))
        return settings.path(settings.log.directory) / self._origin(settings)

    def _origin(self, settings: Config) -> str:
        return f"{settings.log.name}/{TenantId(self.tenant)}"

    def _place(self, settings: Config) -> str:
        if settings.log.sink == "s3":
            return f"{bucket.SCHEME}{settings.s3.records_bucket}/{settings.s3.prefix}" + (
                self._origin(settings)
            )
        return str(self._directory())

    def _of_service(self) -> Log:
        settings = load(config_path(self.config))
        source = self.source()
        if self.key or self.trust is not None:
            trusted = self._trusted(source)
        else:
            trusted = self._own(settings)
        return Log(
            source=source,
            place=self._place(settings),
            keys=trusted.keys,
            witnesses=trusted.witnesses,
            receipts=trusted.receipts,
            store=_published(settings.path(settings.store.path), TenantId(self.tenant)),
        )


def _claims(source: Source, name: str) -> str | None:
    """The origin in the first line of a checkpoint, unproven."""
    try:
        note = source.read(name, MAX_NOTE_BYTES) or b""
    except UnsafeFileError:
        return None
    return note.partition(b"\n")[0].decode("utf-8", "replace") or None


def _published(path: Path, tenant: TenantId) -> Frontier | None:
    """What the store beside the log says it published; read only, server or not."""
    if not path.exists():
        return None
    with sqlite_file.opening(path), contextlib.closing(sqlite_file.connect_reading(path)) as store:
        state = SqliteReads(store).log_state(tenant)
    return Frontier(hashes=state.frontier, size=state.published)


def noted_keys(store: Path) -> KeyHistory:
    """What the service noted of its keys; read only, server or not."""
    if not store.exists():
        return KeyHistory.parse(None)
    with (
        sqlite_file.opening(store),
        contextlib.closing(sqlite_file.connect_reading(store)) as reading,
    ):
        return KeyHistory.parse(SqliteReads(reading).note(NOTE))


def examined(result: Result, source: Source) -> Result:
    """The result, with the locks where the log is read from a bucket."""
    locks: Callable[[], Locks] | None = getattr(source, "locks", None)
    return result if locks is None else result.with_locks(locks())


def key_of(given: str, option: str = "--key") -> Verifier:
    """A verifier key, as typed or in a file."""
    if "+" not in given or Path(given).is_file():  # every verifier key has a plus
        given = read_file(option, Path(given)).decode("ascii", "replace").strip()
    return Verifier.parse(given)


def read_file(option: str, path: Path) -> bytes:
    """The bytes of a file that was named. Raises `ConfigurationError`, which names the option."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        with path.open("rb") as stream:
            return stream.read(MAX_FILE_BYTES)
    except OSError as error:
        raise ConfigurationError(
            "audit.unreadable",
            f"{option}: {path}: {error.strerror}",
            advice="Name a file that this user may read.",
        ) from None


def write_file(option: str, path: Path, data: bytes) -> None:
    """Replace a file whole. Raises `ConfigurationError`, which names the option."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        raise ConfigurationError(
            "audit.unwritable",
            f"{option}: {path}: {error.strerror}",
            advice="Name a file in a directory that this user may write.",
        ) from None
