"""Verifies a log from a copy of its directory and the log's public key.

Needs nothing else: no store, no network, no trust in whoever made the copy.
Stored bytes are hashed as they are, never canonicalised again. What a copy
alone cannot show (truncation, a roll-back, a fork of the whole log) needs an
anchor from outside; the result says which anchors there were.

How a segment is judged: its records, the hash tiles and the entry bundles are
three witnesses of the leaf hashes. The one whose tree has the root that the
log's key signed is the truth, and the others are held against it, so that a
finding names the record that was changed and not all that follow. Called by
the command line; `verify` blocks, streams, and never raises on a bad log.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from countersign.audit.checking import UNKNOWN, TreeChecker
from countersign.audit.contents import Contents, parse
from countersign.audit.directory import MAX_FILE_BYTES, Directory, Inventory, UnsafeFileError
from countersign.audit.findings import Finding, Findings, Line, compare
from countersign.audit.heads import Head, Heads, Witness
from countersign.audit.merkle import Frontier, leaf_hash
from countersign.audit.note import Verifier, open_checkpoint
from countersign.audit.plan import SegmentName, decompress
from countersign.errors import LogError

_MAX_MISSING: Final = 1_000_000
"""Longest run of missing records that tiles are asked for."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a verification found."""

    origin: str
    size: int
    """Records that a signed checkpoint covers."""
    root: bytes
    findings: tuple[Finding, ...]
    suppressed: int
    """Findings beyond the bound, counted only."""
    anchors: tuple[str, ...]
    """What the records were verified against, in words."""
    segments: int
    checkpoints: int
    objects: int
    pending: int
    """Records in segments that no checkpoint covers yet: not verified."""

    @property
    def ok(self) -> bool:
        """Whether nothing was found. Read `anchors` for what that means."""
        return not self.findings


def verify(
    directory: Path,
    vkey: str,
    *,
    checkpoint: bytes | None = None,
    store: Frontier | None = None,
) -> Result:
    """Verify the log in a directory under its verifier key.

    `checkpoint` is a signed note somebody kept from earlier; `store` the tree
    the store says it published. Raises `LogError` only when the key or the
    remembered checkpoint is itself no good.
    """
    verifier = Verifier.parse(vkey)
    remembered = None if checkpoint is None else open_checkpoint(checkpoint, verifier)
    findings = Findings()
    source = Directory(directory)
    inventory = source.inventory()
    heads = Heads(source, inventory, verifier, findings)
    heads.remember(remembered, store)
    run = _Verification(source, inventory, heads, verifier.name, findings)
    run.segments(inventory.segments)
    run.ending()
    run.contents.check_objects(source, inventory.objects)
    return Result(
        origin=verifier.name,
        size=run.tree.size,
        root=run.tree.frontier.root(),
        findings=tuple(findings.found),
        suppressed=findings.suppressed,
        anchors=tuple(run.anchors),
        segments=run.count,
        checkpoints=heads.checkpoints,
        objects=len(inventory.objects),
        pending=run.pending,
    )


class _Verification:
    """One pass over one log."""

    def __init__(
        self,
        directory: Directory,
        inventory: Inventory,
        heads: Heads,
        origin: str,
        findings: Findings,
    ) -> None:
        self._directory = directory
        self._heads = heads
        self._findings = findings
        self.tree = TreeChecker(directory, inventory, findings)
        self.contents = Contents(origin, findings)
        self.count = 0
        self.pending = 0
        self.anchors: list[str] = []
        self._end = heads.newest or 0
        self._inconsistent = 0
        self._stopped = False
        for name in inventory.unsafe:
            findings.add("file.unsafe", "not a plain file", file=name)
        for name in inventory.unexpected:
            findings.add("segment.unexpected", "no file of a log is named so", file=name)

    # --- the order of segments ---

    def segments(self, names: Iterable[SegmentName]) -> None:
        """Judge every segment up to the newest checkpoint."""
        self._judge_heads(0, Frontier())
        for first, group in itertools.groupby(names, key=lambda name: name.first):
            if self._stopped:
                return
            candidates = list(group)
            if first >= self._end:
                self.pending += max(name.last for name in candidates) - first + 1
                continue
            if first > self.tree.size:
                self._missing(self.tree.size, first)
            if first == self.tree.size:
                chosen = max(candidates, key=self._plausible)
                candidates.remove(chosen)
                self._segment(chosen)
            for name in candidates:
                self._findings.add(
                    "segment.overlap",
                    "these records already have a segment",
                    seq=name.first,
                    file=str(name),
                )

    def _plausible(self, name: SegmentName) -> tuple[bool, int]:
        """Of two segments, believe the one that ends at a checkpoint."""
        return bool(self._heads.at(name.last + 1)), name.last

    def _missing(self, first: int, end: int) -> None:
        self._findings.add(
            "segment.missing", f"records {first} to {end - 1} are in no segment", seq=first
        )
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
        self._findings.add("log.incomplete", "what follows was not judged", seq=seq)

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
            data = self._directory.read(str(name))
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
                self._inconsistent = 0
                if head.witness is not Witness.OWN or size == self._end:
                    self._anchor(size, head)
            elif head.witness is not Witness.OWN:
                self._findings.add(
                    "log.forked",
                    f"{head.witness.value} of size {size} is of other records: history was "
                    "rewritten, or two logs share this name",
                    seq=size,
                )
            else:
                self._contradiction(size, head)

    def _contradiction(self, size: int, head: Head) -> None:
        """Once history is rewritten every later checkpoint contradicts it: say it once."""
        self._inconsistent += 1
        if self._inconsistent <= 2:
            self._findings.add(
                "checkpoint.inconsistent",
                f"signed over other records than the first {size} here: they were "
                "rewritten, or the log was forked",
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
            self._findings.add("checkpoint.missing", "no checkpoint: nothing here proves anything")
        if self._stopped:
            return
        if self.tree.size < self._end:
            self._findings.add(
                "log.truncated",
                f"segments end at {self.tree.size}, a checkpoint covers {self._end} records",
                seq=self.tree.size,
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


_CHANGES: Final = {
    "record.edited": "the bytes of this record are not those that were logged",
    "record.missing": "this record was logged and is not in its segment",
    "record.inserted": "a line here was never logged",
    "record.duplicated": "this record stands twice",
    "record.reordered": "this record stands after a later one",
}
