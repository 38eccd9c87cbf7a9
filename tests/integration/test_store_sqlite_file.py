"""The file the SQLite store lives in: who may open it, and with which schema."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import sqlite3
import time

import pytest

from countersign.errors import ConfigurationError
from countersign.model import Instant
from countersign.store import sqlite_file
from countersign.store.clock import wall_clock
from countersign.store.queries import migrations
from countersign.store.sqlite import SqliteStore


def log_id_of(tenant):
    return f"{tenant}/log"


async def opened(path):
    return await SqliteStore.open(path, log_id_of=log_id_of)


async def test_every_file_of_the_store_is_private(tmp_path):
    mask = os.umask(0)
    try:
        store = await opened(tmp_path / "store.db")
        await store.apply(lambda tx: tx.append("acme", {}))
        modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
        await store.close()
    finally:
        os.umask(mask)
    assert set(modes) == {"store.db", "store.db-wal", "store.db-shm", "store.db.lock"}
    assert set(modes.values()) == {0o600}


async def test_a_file_somebody_opened_up_is_closed_again(tmp_path):
    await (await opened(tmp_path / "store.db")).close()
    (tmp_path / "store.db").chmod(0o644)
    await (await opened(tmp_path / "store.db")).close()
    assert (tmp_path / "store.db").stat().st_mode & 0o777 == 0o600


async def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "elsewhere.db").touch()
    (tmp_path / "store.db").symlink_to(tmp_path / "elsewhere.db")
    with pytest.raises(ConfigurationError) as refused:
        await opened(tmp_path / "store.db")
    assert refused.value.code == "store.unusable"


async def test_a_second_server_is_refused_until_the_first_has_closed(tmp_path):
    first = await opened(tmp_path / "store.db")
    with pytest.raises(ConfigurationError) as refused:
        await opened(tmp_path / "store.db")
    assert refused.value.code == "store.locked"
    assert "Stop the other server" in refused.value.advice
    await first.close()
    await (await opened(tmp_path / "store.db")).close()


def _holds_the_lock(path, ready):
    sqlite_file.lock(path)
    ready.set()
    multiprocessing.Event().wait()


async def test_the_lock_dies_with_its_process(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Event()
    other = spawn.Process(target=_holds_the_lock, args=(tmp_path / "store.db", ready))
    other.start()
    assert ready.wait(30)
    with pytest.raises(ConfigurationError):
        await opened(tmp_path / "store.db")
    other.kill()
    other.join()
    await (await opened(tmp_path / "store.db")).close()


async def test_a_refused_open_gives_the_lock_back(tmp_path):
    path = tmp_path / "store.db"
    path.write_bytes(b"this is no database, whatever its name says" * 100)
    with pytest.raises(ConfigurationError) as refused:
        await opened(path)
    assert refused.value.code == "store.unusable"
    with (tmp_path / "store.db.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


async def test_a_missing_directory_is_named_with_its_remedy(tmp_path):
    with pytest.raises(ConfigurationError) as refused:
        await opened(tmp_path / "nowhere" / "store.db")
    assert refused.value.code == "store.unusable"
    assert "directory exists" in refused.value.advice


# --- schema ---


async def test_the_schema_grows_from_empty_and_only_once(tmp_path):
    await (await opened(tmp_path / "store.db")).close()
    before = _schema(tmp_path / "store.db")
    await (await opened(tmp_path / "store.db")).close()
    assert _schema(tmp_path / "store.db") == before
    assert before[0] == len(migrations("sqlite"))


def _schema(path):
    connection = sqlite3.connect(path)
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = connection.execute("SELECT sql FROM sqlite_schema ORDER BY name").fetchall()
    connection.close()
    return version, tables


async def test_a_newer_schema_is_refused_untouched(tmp_path):
    path = tmp_path / "store.db"
    await (await opened(path)).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ConfigurationError) as refused:
        await opened(path)
    assert refused.value.code == "store.newer"
    assert "backup" in refused.value.advice
    assert _schema(path)[0] == 99


def test_every_migration_sets_the_version_after_the_one_before():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    steps = migrations("sqlite")
    for version in range(1, len(steps) + 1):
        sqlite_file.migrate(connection, steps[:version])
        assert connection.execute("PRAGMA user_version").fetchone()[0] == version
    connection.close()


def test_a_migration_that_fails_leaves_the_version_before(tmp_path):
    connection = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    first = "CREATE TABLE a (x); PRAGMA user_version = 1;"
    second = "CREATE TABLE b (x); PRAGMA user_version = 2; INSERT INTO missing VALUES (1);"
    with pytest.raises(sqlite3.Error):
        sqlite_file.migrate(connection, [first, second])
    tables = connection.execute("SELECT name FROM sqlite_schema").fetchall()
    assert tables == [("a",)]
    assert connection.execute("PRAGMA user_version").fetchone()[0] == 1
    assert not connection.in_transaction
    connection.close()


async def test_commits_are_flushed_to_the_disk(tmp_path):
    """WAL with synchronous=FULL (2): a COMMIT that returned survives a power cut."""
    connection = sqlite_file.connect(tmp_path / "store.db")
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2
    connection.close()


async def test_a_reading_connection_cannot_write(tmp_path):
    sqlite_file.connect(tmp_path / "store.db").close()
    connection = sqlite_file.connect_reading(tmp_path / "store.db")
    with pytest.raises(sqlite3.OperationalError):
        connection.execute("CREATE TABLE a (x)")
    connection.close()


# --- time ---


async def test_a_store_goes_by_the_machines_clocks_unless_told_otherwise(tmp_path):
    store = await opened(tmp_path / "store.db")
    assert store._clock._wall is wall_clock
    assert store._clock._steady is time.monotonic_ns
    await store.close()


async def test_beside_a_clock_that_is_not_the_machines_no_time_passes_by_itself(tmp_path):
    walls = [Instant(5_000_000_000_000_000)]
    store = await SqliteStore.open(
        tmp_path / "store.db", log_id_of=log_id_of, clock=lambda: walls[-1]
    )
    told = store.now()
    walls.append(Instant(told - 3600 * 1_000_000))
    assert [store.now() for _ in range(100)] == [told] * 100
    await store.close()
