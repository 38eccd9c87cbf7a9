"""What a verifier can find wrong with a log, by name.

Pure. Codes are stable; scripts may match them:

    record.edited        a record's bytes are not those that were logged
    record.missing       a logged record is not in its segment
    record.inserted      a segment holds a line that was not logged there
    record.duplicated    a record stands twice
    record.reordered     a record does not stand where it was logged
    record.malformed     a logged record is not a JSON object with seq and time
    record.misplaced     the seq inside a logged record is not its position
    record.foreign       a logged record names another log
    record.backdated     a record's time is before its predecessor's
    record.postdated     a record says it is of later than when a bucket already had it
    segment.unreadable   not gzip, cut, too large, or not lines
    segment.missing      no segment holds these records, though later ones exist
    segment.overlap      a second segment for records that already have one
    segment.misplaced    a segment under another day or hour than its first record, or with the
                         records of another
    segment.unexpected   a file among the segments that is not one
    segment.late         a bucket got it long after its records say they were made
    tile.missing, tile.differs, bundle.missing, bundle.differs
                         what outside tools read is not what the segments say
    checkpoint.missing   a signed head that was published is gone
    checkpoint.invalid   malformed, misnamed, or of another log
    checkpoint.signature not signed by the log's key
    checkpoint.inconsistent
                         signed, but not over these records: rewritten or forked
    checkpoint.stale     the pointer shows an older head than others here: rolled back
    object.missing, object.differs
                         bytes that a record names by hash
    log.truncated        records at the end are gone that an anchor covers
    log.incomplete       so much is missing that the rest was not judged
    log.forked           a remembered or cosigned head or the store contradicts these records, or
                         two signed heads of one size have different roots
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

import bisect
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
            found = Finding(code=code, message=message, seq=seq, file=safe_name(file), gone=gone)
            self.found.append(found)
        else:
            self.suppressed += 1

    def about(self, file: str) -> bool:
        """Whether anything was found in that file."""
        return any(found.file == file for found in self.found)


def safe_name(file: str) -> str:
    """A file's name that may be printed, whoever chose it."""
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in file[:200])


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """One line of a segment: its leaf hash and the seq it claims."""

    hash: bytes
    claims: int | None


def compare(first: int, truth: Sequence[bytes], lines: Sequence[Line]) -> Iterator[tuple[str, int]]:
    """Name what was done to a segment, as `(code, seq)`.

    `truth` are the leaf hashes that were logged from `first` on. A line is the
    record whose hash it has; if it has none, the record whose seq it claims, or
    the one in whose place it stands.
    """
    logged = {leaf: seq for seq, leaf in enumerate(truth, first)}
    taken = {logged[line.hash] for line in lines if line.hash in logged}
    standing: list[int] = []
    seen: set[int] = set()
    for position, line in enumerate(lines, first):
        seq = logged.get(line.hash)
        if seq is None:
            places = (line.claims, position if len(lines) == len(truth) else None)
            seq = next((seq for seq in places if _free(seq, first, len(truth), taken)), None)
            if seq is None:
                yield "record.inserted", position
                continue
            taken.add(seq)
            yield "record.edited", seq
        if seq in seen:
            yield "record.duplicated", seq
            continue
        seen.add(seq)
        standing.append(seq)
    in_order = _longest_rising(standing)
    for seq in standing:
        if seq not in in_order:
            yield "record.reordered", seq
    for seq in range(first, first + len(truth)):
        if seq not in seen:
            yield "record.missing", seq


def _free(seq: int | None, first: int, count: int, taken: set[int]) -> bool:
    return seq is not None and first <= seq < first + count and seq not in taken


def _longest_rising(numbers: Sequence[int]) -> set[int]:
    """A longest run of them that rises: whatever is not in it was moved."""
    ends: list[int] = []  # the smallest last number of a rising run of each length
    at: list[int] = []  # the length of the longest rising run that ends with each number
    for number in numbers:
        length = bisect.bisect_left(ends, number)
        ends[length : length + 1] = [number]
        at.append(length)
    found: set[int] = set()
    wanted = len(ends) - 1
    for number, length in zip(reversed(numbers), reversed(at), strict=True):
        if length == wanted:
            found.add(number)
            wanted -= 1
    return found
