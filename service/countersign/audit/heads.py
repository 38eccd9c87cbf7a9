"""The signed heads a log is verified against.

Every immutable checkpoint and the pointer, their signatures judged once; a
head somebody remembered; and the store's own count of what it published. Used
by the verifier alone.
"""

from __future__ import annotations

import bisect
import dataclasses
import enum
from collections.abc import Sequence

from countersign.audit.cosignature import WitnessKey
from countersign.audit.findings import Findings
from countersign.audit.merkle import Frontier
from countersign.audit.note import MAX_NOTE_BYTES, Checkpoint, Note, Verifier, open_checkpoint
from countersign.audit.plan import POINTER, checkpoint_name
from countersign.audit.source import Inventory, Source, UnsafeFileError
from countersign.errors import LogError


class Witness(enum.Enum):
    """Who says that the log had this head."""

    OWN = "its own checkpoint"
    REMEMBERED = "the remembered checkpoint"
    STORE = "the store"
    EARLIER = "the state of an earlier verification"


@dataclasses.dataclass(frozen=True, slots=True)
class Head:
    """The root of the first so many records, and who says so."""

    witness: Witness
    root: bytes
    file: str = ""


class Heads:
    """All heads of one log, by size."""

    def __init__(
        self,
        source: Source,
        inventory: Inventory,
        verifier: Verifier,
        findings: Findings,
        start: int = 0,
    ) -> None:
        """Checkpoints of less than `start` records are left unread."""
        self._source = source
        self._verifier = verifier
        self._findings = findings
        self._by_size: dict[int, list[Head]] = {}
        self.checkpoints = 0
        first = bisect.bisect_left(inventory.checkpoints, start)
        for size in inventory.checkpoints[first:]:
            name = checkpoint_name(size)
            head = self._open(name)
            if head is not None and head.size != size:
                findings.add("checkpoint.invalid", "its name is another size", file=name)
            elif head is not None:
                self.checkpoints += 1
                self._add(head.size, Head(Witness.OWN, head.root, name))
        pointed = self._open(POINTER)
        if pointed is not None:
            if pointed.size not in self._by_size:
                self._missing(pointed.size)
            self._add(pointed.size, Head(Witness.OWN, pointed.root, POINTER))
        self.newest = max(self._by_size, default=None)
        """The size of the newest own checkpoint, or None without any."""
        self._sizes = sorted(self._by_size)

    def remember(
        self, checkpoint: Checkpoint | None, store: Frontier | None, earlier: Frontier | None
    ) -> None:
        """Add the heads that the verifying person brought along."""
        if earlier is not None:
            self._add(earlier.size, Head(Witness.EARLIER, earlier.root()))
        if checkpoint is not None:
            self._add(checkpoint.size, Head(Witness.REMEMBERED, checkpoint.root))
        if store is not None:
            self._add(store.size, Head(Witness.STORE, store.root()))
        self._sizes = sorted(self._by_size)

    def at(self, size: int) -> list[Head]:
        """The heads of exactly that size."""
        return self._by_size.get(size, [])

    def within(self, first: int, end: int) -> list[int]:
        """Sizes of heads that are more than `first` and less than `end`."""
        low = bisect.bisect_right(self._sizes, first)
        return self._sizes[low : bisect.bisect_left(self._sizes, end)]

    def beyond(self, size: int) -> list[tuple[int, Head]]:
        """The heads of more than that size."""
        low = bisect.bisect_right(self._sizes, size)
        return [(larger, head) for larger in self._sizes[low:] for head in self.at(larger)]

    def expect(self, size: int) -> None:
        """A segment ends here, so a checkpoint was published."""
        if not any(head.witness is Witness.OWN for head in self.at(size)):
            self._missing(size)

    def _missing(self, size: int) -> None:
        self._findings.add(
            "checkpoint.missing",
            f"the checkpoint of size {size} is gone",
            seq=size,
            file=checkpoint_name(size),
            gone=True,
        )

    def _add(self, size: int, head: Head) -> None:
        self._by_size.setdefault(size, []).append(head)

    def _open(self, name: str) -> Checkpoint | None:
        try:
            data = self._source.read(name, MAX_NOTE_BYTES)
            return None if data is None else open_checkpoint(data, self._verifier)
        except LogError as error:
            forged = error.code == "log.signature_invalid"
            code = "checkpoint.signature" if forged else "checkpoint.invalid"
            self._findings.add(code, error.message, file=name)
        except UnsafeFileError:
            self._findings.add("file.unsafe", "not a plain file of bearable size", file=name)
        return None


def newest_note(
    source: Source,
    verifier: Verifier,
    size: int,
    witnesses: Sequence[WitnessKey],
    findings: Findings,
) -> tuple[bytes, tuple[tuple[str, int], ...]]:
    """The note of the newest checkpoint, and which witnesses cosigned it."""
    notes: list[bytes] = []
    for name in (checkpoint_name(size), POINTER):
        try:
            data = source.read(name, MAX_NOTE_BYTES)
            if data is not None and open_checkpoint(data, verifier).size == size:
                notes.append(data)
        except (LogError, UnsafeFileError):
            continue  # found already, when the heads were read
    seen: dict[str, int] = {}
    for witness in witnesses:
        try:
            times = [time for time in map(witness.cosigned_s, map(Note.parse, notes)) if time]
        except LogError as error:
            findings.add("witness.signature", f"{witness.name}: {error.message}", seq=size)
            continue
        if times:
            seen[witness.name] = min(times)
        else:
            what = f"{witness.name} did not cosign the checkpoint of size {size}"
            findings.add("witness.missing", what, seq=size, gone=True)
    return notes[0] if notes else b"", tuple(seen.items())
