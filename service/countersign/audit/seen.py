"""What witnesses say they have seen of a log, and when.

Pure. A cosigned checkpoint is an anchor from outside: whoever has the log's key cannot
sign another history up to there that the same witness cosigns too. Its time is the
witness's own, so a record it covers cannot be of later, whatever it says of itself.
Used by the verifier and the prover.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from countersign.audit.cosignature import WitnessKey
from countersign.audit.findings import Findings
from countersign.audit.logkeys import Keys
from countersign.audit.note import MAX_NOTE_BYTES, Note
from countersign.audit.plan import POINTER, witnessed_name
from countersign.audit.source import Source, UnsafeFileError
from countersign.errors import LogError

MAX_SKEW_S: Final = 300
"""How far the clocks of a log and a witness may be apart."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What one witness has cosigned: the newest, and the first that is here."""

    name: str
    size: int
    time_s: int
    first_size: int
    first_time_s: int

    def __str__(self) -> str:
        first = ""
        if self.first_size != self.size:
            first = f", the first {self.first_size} by {stamp(self.first_time_s)}"
        return f"{self.name} saw {self.size} record(s) by {stamp(self.time_s)}{first}"


class Sightings:
    """Collects the cosignatures of the witnesses that are asked for."""

    def __init__(self, witnesses: Sequence[WitnessKey], findings: Findings) -> None:
        self._witnesses = witnesses
        self._findings = findings
        self._times: dict[str, dict[int, int]] = {each.name: {} for each in witnesses}
        self._wrong: set[str] = set()

    def look(self, note: Note, size: int, file: str) -> tuple[str, ...]:
        """Which witnesses cosigned this checkpoint of the log."""
        names = []
        for witness in self._witnesses:
            try:
                time_s = witness.cosigned_s(note)
            except LogError as error:
                self._wrong.add(witness.name)
                problem = f"{witness.name}: {error.message}"
                self._findings.add("witness.signature", problem, seq=size, file=file)
                continue
            if time_s is not None:
                times = self._times[witness.name]
                times[size] = min(time_s, times.get(size, time_s))
                names.append(witness.name)
        return tuple(names)

    @property
    def sizes(self) -> set[int]:
        """All sizes that were cosigned."""
        return {size for times in self._times.values() for size in times}

    def conclude(self, size: int, times: Mapping[int, str]) -> tuple[Sight, ...]:
        """Judge what was seen of a log of that size.

        `times` are those of the last record below each cosigned size. All of it must be
        cosigned: what is newer could be dated at will by whoever has the log's key.
        """
        for name, seen in self._times.items():
            self._judge_times(name, seen, times)
            last = max(seen, default=-1)
            if last != size and name not in self._wrong:
                other = f"but that of size {last}: copy again" if seen else "and no other"
                problem = f"{name} did not cosign the checkpoint of size {size}, {other}"
                self._findings.add("witness.missing", problem, seq=size, gone=True)
        return tuple(_sight(name, seen) for name, seen in self._times.items() if seen)

    def _judge_times(self, name: str, seen: Mapping[int, int], times: Mapping[int, str]) -> None:
        for size in sorted(seen):
            if size in times and _seconds(times[size]) > seen[size] + MAX_SKEW_S:
                self._findings.add(
                    "witness.time",
                    f"{name} saw record {size - 1} by {stamp(seen[size])}, it says it is of later",
                    seq=size - 1,
                )


def _sight(name: str, seen: Mapping[int, int]) -> Sight:
    last, first = max(seen), min(seen)
    return Sight(
        name=name,
        size=last,
        time_s=seen[last],
        first_size=first,
        first_time_s=seen[first],
    )


def newest_cosigned(
    source: Source, keys: Keys, witnesses: Sequence[WitnessKey], seq: int
) -> bytes | None:
    """The newest checkpoint that covers a record and that all these witnesses cosigned."""
    own = {witness.key_id.hex() for witness in witnesses}
    sizes = {size for size, key_id in source.inventory().witnessed if key_id in own and size > seq}
    pointer = _open(source, POINTER, keys)
    if pointer is not None and _seen_by_all(pointer, witnesses):
        return pointer.encode()
    for size in sorted(sizes, reverse=True):
        names = (witnessed_name(size, witness.key_id) for witness in witnesses)
        notes = [note for name in names if (note := _open(source, name, keys)) is not None]
        if len({note.text for note in notes}) == 1:
            lines = dict.fromkeys(line for note in notes for line in note.signatures)
            merged = Note(text=notes[0].text, signatures=tuple(lines))
            if _seen_by_all(merged, witnesses):
                return merged.encode()
    return None


def _open(source: Source, name: str, keys: Keys) -> Note | None:
    try:
        data = source.read(name, MAX_NOTE_BYTES)
        if data is None:
            return None
        keys.open(data)
        return Note.parse(data)
    except (LogError, UnsafeFileError):
        return None


def _seen_by_all(note: Note, witnesses: Sequence[WitnessKey]) -> bool:
    try:
        return all(witness.cosigned_s(note) is not None for witness in witnesses)
    except LogError:
        return False


def stamp(seconds: int) -> str:
    """Seconds since 1970 as people read them."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"second {seconds}"


def _seconds(time: str) -> float:
    """A record's time; 0 when it has none that can be read."""
    try:
        return datetime.fromisoformat(time).timestamp()
    except ValueError:
        return 0.0
