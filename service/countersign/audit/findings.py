"""What a verifier can find wrong with a log, by name.

Pure. Codes are stable; scripts may match them:

    record.edited        a record's bytes are not those that were logged
    record.missing       a logged record is not in its segment
    record.inserted      a segment holds a line that was never logged
    record.duplicated    a record stands twice
    record.reordered     a record stands after a later one
    record.malformed     a logged record is not a JSON object with seq and time
    record.misplaced     the seq inside a logged record is not its position
    record.foreign       a logged record names another log
    record.backdated     a record's time is before its predecessor's
    segment.unreadable   not gzip, cut, too large, or not lines
    segment.missing      no segment holds these records, though later ones exist
    segment.overlap      a second segment for records that already have one
    segment.misplaced    a segment under another day or hour than its first record
    segment.unexpected   a file among the segments that is not one
    tile.missing, tile.differs, bundle.missing, bundle.differs
                         what outside tools read is not what the segments say
    checkpoint.missing   a signed head that was published is gone
    checkpoint.invalid   malformed, misnamed, or of another log
    checkpoint.signature not signed by the log's key
    checkpoint.inconsistent
                         signed, but not over these records: rewritten or forked
    object.missing, object.differs
                         bytes that a record names by hash
    log.truncated        records at the end are gone that an anchor covers
    log.incomplete       so much is missing that the rest was not judged
    log.forked           a remembered or cosigned head or the store contradicts these records
    witness.missing      a witness that the trust file demands did not cosign
    witness.signature    a cosignature by such a witness is wrong
    witness.time         a record says it is of later than when a witness saw it
    file.unsafe          a symbolic link, a device, or too large a file
    object.hidden        a delete marker lies over a locked object
    object.shadowed      another version lies over a locked object
    lock.missing         an object that is evidence is not locked
    lock.weak            it is locked in a mode that somebody can undo
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Final

MAX_FINDINGS: Final = 1_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong."""

    code: str
    message: str
    seq: int | None = None
    """The record it concerns, or the first of a range."""
    file: str = ""
    """The file it is in, below the log's directory."""
    gone: bool = False
    """Something is not here; nothing that is here contradicts what was signed."""


class Findings:
    """Collects findings up to a bound, and counts the rest."""

    def __init__(self) -> None:
        self.found: list[Finding] = []
        self.suppressed = 0
        self.tampered = False
        """One of them, the suppressed included, is more than something that is gone."""

    def add(
        self,
        code: str,
        message: str,
        *,
        seq: int | None = None,
        file: str = "",
        gone: bool = False,
    ) -> None:
        """Note one finding. A file's name is made safe to print."""
        self.tampered = self.tampered or not gone
        if len(self.found) < MAX_FINDINGS:
            safe = "".join(c if c.isascii() and c.isprintable() else "?" for c in file[:200])
            self.found.append(Finding(code=code, message=message, seq=seq, file=safe, gone=gone))
        else:
            self.suppressed += 1


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """One line of a segment: its leaf hash and the seq it claims."""

    hash: bytes
    claims: int | None


def compare(first: int, truth: Sequence[bytes], lines: Sequence[Line]) -> Iterator[tuple[str, int]]:
    """Name what was done to a segment, as `(code, seq)`.

    `truth` are the leaf hashes that were logged from `first` on. A line is the
    record whose hash it has; if it has none, the record whose seq it claims.
    """
    logged = {leaf: seq for seq, leaf in enumerate(truth, first)}
    intact = {logged[line.hash] for line in lines if line.hash in logged}
    seen: set[int] = set()
    newest = -1
    for position, line in enumerate(lines, first):
        seq = logged.get(line.hash)
        if seq is None:
            seq = line.claims
            if seq is None and len(lines) == len(truth):
                seq = position
            if seq is None or not first <= seq < first + len(truth) or seq in intact | seen:
                yield "record.inserted", position
                continue
            yield "record.edited", seq
        if seq in seen:
            yield "record.duplicated", seq
            continue
        if seq < newest:
            yield "record.reordered", seq
        newest = max(newest, seq)
        seen.add(seq)
    for seq in range(first, first + len(truth)):
        if seq not in seen:
            yield "record.missing", seq
