"""An auditor with both buckets: what was done to a live log is caught and named."""

import asyncio
import json
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest

from audit_world import LOG_ID, VKEY, MemorySource, publisher
from countersign.audit.note import Note
from countersign.audit.plan import witnessed_name
from countersign.audit.s3.retention import Mode, Retention
from countersign.audit.s3.sink import S3Sink
from countersign.audit.s3.source import S3Source
from countersign.audit.verify import verify
from countersign.errors import ConfigurationError
from countersign.model import SECOND_US
from s3_server import running
from witness_world import WITNESS


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("s3")) as started:
        yield started


class Live:
    """A published log in two buckets, and somebody with all permissions."""

    def __init__(self, server, *, mode=Mode.COMPLIANCE):
        self.records, self.tiles = server.buckets()
        self.client = server.shared()
        retention = Retention(days=1, max_days=2, mode=mode)
        sink = S3Sink(
            self.client, records_bucket=self.records, tiles_bucket=self.tiles, retention=retention
        )
        source = MemorySource()

        async def publish():
            writer = publisher(source, None, sink=sink)
            await writer.start()
            await writer.close()

        now_us = int(time.time() * 1e6) - 400 * SECOND_US
        for count in (5, 7, 300):
            source.add(count, start_us=now_us)
            asyncio.run(publish())

    def source(self):
        return S3Source(
            self.client, records_bucket=self.records, tiles_bucket=self.tiles, root=LOG_ID
        )

    def key(self, prefix, number=0):
        listed = self.client.list_objects_v2(Bucket=self.records, Prefix=f"{LOG_ID}/{prefix}")
        return listed["Contents"][number]["Key"]

    def incidents(self):
        """By code, with the file."""
        return {
            (found.code, found.file.partition("/")[0]) for found in self.source().locks().findings
        }


@pytest.fixture
def live(server):
    return Live(server)


def test_a_whole_log_is_verified_where_it_is_with_its_locks(live):
    source = live.source()
    result = verify(source, VKEY)
    assert result.ok, result.findings
    assert result.size == 312
    locks = source.locks()
    assert locks.findings == ()
    assert (locks.locked, locks.over, locks.unknown) == (6, 0, 0)
    assert timedelta(hours=23) < locks.until - datetime.now(UTC) < timedelta(hours=25)


def test_a_delete_marker_hides_nothing_from_an_auditor(live):
    key = live.key("records/")
    live.client.delete_object(Bucket=live.records, Key=key)
    assert live.incidents() == {("object.hidden", "records")}
    result = verify(live.source(), VKEY)
    assert result.ok, result.findings  # the record itself is still there, and is read


@pytest.mark.parametrize("prefix", ["records/", "checkpoints/"])
def test_a_version_laid_over_is_named_and_not_believed(live, prefix):
    key = live.key(prefix, 1)
    live.client.put_object(Bucket=live.records, Key=key, Body=b"another history")
    assert ("object.shadowed", prefix.rstrip("/")) in live.incidents()
    assert verify(live.source(), VKEY).ok


def test_a_segment_slipped_in_and_a_record_that_is_not_locked_are_named(live):
    body = live.client.get_object(Bucket=live.records, Key=live.key("records/"))["Body"].read()
    name = f"{LOG_ID}/records/dt=2026-11-22/hour=10/{400:020}-{401:020}.jsonl.gz"
    live.client.put_object(Bucket=live.records, Key=name, Body=body)
    assert live.incidents() == {("lock.missing", "records")}
    assert verify(live.source(), VKEY).pending == 2


def test_a_rehearsal_is_no_evidence(server):
    codes = {code for code, _ in Live(server, mode=Mode.GOVERNANCE).incidents()}
    assert codes == {"lock.weak"}


def test_what_governance_let_somebody_delete_is_missed(server):
    live = Live(server, mode=Mode.GOVERNANCE)
    key = live.key("records/", 1)
    version = live.client.head_object(Bucket=live.records, Key=key)["VersionId"]
    live.client.delete_object(
        Bucket=live.records, Key=key, VersionId=version, BypassGovernanceRetention=True
    )
    codes = {found.code for found in verify(live.source(), VKEY).findings}
    assert "segment.missing" in codes


def test_what_a_witness_cosigned_is_read_where_it_is_locked(live):
    """Not in the other bucket, where the pointer alone shows it."""
    size, time_s = 312, int(time.time())
    key = live.key("checkpoints/", -1)
    plain = Note.parse(live.client.get_object(Bucket=live.records, Key=key)["Body"].read())
    seen = Note(
        text=plain.text, signatures=(*plain.signatures, WITNESS.cosign(plain, time_s))
    ).encode()
    name = witnessed_name(size, WITNESS.public.key_id)
    live.client.put_object(Bucket=live.records, Key=f"{LOG_ID}/{name}", Body=seen)
    result = verify(live.source(), VKEY, witnesses=[WITNESS.public])
    assert [(sight.size, sight.time_s) for sight in result.witnesses] == [(size, time_s)]
    assert result.ok, result.findings
    assert ("lock.missing", "witnessed") in live.incidents()


def test_tiles_that_somebody_changed_are_named(live):
    live.client.put_object(Bucket=live.tiles, Key=f"{LOG_ID}/tile/0/000", Body=b"x" * 8192)
    codes = {found.code for found in verify(live.source(), VKEY).findings}
    assert codes == {"tile.differs"}


def test_a_bucket_that_is_not_there_says_so(server):
    source = S3Source(
        server.shared(), records_bucket="not-there", tiles_bucket="neither", root=LOG_ID
    )
    with pytest.raises(ConfigurationError, match="404"):
        source.inventory()


# --- what an auditor types ------------------------------------------------------------


def audits(server, *words):
    """The command with this server's credentials and nothing else."""
    return subprocess.run(
        [sys.executable, "-c", "from countersign.cli import main; main()", "audit", *words],
        env=server.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def address(live, server, **changed):
    query = {"tiles": live.tiles, "endpoint": server.endpoint, **changed}
    return f"s3://{live.records}/{LOG_ID}?{urlencode(query)}"


def test_verify_reads_a_log_in_s3_and_tells_its_locks(server, live):
    done = audits(server, "verify", "--log", address(live, server), "--key", VKEY)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 object(s) under COMPLIANCE, the first until" in done.stdout
    assert "locks (a directory" not in done.stdout
    live.client.delete_object(Bucket=live.records, Key=live.key("records/"))
    done = audits(server, "verify", "--log", address(live, server), "--key", VKEY, "--json")
    told = json.loads(done.stdout)
    assert done.returncode == 1
    assert [finding["code"] for finding in told["findings"]] == ["object.hidden"]
    assert told["locks"]["locked"] == 6


def test_a_proof_and_the_evidence_come_from_the_bucket_as_well(server, live, tmp_path):
    out = tmp_path / "pack"
    done = audits(
        *(server, "evidence", "--out", str(out), "--log", address(live, server), "--key", VKEY)
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((out / "verification.json").read_text())["locks"]["locked"] == 6
    proof = tmp_path / "7.proof"
    where = ("--log", address(live, server), "--key", VKEY)
    done = audits(server, "prove", "7", *where, "--with-record", "--out", str(proof))
    assert done.returncode == 0, done.stdout + done.stderr
    assert audits(server, "check-proof", str(proof), "--key", VKEY).returncode == 0


@pytest.mark.parametrize(
    "wrong",
    ["s3://", "s3://bucket", "s3://bucket/log?tiles=", "s3://bucket/log?tiles=x&tile=y"],
)
def test_an_address_that_is_none_says_how_one_looks(server, wrong):
    done = audits(server, "verify", "--log", wrong, "--key", VKEY)
    assert done.returncode == 2 or "audit.address_invalid" in done.stderr
    assert "s3://RECORDS/PREFIX/ORIGIN?tiles=BUCKET" in done.stderr
