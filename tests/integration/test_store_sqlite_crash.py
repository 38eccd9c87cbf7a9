"""Servers that die while they write, and disks that fill up.

A child process appends from many tasks and tells its parent each record it got
an answer for. It is killed at a point of a commit; then the store is opened
again: nothing that was acknowledged is missing, nothing has a hole.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
import subprocess
import sys
import textwrap

import pytest

from countersign.errors import UnavailableError
from countersign.store.sqlite import SqliteStore

CHILD = textwrap.dedent(
    """
    import asyncio, os, resource, signal, sys
    from pathlib import Path
    from countersign.errors import UnavailableError
    from countersign.store.sqlite import SqliteStore

    path, point, times = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    seen = 0

    def reached(name):
        global seen
        seen += name == point
        if seen == times and name == point:
            os.kill(os.getpid(), signal.SIGKILL)

    def say(text):
        os.write(1, (text + chr(10)).encode())

    async def main():
        store = await SqliteStore.open(
            path,
            log_id_of=lambda tenant: tenant + "/log",
            reached=reached,
            on_failure=lambda error: say("failure " + type(error).__name__),
        )

        async def append(task):
            n = 0
            while True:
                n += 1
                def command(tx, n=n):
                    if n % 3 == 0:
                        tx.append("acme", {"kind": "undone", "pad": "x" * 500})
                        raise KeyError
                    return tx.append("acme", {"kind": "kept", "pad": "x" * 500})
                command.name = "append"
                try:
                    ref = await store.apply(command)
                except KeyError:
                    continue
                except UnavailableError:
                    say("unavailable " + str(store.failed))
                    return
                say("ack %d %s" % (ref.seq, ref.leaf_hash.hex()))

        if point == "disk full":
            await store.apply(lambda tx: tx.append("acme", {"kind": "kept"}))
            size = Path(str(path) + "-wal").stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100_000, size + 100_000))
        await asyncio.gather(*(append(task) for task in range(16)))
        await store.close()

    asyncio.run(main())
    """
)


def run_child(path, point, times=1):
    return subprocess.run(
        [sys.executable, "-c", CHILD, str(path), point, str(times)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def acknowledged(output):
    lines = [line.split() for line in output.splitlines()]
    return {int(words[1]): words[2] for words in lines if words[0] == "ack" and len(words) == 3}


async def log_after(path):
    store = await SqliteStore.open(path, log_id_of=lambda tenant: f"{tenant}/log")
    records = await store.records("acme", 0, 1_000_000)
    state = await store.log_state("acme")
    next_ref = await store.apply(lambda tx: tx.append("acme", {"kind": "after"}))
    await store.close()
    assert [record.seq for record in records] == list(range(state.size))
    assert next_ref.seq == state.size
    return records


def leaf_hashes(records):
    return {r.seq: hashlib.sha256(b"\x00" + r.body).hexdigest() for r in records}


@pytest.mark.parametrize("point", ["store.before_commit", "store.committed", "append.committed"])
@pytest.mark.parametrize("times", [1, 2, 20])
async def test_killed_at_a_point_of_a_commit_nothing_acknowledged_is_lost(tmp_path, point, times):
    path = tmp_path / "store.db"
    died = run_child(path, point, times)
    assert died.returncode == -9, died.stderr
    records = await log_after(path)
    kept = leaf_hashes(records)
    acks = acknowledged(died.stdout)
    assert acks.items() <= kept.items(), "every acknowledged record is there, byte for byte"
    assert {json.loads(record.body)["kind"] for record in records} <= {"kept"}
    if times == 1 and point == "store.before_commit":
        assert kept == {}, "what was not committed is not there"
    elif times == 1:
        assert acks == {}
        assert kept != {}, "what was committed is there, though nobody heard of it"


async def test_a_store_that_fails_inside_a_command_fails_the_whole_batch(tmp_path):
    """SQLite may have rolled everything back by itself: nothing can be trusted."""
    failures = []
    store = await SqliteStore.open(
        tmp_path / "store.db", log_id_of=lambda tenant: tenant, on_failure=failures.append
    )
    store._commits._engine._connection.execute("PRAGMA max_page_count = 1")
    outcomes = await asyncio.gather(
        store.apply(lambda tx: tx.append("acme", {"kind": "lost"})),
        store.apply(lambda tx: tx.put_object("acme", "0" * 64, bytes(1_000_000))),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [UnavailableError] * 2
    assert [type(failure) for failure in failures] == [sqlite3.OperationalError]
    assert store.failed
    with pytest.raises(UnavailableError):
        await store.apply(lambda tx: tx.now)
    assert await store.records("acme", 0, 10) == []
    await store.close()


async def test_a_damaged_store_answers_nobody_not_even_half(tmp_path):
    store = await SqliteStore.open(tmp_path / "store.db", log_id_of=lambda tenant: tenant)
    store._commits._engine._connection.execute("DROP TABLE permit")
    outcomes = await asyncio.gather(
        store.apply(lambda tx: tx.append("acme", {"kind": "lost"})),
        store.apply(lambda tx: tx.permit("acme", "per_1")),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [UnavailableError] * 2
    assert store.failed
    await store.close()


async def test_a_full_disk_fails_every_command_and_loses_nothing(tmp_path):
    path = tmp_path / "store.db"
    ended = run_child(path, "disk full")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("unavailable True") == 16, "every waiting caller was told"
    assert ended.stdout.count("failure OperationalError") == 1
    kept = leaf_hashes(await log_after(path))
    assert acknowledged(ended.stdout).items() <= kept.items()
