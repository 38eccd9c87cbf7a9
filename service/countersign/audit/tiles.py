"""The C2SP tlog-tiles layout: what the tiles of a log hold and are called.

Pure. Used by the publisher (to grow), the prover (to read subtrees) and the
verifier (to know what must be there). Format: c2sp.org/tlog-tiles.

A `Tail` is the right edge of the tree in tile form: the hashes of the partial
tile of every level and the bytes of the partial entry bundle. It is all that is
needed to write the next tiles, and it contains the Merkle frontier.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from countersign.audit.merkle import (
    HASH_BYTES,
    Frontier,
    SubtreeReader,
    leaf_hash,
    perfect_root,
)
from countersign.errors import LogError

WIDTH: Final = 256
HEIGHT: Final = 8
MAX_ENTRY_BYTES: Final = 65_535
_LENGTH_BYTES: Final = 2

Reader = Callable[[str], bytes | None]
"""A name below the log's root to its bytes, or None if there is no such file."""


def tile_path(level: int, index: int, width: int = WIDTH) -> str:
    """`tile/<L>/<N>[.p/<W>]`; a width of 256 is a full tile."""
    return f"tile/{level}/{_number(index)}{_partial(width)}"


def bundle_path(index: int, width: int = WIDTH) -> str:
    """`tile/entries/<N>[.p/<W>]`."""
    return f"tile/entries/{_number(index)}{_partial(width)}"


def partial_directory(full_path: str) -> str:
    """Where the partial versions of a tile or bundle stand."""
    return f"{full_path}.p"


def _number(index: int) -> str:
    text = f"{index % 1000:03}"
    while index := index // 1000:
        text = f"x{index % 1000:03}/{text}"
    return text


def _partial(width: int) -> str:
    if not 0 < width <= WIDTH:
        raise ValueError("a tile is 1 to 256 wide")
    return "" if width == WIDTH else f".p/{width}"


def width_of(level: int, index: int, size: int) -> int:
    """How wide that tile is in a tree of that size; 0 if it is not there."""
    return max(0, min(WIDTH, (size >> HEIGHT * level) - index * WIDTH))


def hashes_of(tile: bytes) -> list[bytes]:
    """The hashes in a tile's bytes."""
    return [tile[at : at + HASH_BYTES] for at in range(0, len(tile), HASH_BYTES)]


def encode_entries(entries: Sequence[bytes]) -> bytes:
    """Entries, each with its 16-bit length before it."""
    return b"".join(part for entry in entries for part in (len(entry).to_bytes(2, "big"), entry))


def decode_entries(bundle: bytes) -> Iterator[bytes]:
    """The entries of a bundle; stops where the bytes do not add up."""
    at = 0
    while at + _LENGTH_BYTES <= len(bundle):
        end = at + _LENGTH_BYTES + int.from_bytes(bundle[at : at + _LENGTH_BYTES], "big")
        if end > len(bundle):
            return
        yield bundle[at + _LENGTH_BYTES : end]
        at = end


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TileFile:
    """The bytes of one tile or entry bundle."""

    name: str
    data: bytes


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """The right edge of a log of `size` leaves."""

    size: int = 0
    levels: tuple[bytes, ...] = ()
    """The bytes of each level's partial tile, level 0 first; may be empty."""
    entries: bytes = b""
    """The bytes of the partial entry bundle."""

    def frontier(self) -> Frontier:
        """The compact range of the same tree."""
        hashes: list[bytes] = []
        for tile in reversed(self.levels):
            nodes = hashes_of(tile)
            while nodes:
                width = 1 << (len(nodes).bit_length() - 1)
                hashes.append(perfect_root(nodes[:width]))
                nodes = nodes[width:]
        return Frontier(tuple(hashes), self.size)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What appending entries makes: the new tail and the files that changed."""

    tail: Tail
    files: tuple[TileFile, ...]
    obsolete: tuple[str, ...]
    """Directories of partial tiles that are full now."""


def grow(tail: Tail, entries: Sequence[bytes]) -> Growth:
    """Append entries (exact record bytes) to the tree.

    A full tile is written once, and for each level that ends in the middle of
    a tile the partial one of the new size.
    """
    if any(len(entry) > MAX_ENTRY_BYTES for entry in entries):
        raise LogError("log.record_too_large", "a record is larger than 65,535 bytes")
    files: list[TileFile] = []
    obsolete: list[str] = []
    rest = _grow_entries(tail, entries, files, obsolete)
    levels: list[bytes] = []
    new = [leaf_hash(entry) for entry in entries]
    level = 0
    while new or level < len(tail.levels):
        partial = tail.levels[level] if level < len(tail.levels) else b""
        index = tail.size >> HEIGHT * (level + 1)
        hashes = hashes_of(partial) + new
        full = len(hashes) // WIDTH
        for number in range(full):
            data = b"".join(hashes[number * WIDTH : (number + 1) * WIDTH])
            files.append(TileFile(name=tile_path(level, index + number), data=data))
        if full and partial:
            obsolete.append(partial_directory(tile_path(level, index)))
        remaining = b"".join(hashes[full * WIDTH :])
        if remaining and new:
            width = len(remaining) // HASH_BYTES
            files.append(TileFile(name=tile_path(level, index + full, width), data=remaining))
        levels.append(remaining)
        new = [perfect_root(hashes[n * WIDTH : (n + 1) * WIDTH]) for n in range(full)]
        level += 1
    grown = Tail(size=tail.size + len(entries), levels=tuple(levels), entries=rest)
    return Growth(tail=grown, files=tuple(files), obsolete=tuple(obsolete))


def _grow_entries(
    tail: Tail, entries: Sequence[bytes], files: list[TileFile], obsolete: list[str]
) -> bytes:
    """The entry bundles; returns the bytes of the last, partial one."""
    index, width = divmod(tail.size, WIDTH)
    data = tail.entries
    remaining = entries
    while width + len(remaining) >= WIDTH:
        data += encode_entries(remaining[: WIDTH - width])
        files.append(TileFile(name=bundle_path(index), data=data))
        if width:
            obsolete.append(partial_directory(bundle_path(index)))
        remaining = remaining[WIDTH - width :]
        index, width, data = index + 1, 0, b""
    if remaining:
        data += encode_entries(remaining)
        files.append(TileFile(name=bundle_path(index, width + len(remaining)), data=data))
    return data


def restore(size: int, read: Reader) -> Tail:
    """Read the tail of a log of that size back from its tiles.

    The caller must compare the root of the tail's frontier with a signed one.
    """
    levels: list[bytes] = []
    for level in range(_levels(size)):
        index, width = divmod(size >> HEIGHT * level, WIDTH)
        levels.append(read_tile(level, index, width, read) if width else b"")
    entries = b""
    index, width = divmod(size, WIDTH)
    if width:
        data = read(bundle_path(index, width)) or read(bundle_path(index)) or b""
        found = list(decode_entries(data))[:width]
        if len(found) != width:
            raise _missing(bundle_path(index, width))
        entries = encode_entries(found)
    return Tail(size=size, levels=tuple(levels), entries=entries)


def _levels(size: int) -> int:
    return -(-size.bit_length() // HEIGHT)


def read_tile(level: int, index: int, width: int, read: Reader) -> bytes:
    """Exactly that many hashes of a tile, from the partial or the full one."""
    data = read(tile_path(level, index, width))
    if data is None and width < WIDTH:
        data = read(tile_path(level, index))
    if data is None or len(data) < width * HASH_BYTES:
        raise _missing(tile_path(level, index, width))
    return data[: width * HASH_BYTES]


def _missing(name: str) -> LogError:
    return LogError(
        "log.tile_missing",
        f"{name}: the tile is missing or too short",
        advice="Restore the log's directory or bucket from a copy; tiles can be rebuilt "
        "from the segments.",
    )


def subtree_reader(size: int, read: Reader) -> SubtreeReader:
    """Perfect subtrees of a log of that size, read from its tiles, for proofs."""
    cache: dict[tuple[int, int], list[bytes]] = {}

    def subtree(level: int, index: int) -> bytes:
        tile_level, height = divmod(level, HEIGHT)
        tile, at = divmod(index << height, WIDTH)
        if (tile_level, tile) not in cache:
            width = width_of(tile_level, tile, size)
            cache[tile_level, tile] = hashes_of(read_tile(tile_level, tile, width, read))
        return perfect_root(cache[tile_level, tile][at : at + (1 << height)])

    return subtree
