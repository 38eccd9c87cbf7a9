"""Tiles: names, widths, growth in any batches, and reading them back.

The sizes and names of the examples are those of c2sp.org/tlog-tiles.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.audit import merkle, tiles
from countersign.audit.tiles import Tail
from countersign.errors import LogError


def entries_of(first, count):
    return [b"entry %d" % number for number in range(first, first + count)]


def grown(*counts):
    """A log grown in those batches: its tail, and every file it ever wrote."""
    tail, files = Tail(), {}
    for count in counts:
        growth = tiles.grow(tail, entries_of(tail.size, count))
        for file in growth.files:
            assert file.name not in files, "a tile is written once"
            files[file.name] = file.data
        for directory in growth.obsolete:
            for name in [name for name in files if name.startswith(directory + "/")]:
                del files[name]
        tail = growth.tail
    return tail, files


def test_names_are_those_of_the_specification():
    assert tiles.tile_path(0, 1234067) == "tile/0/x001/x234/067"
    assert tiles.tile_path(0, 1234067, 8) == "tile/0/x001/x234/067.p/8"
    assert tiles.bundle_path(0) == "tile/entries/000"
    assert tiles.bundle_path(999, 255) == "tile/entries/999.p/255"
    assert tiles.bundle_path(1000) == "tile/entries/x001/000"


@pytest.mark.parametrize("width", [0, -1, 257])
def test_there_is_no_tile_of_that_width(width):
    with pytest.raises(ValueError, match="wide"):
        tiles.tile_path(0, 0, width)


def test_a_tree_of_70000_has_the_tiles_of_the_specification():
    tail, files = grown(70_000)
    level = [name for name in files if name.startswith("tile/0/")]
    assert len([name for name in level if ".p/" not in name]) == 273
    assert [name for name in level if ".p/" in name] == ["tile/0/273.p/112"]
    assert len(files["tile/1/000"]) == 256 * 32
    assert len(files["tile/1/001.p/17"]) == 17 * 32
    assert len(files["tile/2/000.p/1"]) == 32
    assert not [name for name in files if name.startswith("tile/3/")]
    frontier = merkle.Frontier().extend(map(merkle.leaf_hash, entries_of(0, 70_000)))
    assert tail.frontier() == frontier


def test_a_tree_of_256_is_one_full_tile_and_one_hash_above():
    _, files = grown(256)
    assert sorted(files) == ["tile/0/000", "tile/1/000.p/1", "tile/entries/000"]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 700), min_size=1, max_size=6))
def test_growing_in_batches_ends_like_growing_at_once(batches):
    tail, files = grown(*batches)
    at_once, expected = grown(sum(batches))
    assert tail == at_once
    for name, data in expected.items():
        assert files[name] == data


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=5))
def test_a_tail_is_read_back_from_the_files(batches):
    tail, files = grown(*batches)
    assert tiles.restore(tail.size, files.get) == tail
    for size in {sum(batches[:count]) for count in range(len(batches))}:
        assert tiles.restore(size, files.get).size == size


def test_partial_tiles_go_when_the_full_one_is_there():
    _, files = grown(100, 100, 100)
    assert "tile/0/000" in files
    assert "tile/entries/000" in files
    assert "tile/0/000.p/100" not in files
    assert "tile/entries/000.p/200" not in files
    assert "tile/0/001.p/44" in files


def test_a_missing_or_short_tile_is_named():
    _, files = grown(300)
    for name, value in (("tile/0/001.p/44", None), ("tile/1/000.p/1", b"short")):
        broken = {**files, name: value}
        with pytest.raises(LogError, match=name) as caught:
            tiles.restore(300, broken.get)
        assert caught.value.code == "log.tile_missing"
    for value in (None, files["tile/entries/001.p/44"][:-1]):
        with pytest.raises(LogError, match="tile/entries/001"):
            tiles.restore(300, {**files, "tile/entries/001.p/44": value}.get)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_proofs_are_made_from_tiles(data):
    size = data.draw(st.integers(1, 700))
    tail, files = grown(size)
    index = data.draw(st.integers(0, size - 1))
    reader = tiles.subtree_reader(size, files.get)
    leaf = merkle.leaf_hash(b"entry %d" % index)
    path = merkle.inclusion_proof(index, size, reader)
    merkle.verify_inclusion(leaf, index, size, path, tail.frontier().root())
    old = data.draw(st.integers(1, size))
    was = merkle.Frontier().extend(map(merkle.leaf_hash, entries_of(0, old))).root()
    path = merkle.consistency_proof(old, size, reader)
    merkle.verify_consistency(old, size, was, tail.frontier().root(), path)


def test_an_entry_too_long_for_its_length_prefix_is_refused():
    tiles.grow(Tail(), [b"x" * 65_535])
    with pytest.raises(LogError) as caught:
        tiles.grow(Tail(), [b"x" * 65_536])
    assert caught.value.code == "log.record_too_large"


def test_entries_survive_their_encoding_and_stop_where_bytes_end():
    entries = [b"", b"one", b"x" * 300]
    data = tiles.encode_entries(entries)
    assert list(tiles.decode_entries(data)) == entries
    assert list(tiles.decode_entries(data[:-1])) == entries[:2]
    assert list(tiles.decode_entries(b"\x00")) == []
