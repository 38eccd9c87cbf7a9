"""The tree as it is found to be, and every tile and bundle held against it.

Leaf hashes come in, in order, as the verifier accepts them; each tile and each
entry bundle that they complete is compared with its file, leftover partial
ones included. Also reads leaf hashes back from tiles and bundles, as witnesses
where a segment is in doubt. Used by the verifier alone.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from countersign.audit.findings import Findings
from countersign.audit.merkle import HASH_BYTES, Frontier, leaf_hash, perfect_root
from countersign.audit.plan import MAX_RECORD_BYTES
from countersign.audit.source import Inventory, Source, UnsafeFileError
from countersign.audit.tiles import (
    WIDTH,
    bundle_path,
    decode_entries,
    encode_entries,
    hashes_of,
    tile_path,
)

UNKNOWN: Final = bytes(HASH_BYTES)
"""Stands for a leaf that nothing in the directory tells any more."""
_MAX_BYTES: Final = WIDTH * (2 + MAX_RECORD_BYTES)
"""Of an entry bundle, the largest tile there is."""


class TreeChecker:
    """Grows with the accepted leaves and checks tiles as they fill."""

    def __init__(self, source: Source, inventory: Inventory, findings: Findings) -> None:
        self._source = source
        self._partials = inventory.partials
        self._findings = findings
        self.frontier = Frontier()
        self.broken = False
        """A leaf is unknown: roots mean nothing from here on."""
        self._levels: list[list[bytes]] = []
        self._lines: list[bytes | None] = []

    def resume(self, frontier: Frontier, levels: Sequence[bytes]) -> None:
        """Go on after so many leaves; `levels` are the partial tiles of that tree."""
        self.frontier = frontier
        self._levels = [hashes_of(tile) for tile in levels]
        self._lines = [None] * (frontier.size % WIDTH)

    @property
    def size(self) -> int:
        """How many leaves there are."""
        return self.frontier.size

    def accept(
        self, leaves: Sequence[bytes], frontier: Frontier, lines: Sequence[bytes] | None
    ) -> None:
        """Take leaves as true; `lines` are their bytes where those are known.

        `frontier` is the tree with those leaves.
        """
        self.broken = self.broken or UNKNOWN in leaves
        index = self.size // WIDTH
        self.frontier = frontier
        self._lines += lines if lines is not None else [None] * len(leaves)
        self._grow(0, index, leaves)

    def _grow(self, level: int, index: int, hashes: Sequence[bytes]) -> None:
        """Add hashes to the tile `index` of a level, and go on to further tiles."""
        if level == len(self._levels):
            self._levels.append([])
        pending = self._levels[level]
        pending += hashes
        above: list[bytes] = []
        for tile in range(index, index + len(pending) // WIDTH):
            full, pending = pending[:WIDTH], pending[WIDTH:]
            self._check_tile(level, tile, full)
            if level == 0:
                self._check_bundle(tile, full)
            above.append(UNKNOWN if UNKNOWN in full else perfect_root(full))
        self._levels[level] = pending
        if above:
            self._grow(level + 1, index // WIDTH, above)

    def finish(self) -> None:
        """Check the partial tiles at the right edge."""
        for level, pending in enumerate(self._levels):
            if pending:
                index = (self.size >> 8 * level) // WIDTH
                self._check_tile(level, index, pending)
                if level == 0:
                    self._check_bundle(index, pending)

    # --- tiles ---

    def _check_tile(self, level: int, index: int, hashes: Sequence[bytes]) -> None:
        """A tile of this many hashes must be there, and its narrower versions agree."""
        if UNKNOWN in hashes:
            return
        expected = b"".join(hashes)
        path = functools.partial(tile_path, level, index)
        for width, name, data in self._versions(path, len(hashes), "tile"):
            if width > len(hashes):
                good = data.startswith(expected)
            else:
                good = data == expected[: width * HASH_BYTES]
            if not good:
                self._findings.add("tile.differs", "not the hashes of these records", file=name)

    def _check_bundle(self, index: int, leaves: Sequence[bytes]) -> None:
        """An entry bundle of this many entries, likewise."""
        lines = self._lines[: len(leaves)]
        del self._lines[: len(leaves)]
        if UNKNOWN in leaves and len(leaves) < WIDTH:
            return  # so wide there may never have been one
        known = [line for line in lines if line is not None]
        path = functools.partial(bundle_path, index)
        for width, name, data in self._versions(path, len(leaves), "bundle"):
            if len(known) == len(leaves) == width and data == encode_entries(known):
                continue
            self._compare_entries(name, data, width, index * WIDTH, leaves)

    def _compare_entries(
        self, name: str, data: bytes, width: int, first: int, leaves: Sequence[bytes]
    ) -> None:
        entries = list(itertools.islice(decode_entries(data), WIDTH + 1))
        found = [leaf_hash(entry) for entry in entries]
        checked = min(width, len(leaves))
        for seq, (leaf, truth) in enumerate(zip(found, leaves, strict=False), first):
            if truth not in (leaf, UNKNOWN):
                self._findings.add(
                    "bundle.differs", f"entry {seq} is not the record", seq=seq, file=name
                )
                return
        size = sum(map(len, entries)) + 2 * len(entries)
        if not checked <= len(found) <= width or size != len(data):
            self._findings.add("bundle.differs", "has too few or too many entries", file=name)

    def _versions(
        self, path: Callable[[int], str], width: int, kind: str
    ) -> Iterator[tuple[int, str, bytes]]:
        """Each version of a tile as `(width, name, bytes)`.

        At the right edge the full one counts if the partial one is gone; if
        both are, that is a finding.
        """
        partials = self._partials.get(path(WIDTH), ())
        widths = [found for found in partials if found <= min(width, WIDTH - 1)]
        if width not in widths:
            widths.append(WIDTH)
        for found in widths:
            try:
                data = self._source.read(path(found), _MAX_BYTES)
            except UnsafeFileError:
                what = "not a plain file of bearable size"
                self._findings.add(f"{kind}.differs", what, file=path(found))
                continue
            if data is not None:
                yield found, path(found), data
            elif found == WIDTH:
                where = path(width)
                self._findings.add(f"{kind}.missing", "the tile is gone", file=where, gone=True)

    def _read(self, name: str) -> bytes | None:
        try:
            return self._source.read(name, _MAX_BYTES)
        except UnsafeFileError:
            return None

    # --- witnesses ---

    def leaves_in_tiles(self, first: int, count: int) -> list[bytes] | None:
        """What level 0 says the leaves are, or None if it does not."""
        return self._collect(first, count, functools.partial(tile_path, 0), hashes_of)

    def leaves_in_bundles(self, first: int, count: int) -> list[bytes] | None:
        """What the entry bundles say the leaves are, or None if they do not."""
        return self._collect(
            first,
            count,
            bundle_path,
            lambda data: list(map(leaf_hash, itertools.islice(decode_entries(data), WIDTH))),
        )

    def _collect(
        self,
        first: int,
        count: int,
        path: Callable[[int, int], str],
        decode: Callable[[bytes], list[bytes]],
    ) -> list[bytes] | None:
        leaves: list[bytes] = []
        end = first + count
        for index in range(first // WIDTH, (end - 1) // WIDTH + 1):
            base = index * WIDTH
            low, high = max(first - base, 0), min(end - base, WIDTH)
            partials = self._partials.get(path(index, WIDTH), ())
            widths = [WIDTH, *sorted((w for w in partials if high <= w < WIDTH), reverse=True)]
            found = (self._read(path(index, width)) for width in widths)
            data = next((data for data in found if data is not None), b"")
            leaves += decode(data)[low:high]
            if len(leaves) != base + high - first:
                return None
        return leaves
