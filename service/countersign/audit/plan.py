"""What bytes go under what name: the plan of one publication.

Pure, apart from where the bytes are written: a sink only carries out what is
planned here, so the local directory and a locked bucket hold the same log.
Used by the publisher; the names also by the prover and the verifier.

    records/dt=YYYY-MM-DD/hour=HH/<first>-<last>.jsonl.gz   locked
    checkpoints/<size>                                      locked
    witnessed/<size>-<key id>                               locked, the same cosigned
    objects/<sha256>                                        locked
    tile/…                                                  rebuildable
    fences/<first>                                          rebuildable; see `tenant_log`
    checkpoint                                              pointer, rewritten

Sequence numbers and sizes are padded to 20 digits, so that names sort as
numbers do and a bucket can be listed from any of them on. A segment's name is
its range of sequence numbers, not its content: a conflicting rewrite collides.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import re
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from countersign.audit.note import Checkpoint, Signer, sign
from countersign.audit.tiles import Tail, grow
from countersign.errors import LogError
from countersign.model import Instant, StoredRecord

POINTER: Final = "checkpoint"
CHECKPOINTS: Final = "checkpoints/"
FENCES: Final = "fences/"
OBJECTS: Final = "objects/"
RECORDS: Final = "records/"
TILES: Final = "tile/"
WITNESSED: Final = "witnessed/"
_GZIP: Final = 31
"""zlib's wbits for a gzip container; it writes mtime 0."""
_SEGMENT: Final = re.compile(
    r"records/dt=(\d{4}-\d\d-\d\d)/hour=(\d\d)/(\d{20})-(\d{20})\.jsonl\.gz", re.ASCII
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MAX_LINES: Final = 262_144
"""Records of one segment; ours end far below. Bounds what newlines alone can cost a reader."""
MAX_RECORD_BYTES: Final = 65_535
"""What an entry bundle can hold."""


class Keep(enum.Enum):
    """How a file is kept."""

    LOCKED = "locked"
    """Evidence: create-exclusive, under object lock where there is one."""
    REBUILDABLE = "rebuildable"
    """Create-exclusive; can be made again from the segments."""
    POINTER = "pointer"
    """Replaced at every publication; proves nothing by itself."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file of a log: its name below the log's root, and its bytes."""

    name: str
    data: bytes
    keep: Keep


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """The files that publish one segment, in the order they must be written."""

    fence: File
    segment: File
    tiles: tuple[File, ...]
    checkpoint: File
    pointer: File
    obsolete: tuple[str, ...]
    tail: Tail


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, order=True)
class SegmentName:
    """What the name of a segment says. Sorts by sequence number."""

    first: int
    last: int
    day: str
    hour: str

    def __str__(self) -> str:
        return f"{RECORDS}dt={self.day}/hour={self.hour}/{self.first:020}-{self.last:020}.jsonl.gz"

    @classmethod
    def parse(cls, name: str) -> SegmentName | None:
        """Read a name back; None if it is not one."""
        match = _SEGMENT.fullmatch(name)
        if match is None or int(match[3]) > int(match[4]):
            return None
        return cls(first=int(match[3]), last=int(match[4]), day=match[1], hour=match[2])


def segment_name(first: int, last: int, time: Instant) -> SegmentName:
    """The name of a segment whose first record has that time."""
    moment = _EPOCH + timedelta(microseconds=time)
    return SegmentName(first=first, last=last, day=f"{moment:%Y-%m-%d}", hour=f"{moment:%H}")


def checkpoint_name(size: int) -> str:
    """The name of the immutable checkpoint of that size."""
    return f"{CHECKPOINTS}{size:020}"


def fence_name(first: int) -> str:
    """The name that only one writer can create before it publishes from there on."""
    return f"{FENCES}{first:020}"


def witnessed_name(size: int, key_id: bytes) -> str:
    """The name of the checkpoint of that size as that witness cosigned it."""
    return f"{WITNESSED}{size:020}-{key_id.hex()}"


def object_file(sha256_hex: str, data: bytes) -> File:
    """An object under the hash of its bytes; refuses bytes of another hash."""
    if hashlib.sha256(data).hexdigest() != sha256_hex:
        raise LogError(
            "log.object_invalid",
            f"{OBJECTS}{sha256_hex[:64]}: the stored bytes have another hash",
            advice="The store is damaged; restore it from a backup.",
        )
    return File(name=f"{OBJECTS}{sha256_hex}", data=data, keep=Keep.LOCKED)


def lines_of(records: Sequence[StoredRecord]) -> bytes:
    """Each record's exact bytes and a newline."""
    return b"".join(part for record in records for part in (record.body, b"\n"))


def compress(lines: bytes) -> bytes:
    """Gzip with mtime 0: the same bytes from the same records."""
    return zlib.compress(lines, wbits=_GZIP)


def decompress(data: bytes, max_bytes: int) -> bytes:
    """One whole gzip member of at most that many bytes, or `LogError`."""
    inflate = zlib.decompressobj(wbits=_GZIP)
    try:
        lines = inflate.decompress(data, max_bytes)
    except zlib.error as error:
        raise LogError("log.segment_unreadable", "the segment is not gzip") from error
    if inflate.unconsumed_tail or not inflate.eof or inflate.unused_data:
        raise LogError(
            "log.segment_unreadable",
            "the segment is cut, too large, or has something after its end",
        )
    if lines.count(b"\n") > MAX_LINES:
        raise LogError("log.segment_unreadable", "the segment has more lines than any of ours")
    return lines


def check_sequence(records: Sequence[StoredRecord], first: int) -> None:
    """Refuse records that do not follow each other from `first` on."""
    for seq, record in enumerate(records, first):
        if record.seq != seq:
            raise LogError(
                "log.gap",
                f"the store has no record {seq} but a later one",
                advice="Records were removed from the store; restore it from a backup.",
            )
        if b"\n" in record.body or not record.body:
            raise LogError("log.record_invalid", f"record {seq} is not one line of JSON")


def plan(tail: Tail, records: Sequence[StoredRecord], signer: Signer) -> Publication:
    """Plan the publication of the records that follow the tail.

    Deterministic: planned again after a crash, the same bytes come out.
    """
    check_sequence(records, tail.size)
    name = segment_name(records[0].seq, records[-1].seq, records[0].time)
    growth = grow(tail, [record.body for record in records])
    head = Checkpoint(origin=signer.name, size=growth.tail.size, root=growth.tail.frontier().root())
    note = sign(head.text(), [signer]).encode()
    return Publication(
        fence=File(name=fence_name(tail.size), data=head.text().encode(), keep=Keep.REBUILDABLE),
        segment=File(name=str(name), data=compress(lines_of(records)), keep=Keep.LOCKED),
        tiles=tuple(
            File(name=tile.name, data=tile.data, keep=Keep.REBUILDABLE) for tile in growth.files
        ),
        checkpoint=File(name=checkpoint_name(head.size), data=note, keep=Keep.LOCKED),
        pointer=File(name=POINTER, data=note, keep=Keep.POINTER),
        obsolete=growth.obsolete,
        tail=growth.tail,
    )
