"""What a log sends to a witness: `add-checkpoint` of c2sp.org/tlog-witness.

Pure. An `old <size>` line, a consistency proof of one base64 line a hash, an
empty line, and the checkpoint note. Used by both sides.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Final, Self

from countersign.audit.merkle import HASH_BYTES
from countersign.audit.note import (
    MAX_LOG_SIZE,
    MAX_NOTE_BYTES,
    Checkpoint,
    Note,
    decode_base64,
    encode_base64,
)
from countersign.errors import LogError

PATH: Final = "add-checkpoint"
SIZE_TYPE: Final = "text/x.tlog.size"
MAX_PROOF: Final = 63
"""Hashes; no tree needs more."""
MAX_REQUEST_BYTES: Final = MAX_NOTE_BYTES + 4_096
"""Room for a note, the old size and the longest proof."""
_OLD: Final = re.compile(r"old (0|[1-9][0-9]{0,18})")
_SIZE: Final = re.compile(rb"(0|[1-9][0-9]{0,18})\n")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A checkpoint to be cosigned, and that it extends the one of size `old`."""

    old: int
    proof: tuple[bytes, ...]
    note: Note
    head: Checkpoint

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a body; raises `LogError`. Judges no signature."""
        if len(data) > MAX_REQUEST_BYTES:
            raise _malformed("is too large")
        top, blank, rest = data.partition(b"\n\n")
        try:
            first, *lines = top.decode("ascii").split("\n")
        except UnicodeDecodeError:
            raise _malformed("does not begin with an old size") from None
        match = _OLD.fullmatch(first)
        if not blank or match is None or int(match[1]) > MAX_LOG_SIZE:
            raise _malformed("does not begin with an old size")
        if len(lines) > MAX_PROOF:
            raise _malformed(f"has more than {MAX_PROOF} hashes of proof")
        note = Note.parse(rest)
        return cls(
            old=int(match[1]),
            proof=tuple(map(_hash, lines)),
            note=note,
            head=Checkpoint.parse(note.text),
        )

    def encode(self) -> bytes:
        """As a body."""
        lines = (f"old {self.old}", *map(encode_base64, self.proof), "", "")
        return "\n".join(lines).encode() + self.note.encode()


def encode_size(size: int) -> bytes:
    """The body of a 409: what the witness has."""
    return b"%d\n" % size


def decode_size(body: bytes) -> int | None:
    """That size; None if it is none."""
    match = _SIZE.fullmatch(body)
    return None if match is None or int(match[1]) > MAX_LOG_SIZE else int(match[1])


def _hash(line: str) -> bytes:
    data = decode_base64(line)
    if data is None or len(data) != HASH_BYTES:
        raise _malformed("has a proof line that is not 32 bytes of base64")
    return data


def _malformed(problem: str) -> LogError:
    return LogError("witness.malformed", f"the request {problem}")
