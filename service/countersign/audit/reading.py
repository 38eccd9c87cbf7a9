"""Reads the records of a log as they stand. Proves nothing.

For showing and searching; `verify` is what says whether they are the records
that were logged. Streams: one segment is in memory at a time. Called by the
command line.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Final

from countersign.audit.criteria import Criteria
from countersign.audit.plan import SegmentName, decompress
from countersign.audit.source import Source, UnsafeFileError
from countersign.errors import LogError
from countersign.model import JsonObject

_MAX_SEGMENT_BYTES: Final = 256 * 1024 * 1024


def read_records(source: Source) -> Iterator[JsonObject]:
    """Every record of a log, oldest first.

    Raises `LogError` at a segment that cannot be read: verify the log then.
    """
    return find_records(source, Criteria())


def find_records(source: Source, criteria: Criteria) -> Iterator[JsonObject]:
    """The records that fit, oldest first; segments of another time are not opened."""
    segments = source.inventory().segments
    for segment, following in itertools.zip_longest(segments, segments[1:]):
        if criteria.may_hold(segment, following):
            yield from filter(criteria.fit, _records(source, segment))


def _records(source: Source, segment: SegmentName) -> Iterator[JsonObject]:
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
