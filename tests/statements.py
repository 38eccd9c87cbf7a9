"""Counts the SQL statements that calls of a SQLite store execute.

For tests that two calls cannot be told apart by what they cost, and that a call
does no more than it must. Watches all connections of a store from outside.
Everything that runs meanwhile is counted, so let nothing else run.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections import Counter
from collections.abc import Iterator

from countersign.store.sqlite import SqliteStore
from countersign.store.sqlite_reads import SQL

_PARAMETER = re.compile(r"\\\?\d*")


def _pattern(statement: str) -> re.Pattern[str]:
    """What SQLite reports of a statement: its text, values in place of parameters."""
    return re.compile(_PARAMETER.sub("(?:.*)", re.escape(statement.rstrip(";"))), re.DOTALL)


_NAMED = {name: _pattern(statement) for name, statement in SQL.items()}


@contextlib.contextmanager
def counted(store: SqliteStore) -> Iterator[Counter[str]]:
    """How often each statement ran: by its name in `queries.sql`, or else its own text."""
    counts: Counter[str] = Counter()
    lock = threading.Lock()

    def ran(text: str) -> None:
        names = [name for name, pattern in _NAMED.items() if pattern.fullmatch(text.rstrip(";"))]
        with lock:
            counts[names[0] if names else text] += 1

    connections = (store._commits._engine._connection, store._reading, store._bulk_reading)
    for connection in connections:
        connection.set_trace_callback(ran)
    try:
        yield counts
    finally:
        for connection in connections:
            connection.set_trace_callback(None)
