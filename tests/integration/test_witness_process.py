"""A real witness process: what it answers, what it remembers, and what it survives."""

import contextlib
import hashlib
import os
import signal
import socket
import stat
import threading

import pytest

from audit_world import LOG_ID, SIGNER
from countersign.audit import local
from countersign.audit.note import Checkpoint, Note
from countersign.audit.witness.memory import Memory
from countersign.audit.witness.request import MAX_REQUEST_BYTES, SIZE_TYPE
from countersign.audit.witness.service import Witness
from countersign.errors import ConfigurationError
from service import PATIENCE_S
from witness_process import WitnessProcess
from witness_world import TRUST, WITNESS, Tree

TREE = Tree.of(300)
FORK = TREE.forked_at(100, 300)


@pytest.fixture
def witness(tmp_path):
    with WitnessProcess(tmp_path / "witness", [SIGNER.verifier]) as process:
        yield process


def cosigned_s(witness, note, body):
    """When the answer says that the witness saw this note."""
    line = Note.parse(note.encode() + body).signatures[-1:]
    return witness.key.cosigned_s(Note(text=note.text, signatures=line))


def remembered(witness):
    name = hashlib.sha256(LOG_ID.encode()).hexdigest()
    code, _, body = witness.exchange("GET", f"/{name}/checkpoint")
    return Checkpoint.parse(Note.parse(body).text) if code == 200 else None


def test_it_follows_a_log_and_tells_what_it_cosigned(witness):
    assert remembered(witness) is None
    for old, new in ((0, 3), (3, 3), (3, 200), (200, 300)):
        code, _, body = witness.send(TREE.request(old, new))
        assert code == 200, body
        assert cosigned_s(witness, TREE.note(new), body)
        assert remembered(witness) == TREE.head(new)
    assert witness.send(TREE.request(0, 300)) == (409, SIZE_TYPE, b"300\n")
    assert witness.send(TREE.request(3, 200)) == (409, SIZE_TYPE, b"300\n")
    assert "ROLL-BACK?" in witness.said
    assert witness.stop() == 0


def test_a_fork_gets_no_cosignature_is_called_one_and_kept_as_evidence(witness):
    assert witness.send(TREE.request(0, 200))[0] == 200
    assert witness.send(FORK.request(200, 200)) == (409, SIZE_TYPE, b"200\n")
    assert witness.send(FORK.request(200, 250))[0] == 422
    assert remembered(witness) == TREE.head(200)
    assert "FORK: a signed checkpoint of size 200" in witness.said
    assert "UNPROVEN: a signed checkpoint of size 250" in witness.said
    (kept,) = witness.state.glob("*/fork/*")
    note = Note.parse(kept.read_bytes())
    assert note.verify(SIGNER.verifier)
    assert Checkpoint.parse(note.text) == FORK.head(200)
    assert len(list(witness.state.glob("*/unproven/*"))) == 1
    assert witness.send(TREE.request(200, 250))[0] == 200


def test_killed_or_stopped_it_remembers(witness):
    assert witness.send(TREE.request(0, 200))[0] == 200
    witness.kill()
    witness.start()
    assert witness.send(TREE.request(0, 100)) == (409, SIZE_TYPE, b"200\n")
    assert witness.send(FORK.request(200, 250))[0] == 422
    assert witness.stop() == 0
    witness.start()
    assert witness.send(FORK.request(200, 200))[0] == 409
    assert witness.send(TREE.request(200, 300))[0] == 200


def test_what_it_cannot_be_sure_of_it_does_not_start_with(witness, tmp_path):
    assert witness.send(TREE.request(0, 200))[0] == 200
    assert "another witness works with it" in witness.refuses_to_start()
    witness.stop()
    (kept,) = witness.state.glob("*/checkpoint")
    good = kept.read_bytes()
    kept.write_bytes(good.replace(b"\n200\n", b"\n100\n"))
    assert "witness.state_invalid" in witness.refuses_to_start()
    kept.write_bytes(good)
    mine = (witness.directory / "witness.key").read_bytes()
    other = WitnessProcess(tmp_path / "other", [SIGNER.verifier])
    (witness.directory / "witness.key").write_bytes((other.directory / "witness.key").read_bytes())
    assert "another witness key" in witness.refuses_to_start()
    (witness.directory / "witness.key").write_bytes(mine)
    (witness.directory / "witness.key").chmod(0o644)
    assert "keys.permissions" in witness.refuses_to_start()
    (witness.directory / "witness.key").chmod(0o600)
    (witness.directory / "logs.toml").write_text("logs = []")
    assert "--logs: format" in witness.refuses_to_start()


def test_its_private_key_is_private_and_never_replaced(witness):
    path = witness.directory / "witness.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    done = witness._run("key", "--out", "witness.key", "--name", "witness.example/w1")
    assert done.returncode == 2
    assert "audit.exists" in done.stderr
    assert path.read_bytes() == before


def test_of_many_who_race_for_one_size_all_agree(witness):
    """Twenty requests at once from the same size: one history comes of it."""
    answers = {}

    def send(new, tree):
        answers[new, tree] = witness.send(tree.request(100, new))

    assert witness.send(TREE.request(0, 100))[0] == 200
    race = [(new, tree) for new in range(101, 111) for tree in (TREE, FORK)]
    threads = [threading.Thread(target=send, args=each) for each in race]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    good = [each for each, (code, _, _) in answers.items() if code == 200]
    assert len(good) == 1, "whoever is first moves the size that the others name"
    assert {code for code, _, _ in answers.values()} == {200, 409}
    new, tree = good[0]
    assert remembered(witness) == tree.head(new)


BAD = {
    b"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\n": b"411",
    b"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: -1\r\n": b"411",
    b"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: 99999999999\r\n": b"413",
    b"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: 0\r\n": b"400",
    b"POST /elsewhere HTTP/1.1\r\nHost: w\r\nContent-Length: 0\r\n": b"404",
    b"GET /add-checkpoint HTTP/1.1\r\nHost: w\r\n": b"404",
    b"GET /../../witness.key HTTP/1.1\r\nHost: w\r\n": b"404",
    b"PUT /add-checkpoint HTTP/1.1\r\nHost: w\r\n": b"501",
}


def test_what_is_no_request_is_answered_within_bounds(witness):
    for head, code in BAD.items():
        with socket.create_connection(("127.0.0.1", witness.port), PATIENCE_S) as line:
            line.sendall(head + b"\r\n")
            assert line.recv(65_536).split(b" ")[1] == code, head


def test_too_large_a_body_is_refused_and_the_next_request_answered(witness):
    assert witness.send(b"x" * (MAX_REQUEST_BYTES + 1))[0] == 413
    assert witness.send(TREE.request(0, 3))[0] == 200


# --- the write boundary ---


class _Mortal:
    """`os`, whose owner dies before the n-th durable call."""

    def __init__(self, lives):
        self.lives = lives

    def __getattr__(self, name):
        call = getattr(os, name)
        return self._counted(call) if name in ("link", "fsync") else call

    def _counted(self, call):
        def counted(*arguments):
            if self.lives == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            self.lives -= 1
            return call(*arguments)

        return counted


def answered_before_death(calls, root, request):
    """What a witness that dies at that durable call still answered; whether it died."""
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        memory = Memory(root, WITNESS.public)
        witness = Witness(WITNESS, TRUST, memory)
        local.os = _Mortal(calls)
        os.write(writes, witness.add_checkpoint(request.encode()).body)
        os._exit(0)
    os.close(writes)
    with os.fdopen(reads, "rb") as answer:
        body = answer.read()
    _, status = os.waitpid(child, 0)
    return body, os.WIFSIGNALED(status)


def newest(root):
    with contextlib.closing(Memory(root, WITNESS.public)) as memory:
        return Checkpoint.parse(memory.newest(LOG_ID).text)


def answering(memory, request, **more):
    return Witness(WITNESS, TRUST, memory, **more).add_checkpoint(request.encode())


def test_killed_at_any_step_of_remembering_it_has_cosigned_nothing_it_forgets(tmp_path):
    with contextlib.closing(Memory(tmp_path, WITNESS.public)) as memory:
        answering(memory, TREE.request(0, 100))
    calls, died = 0, True
    while died:
        before = newest(tmp_path)
        new = before.size + 10
        body, died = answered_before_death(calls, tmp_path, TREE.request(before.size, new))
        after = newest(tmp_path)
        assert after in (before, TREE.head(new)), "one or the other, and whole"
        assert not body or after == TREE.head(new), "nothing is cosigned that is not remembered"
        calls += 1
    assert calls > 2, "it was killed before and after the checkpoint was in place"


def test_a_full_disk_cosigns_nothing(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    with contextlib.closing(Memory(tmp_path, WITNESS.public)) as memory:
        assert answering(memory, TREE.request(0, 100)).status == 200
        with monkeypatch.context() as disk:
            disk.setattr(local.os, "fsync", full)
            answer = answering(memory, TREE.request(100, 200))
        assert answer.status == 500
        assert "\u2014".encode() not in answer.body
        assert answering(memory, FORK.request(100, 200)).status == 200


def test_its_clock_set_back_it_never_says_an_earlier_time(tmp_path):
    with contextlib.closing(Memory(tmp_path, WITNESS.public)) as memory:
        answering(memory, TREE.request(0, 100), now=lambda: 2_000)
        body = answering(memory, TREE.request(100, 200), now=lambda: 1_000).body
    note = Note.parse(TREE.note(200).encode() + body)
    assert WITNESS.public.cosigned_s(note) == 2_000


def test_one_memory_is_for_one_process(tmp_path):
    memory = Memory(tmp_path, WITNESS.public)
    with pytest.raises(ConfigurationError, match="another witness works"):
        Memory(tmp_path, WITNESS.public)
    memory.close()
    Memory(tmp_path, WITNESS.public).close()
