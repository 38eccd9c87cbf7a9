"""Reads the records of a log as they stand. Proves nothing.

For showing and searching; `verify` is what says whether they are the records
that were logged. Called by the command line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from countersign.audit.plan import decompress
from countersign.audit.source import Source, UnsafeFileError
from countersign.errors import LogError
from countersign.model import JsonObject

_MAX_SEGMENT_BYTES: Final = 256 * 1024 * 1024


def read_records(source: Source) -> Iterator[JsonObject]:
    """Every record of a log, oldest first.

    Raises `LogError` at a segment that cannot be read: verify the log then.
    """
    for segment in source.inventory().segments:
        name = str(segment)
        try:
            data = source.read(name)
            lines = decompress(data, _MAX_SEGMENT_BYTES).split(b"\n") if data else []
            for line in filter(None, lines):
                record = json.loads(line)
                if isinstance(record, dict):
                    yield record
        except (LogError, UnsafeFileError, ValueError, RecursionError) as error:
            raise LogError(
                "log.segment_unreadable",
                f"{name} cannot be read",
                advice="Run `countersign audit verify`: it names what is wrong.",
            ) from error
