"""Receipts against the log: what was promised to somebody, and whether it is there.

Pure. A file may hold many receipts, one after the other. Each is one of:

    kept        the record stands where it was promised
    omitted     it does not, and the promise's time is over or another stands there
    pending     it is not published yet, and there is time left
    forged      no receipt that this log's key signed
    other log   of a log that nobody asked about

Called by `audit reconcile` and `audit check-receipt`.
"""

from __future__ import annotations

import dataclasses
import enum
import itertools
import re
from collections.abc import Callable, Iterator
from typing import Final

from countersign.audit.note import Note, Verifier
from countersign.audit.receipt import HEAD, Receipt, key_name
from countersign.audit.seen import stamp
from countersign.errors import LogError

_START: Final = re.compile(rb"^" + HEAD.encode() + rb"$", re.MULTILINE)


class Standing(enum.Enum):
    """What became of a promise."""

    KEPT = "kept"
    OMITTED = "omitted"
    PENDING = "pending"
    FORGED = "forged"
    OTHER_LOG = "other log"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """One receipt, judged."""

    standing: Standing
    message: str
    seq: int | None = None
    """The record it promises; None when nothing in it can be believed."""


def split(data: bytes) -> Iterator[bytes]:
    """The receipts of a file that holds some, whatever stands before the first."""
    starts = [match.start() for match in _START.finditer(data)] or [0]
    for start, end in itertools.pairwise([*starts, len(data)]):
        yield data[start:end].rstrip(b"\n") + b"\n"


def judge(
    note: bytes, key: Verifier, size: int, leaf: Callable[[int], bytes], *, now_s: float
) -> Promise:
    """Judge one receipt under the key of receipts.

    `leaf` tells the proven leaf hash of a record below `size`, the newest there is; `now_s`
    is when the log was read or copied. Raises what `leaf` raises.
    """
    try:
        receipt = Receipt.open(note, key)
    except LogError as error:
        claimed = _claims(note)
        if claimed is not None and key_name(claimed) != key.name:
            return Promise(standing=Standing.OTHER_LOG, message="it is of another log")
        return Promise(standing=Standing.FORGED, message=error.message)
    seq, by = receipt.seq, stamp(receipt.include_by_s)
    if seq < size:
        if leaf(seq) == receipt.leaf_hash:
            return Promise(
                standing=Standing.KEPT, message=f"record {seq} is in the log, as promised", seq=seq
            )
        said = f"record {seq} was promised, and another record stands there"
        return Promise(standing=Standing.OMITTED, message=said, seq=seq)
    said = f"record {seq} was promised by {by}; the log ends with record {size - 1}"
    over = now_s > receipt.include_by_s
    return Promise(standing=Standing.OMITTED if over else Standing.PENDING, message=said, seq=seq)


def _claims(note: bytes) -> str | None:
    """The log that a receipt names, unproven; None when it is none."""
    try:
        lines = Note.parse(note).text.split("\n")
    except LogError:
        return None
    return lines[1] if lines[0] == HEAD and len(lines) > 1 else None
