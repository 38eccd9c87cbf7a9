"""The SQLite engine of the group commit: one batch, one COMMIT.

Invariant 1 is kept here: decision, record and state are durable together or
not at all. Used by `sqlite`; runs in the writer thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final, TypeVar

from countersign.model import TenantId
from countersign.store.clock import StoreClock
from countersign.store.group_commit import Effects, Outcome
from countersign.store.sqlite_reads import SQL
from countersign.store.sqlite_writes import SqliteTransaction

T = TypeVar("T")

# What SQLite raises for a wrong command; anything else it raises is the store's.
_COMMANDS_FAULT: Final = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError)


class SqliteEngine:
    """`group_commit.Engine` over one writing connection."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        clock: StoreClock,
        log_id_of: Callable[[TenantId], str],
    ) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._clock = clock
        self._transaction = SqliteTransaction(connection, log_id_of)
        self._changes_before = 0

    def begin(self) -> None:
        self._cursor.execute("BEGIN IMMEDIATE")
        self._changes_before = self._connection.total_changes
        self._transaction.begin_batch(self._clock.now())

    def run(self, command: Callable[[SqliteTransaction], T]) -> Outcome[T]:
        transaction = self._transaction
        transaction.begin_command()
        try:
            result = command(transaction)
        except BaseException as error:
            if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, _COMMANDS_FAULT):
                raise
            transaction.undo()
            return None, error
        transaction.keep()
        return result, None

    def flush(self) -> Effects:
        effects = self._transaction.flush()
        if self._connection.total_changes != self._changes_before:
            self._cursor.execute(SQL["set_clock"], (self._transaction.now,))
        return effects

    def commit(self) -> None:
        self._cursor.execute("COMMIT")

    def close(self) -> None:
        self._connection.close()
