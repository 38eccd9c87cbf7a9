"""What the verifier names, one story for each way to tamper with a log.

The log of these stories has three segments (10, 300 and 5 records), each with
its checkpoint; a copy of it is changed, and the finding must carry the name.
"""

import asyncio
import dataclasses
import hashlib
import os
import shutil
import zlib
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit_world import (
    LOG_ID,
    SIGNER,
    START_US,
    VKEY,
    MemorySource,
    publish,
    record,
    written,
)
from countersign.audit import plan
from countersign.audit.directory import Directory
from countersign.audit.merkle import Frontier, leaf_hash
from countersign.audit.note import Checkpoint, Note, Signer, sign
from countersign.audit.verify import verify
from countersign.errors import LogError
from countersign.model import SECOND_US

SIZES = (10, 310, 315)
FULL, EDGE = "000", "001.p/59"


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    return written(tmp_path_factory.mktemp("log"), 10, 300, 5)


@pytest.fixture
def log(pristine, tmp_path):
    return shutil.copytree(pristine, tmp_path / "copy")


def codes(result):
    return {finding.code for finding in result.findings}


def named(result, code):
    """The sequence numbers under that code."""
    return [finding.seq for finding in result.findings if finding.code == code]


def segment(log, number):
    return sorted(log.glob("records/*/*/*.gz"), key=lambda path: path.name)[number]


def rewrite(path, change):
    """Let `change` edit the list of lines of a segment."""
    lines = plan.decompress(path.read_bytes(), 1 << 24).split(b"\n")[:-1]
    lines = change(lines) or lines
    path.write_bytes(plan.compress(b"".join(line + b"\n" for line in lines)))


def edit(line):
    return line.replace(b"heartbeat", b"heartbeet")


def edited_at(index):
    def change(lines):
        lines[index] = edit(lines[index])

    return change


def flip(path, at=0):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))


def head(size, root, signer=SIGNER, origin=LOG_ID):
    text = Checkpoint(origin=origin, size=size, root=root).text()
    return sign(text, [signer]).encode()


def root_of(rows):
    return Frontier().extend(leaf_hash(row.body) for row in rows)


def test_an_untouched_copy_is_good(log):
    result = verify(log, VKEY)
    assert result.ok, result.findings
    assert (result.size, result.segments, result.checkpoints) == (315, 3, 3)
    assert result.root == root_of([record(seq) for seq in range(315)]).root()
    assert result.anchors == ("its own checkpoint of size 315",)
    assert result.pending == 0


def test_anchors_from_outside_are_named(log):
    store = root_of([record(seq) for seq in range(315)])
    result = verify(
        log, VKEY, checkpoint=(log / f"checkpoints/{310:020}").read_bytes(), store=store
    )
    assert result.ok, result.findings
    assert set(result.anchors) == {
        "its own checkpoint of size 315",
        "the remembered checkpoint of size 310",
        "the store of size 315",
    }


# --- records ---


@pytest.mark.parametrize(("number", "index", "seq"), [(0, 3, 3), (1, 0, 10), (1, 299, 309)])
def test_an_edited_record_is_named(log, number, index, seq):
    rewrite(segment(log, number), edited_at(index))
    result = verify(log, VKEY)
    assert codes(result) == {"record.edited"}
    assert named(result, "record.edited") == [seq]


def test_an_edited_seq_does_not_hide_an_edited_record(log):
    def change(lines):
        lines[4] = lines[4].replace(b'"seq":4', b'"seq":5')

    rewrite(segment(log, 0), change)
    result = verify(log, VKEY)
    assert codes(result) == {"record.edited"}
    assert named(result, "record.edited") == [4]


def test_a_record_edited_into_garbage_is_named(log):
    def change(lines):
        lines[4] = b"\xff garbage"

    rewrite(segment(log, 0), change)
    result = verify(log, VKEY)
    assert codes(result) == {"record.edited"}
    assert named(result, "record.edited") == [4]


def test_a_dropped_record_is_named(log):
    rewrite(segment(log, 1), lambda lines: lines[:7] + lines[8:])
    result = verify(log, VKEY)
    assert codes(result) == {"record.missing"}
    assert named(result, "record.missing") == [17]


def test_swapped_records_are_named(log):
    def change(lines):
        lines[3], lines[6] = lines[6], lines[3]

    rewrite(segment(log, 0), change)
    result = verify(log, VKEY)
    assert codes(result) == {"record.reordered"}
    assert named(result, "record.reordered") == [6, 3]


def test_a_duplicated_record_is_named(log):
    rewrite(segment(log, 0), lambda lines: lines[:3] + lines[2:])
    result = verify(log, VKEY)
    assert codes(result) == {"record.duplicated"}
    assert named(result, "record.duplicated") == [2]


def test_a_duplicate_in_place_of_another_names_both(log):
    def change(lines):
        lines[5] = lines[2]

    rewrite(segment(log, 0), change)
    result = verify(log, VKEY)
    assert codes(result) == {"record.duplicated", "record.missing"}
    assert named(result, "record.missing") == [5]


def test_an_inserted_record_is_named(log):
    rewrite(segment(log, 0), lambda lines: [*lines[:3], b'{"seq":99}', *lines[3:]])
    result = verify(log, VKEY)
    assert codes(result) == {"record.inserted"}


def test_the_edit_is_named_when_the_bundle_was_edited_along(log):
    rewrite(segment(log, 1), edited_at(0))
    bundle = log / "tile/entries" / FULL
    lines = bundle.read_bytes()
    at = lines.index(b'"seq":10,')
    at = lines.rindex(b"heartbeat", 0, at)
    bundle.write_bytes(lines[:at] + b"heartbeet" + lines[at + 9 :])
    result = verify(log, VKEY)
    assert codes(result) == {"record.edited", "bundle.differs"}
    assert named(result, "record.edited") == named(result, "bundle.differs") == [10]


def test_the_edit_is_named_when_the_tile_was_edited_along(log):
    rewrite(segment(log, 1), edited_at(0))
    tile = log / "tile/0" / FULL
    hashes = tile.read_bytes()
    tile.write_bytes(hashes[:320] + leaf_hash(edit(record(10).body)) + hashes[352:])
    result = verify(log, VKEY)
    assert codes(result) == {"record.edited", "tile.differs"}
    assert named(result, "record.edited") == [10]


def test_history_rewritten_throughout_contradicts_its_checkpoints(pristine, tmp_path):
    forged = MemorySource()
    mallory = Signer(name=LOG_ID, key=Ed25519PrivateKey.from_private_bytes(bytes(32)))
    for count in (10, 300, 5):
        forged.add(count, reason="never happened")
        log = asyncio.run(publish(forged, tmp_path, signer=mallory))
    assert codes(verify(log, VKEY)) >= {"checkpoint.signature"}
    shutil.copytree(pristine / "checkpoints", log / "checkpoints", dirs_exist_ok=True)
    shutil.copy(pristine / "checkpoint", log / "checkpoint")
    result = verify(log, VKEY)
    assert codes(result) == {"checkpoint.inconsistent"}
    assert named(result, "checkpoint.inconsistent")[0] == 10


# --- segments ---


def test_a_truncated_segment_is_named_and_its_neighbours_stay_good(log):
    path = segment(log, 1)
    path.write_bytes(path.read_bytes()[:-20])
    result = verify(log, VKEY)
    assert codes(result) == {"segment.unreadable"}
    assert named(result, "segment.unreadable") == [10]


def test_something_after_the_end_of_a_segment_is_named(log):
    path = segment(log, 1)
    path.write_bytes(path.read_bytes() + zlib.compress(b"more\n", wbits=31))
    assert codes(verify(log, VKEY)) == {"segment.unreadable"}


def test_a_removed_segment_is_named(log):
    segment(log, 1).unlink()
    result = verify(log, VKEY)
    assert codes(result) == {"segment.missing"}
    assert named(result, "segment.missing") == [10]


def test_a_removed_last_segment_is_truncation(log):
    segment(log, 2).unlink()
    result = verify(log, VKEY)
    assert codes(result) == {"log.truncated"}
    assert named(result, "log.truncated") == [310]


def test_a_removed_segment_with_its_tiles_leaves_the_rest_unproven(log):
    segment(log, 0).unlink()
    shutil.rmtree(log / "tile")
    result = verify(log, VKEY)
    assert {"segment.missing", "tile.missing", "bundle.missing"} <= codes(result)
    assert result.anchors == ()


@pytest.mark.parametrize("span", [(0, 4), (5, 9), (3, 20), (0, 9)])
def test_a_shadow_segment_is_named(log, span):
    first, last = span
    rows = [record(seq, reason="shadow") for seq in range(first, last + 1)]
    name = plan.SegmentName(first=first, last=last, day="2026-11-18", hour="23")
    path = log / str(name)
    path.parent.mkdir(parents=True)
    path.write_bytes(plan.compress(plan.lines_of(rows)))
    result = verify(log, VKEY)
    assert "segment.overlap" in codes(result)


def test_a_segment_moved_to_another_hour_is_named(log):
    path = segment(log, 1)
    other = log / "records/dt=2020-01-01/hour=00" / path.name
    other.parent.mkdir(parents=True)
    path.rename(other)
    assert codes(verify(log, VKEY)) == {"segment.misplaced"}


def test_a_stray_file_among_the_segments_is_named(log):
    (log / "records/dt=2026-11-18/extra.jsonl.gz").write_bytes(b"")
    assert codes(verify(log, VKEY)) == {"segment.unexpected"}


def test_a_segment_without_checkpoint_yet_is_pending_not_wrong(log):
    rows = [record(seq) for seq in range(315, 320)]
    name = plan.segment_name(315, 319, rows[0].time)
    (log / str(name)).write_bytes(plan.compress(plan.lines_of(rows)))
    result = verify(log, VKEY)
    assert result.ok
    assert (result.size, result.pending) == (315, 5)


def test_two_segments_merged_into_one_show_the_removed_checkpoint(log):
    """The newest checkpoint is gone; the merged segment reaches beyond the one left."""
    truncated(log)
    rows = [record(seq) for seq in range(10, 315)]
    segment(log, 1).unlink()
    name = plan.segment_name(10, 314, rows[0].time)
    (log / str(name)).write_bytes(plan.compress(plan.lines_of(rows)))
    result = verify(log, VKEY)
    assert codes(result) == {"checkpoint.missing"}
    assert named(result, "checkpoint.missing") == [315]
    assert result.size == 310


def test_half_a_last_line_is_named(log):
    path = segment(log, 0)
    path.write_bytes(plan.compress(plan.decompress(path.read_bytes(), 1 << 24)[:-1]))
    assert codes(verify(log, VKEY)) == {"segment.unreadable"}


# --- tiles and bundles ---


@pytest.mark.parametrize("name", [f"tile/0/{FULL}", f"tile/0/{EDGE}", "tile/1/000.p/1"])
def test_a_flipped_tile_is_named(log, name):
    flip(log / name)
    result = verify(log, VKEY)
    assert codes(result) == {"tile.differs"}
    assert result.findings[0].file == name


@pytest.mark.parametrize("name", [f"tile/entries/{FULL}", f"tile/entries/{EDGE}"])
def test_a_flipped_bundle_is_named(log, name):
    flip(log / name, -1)
    result = verify(log, VKEY)
    assert codes(result) == {"bundle.differs"}
    assert result.findings[0].file == name


def test_a_leftover_partial_tile_is_checked_too(log):
    name = "tile/0/001.p/54"
    flip(log / name)
    assert codes(verify(log, VKEY)) == {"tile.differs"}
    (log / name).unlink()
    assert verify(log, VKEY).ok


@pytest.mark.parametrize("kind", ["tile", "bundle"])
def test_a_removed_tile_is_named(log, kind):
    folder = "entries" if kind == "bundle" else "0"
    for name in (FULL, EDGE):
        (log / "tile" / folder / name).unlink()
    assert codes(verify(log, VKEY)) == {f"{kind}.missing"}


@pytest.mark.parametrize("folder", ["0", "entries"])
def test_a_tile_with_something_appended_is_named(log, folder):
    path = log / "tile" / folder / FULL
    path.write_bytes(path.read_bytes() + bytes(32))
    assert not verify(log, VKEY).ok


# --- checkpoints ---


def test_a_checkpoint_signed_again_with_another_key_is_named(log):
    mallory = Signer(name=LOG_ID, key=Ed25519PrivateKey.from_private_bytes(bytes(32)))
    for path in (log / "checkpoint", *log.glob("checkpoints/*")):
        path.write_bytes(sign(Note.parse(path.read_bytes()).text, [mallory]).encode())
    result = verify(log, VKEY)
    assert "checkpoint.signature" in codes(result)
    assert result.anchors == ()


@pytest.mark.parametrize("size", SIZES)
def test_a_removed_checkpoint_is_named(log, size):
    (log / f"checkpoints/{size:020}").unlink()
    result = verify(log, VKEY)
    assert codes(result) == {"checkpoint.missing"}
    assert set(named(result, "checkpoint.missing")) == {size}


def test_a_checkpoint_under_another_size_is_named(log):
    shutil.copy(log / f"checkpoints/{10:020}", log / f"checkpoints/{11:020}")
    assert codes(verify(log, VKEY)) == {"checkpoint.invalid"}


def test_a_checkpoint_of_another_log_is_named(log):
    root = root_of([record(seq) for seq in range(10)]).root()
    other = head(10, root, origin="log.example/other")
    (log / f"checkpoints/{10:020}").write_bytes(other)
    assert "checkpoint.invalid" in codes(verify(log, VKEY))


def test_a_signed_fork_is_named(log):
    """The key's holder signed another history of the same size."""
    (log / f"checkpoints/{310:020}").write_bytes(head(310, bytes(32)))
    result = verify(log, VKEY)
    assert codes(result) == {"checkpoint.inconsistent"}
    assert named(result, "checkpoint.inconsistent") == [310]


def test_a_signed_head_in_the_middle_of_a_segment_is_held_against_it(log):
    rows = [record(seq) for seq in range(200)]
    (log / f"checkpoints/{200:020}").write_bytes(head(200, root_of(rows).root()))
    assert verify(log, VKEY).ok
    (log / f"checkpoints/{200:020}").write_bytes(head(200, bytes(32)))
    assert codes(verify(log, VKEY)) == {"checkpoint.inconsistent"}


def test_a_log_without_any_checkpoint_proves_nothing(log):
    shutil.rmtree(log / "checkpoints")
    (log / "checkpoint").unlink()
    result = verify(log, VKEY)
    assert codes(result) == {"checkpoint.missing"}
    assert result.size == 0


def test_no_log_at_all_is_not_good(tmp_path):
    assert not verify(tmp_path, VKEY).ok
    assert not verify(tmp_path / "absent", VKEY).ok


# --- what only an anchor from outside shows ---


def truncated(log):
    """Take the last segment away as a careful attacker would."""
    segment(log, 2).unlink()
    (log / f"checkpoints/{315:020}").unlink()
    shutil.copy(log / f"checkpoints/{310:020}", log / "checkpoint")
    return log


def test_careful_truncation_is_found_by_a_remembered_checkpoint(log):
    remembered = (log / "checkpoint").read_bytes()
    assert verify(truncated(log), VKEY).ok, "a copy alone cannot show it"
    result = verify(log, VKEY, checkpoint=remembered)
    assert codes(result) == {"log.truncated"}
    assert named(result, "log.truncated") == [310]


def test_careful_truncation_is_found_by_the_store(log):
    store = root_of([record(seq) for seq in range(315)])
    assert codes(verify(truncated(log), VKEY, store=store)) == {"log.truncated"}


def test_a_log_started_anew_is_found_by_a_remembered_checkpoint(log, tmp_path):
    remembered = (log / f"checkpoints/{310:020}").read_bytes()
    anew = written(tmp_path / "anew", 400, reason="another past")
    assert verify(anew, VKEY).ok
    result = verify(anew, VKEY, checkpoint=remembered)
    assert codes(result) == {"log.forked"}
    store = root_of([record(seq) for seq in range(310)])
    assert codes(verify(anew, VKEY, store=store)) == {"log.forked"}


def test_a_remembered_checkpoint_must_be_of_this_log(log):
    with pytest.raises(LogError) as caught:
        verify(log, VKEY, checkpoint=b"not a note")
    assert caught.value.code == "log.note_invalid"
    mallory = Signer(name=LOG_ID, key=Ed25519PrivateKey.from_private_bytes(bytes(32)))
    with pytest.raises(LogError) as caught:
        verify(log, VKEY, checkpoint=head(5, bytes(32), signer=mallory))
    assert caught.value.code == "log.signature_invalid"


# --- what records say of themselves ---


def logged(tmp_path, *rows):
    source = MemorySource(3)
    for row in rows:
        source.rows.append(dataclasses.replace(row, seq=len(source.rows)))
    return asyncio.run(publish(source, tmp_path))


def test_a_back_dated_record_is_named(tmp_path):
    log = logged(tmp_path, record(3, step_us=1), record(4))
    result = verify(log, VKEY)
    assert codes(result) == {"record.backdated"}
    assert named(result, "record.backdated") == [3]


def test_a_record_of_another_log_is_named(tmp_path):
    result = verify(logged(tmp_path, record(3, log_id="log.example/other")), VKEY)
    assert codes(result) == {"record.foreign"}


def test_a_record_at_another_position_is_named(tmp_path):
    result = verify(logged(tmp_path, record(7)), VKEY)
    assert codes(result) == {"record.misplaced"}
    assert named(result, "record.misplaced") == [3]


@pytest.mark.parametrize(
    "body",
    [b"not json", b"[]", b'{"seq":3}', b"[" * 100_000, b'{"seq":' + b"9" * 5_000 + b"}", b"\xff"],
    ids=["text", "array", "no time", "deep", "huge number", "not UTF-8"],
)
def test_a_record_that_is_not_one_is_named(tmp_path, body):
    row = dataclasses.replace(record(3), body=body[:65_000])
    result = verify(logged(tmp_path, row), VKEY)
    assert codes(result) == {"record.malformed"}
    assert named(result, "record.malformed") == [3]


def test_objects_are_checked_by_their_hash(tmp_path):
    data = b"a clean context too large for a record"
    digest = hashlib.sha256(data).hexdigest()
    source = MemorySource(2, clean={"object": digest})
    source.kept = {digest: data}
    log = asyncio.run(publish(source, tmp_path))
    result = verify(log, VKEY)
    assert result.ok
    assert result.objects == 1
    flip(log / "objects" / digest)
    assert codes(verify(log, VKEY)) == {"object.differs"}
    (log / "objects" / digest).unlink()
    result = verify(log, VKEY)
    assert codes(result) == {"object.missing"}
    assert named(result, "object.missing") == [0]


# --- hostile directories ---


def test_links_and_pipes_are_named_and_not_followed(log, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("not for the verifier")
    (log / "objects").mkdir()
    (log / "objects" / ("0" * 64)).symlink_to(secret)
    (log / "records/link").symlink_to(tmp_path)
    (log / "loop").symlink_to(log)
    os.mkfifo(log / "checkpoints/pipe")
    path = segment(log, 0)
    path.rename(tmp_path / "moved")
    path.symlink_to(tmp_path / "moved")
    result = verify(log, VKEY)
    unsafe = {finding.file for finding in result.findings if finding.code == "file.unsafe"}
    assert len(unsafe) == 5
    assert "segment.missing" in codes(result)


def test_a_pipe_in_place_of_a_file_does_not_hang(log):
    for name in ("checkpoint", f"checkpoints/{10:020}", f"tile/0/{FULL}", f"tile/entries/{EDGE}"):
        (log / name).unlink()
        os.mkfifo(log / name)
    assert "file.unsafe" in codes(verify(log, VKEY))


def test_a_gzip_bomb_is_refused(log):
    bomb = zlib.compress(bytes(200 * 1024 * 1024), level=9, wbits=31)
    segment(log, 1).write_bytes(bomb)
    assert codes(verify(log, VKEY)) == {"segment.unreadable"}


def test_huge_numbers_in_names_are_only_names(log):
    last = "9" * 20
    for name in (f"records/dt=2026-11-18/hour=11/{315:020}-{last}.jsonl.gz", f"checkpoints/{last}"):
        (log / name).write_bytes(b"")
    assert codes(verify(log, VKEY)) == {"checkpoint.invalid"}
    name = f"records/dt=2026-11-18/hour=11/{0:020}-{last}.jsonl.gz"
    (log / name).write_bytes(plan.compress(b"{}\n"))
    assert not verify(log, VKEY).ok


def test_a_head_of_a_huge_log_does_not_send_the_verifier_counting(log):
    size = 2**62
    (log / f"checkpoints/{size:020}").write_bytes(head(size, bytes(32)))
    assert "log.incomplete" in codes(verify(log, VKEY))


def test_a_file_too_large_to_read_is_named(log):
    with segment(log, 1).open("r+b") as stream:
        stream.truncate(1 << 30)
    assert codes(verify(log, VKEY)) == {"file.unsafe"}


def test_a_thousand_findings_are_told_and_the_rest_counted(log):
    for number in range(1_100):
        (log / f"checkpoints/x{number}").touch()
    result = verify(log, VKEY)
    assert (len(result.findings), result.suppressed) == (1_000, 100)


def test_names_are_made_safe_to_print(log):
    (log / "records" / os.fsdecode(b"\x1b[31m\xff")).touch()
    result = verify(log, VKEY)
    assert result.findings[0].file == "records/?[31m?"


def test_a_directory_deeper_than_any_log_is_named(log):
    (log / "/".join(["tile"] + ["x"] * 40)).mkdir(parents=True)
    assert codes(verify(log, VKEY)) == {"file.unsafe"}


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_change_to_any_byte_is_found_and_none_raises(pristine, tmp_path, data):
    log = tmp_path / "fuzzed"
    shutil.rmtree(log, ignore_errors=True)
    shutil.copytree(pristine, log)
    # A fence says whose turn it was to write, and nothing of any record.
    files = (path for path in log.rglob("*") if path.is_file() and path.parent.name != "fences")
    path = data.draw(st.sampled_from(sorted(files)))
    old = path.read_bytes()
    at = data.draw(st.integers(0, len(old) - 1))
    new = data.draw(st.sampled_from([b"", old[:at], old[at:], old[:at] + b"\n" + old[at:]]))
    kind = data.draw(st.sampled_from(["replace", "flip"]))
    path.write_bytes(new) if kind == "replace" else flip(path, at)
    if path.read_bytes() == old:
        return
    result = verify(log, VKEY)
    if path.suffix == ".gz":
        try:
            same = plan.decompress(path.read_bytes(), 1 << 24)
        except LogError:
            assert not result.ok
            return
        if same == plan.decompress(old, 1 << 24):
            return
    assert not result.ok


# --- a store with a clock of its own ---


@pytest.mark.parametrize(
    ("after_s", "found"),
    [(320, set()), (100, set()), (90_000, {"segment.late"}), (-400, {"record.postdated"})],
)
def test_the_clock_of_a_store_bounds_when_records_were_made(log, after_s, found):
    class Clocked(Directory):
        def stored_at(self, _name):
            return datetime.fromtimestamp(START_US // SECOND_US + after_s, UTC)

    assert codes(verify(Clocked(log), VKEY)) == found  # records are of 314 s; clocks may differ
    assert verify(Clocked(log), VKEY, max_delay_s=10**6).ok or after_s < 0
