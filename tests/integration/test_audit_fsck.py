"""A log written here is read by a checker nobody here wrote: Tessera's fsck."""

import asyncio
import subprocess

import pytest

import realparts
from audit_world import LOG_ID, START_US, VKEY, MemorySource, publish, written
from countersign.model import SECOND_US
from witness_world import cosign

CASES = [(1,), (100,), (100, 155), (256,), (200, 57), (513, 1), (70_000,)]


def fsck(directory, tmp_path):
    key = tmp_path / "log.vkey"
    key.write_text(VKEY)
    done = subprocess.run(
        [
            str(realparts.fsck()),
            "-ui=false",
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


def test_fsck_is_not_fooled_by_an_edited_bundle(tmp_path):
    directory = written(tmp_path, 3)
    bundle = directory / "tile/entries/000.p/3"
    bundle.write_bytes(bundle.read_bytes().replace(b"heartbeat", b"heartbeet", 1))
    assert "Successfully" not in fsck(directory, tmp_path)
