"""The SQLite file: one owner, the right mode, the newest schema.

A second server on one file could not wake the first one's waiters and would
keep a second log counter in memory, so the file is locked while a process
serves it. The lock is the kernel's and dies with the process: nothing is ever
left to clean up. Used by `sqlite` alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from countersign.errors import ConfigurationError

_PRIVATE: Final = 0o600
_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


@contextlib.contextmanager
def opening(path: Path) -> Iterator[None]:
    """Turn what the system or SQLite says into advice for the operator."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise ConfigurationError(
            "store.unusable",
            f"the store {path} cannot be opened: {error}",
            advice="Check that the directory exists and is writable, that the disk has room,"
            " and that the file is a Countersign store.",
        ) from error


def lock(path: Path) -> int:
    """Own the store until the returned descriptor is closed.

    Raises `ConfigurationError store.locked` while another process owns it.
    """
    descriptor = os.open(path.with_name(f"{path.name}.lock"), _FLAGS, _PRIVATE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise ConfigurationError(
            "store.locked",
            f"the store {path} is in use by another server",
            advice="Stop the other server, give this one its own store path,"
            " or use PostgreSQL to run several servers.",
        ) from None
    return descriptor


def connect(path: Path) -> sqlite3.Connection:
    """The connection that writes, durable at every COMMIT. Creates the file."""
    descriptor = os.open(path, _FLAGS, _PRIVATE)
    os.fchmod(descriptor, _PRIVATE)
    os.close(descriptor)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.executescript(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY;"
        "PRAGMA cache_size = -65536; PRAGMA wal_autocheckpoint = 4000;"
        "PRAGMA journal_size_limit = 67108864; PRAGMA trusted_schema = OFF;"
    )
    return connection


def connect_reading(path: Path) -> sqlite3.Connection:
    """A connection that cannot write and sees what is committed."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def migrate(connection: sqlite3.Connection, steps: Sequence[str]) -> None:
    """Bring the schema to version `len(steps)`, each step all or nothing.

    Raises `ConfigurationError store.newer` when a newer version was here.
    """
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(steps):
        raise ConfigurationError(
            "store.newer",
            f"the store has schema version {version}, this server knows {len(steps)}",
            advice="Run the newer server again, or restore the backup made before its upgrade.",
        )
    for step in steps[version:]:
        try:
            connection.executescript(f"BEGIN IMMEDIATE;\n{step}\nCOMMIT;")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.rollback()
            raise
