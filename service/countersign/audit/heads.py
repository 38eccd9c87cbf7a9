"""The signed heads a log is verified against.

Every immutable checkpoint, those that witnesses cosigned and the pointer, their
signatures judged once; a head somebody remembered; and the store's own count of
what it published. Used by the verifier alone.
"""

from __future__ import annotations

import bisect
import dataclasses
import enum
from collections.abc import Sequence
from typing import Final

from countersign.audit.findings import Findings
from countersign.audit.logkeys import Keys
from countersign.audit.merkle import Frontier
from countersign.audit.note import MAX_NOTE_BYTES, Checkpoint, Note
from countersign.audit.plan import POINTER, checkpoint_name, witnessed_name
from countersign.audit.seen import Sightings
from countersign.audit.source import Inventory, Source, UnsafeFileError
from countersign.errors import LogError


class Witness(enum.Enum):
    """Who says that the log had this head."""

    OWN = "its own checkpoint"
    REMEMBERED = "the remembered checkpoint"
    STORE = "the store"
    EARLIER = "the state of an earlier verification"
    COSIGNED = "the cosigned checkpoint"


@dataclasses.dataclass(frozen=True, slots=True)
class Head:
    """The root of the first so many records, and who says so."""

    witness: Witness
    root: bytes
    file: str = ""


_IN_THE_LOG: Final = (Witness.OWN, Witness.COSIGNED)


class Heads:
    """All heads of one log, by size."""

    def __init__(
        self,
        source: Source,
        inventory: Inventory,
        keys: Keys,
        findings: Findings,
        sightings: Sightings,
        start: int = 0,
    ) -> None:
        """Checkpoints of less than `start` records are left unread, but for the last cosigned."""
        self._source = source
        self._keys = keys
        self._findings = findings
        self._sightings = sightings
        self._by_size: dict[int, list[Head]] = {}
        self._newest = (0, b"")
        first = bisect.bisect_left(inventory.checkpoints, start)
        names = {checkpoint_name(size): size for size in inventory.checkpoints[first:]}
        own = {size for name, size in names.items() if self._read(name, size)}
        self.checkpoints = len(own)
        for name, size in names.items():
            self._look_below(name, size)
        copied = {
            size
            for size, key_id in _since(inventory.witnessed, start)
            if self._read(witnessed_name(size, bytes.fromhex(key_id)), size) and size >= start
        }
        pointed = self._read(POINTER, None)
        shown = copied.union([pointed.size] if pointed else ())
        for size in sorted(shown.difference(own, inventory.checkpoints[:first])):
            self._missing(size)
        self._judge_pointer(pointed, inventory.checkpoints)
        self._judge_twins()
        self.newest = max(self._by_size, default=None)
        """The size of the newest own checkpoint, or None without any."""
        self._sizes = sorted(self._by_size)

    def _look_below(self, name: str, size: int) -> None:
        """Another head that somebody laid over this one counts too, if the key signed it."""
        for data in self._source.laid_over(name):
            try:
                head = self._keys.open(data)
            except LogError:
                continue
            if head.size == size:
                self._add(size, Head(Witness.OWN, head.root, f"{name} (a later version)"))

    def _judge_pointer(self, pointed: Checkpoint | None, sizes: Sequence[int]) -> None:
        """The pointer is written after each checkpoint: it may lag by one, no more."""
        if pointed is not None and sum(size > pointed.size for size in sizes) > 1:
            self._findings.add(
                "checkpoint.stale",
                f"shows {pointed.size} records, there are checkpoints of up to {sizes[-1]}: rolled "
                "back, or copied before them while the log grew; then copy again",
                seq=pointed.size,
                file=POINTER,
                gone=True,
            )
        elif pointed is None and len(sizes) > 1 and not self._findings.about(POINTER):
            self._findings.add(
                "checkpoint.missing",
                "the pointer to the newest checkpoint is gone",
                file=POINTER,
                gone=True,
            )

    def _judge_twins(self) -> None:
        """Two signed heads of one size with different roots: two histories, whatever is here."""
        for size, heads in self._by_size.items():
            other = next((head for head in heads if head.root != heads[0].root), None)
            if other is not None:
                self._findings.add(
                    "log.forked",
                    f"the log's key signed two histories of {size} records: this one, and "
                    f"{heads[0].file}",
                    seq=size,
                    file=other.file,
                )

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

    def before(self, size: int) -> list[tuple[int, Head]]:
        """The heads of less than that size."""
        high = bisect.bisect_left(self._sizes, size)
        return [(smaller, head) for smaller in self._sizes[:high] for head in self.at(smaller)]

    def note(self, size: int) -> bytes:
        """The newest signed note; empty if it is not of that size."""
        return self._newest[1] if self._newest[0] == size else b""

    def expect(self, size: int) -> None:
        """A segment ends here, so a checkpoint was published."""
        if not any(head.witness in _IN_THE_LOG for head in self.at(size)):
            self._missing(size)

    def _missing(self, size: int) -> None:
        if self._findings.about(checkpoint_name(size)):
            return  # it is there, and no good
        self._findings.add(
            "checkpoint.missing",
            f"the checkpoint of size {size} is gone",
            seq=size,
            file=checkpoint_name(size),
            gone=True,
        )

    def _add(self, size: int, head: Head) -> None:
        self._by_size.setdefault(size, []).append(head)

    def _read(self, name: str, size: int | None) -> Checkpoint | None:
        """Read one checkpoint, of that size if one is given, and take its head."""
        try:
            data = self._source.read(name, MAX_NOTE_BYTES)
            head = None if data is None else self._keys.open(data)
        except LogError as error:
            forged = error.code == "log.signature_invalid"
            code = "checkpoint.signature" if forged else "checkpoint.invalid"
            self._findings.add(code, error.message, seq=size, file=name)
            return None
        except UnsafeFileError:
            self._findings.add("file.unsafe", "not a plain file of bearable size", file=name)
            return None
        if head is None or data is None:
            return None
        if size is not None and head.size != size:
            what = f"its name is another size than the {head.size} it is of"
            self._findings.add("checkpoint.invalid", what, seq=size, file=name)
            return None
        cosigned = self._sightings.look(Note.parse(data), head.size, name)
        if head.size >= self._newest[0]:
            self._newest = (head.size, data)
        self._add(head.size, Head(Witness.COSIGNED if cosigned else Witness.OWN, head.root, name))
        return head


def _since(witnessed: Sequence[tuple[int, str]], start: int) -> list[tuple[int, str]]:
    """The cosigned checkpoints from that size on, and each witness's last one before."""
    before = {key_id: size for size, key_id in witnessed if size < start}
    return [
        (size, key_id) for size, key_id in witnessed if size >= start or before.get(key_id) == size
    ]
