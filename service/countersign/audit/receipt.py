"""Receipts: a signed promise that a record is in the log, for whoever got the answer.

A Merkle log proves what is in it; a receipt proves what should be. Its holder shows
it to an auditor: when the record is not there by `include_by`, somebody left it out,
and the signature says who. The format is a signed note like a checkpoint, under a key
of its own and the name `<log id>/receipts`, so that neither can be taken for the other:

    countersign/receipt/v1
    <log id>
    <seq>
    <base64 of the leaf hash>
    <seconds since 1970>

Pure. Signed for the edge by `published`, judged by the command line.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Final, Self

from countersign.audit.merkle import HASH_BYTES
from countersign.audit.note import Note, Signer, Verifier, decode_base64, encode_base64, sign
from countersign.errors import LogError

HEAD: Final = "countersign/receipt/v1"
_SUFFIX: Final = "/receipts"
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)


def key_name(log_id: str) -> str:
    """Under what name a log's receipts are signed."""
    return log_id + _SUFFIX


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """This record is leaf `seq` of this log by then."""

    log_id: str
    seq: int
    leaf_hash: bytes
    include_by_s: int
    """Seconds since 1970."""

    def sign(self, signer: Signer) -> bytes:
        """The receipt as a signed note."""
        lines = (
            *(HEAD, self.log_id, str(self.seq)),
            *(encode_base64(self.leaf_hash), str(self.include_by_s)),
        )
        return sign("".join(f"{line}\n" for line in lines), [signer]).encode()

    @classmethod
    def open(cls, data: bytes, verifier: Verifier) -> Self:
        """The receipt in a note that this key signed. Raises `LogError`."""
        note = Note.parse(data)
        note.verify(verifier)
        lines = note.text.split("\n")
        if len(lines) != 6 or lines[0] != HEAD or lines[5]:
            raise _bad("is no receipt of this version")
        _, log_id, seq, leaf, include_by, _ = lines
        digest = decode_base64(leaf)
        if not _NUMBER.fullmatch(seq) or not _NUMBER.fullmatch(include_by):
            raise _bad("has a number that is not a plain decimal one")
        if digest is None or len(digest) != HASH_BYTES:
            raise _bad("has a leaf hash that is not 32 bytes of base64")
        if key_name(log_id) != verifier.name:
            raise _bad("is of another log than its key")
        return cls(log_id=log_id, seq=int(seq), leaf_hash=digest, include_by_s=int(include_by))


def _bad(problem: str) -> LogError:
    return LogError(
        "log.receipt_invalid",
        f"the receipt {problem}",
        advice="Ask whoever holds it for a whole copy.",
    )
