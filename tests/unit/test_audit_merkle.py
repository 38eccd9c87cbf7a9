"""The Merkle tree against published vectors and its own definition.

The vectors (leaves, roots, subtree hashes, proofs) are the reference ones of
Certificate Transparency, as in `testonly/constants.go` and `proof/verify_test.go`
of github.com/transparency-dev/merkle v0.0.2 (Copyright Google LLC, Apache-2.0).
"""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.audit import merkle
from countersign.audit.merkle import Frontier
from countersign.errors import LogError

LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = {
    (0, 8): (
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ),
    (5, 8): (
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
    (2, 3): ("fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",),
    (1, 5): (
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ),
}
CONSISTENCY = {
    (1, 8): (
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ),
    (6, 8): (
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
    (2, 5): (
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ),
    (6, 7): (
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
}


def naive_root(entries):
    """MTH of RFC 6962 section 2.1, word for word."""
    if not entries:
        return hashlib.sha256(b"").digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    split = 1
    while split * 2 < len(entries):
        split *= 2
    both = naive_root(entries[:split]) + naive_root(entries[split:])
    return hashlib.sha256(b"\x01" + both).digest()


def naive_path(index, entries):
    """PATH of RFC 6962 section 2.1.1, word for word."""
    if len(entries) == 1:
        return []
    split = 1
    while split * 2 < len(entries):
        split *= 2
    if index < split:
        return [*naive_path(index, entries[:split]), naive_root(entries[split:])]
    return [*naive_path(index - split, entries[split:]), naive_root(entries[:split])]


def reader(entries):
    return lambda level, index: naive_root(entries[index << level : (index + 1) << level])


def entries_of(count):
    return [b"entry %d" % number for number in range(count)]


def leaves_of(entries):
    return [merkle.leaf_hash(entry) for entry in entries]


def decoded(path):
    return tuple(bytes.fromhex(item) for item in path)


def test_roots_are_the_reference_roots():
    frontier = Frontier()
    for size, root in enumerate(ROOTS):
        assert frontier.size == size
        assert frontier.root().hex() == root
        if size < len(LEAVES):
            frontier = frontier.append(merkle.leaf_hash(LEAVES[size]))


@pytest.mark.parametrize(("place", "path"), INCLUSION.items())
def test_inclusion_proofs_are_the_reference_proofs(place, path):
    index, size = place
    proof = merkle.inclusion_proof(index, size, reader(LEAVES))
    assert proof == decoded(path)
    leaf = merkle.leaf_hash(LEAVES[index])
    merkle.verify_inclusion(leaf, index, size, proof, bytes.fromhex(ROOTS[size]))


@pytest.mark.parametrize(("sizes", "path"), CONSISTENCY.items())
def test_consistency_proofs_are_the_reference_proofs(sizes, path):
    old, new = sizes
    proof = merkle.consistency_proof(old, new, reader(LEAVES))
    assert proof == decoded(path)
    roots = bytes.fromhex(ROOTS[old]), bytes.fromhex(ROOTS[new])
    merkle.verify_consistency(old, new, *roots, proof)


@given(st.lists(st.integers(0, 40), max_size=8))
def test_extending_in_any_batches_gives_the_defined_root(batches):
    entries = entries_of(sum(batches))
    frontier, at = Frontier(), 0
    for count in batches:
        frontier = frontier.extend(leaves_of(entries[at : at + count]))
        at += count
        assert frontier.root() == naive_root(entries[:at])
        assert len(frontier.hashes) == at.bit_count()


@given(st.data())
def test_proofs_follow_the_definition_and_verify(data):
    size = data.draw(st.integers(1, 70))
    entries = entries_of(size)
    index = data.draw(st.integers(0, size - 1))
    proof = merkle.inclusion_proof(index, size, reader(entries))
    assert list(proof) == naive_path(index, entries)
    leaf = merkle.leaf_hash(entries[index])
    merkle.verify_inclusion(leaf, index, size, proof, naive_root(entries))
    old = data.draw(st.integers(1, size))
    proof = merkle.consistency_proof(old, size, reader(entries))
    merkle.verify_consistency(old, size, naive_root(entries[:old]), naive_root(entries), proof)


@given(st.data())
def test_no_bent_inclusion_proof_verifies(data):
    size = data.draw(st.integers(2, 40))
    index = data.draw(st.integers(0, size - 1))
    entries = entries_of(size)
    root, leaf = naive_root(entries), merkle.leaf_hash(entries[index])
    proof = list(merkle.inclusion_proof(index, size, reader(entries)))
    at = data.draw(st.integers(0, len(proof) - 1))
    bent = proof[at][:-1] + bytes([proof[at][-1] ^ 1])
    other = (index + data.draw(st.integers(1, size - 1))) % size
    for wrong in (
        (leaf, index, size, [*proof[:at], bent, *proof[at + 1 :]], root),
        (leaf, index, size, proof[:at] + proof[at + 1 :], root),
        (leaf, index, size, [*proof, root], root),
        (leaf, index, size, [*proof[:at], proof[at][:31], *proof[at + 1 :]], root),
        (leaf, other, size, proof, root),
        (merkle.leaf_hash(b"another"), index, size, proof, root),
        (leaf, index, size, proof, merkle.leaf_hash(b"another")),
        (leaf, -1, size, proof, root),
        (leaf, size, size, proof, root),
    ):
        with pytest.raises(LogError):
            merkle.verify_inclusion(*wrong)


@given(st.data())
def test_no_forked_tree_is_consistent(data):
    new = data.draw(st.integers(2, 40))
    old = data.draw(st.integers(1, new))
    entries = entries_of(new)
    forked = list(entries)
    forked[data.draw(st.integers(0, old - 1))] = b"rewritten"
    proof = merkle.consistency_proof(old, new, reader(forked))
    with pytest.raises(LogError) as caught:
        merkle.verify_consistency(old, new, naive_root(entries[:old]), naive_root(forked), proof)
    assert caught.value.code == "log.proof_invalid"


def test_a_consistency_proof_of_impossible_sizes_is_refused():
    root = naive_root(LEAVES)
    for old, new in ((0, 8), (9, 8), (-1, 8)):
        with pytest.raises(LogError):
            merkle.verify_consistency(old, new, root, root, [])


def test_a_frontier_that_does_not_fit_its_size_is_refused():
    with pytest.raises(LogError) as caught:
        Frontier((merkle.EMPTY_ROOT,), 3)
    assert caught.value.code == "log.frontier_invalid"
