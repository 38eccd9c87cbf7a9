"""The RFC 6962 Merkle tree: hashes, compact range, proofs.

Pure. Invariant 11 rests here: whatever was edited, left out or reordered
changes the root. Used by the publisher (to grow), the prover and the verifier.

A perfect subtree is named by `(level, index)`: it covers the leaves
`index * 2**level … (index + 1) * 2**level - 1`. Proofs are made from a reader
of such subtrees, so that where the hashes are kept is somebody else's matter.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from countersign.errors import LogError

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()

SubtreeReader = Callable[[int, int], bytes]
"""`(level, index)` to the hash of that perfect subtree."""

_sha256 = hashlib.sha256


def leaf_hash(data: bytes) -> bytes:
    """SHA-256(0x00 || data), RFC 6962 section 2.1."""
    return _sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right), RFC 6962 section 2.1."""
    return _sha256(b"\x01" + left + right).digest()


def perfect_root(hashes: Sequence[bytes]) -> bytes:
    """The root over a power of two of subtree hashes of one level."""
    while len(hashes) > 1:
        hashes = [
            _sha256(b"\x01" + left + right).digest()
            for left, right in zip(hashes[::2], hashes[1::2], strict=True)
        ]
    return hashes[0]


@dataclasses.dataclass(frozen=True, slots=True)
class Frontier:
    """A tree of `size` leaves as the roots of its perfect subtrees, left to right.

    There is one hash for each bit set in `size`, largest subtree first: all
    that is needed to append and to know the root.
    """

    hashes: tuple[bytes, ...] = ()
    size: int = 0

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.hashes) != self.size.bit_count():
            raise LogError(
                "log.frontier_invalid",
                "the Merkle frontier does not have one hash for each bit of its size",
                advice="The stored log state is damaged; restore the store from a backup.",
            )

    def append(self, leaf: bytes) -> Frontier:
        """The tree with one more leaf hash."""
        return self.extend((leaf,))

    def extend(self, leaves: Iterable[bytes]) -> Frontier:
        """The tree with these leaf hashes added in order.

        Works a level at a time: what is left unpaired at the right edge of a
        level becomes that level's entry of the new frontier.
        """
        nodes = list(leaves)
        size = self.size + len(nodes)
        old = list(self.hashes)
        unpaired: list[bytes] = []
        level = 0
        while nodes:
            if self.size >> level & 1:
                nodes.insert(0, old.pop())
            if size >> level & 1:
                unpaired.append(nodes.pop())
            nodes = [
                _sha256(b"\x01" + left + right).digest()
                for left, right in zip(nodes[::2], nodes[1::2], strict=True)
            ]
            level += 1
        return Frontier((*old, *reversed(unpaired)), size)

    def root(self) -> bytes:
        """The tree's root hash; of an empty tree SHA-256 of nothing."""
        if not self.hashes:
            return EMPTY_ROOT
        *rest, root = self.hashes
        for left in reversed(rest):
            root = node_hash(left, root)
        return root


def range_root(first: int, end: int, read: SubtreeReader) -> bytes:
    """MTH(D[first:end]) where `first` is where RFC 6962 would split."""
    hashes = []
    while first < end:
        level = (end - first).bit_length() - 1
        hashes.append(read(level, first >> level))
        first += 1 << level
    root = hashes.pop()
    while hashes:
        root = node_hash(hashes.pop(), root)
    return root


@dataclasses.dataclass(frozen=True, slots=True)
class _Step:
    """One sibling on the way up: the leaves it covers, and on which side it is."""

    first: int
    end: int
    left: bool


def _split(first: int, end: int) -> int:
    """Where RFC 6962 splits a range: after the largest power of two below its size."""
    return first + (1 << ((end - first - 1).bit_length() - 1))


def _inclusion_steps(index: int, size: int) -> list[_Step]:
    if not 0 <= index < size:
        raise LogError("log.not_included", f"the tree of size {size} has no leaf {index}")
    steps: list[_Step] = []
    first, end = 0, size
    while end - first > 1:
        middle = _split(first, end)
        if index < middle:
            steps.append(_Step(middle, end, left=False))
            end = middle
        else:
            steps.append(_Step(first, middle, left=True))
            first = middle
    return steps[::-1]


def _consistency_steps(old: int, new: int) -> tuple[int, list[_Step]]:
    """Where the last subtree of the old tree starts, and the way up from it."""
    if not 0 < old <= new:
        raise LogError("log.not_included", f"the tree of size {new} has no prefix of size {old}")
    steps: list[_Step] = []
    first, end = 0, new
    while old != end:
        middle = _split(first, end)
        if old <= middle:
            steps.append(_Step(middle, end, left=False))
            end = middle
        else:
            steps.append(_Step(first, middle, left=True))
            first = middle
    return first, steps[::-1]


def inclusion_proof(index: int, size: int, read: SubtreeReader) -> tuple[bytes, ...]:
    """PATH(index, D[size]) of RFC 6962 section 2.1.1, leaf's sibling first."""
    steps = _inclusion_steps(index, size)
    return tuple(range_root(step.first, step.end, read) for step in steps)


def consistency_proof(old: int, new: int, read: SubtreeReader) -> tuple[bytes, ...]:
    """PROOF(old, D[new]) of RFC 6962 section 2.1.2."""
    first, steps = _consistency_steps(old, new)
    seed = [range_root(first, old, read)] if first else []
    return (*seed, *(range_root(step.first, step.end, read) for step in steps))


def verify_inclusion(
    leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes
) -> None:
    """Raise `LogError` unless `leaf` is leaf `index` of the tree with that root."""
    steps = _inclusion_steps(index, size)
    _check_lengths(path, len(steps))
    found = leaf
    for step, sibling in zip(steps, path, strict=True):
        found = node_hash(sibling, found) if step.left else node_hash(found, sibling)
    if found != root:
        raise _bad_proof()


def verify_consistency(
    old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]
) -> None:
    """Raise `LogError` unless the new tree starts with the old one.

    The same hashes must fold into both roots: siblings on the left belong to
    both trees, those on the right to the new one alone.
    """
    first, steps = _consistency_steps(old, new)
    _check_lengths(path, len(steps) + (1 if first else 0))
    was = now = path[0] if first else old_root
    for step, sibling in zip(steps, path[1:] if first else path, strict=True):
        if step.left:
            was, now = node_hash(sibling, was), node_hash(sibling, now)
        else:
            now = node_hash(now, sibling)
    if was != old_root or now != new_root:
        raise _bad_proof()


def _check_lengths(path: Sequence[bytes], expected: int) -> None:
    if len(path) != expected or any(len(item) != HASH_BYTES for item in path):
        raise _bad_proof()


def _bad_proof() -> LogError:
    return LogError(
        "log.proof_invalid",
        "the proof does not lead to the root it claims",
        advice="Do not trust the record it came with; ask the log for a new proof.",
    )
