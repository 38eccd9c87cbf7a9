"""What was acknowledged, and whether the published log has it: used by `soak`.

Reads each segment once, as soon as it is in the sink, finished or not, and remembers
its bytes by their hash: they must be there to the end. Sequence numbers must go on
without a gap, a request must be recorded once, and what was acknowledged must be at
its place under its hash.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from typing import Any, Final

from countersign.audit.merkle import leaf_hash
from countersign.audit.plan import RECORDS, SegmentName, decompress
from countersign.audit.sink import Sink

_ONCE: Final = ("decision", "claim", "outcome", "vote")
"""Kinds of record of which one request makes one."""
_MAX_BYTES: Final = 1 << 28


@dataclasses.dataclass(slots=True)
class Row:
    """One line of the table."""

    runs: int = 0
    late: int = 0
    """Runs killed otherwise, because the boundary was not met in time."""
    acknowledged: int = 0
    lost: int = 0
    gaps: int = 0
    duplicates: int = 0
    rewritten: int = 0

    @property
    def bad(self) -> int:
        return self.lost + self.gaps + self.duplicates + self.rewritten


@dataclasses.dataclass(slots=True)
class _Published:
    """One log as far as it was read."""

    size: int = 0
    last: str = ""
    hashes: list[bytes] = dataclasses.field(default_factory=list)
    files: dict[str, bytes] = dataclasses.field(default_factory=dict)
    waiting: list[tuple[int, bytes, str]] = dataclasses.field(default_factory=list)


def _is_retryable(body: dict[str, Any]) -> bool:
    """A denial because policy could not be asked: the same request is judged again."""
    return any(reason["code"] == "policy.unavailable" for reason in body.get("reasons") or ())


class Ledger:
    """Of all logs; `boundary` is what the run now is about."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._logs: dict[str, _Published] = {}
        self._requests: Counter[tuple[str, str]] = Counter()
        self._permits: dict[str, str] = {}
        self._claimed: Counter[str] = Counter()
        self.rows: dict[str, Row] = {}
        self.boundary = ""
        self.findings: list[str] = []

    @property
    def row(self) -> Row:
        return self.rows.setdefault(self.boundary, Row())

    @property
    def bad(self) -> int:
        return sum(row.bad for row in self.rows.values()) + len(self.findings)

    def acknowledged(self, ref: Any) -> None:
        """An answer named this record."""
        log = self._logs.setdefault(ref.log_id, _Published())
        log.waiting.append((ref.seq, ref.leaf_hash, self.boundary))
        self.row.acknowledged += 1

    def granted(self, review: str, permits: list[str]) -> None:
        """Claims of one approval were answered with these permits."""
        if len(permits) != 1 or review in self._permits:
            self._double(f"review {review} was granted {len(permits)} permits")
        self._permits[review] = permits[0] if permits else ""

    def fetch(self) -> list[tuple[str, str, bytes]]:
        """What is new in the sink: log, name and bytes. From any thread."""
        return [
            (log_id, name, self._sink.read(log_id, name) or b"")
            for log_id, log in list(self._logs.items())
            for name in self._sink.names(log_id, RECORDS, after=log.last)
        ]

    def take(self, fetched: list[tuple[str, str, bytes]]) -> None:
        """Judge it. From the thread of those who acknowledge."""
        for log_id, name, data in fetched:
            self._segment(log_id, self._logs[log_id], name, data)
        for log in self._logs.values():
            self._compare(log)

    def _segment(self, log_id: str, log: _Published, name: str, data: bytes) -> None:
        parsed = SegmentName.parse(name)
        lines = decompress(data, _MAX_BYTES).split(b"\n")[:-1]
        log.last, log.files[name] = name, hashlib.sha256(data).digest()
        if parsed is None or parsed.first != log.size or parsed.last != log.size + len(lines) - 1:
            self.row.gaps += 1
            self.findings.append(f"{log_id} {name}: {len(lines)} records after {log.size}")
            return
        for line in lines:
            self._record(log_id, log, line)

    def _record(self, log_id: str, log: _Published, line: bytes) -> None:
        body = json.loads(line)
        if body["seq"] != log.size:
            self.row.gaps += 1
        log.size += 1
        log.hashes.append(leaf_hash(line))
        request = (body.get("request") or {}).get("id")
        if body["kind"] in _ONCE and request and not _is_retryable(body):
            key = (body["kind"], request)
            self._requests[key] += 1
            if self._requests[key] > 1:
                self._double(f"{log_id} {body['seq']}: {key} is there twice")
        if body["kind"] == "claim" and body.get("effect") == "allow":
            review = str(body["review"])
            self._claimed[review] += 1
            if self._claimed[review] > 1:
                self._double(f"{log_id} {body['seq']}: review {review} was claimed twice")

    def _compare(self, log: _Published) -> None:
        still = []
        for seq, wanted, boundary in log.waiting:
            if seq >= log.size:
                still.append((seq, wanted, boundary))
            elif log.hashes[seq] != wanted:
                self.rows[boundary].lost += 1
                self.findings.append(f"record {seq} has another hash than was acknowledged")
        log.waiting = still

    def finish(self) -> None:
        """Everything is published: whatever is missing now is lost."""
        for log_id, log in self._logs.items():
            for seq, _, boundary in log.waiting:
                self.rows[boundary].lost += 1
                self.findings.append(f"{log_id}: record {seq} was acknowledged and is not there")
            log.waiting = []
            for name, sha256 in log.files.items():
                if hashlib.sha256(self._sink.read(log_id, name) or b"").digest() != sha256:
                    self.row.rewritten += 1
                    self.findings.append(f"{log_id} {name}: not the bytes that were there first")
        for review in self._permits:
            if self._claimed[review] != 1:
                self.findings.append(f"review {review}: a permit without its record")

    def sizes(self) -> dict[str, int]:
        """Records read, by log."""
        return {log_id: log.size for log_id, log in self._logs.items()}

    @property
    def segments(self) -> int:
        return sum(len(log.files) for log in self._logs.values())

    def _double(self, what: str) -> None:
        self.row.duplicates += 1
        self.findings.append(what)
