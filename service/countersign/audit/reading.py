"""Reads the records of a log as they stand. Proves nothing.

For showing and searching; `verify` is what says whether they are the records
that were logged. Streams: one segment is in memory at a time. Called by the
command line.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator

from countersign.audit.criteria import Criteria
from countersign.audit.merkle import Frontier, leaf_hash
from countersign.audit.plan import MAX_RECORD_BYTES, SegmentName, decompress
from countersign.audit.source import MAX_FILE_BYTES, Source, UnsafeFileError
from countersign.errors import LogError
from countersign.model import JsonObject


class _All:
    """Every record; can be gone through again."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def __iter__(self) -> Iterator[JsonObject]:
        return find_records(self._source, Criteria())


def read_records(source: Source) -> Iterable[JsonObject]:
    """Every record of a log, oldest first, as often as it is gone through.

    Raises `LogError` at a segment that cannot be read: verify the log then.
    """
    return _All(source)


def find_records(source: Source, criteria: Criteria) -> Iterator[JsonObject]:
    """The records that fit, oldest first; segments of another time are not opened."""
    segments = source.inventory().segments
    for segment, following in itertools.zip_longest(segments, segments[1:]):
        if criteria.may_hold(segment, following):
            yield from filter(criteria.fit, _records(source, segment))


class Covered:
    """The first `size` records of a log, hashed as they are read.

    So that what was counted can be held against what was verified: a copy may
    change between the two readings.
    """

    def __init__(self, source: Source, size: int) -> None:
        self._source = source
        self._size = size
        self._frontier = Frontier()

    def __iter__(self) -> Iterator[JsonObject]:
        self._frontier = Frontier()
        for segment in self._source.inventory().segments:
            seen = self._frontier.size
            if segment.first > seen or seen >= self._size:
                return
            lines = _lines(self._source, segment)[seen - segment.first : self._size - segment.first]
            self._frontier = self._frontier.extend(map(leaf_hash, lines))
            yield from _parsed(lines, segment)

    def root(self) -> bytes:
        """Of the records that were read."""
        return self._frontier.root()


def _records(source: Source, segment: SegmentName) -> Iterator[JsonObject]:
    return _parsed(_lines(source, segment), segment)


def _lines(source: Source, segment: SegmentName) -> list[bytes]:
    try:
        data = source.read(str(segment))
        lines = decompress(data or b"", MAX_FILE_BYTES).split(b"\n")  # gone is unreadable, too
    except (LogError, UnsafeFileError) as error:
        raise _unreadable(segment) from error
    return list(filter(None, lines))


def _parsed(lines: Iterable[bytes], segment: SegmentName) -> Iterator[JsonObject]:
    try:
        for line in lines:
            if len(line) > MAX_RECORD_BYTES:
                raise ValueError("longer than any record")
            record = json.loads(line)
            if isinstance(record, dict):
                yield record
    except (ValueError, RecursionError) as error:
        raise _unreadable(segment) from error


def _unreadable(segment: SegmentName) -> LogError:
    return LogError(
        "log.segment_unreadable",
        f"{segment} cannot be read",
        advice="Run `countersign audit verify`: it names what is wrong.",
    )
