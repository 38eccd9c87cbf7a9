"""The log writer: what is published, when, and what stops it."""

import asyncio
import errno
import hashlib
import os

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit_world import (
    LOG_ID,
    PROMPT,
    SIGNER,
    TENANT,
    VKEY,
    MemorySource,
    publish,
    publisher,
    record,
)
from countersign.audit import plan
from countersign.audit.local import LocalSink
from countersign.audit.merkle import Frontier, leaf_hash
from countersign.audit.note import Signer, Verifier, open_checkpoint
from countersign.audit.publisher import PublisherSettings
from countersign.audit.tiles import decode_entries
from countersign.errors import LogError

POINTS = (
    "log.fenced",
    "log.segment_written",
    "log.checkpoint_written",
    "log.pointed",
    "log.marked",
)


class CrashError(Exception):
    """The process ends here."""


class FailingSink(LocalSink):
    """A directory on a disk that is full while `failing`."""

    failing = True

    def write(self, log_id, files):
        if self.failing:
            reason = os.strerror(errno.ENOSPC)
            raise LogError("log.sink_unavailable", f"{files[0].name}: {reason}")
        super().write(log_id, files)


def snapshot(directory):
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def lines_in(directory):
    segments = sorted(directory.glob("records/*/*/*.jsonl.gz"), key=lambda path: path.name)
    data = b"".join(plan.decompress(path.read_bytes(), 1 << 24) for path in segments)
    return data.split(b"\n")[:-1]


def root_of(source):
    return Frontier().extend(leaf_hash(row.body) for row in source.rows)


def crash_at(point):
    def reached(name):
        if name == point:
            raise CrashError(name)

    return reached


async def test_a_published_log_holds_the_exact_records(tmp_path):
    source = MemorySource(300)
    directory = await publish(source, tmp_path)
    assert lines_in(directory) == [row.body for row in source.rows]
    bundle = (directory / "tile/entries/000").read_bytes()
    assert list(decode_entries(bundle)) == [row.body for row in source.rows[:256]]
    head = open_checkpoint((directory / "checkpoint").read_bytes(), Verifier.parse(VKEY))
    assert (head.origin, head.size, head.root) == (LOG_ID, 300, root_of(source).root())
    immutable = directory / f"checkpoints/{300:020}"
    assert immutable.read_bytes() == (directory / "checkpoint").read_bytes()
    assert source.published == 300
    assert source.frontier == root_of(source).hashes


async def test_segments_are_named_by_range_and_by_the_hour_of_their_first_record(tmp_path):
    directory = await publish(MemorySource(10), tmp_path)
    (segment,) = directory.glob("records/*/*/*")
    name = str(segment.relative_to(directory))
    assert name == f"records/dt=2026-11-18/hour=11/{0:020}-{9:020}.jsonl.gz"
    assert segment.read_bytes()[4:8] == bytes(4), "gzip mtime is 0"


async def test_segments_are_bounded_by_records_and_by_bytes(tmp_path):
    small = PublisherSettings(flush_after_s=0, max_segment_records=4, max_segment_bytes=100_000)
    directory = await publish(MemorySource(10), tmp_path / "records", settings=small)
    assert [path.name[18:20] for path in sorted(directory.glob("records/*/*/*"))] == [
        "00",
        "04",
        "08",
    ]
    source = MemorySource(10)
    size = len(source.rows[0].body) + 1
    tight = PublisherSettings(flush_after_s=0, max_segment_bytes=3 * size)
    directory = await publish(source, tmp_path / "bytes", settings=tight)
    assert len(list(directory.glob("records/*/*/*"))) == 4
    one = PublisherSettings(flush_after_s=0, max_segment_bytes=1)
    directory = await publish(MemorySource(3), tmp_path / "one", settings=one)
    assert len(list(directory.glob("records/*/*/*"))) == 3


async def test_a_waiter_hurries_the_writer_and_is_released(tmp_path):
    source = MemorySource()
    patient = PublisherSettings(flush_after_s=3600)
    writer = publisher(source, tmp_path, settings=patient)
    await writer.start()
    source.add(3)
    writer.notify()
    async with asyncio.timeout(10):
        await writer.published(TENANT, 2)
    assert writer.published_size(TENANT) == 3
    assert open_checkpoint(writer.checkpoint(TENANT), SIGNER.verifier).size == 3
    await writer.published(TENANT, 0)
    await writer.close()


async def test_enough_records_do_not_wait_for_company(tmp_path):
    source = MemorySource()
    marked = asyncio.Event()
    patient = PublisherSettings(flush_after_s=3600, max_segment_records=5)
    writer = publisher(source, tmp_path, settings=patient, reached=lambda _: marked.set())
    await writer.start()
    source.add(5)
    for _ in range(5):
        writer.notify()
    async with asyncio.timeout(10):
        await marked.wait()
    await writer.close()
    assert source.published == 5


async def test_closing_publishes_what_is_there(tmp_path):
    source = MemorySource()
    writer = publisher(source, tmp_path, settings=PublisherSettings(flush_after_s=3600))
    await writer.start()
    source.add(2)
    await writer.close()
    assert source.published == 2
    assert not writer.ready


async def test_objects_go_out_before_the_records_that_name_them(tmp_path):
    source = MemorySource(1)
    data = {hashlib.sha256(b"%d" % n).hexdigest(): b"%d" % n for n in range(70)}
    source.kept = dict(data)
    writer = publisher(source, tmp_path, reached=crash_at("log.segment_written"))
    await writer.start()
    with pytest.raises(CrashError):
        await writer.close()
    directory = tmp_path / LOG_ID
    assert {path.name: path.read_bytes() for path in directory.glob("objects/*")} == data
    assert source.kept == {}
    assert not (directory / "checkpoint").exists()


async def test_an_object_under_the_wrong_hash_is_not_published(tmp_path):
    source = MemorySource(1)
    source.kept = {"00" * 32: b"other"}
    writer = publisher(source, tmp_path)
    await writer.start()
    await writer.close()
    assert writer.failures[TENANT].code == "log.object_invalid"
    assert source.published == 0


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("more", [0, 5, 400])
async def test_a_crash_at_any_point_is_picked_up_with_the_same_bytes(tmp_path, point, more):
    source = MemorySource(250)
    await publish(source, tmp_path)
    source.add(20)
    writer = publisher(source, tmp_path, reached=crash_at(point))
    await writer.start()
    with pytest.raises(CrashError):
        await writer.close()
    before = snapshot(tmp_path / LOG_ID)
    source.add(more)
    directory = await publish(source, tmp_path)
    after = snapshot(directory)
    assert all(
        after[name] == data
        for name, data in before.items()
        if name != "checkpoint" and ".p/" not in name
    )
    assert lines_in(directory) == [row.body for row in source.rows]
    names = sorted(path.name for path in directory.glob("records/*/*/*"))
    assert names[1] == f"{250:020}-{269:020}.jsonl.gz"
    assert (source.published, source.frontier) == (250 + 20 + more, root_of(source).hashes)
    head = open_checkpoint(after["checkpoint"], SIGNER.verifier)
    assert (head.size, head.root) == (source.published, root_of(source).root())


async def test_a_segment_of_another_zlib_is_recognised_after_a_crash(tmp_path):
    source = MemorySource(5)
    writer = publisher(source, tmp_path, reached=crash_at("log.segment_written"))
    await writer.start()
    with pytest.raises(CrashError):
        await writer.close()
    (segment,) = (tmp_path / LOG_ID).glob("records/*/*/*")
    import zlib

    other = zlib.compress(plan.lines_of(source.rows), level=0, wbits=31)
    assert other != segment.read_bytes()
    segment.write_bytes(other)
    await publish(source, tmp_path)
    assert source.published == 5
    assert segment.read_bytes() == other


async def test_what_a_retry_writes_is_what_the_first_attempt_began(tmp_path):
    source = MemorySource(3)

    def lose_the_store(name):
        if name == "log.checkpoint_written" and len(source.rows) == 3:
            source.add()
            source.down = True

    writer = publisher(source, tmp_path, reached=lose_the_store)
    await writer.start()
    async with asyncio.timeout(10):
        while TENANT not in writer.failures:  # noqa: ASYNC110 - a state, not an event
            await asyncio.sleep(0)
    assert writer.failures[TENANT].code == "log.sink_unavailable"
    source.down = False
    async with asyncio.timeout(10):
        await writer.published(TENANT, 2)
    await writer.close()
    names = [path.name for path in sorted((tmp_path / LOG_ID).glob("records/*/*/*"))]
    assert names[0] == f"{0:020}-{2:020}.jsonl.gz"
    assert lines_in(tmp_path / LOG_ID) == [row.body for row in source.rows]


async def test_a_full_disk_is_visible_and_loses_nothing(tmp_path):
    source, sink = MemorySource(3), FailingSink(tmp_path)
    writer = publisher(source, tmp_path, sink=sink)
    await writer.start()
    waiting = asyncio.create_task(writer.published(TENANT, 2))
    async with asyncio.timeout(10):
        while TENANT not in writer.failures:  # noqa: ASYNC110 - a state, not an event
            await asyncio.sleep(0)
        assert not writer.ready
        assert not waiting.done()
        assert source.published == 0
        sink.failing = False
        await waiting
    assert writer.ready
    await writer.close()
    assert lines_in(tmp_path / LOG_ID) == [row.body for row in source.rows]


async def test_a_store_restored_from_an_old_backup_refuses_to_start(tmp_path):
    source = MemorySource(10)
    await publish(source, tmp_path)
    old = MemorySource(4)
    with pytest.raises(LogError) as caught:
        await publisher(old, tmp_path).start()
    assert caught.value.code == "log.rolled_back"
    assert "backup" in caught.value.advice


async def test_a_rolled_back_store_is_found_by_an_unfinished_segment_alone(tmp_path):
    source = MemorySource(10)
    await publish(source, tmp_path)
    state = (source.published, source.frontier)
    source.add(5)
    writer = publisher(source, tmp_path, reached=crash_at("log.segment_written"))
    await writer.start()
    with pytest.raises(CrashError):
        await writer.close()
    old = MemorySource(10)
    old.published, old.frontier = state
    with pytest.raises(LogError) as caught:
        await publisher(old, tmp_path).start()
    assert caught.value.code == "log.rolled_back"


async def test_a_store_with_other_records_refuses_to_start(tmp_path):
    await publish(MemorySource(10), tmp_path)
    for published in (0, 10):
        other = MemorySource(20, reason="another past")
        if published:
            other.published, other.frontier = (
                10,
                Frontier().extend(leaf_hash(row.body) for row in other.rows[:10]).hashes,
            )
        with pytest.raises(LogError) as caught:
            await publisher(other, tmp_path).start()
        assert caught.value.code == "log.rolled_back"


async def test_a_sink_that_lost_what_was_published_refuses_to_start(tmp_path):
    source = MemorySource(10)
    await publish(source, tmp_path / "one")
    with pytest.raises(LogError) as caught:
        await publisher(source, tmp_path / "empty").start()
    assert caught.value.code == "log.sink_behind"
    shorter = MemorySource(4)
    await publish(shorter, tmp_path / "shorter")
    with pytest.raises(LogError) as caught:
        await publisher(source, tmp_path / "shorter").start()
    assert caught.value.code == "log.sink_behind"


async def test_a_rolled_back_pointer_does_not_hide_newer_checkpoints(tmp_path):
    source = MemorySource(4)
    directory = await publish(source, tmp_path)
    old = (directory / "checkpoint").read_bytes()
    source.add(4)
    await publish(source, tmp_path)
    (directory / "checkpoint").write_bytes(old)
    restored = MemorySource(4)
    with pytest.raises(LogError) as caught:
        await publisher(restored, tmp_path).start()
    assert caught.value.code == "log.rolled_back"


async def test_a_checkpoint_by_another_key_refuses_to_start(tmp_path):
    source = MemorySource(4)
    mallory = Signer(name=LOG_ID, key=Ed25519PrivateKey.from_private_bytes(bytes(32)))
    await publish(source, tmp_path, signer=mallory)
    with pytest.raises(LogError) as caught:
        await publisher(source, tmp_path).start()
    assert caught.value.code == "log.signature_invalid"


async def test_a_checkpoint_under_another_size_refuses_to_start(tmp_path):
    source = MemorySource(4)
    directory = await publish(source, tmp_path)
    (directory / f"checkpoints/{9:020}").write_bytes((directory / "checkpoint").read_bytes())
    with pytest.raises(LogError) as caught:
        await publisher(source, tmp_path).start()
    assert caught.value.code == "log.checkpoint_invalid"


async def test_a_segment_that_does_not_follow_refuses_to_start(tmp_path):
    source = MemorySource(4)
    directory = await publish(source, tmp_path)
    source.add(10)
    rows = source.rows[6:8]
    name = plan.segment_name(6, 7, rows[0].time)
    (directory / str(name)).write_bytes(plan.compress(plan.lines_of(rows)))
    with pytest.raises(LogError) as caught:
        await publisher(source, tmp_path).start()
    assert caught.value.code == "log.conflict"


async def test_a_waiter_is_let_go_when_the_writer_closes(tmp_path):
    writer = publisher(MemorySource(1), tmp_path)
    await writer.start()
    waiting = asyncio.create_task(writer.published(TENANT, 5))
    await writer.published(TENANT, 0)
    await writer.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_changed_tiles_refuse_to_start(tmp_path):
    source = MemorySource(4)
    directory = await publish(source, tmp_path)
    (directory / "tile/0/000.p/4").write_bytes(bytes(128))
    with pytest.raises(LogError) as caught:
        await publisher(source, tmp_path).start()
    assert caught.value.code == "log.tile_invalid"


async def test_two_writers_collide_and_the_second_freezes(tmp_path):
    source, other = MemorySource(4), MemorySource(4, reason="split brain")
    first, second = publisher(source, tmp_path), publisher(other, tmp_path)
    other.rows, held = [], other.rows
    await second.start()
    await first.start()
    await first.published(TENANT, 3)
    other.rows = held
    with pytest.raises(LogError) as caught:
        await second.published(TENANT, 3)
    assert caught.value.code == "log.fenced"
    assert not second.ready
    with pytest.raises(LogError):
        await second.published(TENANT, 3)
    await first.close()
    await second.close()
    assert other.published == 0
    assert lines_in(tmp_path / LOG_ID) == [row.body for row in source.rows]


async def test_a_hole_in_the_store_freezes_the_log(tmp_path):
    source = MemorySource(6)
    del source.rows[2]
    source.rows.append(record(6))
    writer = publisher(source, tmp_path)
    await writer.start()
    await writer.close()
    assert writer.failures[TENANT].code == "log.gap"
    assert source.published == 0


async def test_a_key_of_another_log_is_refused(tmp_path):
    other = Signer(name="log.example/other", key=SIGNER.key)
    with pytest.raises(LogError) as caught:
        await publisher(MemorySource(1), tmp_path, signer=other).start()
    assert caught.value.code == "log.key_invalid"


async def test_partial_tiles_do_not_pile_up(tmp_path):
    source = MemorySource()
    for _ in range(60):
        source.add(10)
        directory = await publish(source, tmp_path)
    partials = [path for path in directory.glob("tile/**/*") if ".p/" in str(path)]
    bundles = [path for path in partials if "/entries/" in str(path)]
    assert {path.parent.name for path in bundles} == {"002.p"}
    assert not list(directory.rglob(".writing-*"))


def test_a_local_sink_says_that_it_enforces_nothing(tmp_path):
    assert LocalSink(tmp_path).enforcing is False


@pytest.mark.parametrize("log_id", ["../evil", "a/../b", "a//b", "/etc", "", "a/.hidden", "a b"])
def test_a_log_id_cannot_leave_the_directory(tmp_path, log_id):
    with pytest.raises(LogError) as caught:
        LocalSink(tmp_path / "root").read(log_id, "checkpoint")
    assert caught.value.code == "log.name_invalid"


def test_a_local_sink_is_create_exclusive_and_lists_like_a_bucket(tmp_path):
    sink = LocalSink(tmp_path)
    files = [
        plan.File(name=f"records/dt=2026-01-0{day}/hour=00/{day}", data=b"x", keep=plan.Keep.LOCKED)
        for day in (1, 2, 3)
    ]
    sink.write("log", files)
    sink.write("log", files)
    names = [file.name for file in files]
    assert sink.names("log", "records/") == names
    assert sink.names("log", "records/", after=names[0]) == names[1:]
    assert sink.names("log", "records/", after="records/dt=2026-01-02/hour=00/") == names[1:]
    assert sink.names("log", "records/dt=2026-01-03") == names[2:]
    assert sink.names("log", "checkpoints/") == []
    assert sink.read("log", names[0]) == b"x"
    assert sink.read("log", "absent") is None
    with pytest.raises(LogError) as caught:
        sink.write("log", [plan.File(name=names[0], data=b"y", keep=plan.Keep.REBUILDABLE)])
    assert caught.value.code == "log.conflict"
    assert sink.read("log", names[0]) == b"x"


def test_only_partial_tiles_can_be_pruned(tmp_path):
    with pytest.raises(ValueError, match="partial"):
        LocalSink(tmp_path).prune("log", ["records/dt=2026-01-01"])


def test_settings_publish_within_a_second():
    assert PublisherSettings().flush_after_s == 1.0
    assert PROMPT.max_segment_records == 1_000
