"""A log written here is read by a checker nobody here wrote: Tessera's fsck."""

import asyncio
import shutil
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import realparts
from audit_world import LOG_ID, SIGNER, START_US, VKEY, MemorySource, publish, written
from countersign.audit.note import Checkpoint, Note, Signer, sign
from countersign.model import SECOND_US
from witness_world import cosign

CASES = [(1,), (100,), (100, 155), (256,), (200, 57), (513, 1), (70_000,)]


def fsck(directory, tmp_path):
    """What it says: judge it by its words, for it exits with 0 whatever it found.

    Each of its workers ends at its first error, and without any left it waits for ever: so
    there are more of them than tiles that may differ.
    """
    key = tmp_path / "log.vkey"
    key.write_text(VKEY)
    done = subprocess.run(
        [
            str(realparts.fsck()),
            "-ui=false",
            "-N=8",
            f"-storage_url={directory.as_uri()}/",
            f"-public_key={key}",
            f"-origin={LOG_ID}",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stderr


@pytest.mark.parametrize("batches", CASES, ids=lambda batches: "+".join(map(str, batches)))
def test_fsck_accepts_our_log(tmp_path, batches):
    report = fsck(written(tmp_path, *batches), tmp_path)
    assert f"Successfully fsck'd log with size {sum(batches)}" in report, report


def test_fsck_accepts_every_stage_of_a_growing_log(tmp_path):
    source = MemorySource()
    for count in (3, 250, 3, 1, 300):
        source.add(count)
        report = fsck(asyncio.run(publish(source, tmp_path)), tmp_path)
        assert f"Successfully fsck'd log with size {len(source.rows)}" in report, report


def test_fsck_accepts_a_log_that_a_witness_has_cosigned(tmp_path):
    directory = written(tmp_path, 300, 213)
    cosign(directory, 513, START_US // SECOND_US + 600, pointer=True)
    report = fsck(directory, tmp_path)
    assert "Successfully fsck'd log with size 513" in report, report


FIRST, EDGE = "000", "001.p/59"
MALLORY = Signer(name=LOG_ID, key=Ed25519PrivateKey.from_private_bytes(bytes(32)))

FORKED = sign(Checkpoint(origin=LOG_ID, size=315, root=bytes(32)).text(), [SIGNER])


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    return written(tmp_path_factory.mktemp("log"), 10, 300, 5)


def refused(directory, tmp_path):
    """What fsck says of a log that it does not accept. It exits with 0 all the same."""
    report = fsck(directory, tmp_path)
    assert "Successfully" not in report, report
    return report


@pytest.mark.parametrize("at", [2, 40, -3], ids=["first entry", "a middle one", "the last"])
@pytest.mark.parametrize("name", [f"tile/entries/{FIRST}", f"tile/entries/{EDGE}"])
def test_fsck_rejects_a_mutated_entry_bundle(pristine, tmp_path, name, at):
    log = shutil.copytree(pristine, tmp_path / "copy")
    data = bytearray((log / name).read_bytes())
    data[at] ^= 1
    (log / name).write_bytes(data)
    refused(log, tmp_path)


@pytest.mark.parametrize("at", [0, 1000, -1], ids=["first hash", "a middle one", "the last"])
@pytest.mark.parametrize("name", [f"tile/0/{FIRST}", f"tile/0/{EDGE}", "tile/1/000.p/1"])
def test_fsck_rejects_a_mutated_hash_tile(pristine, tmp_path, name, at):
    log = shutil.copytree(pristine, tmp_path / "copy")
    data = bytearray((log / name).read_bytes())
    data[at % len(data)] ^= 1
    (log / name).write_bytes(data)
    refused(log, tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda note: note.replace("\n315\n", "\n314\n"),
        lambda note: note.replace(note.split("\n")[2], "A" * 43 + "="),
        lambda note: note[:-6] + ("A" if note[-6] != "A" else "B") + note[-5:],
        lambda note: sign(Note.parse(note.encode()).text, [MALLORY]).encode().decode(),
        lambda note: FORKED.encode().decode(),
        lambda note: note[:40],
    ],
    ids=["size", "root", "signature", "another key", "another root, signed", "cut"],
)
def test_fsck_rejects_a_mutated_checkpoint(pristine, tmp_path, change):
    log = shutil.copytree(pristine, tmp_path / "copy")
    note = (log / "checkpoint").read_text()
    changed = change(note)
    assert changed != note
    (log / "checkpoint").write_text(changed)
    refused(log, tmp_path)


@pytest.mark.parametrize("name", [f"tile/entries/{FIRST}", "tile/1/000.p/1", "checkpoint"])
def test_fsck_rejects_a_log_of_which_something_is_gone(pristine, tmp_path, name):
    log = shutil.copytree(pristine, tmp_path / "copy")
    (log / name).unlink()
    refused(log, tmp_path)
