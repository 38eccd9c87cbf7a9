"""An auditor with both buckets: what was done to a live log is caught and named."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from audit_world import LOG_ID, VKEY, MemorySource, publisher
from countersign.audit.s3.retention import Mode, Retention
from countersign.audit.s3.sink import S3Sink
from countersign.audit.s3.source import S3Source
from countersign.audit.verify import verify
from countersign.errors import ConfigurationError
from s3_server import s3_server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


class Live:
    """A published log in two buckets, and somebody with all permissions."""

    def __init__(self, server, *, mode=Mode.COMPLIANCE):
        self.records, self.tiles = server.buckets()
        self.client = server.client()
        retention = Retention(days=1, max_days=2, mode=mode)
        sink = S3Sink(
            self.client, records_bucket=self.records, tiles_bucket=self.tiles, retention=retention
        )
        source = MemorySource()

        async def publish():
            writer = publisher(source, None, sink=sink)
            await writer.start()
            await writer.close()

        for count in (5, 7, 300):
            source.add(count)
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


def test_tiles_that_somebody_changed_are_named(live):
    live.client.put_object(Bucket=live.tiles, Key=f"{LOG_ID}/tile/0/000", Body=b"x" * 8192)
    codes = {found.code for found in verify(live.source(), VKEY).findings}
    assert codes == {"tile.differs"}


def test_a_bucket_that_is_not_there_says_so(server):
    source = S3Source(
        server.client(), records_bucket="not-there", tiles_bucket="neither", root=LOG_ID
    )
    with pytest.raises(ConfigurationError, match="404"):
        source.inventory()
