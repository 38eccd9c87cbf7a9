"""What intact records say of themselves must fit where they stand.

The bytes are those that were logged; this asks whether what was logged makes
sense: position, log, time, hour, and the objects named by hash. Used by the
verifier alone.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from countersign.audit.findings import Findings
from countersign.audit.plan import MAX_RECORD_BYTES, OBJECTS, SegmentName
from countersign.audit.source import Source, UnsafeFileError

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
MAX_DELAY_S: Final = 86_400.0
"""From a record to its object in the bucket: longer than most outages."""
MAX_SKEW_S: Final = 300
"""How far a store's clock and the service's may be apart."""
_HASH: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Contents:
    """Reads the records of one log in order."""

    def __init__(
        self,
        origin: str,
        source: Source,
        present: Iterable[str],
        findings: Findings,
        wanted: Collection[int] = (),
    ) -> None:
        """`present` are the objects there are; `wanted` sizes whose last record's time is kept."""
        self._origin = origin
        self._source = source
        self._findings = findings
        self._present = set(present)
        self._missing: dict[str, int] = {}
        self._checked: set[str] = set()
        self._resumed = False
        self.time = ""
        """Of the newest record so far."""
        self._wanted = frozenset(wanted)
        self.times: dict[int, str] = {}
        """Of the last record below each of those sizes."""
        self.max_delay_s = MAX_DELAY_S
        self.delay_s: float | None = None
        """Longest time from a record to when a store had it; None where no store tells."""

    def resume(self, time: str) -> None:
        """Go on after a record of that time: objects named before are not read again."""
        self.time = time
        self._resumed = True

    @property
    def complete(self) -> bool:
        """Whether every object that was named so far is there."""
        return not self._missing

    def check(self, name: SegmentName, lines: Sequence[bytes]) -> None:
        """What intact records say of themselves must fit where they stand."""
        times: list[str] = []
        for seq, line in enumerate(lines, name.first):
            body = parse(line)
            time = body.get("time") if body is not None else None
            if body is None or not isinstance(time, str) or not _TIME.fullmatch(time):
                self._record("record.malformed", "is not an object with a time", seq, name)
                continue
            if body.get("seq") != seq:
                self._record("record.misplaced", "names another sequence number", seq, name)
            if body.get("log_id") != self._origin:
                self._record("record.foreign", "names another log", seq, name)
            self._dated(seq, time, name)
            times.append(time)
            if seq == name.first and (time[:10], time[11:13]) != (name.day, name.hour):
                self._findings.add(
                    "segment.misplaced",
                    "its first record is of another hour",
                    seq=seq,
                    file=str(name),
                )
            for digest in named_objects(body):
                if digest not in self._present:
                    self._missing.setdefault(digest, seq)
                elif digest not in self._checked:
                    self._check_object(digest, seq)

        if times:
            self._judge_store(name, min(times), max(times))

    def _judge_store(self, name: SegmentName, oldest: str, newest: str) -> None:
        """Records are dated by the service, their object by the store: the two must fit."""
        stored = self._source.stored_at(str(name))
        if stored is None:
            return
        since, until = (_moment(time) for time in (oldest, newest))
        if since is None or until is None:
            return
        delay_s = (stored - since).total_seconds()
        self.delay_s = max(delay_s, self.delay_s or 0.0)
        at = f"{stored:%Y-%m-%dT%H:%M:%SZ}"
        if (until - stored).total_seconds() > MAX_SKEW_S:
            self._findings.add(
                "record.postdated",
                f"the bucket has it since {at}, it says it is of {newest}",
                seq=name.last,
                file=str(name),
            )
        elif delay_s > self.max_delay_s:
            self._findings.add(
                "segment.late",
                f"the bucket got it at {at}, its first record says {oldest}: nothing was published "
                "in between, or it is dated back",
                seq=name.first,
                file=str(name),
            )

    def _dated(self, seq: int, time: str, name: SegmentName) -> None:
        if time < self.time:
            self._record("record.backdated", "is dated before its predecessor", seq, name)
        self.time = max(self.time, time)
        if seq + 1 in self._wanted:
            self.times[seq + 1] = time

    def _record(self, code: str, problem: str, seq: int, name: SegmentName) -> None:
        self._findings.add(code, problem, seq=seq, file=str(name))

    def _check_object(self, digest: str, seq: int | None = None) -> None:
        """An object has the hash it is named by."""
        self._checked.add(digest)
        name = f"{OBJECTS}{digest}"
        try:
            data = self._source.read(name) or b""
        except UnsafeFileError:
            self._findings.add("file.unsafe", "too large", seq=seq, file=name)
            return
        if hashlib.sha256(data).hexdigest() != digest:
            self._findings.add("object.differs", "its bytes have another hash", seq=seq, file=name)

    def check_objects(self) -> int:
        """Objects that no record named are good too, and none that is named is missing.

        Returns how many were read.
        """
        if not self._resumed:
            for digest in sorted(self._present - self._checked):
                self._check_object(digest)
        for digest, seq in self._missing.items():
            self._findings.add(
                "object.missing",
                f"record {seq} names it",
                seq=seq,
                file=f"{OBJECTS}{digest}",
                gone=True,
            )
        return len(self._checked)


_OURS: Final = ("chain", "findings", "mask_report", "policy", "requirement", "review_state")
"""Parts of a record that hold nothing a caller wrote."""


def named_objects(body: dict[str, Any]) -> Iterator[str]:
    """The objects that a record names: large parts, previews, bundles, registers, settings.

    Only where the service itself writes: what a caller sent (arguments, labels,
    outcome details) may look like a name of an object and is none.
    """
    clean, change, previews = (body.get(name) for name in ("clean", "change", "preview_objects"))
    if isinstance(clean, dict) and len(clean) == 1:
        yield from _hashes(clean.values())
    if isinstance(change, dict):
        yield from _hashes(change.get(n) for n in ("bundle", "directory", "settings", "object"))
    if isinstance(previews, dict):
        yield from _hashes(previews.values())
    for part in map(body.get, _OURS):
        for inner in part.values() if isinstance(part, dict) else ():
            if isinstance(inner, dict) and len(inner) == 1:
                yield from _hashes([inner.get("object")])


def _hashes(values: Iterable[object]) -> Iterator[str]:
    return (value for value in values if isinstance(value, str) and _HASH.fullmatch(value))


def _moment(time: str) -> datetime | None:
    try:
        return datetime.fromisoformat(time)
    except ValueError:
        return None


def parse(line: bytes) -> dict[str, Any] | None:
    """A record's JSON object, or None if it is none."""
    if len(line) > MAX_RECORD_BYTES:
        return None
    try:
        body = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None
