"""Proofs that a record is in a log, made from its tiles.

A proof is a C2SP tlog-proof (c2sp.org/tlog-proof): a text of under 2 KB that
stands alone with the record and the log's key. Making one reads the tiles of a
published log; checking one reads nothing. Called by the edge (`Trust.Prove`)
and the command line; `prove` blocks on the reader it is given.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Final, Self

from countersign.audit.logkeys import Keys
from countersign.audit.merkle import (
    HASH_BYTES,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    verify_inclusion,
)
from countersign.audit.note import (
    MAX_NOTE_BYTES,
    Checkpoint,
    Note,
    decode_base64,
    encode_base64,
)
from countersign.audit.tiles import (
    WIDTH,
    Reader,
    bundle_path,
    decode_entries,
    subtree_reader,
    width_of,
)
from countersign.errors import LogError

MAX_PROOF_BYTES: Final = MAX_NOTE_BYTES + 98_304
"""Room for a note, a path and the largest record in base64."""
_HEADER: Final = "c2sp.org/tlog-proof@v1"
_INDEX: Final = re.compile(r"index (0|[1-9][0-9]{0,18})")
_MAX_PATH: Final = 63


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """That the leaf at `index` is in the tree of the checkpoint in `note`."""

    index: int
    path: tuple[bytes, ...]
    note: bytes
    """The signed checkpoint."""
    record: bytes = dataclasses.field(default=b"", compare=False)
    """The record's bytes in the format's `extra` line: carried, and proven like any others."""

    def encode(self) -> bytes:
        """As a C2SP tlog-proof."""
        extra = (f"extra {encode_base64(self.record)}",) if self.record else ()
        lines = (_HEADER, *extra, f"index {self.index}", *map(encode_base64, self.path), "", "")
        return "\n".join(lines).encode() + self.note

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a tlog-proof. Its `extra` line proves nothing until it is verified as the record."""
        head, blank, note = data[:MAX_PROOF_BYTES].partition(b"\n\n")
        try:
            header, *lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError:
            raise _malformed() from None
        record = b""
        if lines and lines[0].startswith("extra "):
            record = _base64(lines.pop(0).removeprefix("extra "))
        match = _INDEX.fullmatch(lines[0]) if lines else None
        if not blank or header != _HEADER or match is None or len(lines) > _MAX_PATH + 1:
            raise _malformed()
        return cls(
            index=int(match[1]), path=tuple(map(_decode, lines[1:])), note=note, record=record
        )

    def verify(self, record: bytes, keys: Keys) -> Checkpoint:
        """The checkpoint that covers these record bytes, or `LogError`."""
        head = keys.open(self.note)
        verify_inclusion(leaf_hash(record), self.index, head.size, self.path, head.root)
        return head


def prove(seq: int, note: bytes, read: Reader) -> Proof:
    """Prove record `seq` under a checkpoint whose signature the caller trusts."""
    head = Checkpoint.parse(Note.parse(note).text)
    path = inclusion_proof(seq, head.size, subtree_reader(head.size, read))
    return Proof(index=seq, path=path, note=note)


def prove_extends(old: int, new: int, read: Reader) -> tuple[bytes, ...]:
    """A consistency proof between two published sizes (RFC 6962 section 2.1.2)."""
    return consistency_proof(old, new, subtree_reader(new, read))


def record_at(seq: int, size: int, read: Reader) -> bytes:
    """The exact bytes of a published record, from its entry bundle.

    Not proven by itself: check it with a proof.
    """
    if not 0 <= seq < size:
        raise LogError("log.not_included", f"the tree of size {size} has no leaf {seq}")
    index, at = divmod(seq, WIDTH)
    width = width_of(0, index, size)
    bundle = read(bundle_path(index, width)) or read(bundle_path(index)) or b""
    entries = list(decode_entries(bundle))
    if at >= len(entries):
        raise LogError(
            "log.tile_missing", f"{bundle_path(index, width)}: the bundle is missing or too short"
        )
    return entries[at]


def _decode(line: str) -> bytes:
    data = _base64(line)
    if len(data) != HASH_BYTES:
        raise _malformed()
    return data


def _base64(text: str) -> bytes:
    data = decode_base64(text)
    if data is None:
        raise _malformed()
    return data


def _malformed() -> LogError:
    return LogError("log.proof_invalid", "this is not a C2SP tlog-proof")
