"""Where an auditor reads a log from: a copy in a directory, or a bucket.

The protocol is all that the verifier, the prover and the searches need of a
place, so that each of them works on every place alike. `directory.Directory`
is the one for a local copy. What comes from a source is data to judge, never
to trust. Names and bounds are the same for all: `inventory_of` sorts them out.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Final, Protocol

from countersign.audit.plan import (
    CHECKPOINTS,
    OBJECTS,
    RECORDS,
    TILES,
    WITNESSED,
    SegmentName,
)
from countersign.audit.tiles import Reader
from countersign.errors import LogError

MAX_FILE_BYTES: Final = 64 * 1024 * 1024
_TEMPORARY: Final = ".writing-"
_EVIDENCE: Final = {
    RECORDS: re.compile(r".+"),  # judged by `SegmentName`
    CHECKPOINTS: re.compile(r"[0-9]{20}", re.ASCII),
    WITNESSED: re.compile(r"([0-9]{20})-([0-9a-f]{8})", re.ASCII),
    OBJECTS: re.compile(r"[0-9a-f]{64}", re.ASCII),
}
_PARTIAL: Final = re.compile(r"(.+)\.p/([1-9][0-9]{0,2})", re.ASCII)


class UnsafeFileError(Exception):
    """A file that is not a plain one of bearable size."""


@dataclasses.dataclass(slots=True)
class Inventory:
    """The names in a log, sorted out."""

    segments: list[SegmentName] = dataclasses.field(default_factory=list)
    checkpoints: list[int] = dataclasses.field(default_factory=list)
    witnessed: list[tuple[int, str]] = dataclasses.field(default_factory=list)
    """Cosigned checkpoints: size and the witness's key id in hex."""
    objects: list[str] = dataclasses.field(default_factory=list)
    partials: dict[str, list[int]] = dataclasses.field(default_factory=dict)
    """Full tile or bundle name to the widths of its partial versions."""
    unexpected: list[str] = dataclasses.field(default_factory=list)
    """Files among segments, checkpoints or objects that are none."""
    unsafe: list[str] = dataclasses.field(default_factory=list)


class Source(Protocol):
    """One log, read only."""

    def read(self, name: str, max_bytes: int = MAX_FILE_BYTES) -> bytes | None:
        """The bytes of a file, None if there is none; raises `UnsafeFileError`."""

    def inventory(self) -> Inventory:
        """Every name there is, sorted out."""

    def stored_at(self, name: str) -> datetime | None:
        """When a store that keeps its own time got a file; None where nothing tells."""

    def laid_over(self, name: str) -> Iterable[bytes]:
        """What else is under this name: versions that somebody laid over the file."""


def inventory_of(names: Iterable[tuple[str, bool]]) -> Inventory:
    """Sort out names below a log's root; False marks what is not a plain file."""
    found = Inventory()
    for name, plain in names:
        if not plain:
            found.unsafe.append(name)
        elif not name.rpartition("/")[2].startswith(_TEMPORARY):
            _sort_out(name, found)
    found.segments.sort()
    found.checkpoints.sort()
    found.witnessed.sort()
    return found


def _sort_out(name: str, found: Inventory) -> None:
    kind, _, rest = name.partition("/")
    if f"{kind}/" == TILES:
        if match := _PARTIAL.fullmatch(name):
            found.partials.setdefault(match[1], []).append(int(match[2]))
    elif f"{kind}/" in _EVIDENCE and not _take(f"{kind}/", rest, found):
        found.unexpected.append(name)


def _take(kind: str, rest: str, found: Inventory) -> bool:
    """Sort in one file of evidence; False if no such file is named so."""
    if kind == RECORDS:
        segment = SegmentName.parse(kind + rest)
        if segment is not None:
            found.segments.append(segment)
        return segment is not None
    match = _EVIDENCE[kind].fullmatch(rest)
    if match and kind == CHECKPOINTS:
        found.checkpoints.append(int(rest))
    elif match and kind == WITNESSED:
        found.witnessed.append((int(match[1]), match[2]))
    elif match:
        found.objects.append(rest)
    return match is not None


def reader_of(source: Source) -> Reader:
    """A source for those who make proofs: what cannot be read is a `LogError`."""

    def read(name: str) -> bytes | None:
        try:
            return source.read(name)
        except UnsafeFileError:
            raise LogError(
                "log.tile_invalid",
                "a file of the log is not a plain one of bearable size",
                advice="Run `countersign audit verify`: it names what is wrong.",
            ) from None

    return read
