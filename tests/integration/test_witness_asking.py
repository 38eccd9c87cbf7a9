"""A log and its witnesses: what is published is cosigned, beside and after everything else."""

import asyncio
import contextlib
import dataclasses
import shutil
import socket
import threading

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit_world import LOG_ID, PROMPT, SIGNER, TENANT, VKEY, MemorySource, record
from countersign.audit.cosignature import WitnessSigner
from countersign.audit.local import LocalSink
from countersign.audit.note import Checkpoint, Note
from countersign.audit.plan import checkpoint_name, witnessed_name
from countersign.audit.publisher import Publisher
from countersign.audit.verify import verify
from countersign.audit.witness.asking import Asking, Place
from countersign.audit.witness.cosigning import Cosigning
from countersign.audit.witness.memory import Memory
from countersign.audit.witness.request import SIZE_TYPE
from countersign.audit.witness.server import Server
from countersign.audit.witness.service import Witness
from countersign.errors import LogError
from witness_world import TRUST, WITNESS

SECOND = WitnessSigner(
    name="witness.example/w2", key=Ed25519PrivateKey.from_private_bytes(bytes([8] * 32))
)


@contextlib.contextmanager
def witnessing(root, signer=WITNESS, port=0):
    """A witness that answers on a socket, as long as this lasts."""
    memory = Memory(root, signer.public)
    server = Server("127.0.0.1", port, Witness(signer, TRUST, memory))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield place_of(server.port, signer)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        memory.close()


def place_of(port, signer=WITNESS, deadline_s=5.0):
    return Place(url=f"http://127.0.0.1:{port}", key=signer.public, deadline_s=deadline_s)


@contextlib.contextmanager
def saying(answer):
    """A server that says the same to everybody; nothing at all when that is None."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        held = []

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    line, _ = listener.accept()
                    held.append(line)
                    if answer is not None:
                        line.recv(1 << 20)
                        line.sendall(answer)
                        line.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield place_of(listener.getsockname()[1], deadline_s=0.3)
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for line in held:
                line.close()


def http(status, body=b"", kind="text/plain"):
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Outcomes(list):
    """What the witnesses are counted with, as it comes."""

    def __init__(self):
        super().__init__()
        self._new = asyncio.Event()

    def add(self, name, outcome):
        self.append((name, outcome))
        self._new.set()

    async def one_more(self):
        async with asyncio.timeout(60):
            await self._new.wait()
        self._new.clear()
        return self[-1]


@contextlib.asynccontextmanager
async def running(source, root, *places):
    """A log writer with witnesses; yields it and what the witnesses are counted with."""
    outcomes = Outcomes()
    sink, witnesses = LocalSink(root), [Asking(place, rest_s=0) for place in places]
    writer = Publisher(
        source=source,
        sink=sink,
        log_id_of=lambda _: LOG_ID,
        signer_of=lambda _: SIGNER,
        settings=PROMPT,
        witnesses=witnesses,
    )
    cosigning = Cosigning(
        witnesses,
        published=writer,
        sink=sink,
        on_answer=outcomes.add,
        last_s=1.0,
    )
    writer.subscribe(cosigning.notify)
    cosigning.start()
    try:
        await writer.start()
        yield writer, outcomes
        await writer.close()
    finally:
        await cosigning.close()


async def published(source, root, *places):
    """Publish all there is, as one process that starts and stops."""
    async with running(source, root, *places) as (_, outcomes):
        pass
    return root / LOG_ID, outcomes


def cosigned(directory, name="checkpoint", signer=WITNESS):
    note = Note.parse((directory / name).read_bytes())
    return signer.public.cosigned_s(note)


async def test_what_is_published_is_cosigned_and_kept(tmp_path):
    source = MemorySource(300)
    with witnessing(tmp_path / "w1") as one, witnessing(tmp_path / "w2", SECOND) as two:
        for _ in range(3):
            source.add(10)
            log, outcomes = await published(source, tmp_path, one, two)
            assert (WITNESS.name, "cosigned") in outcomes
            for signer in (WITNESS, SECOND):
                assert cosigned(log, signer=signer), "the pointer holds both cosignatures"
                kept = witnessed_name(len(source.rows), signer.public.key_id)
                assert cosigned(log, kept, signer)
        plain = Note.parse((log / checkpoint_name(330)).read_bytes())
        assert len(plain.signatures) == 1, "the immutable checkpoint is as it was"
    result = verify(log, VKEY, witnesses=[WITNESS.public, SECOND.public])
    assert result.ok, result.findings


async def test_a_checkpoint_is_cosigned_while_the_service_runs(tmp_path):
    source = MemorySource()
    with witnessing(tmp_path / "w1") as place:
        async with running(source, tmp_path, place) as (writer, outcomes):
            for count in (5, 6):
                source.add(count)
                writer.notify()
                await writer.published(TENANT, len(source.rows) - 1)
                await outcomes.one_more()
                assert WITNESS.public.cosigned_s(Note.parse(writer.checkpoint(TENANT)))
            assert outcomes == [(WITNESS.name, "cosigned")] * 2


async def test_a_log_of_which_a_witness_has_more_is_published_no_further(tmp_path):
    """Another copy of this store and log went on meanwhile, under the same key."""
    source, twin = MemorySource(5), MemorySource(5)
    with witnessing(tmp_path / "w1") as place:
        async with running(source, tmp_path / "one", place) as (writer, outcomes):
            await outcomes.one_more()
            shutil.copytree(tmp_path / "one", tmp_path / "two")
            twin.published, twin.frontier = source.published, source.frontier
            twin.add(20)
            await published(twin, tmp_path / "two", place)

            source.add(3)
            writer.notify()
            while (WITNESS.name, "log.rolled_back") not in outcomes:
                await outcomes.one_more()
            failure = writer.failures[TENANT]
            assert failure.code == "log.rolled_back"
            assert "w1" in failure.message, "it says who has seen more"
            assert writer.stopped == {TENANT: failure}
            size = writer.published_size(TENANT)
            source.add(3)
            writer.notify()
            with pytest.raises(LogError) as error:
                await writer.published(TENANT, len(source.rows) - 1)
            assert error.value is failure
            assert writer.published_size(TENANT) == size


async def test_a_witness_that_is_away_costs_its_cosignature_and_nothing_else(tmp_path):
    source = MemorySource(3)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    log, outcomes = await published(source, tmp_path, place_of(port))
    assert set(outcomes) == {(WITNESS.name, "witness.unavailable")}
    assert verify(log, VKEY).size == 3
    source.add(4)
    with witnessing(tmp_path / "w1") as place:
        log, outcomes = await published(source, tmp_path, place)
    assert (WITNESS.name, "cosigned") in outcomes
    assert cosigned(log)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (None, "witness.unavailable"),
        (b"", "witness.unavailable"),
        (b"nonsense\r\n\r\n", "witness.unavailable"),
        (http(200, b"x" * 200_000), "witness.unavailable"),
        (http(200, b"\xe2\x80\x94 witness.example/w1 AAAAAAAA\n"), "witness.refused"),
        (http(200, b"hello\n"), "witness.refused"),
        (http(200), "witness.refused"),
        (http(302), "witness.refused"),
        (http(403), "witness.refused"),
        (http(404), "witness.refused"),
        (http(500), "witness.refused"),
        (http(409, b"3 or 4\n", SIZE_TYPE), "witness.refused"),
        (http(409, b"2\n"), "witness.refused"),
    ],
)
async def test_whatever_a_witness_answers_the_log_goes_on(tmp_path, answer, outcome):
    with saying(answer) as place:
        log, outcomes = await published(MemorySource(3), tmp_path, place)
    assert set(outcomes) <= {(WITNESS.name, outcome), (WITNESS.name, "witness.unavailable")}
    assert verify(log, VKEY).ok
    assert not (log / "witnessed").exists()


async def test_a_slow_witness_does_not_keep_the_others_waiting(tmp_path):
    source = MemorySource()
    with saying(None) as slow, witnessing(tmp_path / "w2", SECOND) as quick:
        stuck = dataclasses.replace(slow, deadline_s=60.0)
        async with running(source, tmp_path) as (writer, outcomes):
            cosigning = Cosigning(
                [Asking(stuck), Asking(quick)],
                published=writer,
                sink=LocalSink(tmp_path),
                on_answer=outcomes.add,
                last_s=0.1,
            )
            writer.subscribe(cosigning.notify)
            cosigning.start()
            source.add(3)
            await writer.published(TENANT, 2)
            assert await outcomes.one_more() == (SECOND.name, "cosigned")
            await cosigning.close()
    assert cosigned(tmp_path / LOG_ID, signer=SECOND)


async def test_a_log_put_back_with_its_store_is_named_by_the_witness(tmp_path):
    """Store and log of yesterday fit together; only somebody else knows of today."""
    source = MemorySource(10)
    with witnessing(tmp_path / "w1") as place:
        log, _ = await published(source, tmp_path, place)
        shutil.copytree(log, tmp_path / "yesterday")
        source.add(5)
        await published(source, tmp_path, place)
        shutil.rmtree(log)
        shutil.move(tmp_path / "yesterday", log)
        older = MemorySource(10)
        with pytest.raises(LogError) as refused:
            await published(older, tmp_path, place)
        assert refused.value.code == "log.rolled_back"
        assert "has cosigned 15 records of this log, 10 are here" in refused.value.message
        shutil.rmtree(log)
        with pytest.raises(LogError) as gone:
            await published(MemorySource(), tmp_path, place)
        assert gone.value.code == "log.rolled_back", "with everything gone, too"
        assert not (log / "checkpoint").exists()


async def test_a_rewritten_log_is_named_by_the_witness_whatever_its_size(tmp_path):
    with witnessing(tmp_path / "w1") as place:
        log, _ = await published(MemorySource(10), tmp_path, place)
        for count in (10, 14):
            shutil.rmtree(log)
            other = MemorySource()
            other.rows = [record(seq, kind="other") for seq in range(count)]
            await published(other, tmp_path)
            with pytest.raises(LogError) as refused:
                await published(other, tmp_path, place)
            assert refused.value.code == "log.forked"
            assert "has cosigned 10 other records" in refused.value.message
            assert cosigned(log) is None


async def test_a_fork_made_while_the_witness_was_away_is_told_when_it_is_back(tmp_path):
    """The start-up check found nobody; the first checkpoint after that is not cosigned."""
    with witnessing(tmp_path / "w1") as place:
        log, _ = await published(MemorySource(10), tmp_path, place)
    shutil.rmtree(log)
    other = MemorySource()
    other.rows = [record(seq, kind="other") for seq in range(12)]
    port = int(place.url.rpartition(":")[2])
    async with running(other, tmp_path, place) as (writer, outcomes):
        assert await outcomes.one_more() == (WITNESS.name, "witness.unavailable")
        with witnessing(tmp_path / "w1", port=port):
            other.rows.append(record(12, kind="other"))
            await writer.published(TENANT, 12)
            assert await outcomes.one_more() == (WITNESS.name, "log.forked")
    assert cosigned(log) is None


async def test_a_crash_between_the_cosignature_and_the_pointer_is_made_good(tmp_path):
    source = MemorySource(10)
    with witnessing(tmp_path / "w1") as place:
        log, _ = await published(source, tmp_path, place)
        kept = log / witnessed_name(10, WITNESS.public.key_id)
        before = kept.read_bytes()
        (log / "checkpoint").write_bytes((log / checkpoint_name(10)).read_bytes())
        await published(source, tmp_path, place)
        assert kept.read_bytes() == before
        assert (log / "checkpoint").read_bytes() == before


async def test_the_pointer_never_goes_back_to_a_cosigned_but_older_checkpoint(tmp_path):
    source = MemorySource()
    with witnessing(tmp_path / "w1") as place:
        async with running(source, tmp_path, place) as (writer, _):
            size = 0
            for _ in range(30):
                source.add(1)
                writer.notify()
                await writer.published(TENANT, len(source.rows) - 1)
                note = Note.parse((tmp_path / LOG_ID / "checkpoint").read_bytes())
                now = Checkpoint.parse(note.text).size
                assert now >= size
                size = now
    assert cosigned(tmp_path / LOG_ID)
