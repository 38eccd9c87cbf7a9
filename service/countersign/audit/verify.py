"""Verifies a log from a copy of it and the log's public key.

Needs nothing else: no store, no network, no trust in whoever made the copy.
Stored bytes are hashed as they are, never canonicalised again. What a copy
alone cannot show (truncation, a roll-back, a fork of the whole log) needs an
anchor from outside; the result says which anchors there were.

How a segment is judged: its records, the hash tiles and the entry bundles are
three witnesses of the leaf hashes. The one whose tree has the root that the
log's key signed is the truth, and the others are held against it, so that a
finding names the record that was changed and not all that follow. Called by
the command line; `verify` blocks, streams, and never raises on a bad log.

With the `State` of an earlier verification it goes on from there: the tree it
remembers must be the beginning of the one that is signed now, so every later
checkpoint is checked to extend it, and earlier segments are only counted.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Final

from countersign.audit.checking import UNKNOWN, TreeChecker
from countersign.audit.contents import MAX_DELAY_S, Contents, parse
from countersign.audit.cosignature import WitnessKey
from countersign.audit.directory import Directory
from countersign.audit.findings import Findings, Line, compare
from countersign.audit.heads import Head, Heads, Witness
from countersign.audit.logkeys import Keys
from countersign.audit.merkle import (
    Frontier,
    consistency_proof,
    leaf_hash,
    range_root,
    verify_consistency,
)
from countersign.audit.note import MAX_LOG_SIZE, MAX_NOTE_BYTES, Verifier
from countersign.audit.plan import SegmentName, checkpoint_name, decompress
from countersign.audit.result import Result
from countersign.audit.seen import Sightings
from countersign.audit.source import (
    MAX_FILE_BYTES,
    Inventory,
    Source,
    UnsafeFileError,
    reader_of,
)
from countersign.audit.state import State
from countersign.audit.tiles import Tail, restore, subtree_reader
from countersign.errors import LogError

Progress = Callable[[int, int], None]
"""Told after each segment: records judged so far, and how many there are."""

_KEEP_EVERY: Final = 64
"""Segments between two states that are kept."""
_MAX_MISSING: Final = 1_000_000
"""Longest run of missing records that tiles are asked for."""


def verify(
    log: Path | Source,
    key: str | Keys,
    *,
    checkpoint: bytes | None = None,
    store: Frontier | None = None,
    earlier: State | None = None,
    from_start: bool = False,
    witnesses: Sequence[WitnessKey] = (),
    progress: Progress | None = None,
    keep: Callable[[State], None] | None = None,
    max_delay_s: float = MAX_DELAY_S,
) -> Result:
    """Verify a log under its verifier key, or under all keys it ever had.

    `checkpoint` is a signed note somebody kept; `store` the tree the store says
    it published; `earlier` what a verification before this one found whole:
    judged again only `from_start`. `witnesses` must have cosigned the newest
    checkpoint. `keep` is given a state now and then, so that a verification that
    is interrupted can go on. `max_delay_s` is how long after its records a bucket may
    have got a segment before that is a finding. Raises `LogError` only when the key or
    the remembered checkpoint is itself no good.
    """
    keys = Verifier.parse(key) if isinstance(key, str) else key
    remembered = None if checkpoint is None else keys.open(checkpoint)
    source = Directory(log) if isinstance(log, Path) else log
    inventory = source.inventory()
    findings = Findings()
    known = [head.size for head in (remembered, store) if head is not None]
    start = None
    if earlier is not None and not from_start and min(known, default=MAX_LOG_SIZE) >= earlier.size:
        # A head from before what was seen is judged on the way there: then all is read.
        start = _resumable(earlier, source, inventory)
    size = start.size if start else 0
    sightings = Sightings(witnesses, findings)
    heads = Heads(source, inventory, keys, findings, sightings, size)
    heads.remember(remembered, store, earlier.frontier if earlier else None)
    run = _Verification(source, inventory, heads, keys, findings, sightings.sizes)
    run.progress, run.keep = progress, keep
    run.contents.max_delay_s = max_delay_s
    run.seen = earlier.size if earlier is not None else 0
    if earlier is not None and start is not None:
        run.resume(start, earlier)
        run.judge_before(earlier.frontier)
    run.segments(inventory.segments)
    run.ending()
    objects = run.contents.check_objects()
    note = heads.note(run.tree.size)
    seen = sightings.conclude(run.tree.size, run.contents.times)
    whole = bool(note) and not findings.found
    return Result(
        origin=keys.name,
        size=run.tree.size,
        root=run.tree.frontier.root(),
        findings=tuple(findings.found),
        suppressed=findings.suppressed,
        anchors=tuple(run.anchors),
        segments=run.count,
        checkpoints=heads.checkpoints,
        objects=objects,
        pending=run.pending,
        judged=heads.newest is not None or bool(known) or earlier is not None,
        tampered=findings.tampered,
        remembered=any(item is not None for item in (remembered, store, earlier)),
        resumed_at=size,
        witnesses=seen,
        delay_s=run.contents.delay_s,
        state=run.state(note) if whole else None,
    )


def _resumable(earlier: State, source: Source, inventory: Inventory) -> Tail | None:
    """The tree of the earlier verification as the tiles show it, if they still do.

    None means to start from the beginning, which names what is wrong with them.
    """
    known = earlier.frontier
    straddles = any(name.first < known.size <= name.last for name in inventory.segments)
    if straddles or not known.size:
        return None
    try:
        tail = restore(known.size, source.read)
    except (LogError, UnsafeFileError):
        return None
    return tail if tail.frontier() == known else None


class _Verification:
    """One pass over one log."""

    def __init__(
        self,
        source: Source,
        inventory: Inventory,
        heads: Heads,
        keys: Keys,
        findings: Findings,
        cosigned: Collection[int],
    ) -> None:
        self._source = source
        self._keys = keys
        self.progress: Progress | None = None
        self.keep: Callable[[State], None] | None = None
        self.seen = 0
        """What an earlier verification had seen; less is not kept."""
        self._heads = heads
        self._findings = findings
        self.tree = TreeChecker(source, inventory, findings)
        self.contents = Contents(keys.name, source, inventory.objects, findings, cosigned)
        self.count = 0
        self.pending = 0
        self.anchors: list[str] = []
        self._end = heads.newest or 0
        self._cosigned = max(cosigned, default=0)
        self._inconsistent = 0
        self._good = 0
        self._stopped = False
        for name in inventory.unsafe:
            findings.add("file.unsafe", "not a plain file", file=name)
        for name in inventory.unexpected:
            findings.add("segment.unexpected", "no file of a log is named so", file=name)

    def resume(self, tail: Tail, earlier: State) -> None:
        """Go on where an earlier verification ended."""
        self.tree.resume(earlier.frontier, tail.levels)
        self.contents.resume(earlier.time)

    def judge_before(self, known: Frontier) -> None:
        """Heads of less than was verified before: that must begin with their records."""
        read = subtree_reader(known.size, reader_of(self._source))
        for size, head in self._heads.before(known.size):
            if not size:
                continue  # of nothing there is only one tree
            try:
                root = range_root(0, size, read)
                path = consistency_proof(size, known.size, read)
                verify_consistency(size, known.size, root, known.root(), path)
            except LogError:
                what = "the tiles do not lead to what was verified earlier"
                self._findings.add("tile.differs", what, seq=size)
                return
            if root != head.root:
                self._forked(size, head)

    # --- the order of segments ---

    def segments(self, names: Sequence[SegmentName]) -> None:
        """Judge every segment up to the newest checkpoint."""
        start = self.tree.size
        self._judge_heads(start, self.tree.frontier)
        self._count_earlier(names, start)
        for first, group in itertools.groupby(names, key=lambda name: name.first):
            if self._stopped:
                return
            candidates = list(group)
            if first < start:
                continue
            if first >= self._end:
                self.pending += max(name.last for name in candidates) - first + 1
                continue
            if first > self.tree.size:
                self._missing(self.tree.size, first)
            if first == self.tree.size:
                chosen = max(candidates, key=self._plausible)
                candidates.remove(chosen)
                self._segment(chosen)
                self._tell()
            for name in candidates:
                self._overlap(name)

    def _tell(self) -> None:
        """How far it is, and now and then what may be gone on from."""
        if self.progress is not None:
            self.progress(self.tree.size, self._end)
        good = self.contents.complete and not self._findings.found
        if self.keep is None or self.count % _KEEP_EVERY or not good or self.tree.size <= self.seen:
            return
        note = self._source.read(checkpoint_name(self.tree.size), MAX_NOTE_BYTES)
        if note is not None:
            self.keep(self.state(note))

    def state(self, note: bytes) -> State:
        """What was found whole so far, under the checkpoint of that size."""
        return State(
            key=str(self._keys),
            frontier=self.tree.frontier,
            time=self.contents.time,
            checkpoint=note,
        )

    def _count_earlier(self, names: Iterable[SegmentName], start: int) -> None:
        """Segments that were verified before must still be there; their bytes are not read."""
        at = 0
        for name in names:
            if name.first >= start:
                break
            if name.first > at:
                self._gap(at, name.first)
            elif name.first < at:
                self._overlap(name)
            at = max(at, name.last + 1)
        if at < start:
            self._gap(at, start)

    def _plausible(self, name: SegmentName) -> tuple[bool, int]:
        """Of two segments, believe the one that ends at a checkpoint."""
        return bool(self._heads.at(name.last + 1)), name.last

    def _overlap(self, name: SegmentName) -> None:
        self._findings.add(
            "segment.overlap",
            "these records already have a segment",
            seq=name.first,
            file=str(name),
        )

    def _gap(self, first: int, end: int) -> None:
        self._findings.add(
            "segment.missing",
            f"records {first} to {end - 1} are in no segment",
            seq=first,
            gone=True,
        )

    def _missing(self, first: int, end: int) -> None:
        self._gap(first, end)
        self._without_segment(first, end)

    def _without_segment(self, first: int, end: int) -> None:
        """Go on with what tiles and bundles say, one checkpoint after another."""
        if end - first > _MAX_MISSING:
            self._stop(first)
            return
        for stop in (*self._heads.within(first, end), end):
            start = self.tree.size
            truth, frontier = self._truth(start, stop - start, None)
            self._judge_heads(stop, frontier)
            self.tree.accept(truth, frontier, None)

    def _stop(self, seq: int) -> None:
        self._stopped = True
        self._findings.add("log.incomplete", "what follows was not judged", seq=seq, gone=True)

    # --- one segment ---

    def _segment(self, name: SegmentName) -> None:
        self.count += 1
        first, end = name.first, min(name.last + 1, self._end)
        lines = self._lines(name)
        hashes = None if lines is None else [leaf_hash(line) for line in lines]
        if end <= name.last:
            self._heads.expect(name.last + 1)
            lines = lines and lines[: end - first]
            hashes = hashes and hashes[: end - first]
        if end - first - len(hashes or ()) > _MAX_MISSING:
            self._stop(first)
            return
        whole = hashes if hashes is not None and len(hashes) == end - first else None
        truth, frontier = self._truth(first, end - first, whole)
        intact = lines is not None and hashes == truth
        for size in self._heads.within(first, end):
            self._judge_heads(size, self.tree.frontier.extend(truth[: size - first]))
        self._judge_heads(end, frontier)
        self._heads.expect(end)
        self.tree.accept(truth, frontier, lines if intact else None)
        if intact and lines:
            self.contents.check(name, lines)
        elif lines is not None and hashes is not None:
            self._name_changes(name, truth, lines, hashes)

    def _lines(self, name: SegmentName) -> list[bytes] | None:
        try:
            data = self._source.read(str(name))
            lines = decompress(data or b"", MAX_FILE_BYTES)
        except LogError as error:
            self._findings.add("segment.unreadable", error.message, seq=name.first, file=str(name))
            return None
        except UnsafeFileError:
            self._findings.add("file.unsafe", "too large", seq=name.first, file=str(name))
            return None
        split = lines.split(b"\n")
        if split.pop():
            self._findings.add(
                "segment.unreadable", "ends in half a line", seq=name.first, file=str(name)
            )
            return None
        return split

    def _truth(
        self, first: int, count: int, segment: list[bytes] | None
    ) -> tuple[Sequence[bytes], Frontier]:
        """The leaf hashes that were logged, as well as can be told, and their tree."""
        signed = {head.root for head in self._heads.at(first + count)}
        if segment is not None:
            frontier = self.tree.frontier.extend(segment)
            if frontier.root() in signed and not self.tree.broken:
                return segment, frontier
        tiles = self.tree.leaves_in_tiles(first, count)
        bundles = self.tree.leaves_in_bundles(first, count)
        witnesses = [found for found in (segment, tiles, bundles) if found is not None]
        for leaves in () if self.tree.broken else witnesses:
            frontier = self.tree.frontier.extend(leaves)
            if frontier.root() in signed:
                return leaves, frontier
        # No head tells: believe what two of the three agree on, or the first there is.
        agreed = (leaves for leaves in witnesses if witnesses.count(leaves) > 1)
        truth = next(agreed, witnesses[0] if witnesses else [UNKNOWN] * count)
        self.tree.broken = self.tree.broken or UNKNOWN in truth
        return truth, self.tree.frontier.extend(truth)

    def _name_changes(
        self,
        name: SegmentName,
        truth: Sequence[bytes],
        lines: Sequence[bytes],
        hashes: Sequence[bytes],
    ) -> None:
        claims = [(parse(line) or {}).get("seq") for line in lines]
        found = [
            Line(leaf, claim if isinstance(claim, int) else None)
            for leaf, claim in zip(hashes, claims, strict=True)
        ]
        if _is_another(name, truth, found):
            self._findings.add(
                "segment.misplaced", "holds other records", seq=name.first, file=str(name)
            )
            return
        for code, seq in compare(name.first, truth, found):
            self._findings.add(code, _CHANGES[code], seq=seq, file=str(name))

    # --- heads and the end ---

    def _judge_heads(self, size: int, frontier: Frontier) -> None:
        """Every head of this size must have the root of these records."""
        if self.tree.broken:
            return
        root = frontier.root()
        for head in self._heads.at(size):
            if head.root == root:
                self._inconsistent, self._good = 0, size
                if self._is_anchor(size, head):
                    self._anchor(size, head)
            elif head.witness is not Witness.OWN:
                self._forked(size, head)
            else:
                self._contradiction(size, head)

    def _forked(self, size: int, head: Head) -> None:
        self._findings.add(
            "log.forked",
            f"{head.witness.value} of size {size} is of other records: history was "
            "rewritten, or two logs share this name",
            seq=size,
            file=head.file,
        )

    def _is_anchor(self, size: int, head: Head) -> bool:
        """Of its own checkpoints and of the cosigned ones, only the newest is worth a line."""
        if head.witness is Witness.COSIGNED:
            return size == self._cosigned
        return head.witness is not Witness.OWN or size == self._end

    def _contradiction(self, size: int, head: Head) -> None:
        """Once history is rewritten every later checkpoint contradicts it: say it once."""
        self._inconsistent += 1
        if self._inconsistent <= 2:
            self._findings.add(
                "checkpoint.inconsistent",
                f"signed over other records than are here: some from {self._good} to {size - 1} "
                "were rewritten, or the log was forked",
                seq=size,
                file=head.file,
            )

    def _anchor(self, size: int, head: Head) -> None:
        text = f"{head.witness.value} of size {size}"
        if text not in self.anchors:
            self.anchors.append(text)

    def ending(self) -> None:
        """What the heads say should be there, and is not."""
        if self._heads.newest is None:
            self._findings.add(
                "checkpoint.missing",
                "no checkpoint that the log's key signed: nothing here proves anything",
                gone=True,
            )
        if self._stopped:
            return
        if self.tree.size < self._end:
            self._findings.add(
                "log.truncated",
                f"segments end at {self.tree.size}, a checkpoint covers {self._end} records",
                seq=self.tree.size,
                gone=True,
            )
            self._without_segment(self.tree.size, self._end)
        for size, head in self._heads.beyond(self._end):
            self._findings.add(
                "log.truncated",
                f"{head.witness.value} covers {size} records, the newest checkpoint here "
                f"{self._end}",
                seq=self._end,
            )
        if not self._stopped:
            self.tree.finish()


def _is_another(name: SegmentName, truth: Sequence[bytes], lines: Sequence[Line]) -> bool:
    """Whether each line says that it is of another segment: two were swapped, say."""
    logged = set(truth)
    return bool(lines) and not any(
        line.hash in logged or line.claims is None or name.first <= line.claims <= name.last
        for line in lines
    )


_CHANGES: Final = {
    "record.edited": "the bytes of this record are not those that were logged",
    "record.missing": "this record was logged and is not in its segment",
    "record.inserted": "a line stands here that was not logged here",
    "record.duplicated": "this record stands twice",
    "record.reordered": "this record does not stand where it was logged",
}
