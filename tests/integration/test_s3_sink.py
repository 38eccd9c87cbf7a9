"""The log in a real store with Object Lock, on good days and on bad ones."""

import asyncio
import contextlib
import itertools
import random
import zlib
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from audit_world import LOG_ID, PROMPT, START_US, TENANT, VKEY, MemorySource, publisher
from countersign.audit.plan import File, Keep, compress, witnessed_name
from countersign.audit.s3.calls import Calls
from countersign.audit.s3.client import Credentials, Place, make_client
from countersign.audit.s3.retention import Mode, Retention
from countersign.audit.s3.sink import S3Sink
from countersign.audit.verify import verify
from countersign.errors import ConfigurationError, LogError
from countersign.model import SECOND_US
from s3_faults import SHORT, Fault, Proxy
from s3_server import S3Server, running
from witness_world import WITNESS, cosign

SEGMENT = "records/dt=2026-11-22/hour=10/" + "0" * 20 + "-" + "0" * 20 + ".jsonl.gz"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("s3")) as started:
        yield started


class Bucket:
    """Two new buckets and a sink in them."""

    def __init__(self, server: S3Server, endpoint: str = "", **more) -> None:
        self.server = server
        self.records, self.tiles = server.buckets()
        self.client = server.shared()
        self.sink = self.another(endpoint, **more)

    def another(self, endpoint: str = "", *, patience_s: float = 15.0, **more) -> S3Sink:
        """Another process's sink."""
        settings = {"retention": Retention(days=1, max_days=2), **more}
        return S3Sink(
            self.server.shared(endpoint),
            records_bucket=self.records,
            tiles_bucket=self.tiles,
            calls=Calls(patience_s=patience_s, pause=lambda _s: None),
            **settings,
        )

    def versions(self, bucket: str = "") -> dict[str, int]:
        """How many versions and delete markers each key has."""
        pages = self.client.get_paginator("list_object_versions").paginate(
            Bucket=bucket or self.records
        )
        found: dict[str, int] = {}
        for page in pages:
            for each in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
                found[each["Key"]] = found.get(each["Key"], 0) + 1
        return found

    def head(self, name: str) -> dict:
        return self.client.head_object(Bucket=self.records, Key=f"{LOG_ID}/{name}")

    def copied(self, directory):
        """All that is there, as a copy somebody took away."""
        for bucket in (self.records, self.tiles):
            for key in self.versions(bucket):
                path = directory / key
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(self.client.get_object(Bucket=bucket, Key=key)["Body"].read())
        return directory / LOG_ID


@pytest.fixture
def bucket(server):
    return Bucket(server)


async def publish(source, sink, *, count=0):
    """As one process that starts and stops."""
    source.add(count)
    writer = publisher(source, None, sink=sink)
    await writer.start()
    await writer.close()
    assert not writer.failures


def segment(*lines: str, name: str = SEGMENT) -> File:
    return File(
        name=name, data=compress("".join(f"{line}\n" for line in lines).encode()), keep=Keep.LOCKED
    )


# --- good days ------------------------------------------------------------------------


async def test_what_is_evidence_is_locked_and_the_rest_is_not(bucket, tmp_path):
    source = MemorySource(300)
    await publish(source, bucket.sink)
    await publish(source, bucket.another(), count=5)
    locked = bucket.versions()
    assert set(locked.values()) == {1}
    assert {key.removeprefix(f"{LOG_ID}/").partition("/")[0] for key in locked} == {
        "records",
        "checkpoints",
    }
    for key in locked:
        head = bucket.client.head_object(Bucket=bucket.records, Key=key)
        assert head["ObjectLockMode"] == "COMPLIANCE"
        left = head["ObjectLockRetainUntilDate"] - datetime.now(UTC)
        assert timedelta(hours=23) < left < timedelta(hours=25)
    copy = bucket.copied(tmp_path)
    result = verify(copy, VKEY)
    assert result.ok, result.findings
    assert result.size == 305
    assert bucket.sink.enforcing


async def test_what_a_witness_cosigned_is_locked_beside_the_records(bucket, tmp_path):
    await publish(MemorySource(3), bucket.sink)
    log = bucket.copied(tmp_path / "before")
    data = cosign(log, 3, START_US // SECOND_US + 5).read_bytes()
    name = witnessed_name(3, WITNESS.public.key_id)
    bucket.sink.write(LOG_ID, (File(name=name, data=data, keep=Keep.LOCKED),))
    assert bucket.head(name)["ObjectLockMode"] == "COMPLIANCE"
    assert bucket.another().read(LOG_ID, name) == data
    result = verify(bucket.copied(tmp_path / "after"), VKEY, witnesses=[WITNESS.public])
    assert result.ok, result.findings


async def test_what_the_server_said_of_each_lock_is_kept(bucket):
    await publish(MemorySource(3), bucket.sink)
    (name,) = bucket.sink.names(LOG_ID, "locks/")
    kept = bucket.sink.read(LOG_ID, name).decode()
    for key in bucket.versions():
        head = bucket.client.head_object(Bucket=bucket.records, Key=key)
        assert key.removeprefix(f"{LOG_ID}/") in kept
        assert head["VersionId"] in kept


async def test_names_are_listed_in_order_from_any_of_them_on(bucket):
    source = MemorySource()
    for _ in range(4):
        await publish(source, bucket.another(), count=2)
    names = bucket.sink.names(LOG_ID, "checkpoints/")
    assert [int(name[-3:]) for name in names] == [2, 4, 6, 8]
    assert bucket.sink.names(LOG_ID, "checkpoints/", after=names[1]) == names[2:]
    assert bucket.sink.names(LOG_ID, "checkpoints/", after=names[-1]) == []


async def test_partial_tiles_that_are_full_are_removed(bucket):
    source = MemorySource(200)
    await publish(source, bucket.sink)
    await publish(source, bucket.another(), count=100)
    assert f"{LOG_ID}/tile/0/000" in bucket.versions(bucket.tiles)
    assert not bucket.sink.names(LOG_ID, "tile/0/000.p/")
    with pytest.raises(ValueError, match="partial"):
        bucket.sink.prune(LOG_ID, ["records"])


# --- what cannot be ---------------------------------------------------------------------


def test_other_bytes_under_a_name_that_is_taken_are_a_conflict(bucket):
    bucket.sink.write(LOG_ID, [segment("a")])
    bucket.sink.write(LOG_ID, [segment("a")])  # the same again is success
    with pytest.raises(LogError, match="other content") as refused:
        bucket.another().write(LOG_ID, [segment("b")])
    assert refused.value.code == "log.conflict"
    assert set(bucket.versions().values()) == {1}


def test_the_same_lines_from_another_zlib_are_the_same_segment(bucket):
    other = zlib.compress(b"a\n" * 500, level=1, wbits=31)
    bucket.sink.write(LOG_ID, [File(name=SEGMENT, data=other, keep=Keep.LOCKED)])
    mine = segment(*["a"] * 500)
    assert mine.data != other
    bucket.sink.write(LOG_ID, [mine])
    with pytest.raises(LogError):
        bucket.sink.write(LOG_ID, [segment(*["a"] * 499)])


def test_an_object_that_lies_there_unlocked_is_locked_before_it_counts(bucket):
    bucket.client.put_object(
        Bucket=bucket.records, Key=f"{LOG_ID}/{SEGMENT}", Body=segment("a").data
    )
    assert "ObjectLockMode" not in bucket.head(SEGMENT)
    bucket.sink.write(LOG_ID, [segment("a")])
    assert bucket.head(SEGMENT)["ObjectLockMode"] == "COMPLIANCE"


def test_a_version_laid_over_a_record_freezes_the_log(bucket):
    bucket.sink.write(LOG_ID, [segment("a")])
    bucket.client.put_object(
        Bucket=bucket.records, Key=f"{LOG_ID}/{SEGMENT}", Body=segment("b").data
    )
    with pytest.raises(LogError) as refused:
        bucket.sink.write(LOG_ID, [segment("a")])
    assert refused.value.code == "log.conflict"


def test_an_administrator_cannot_undo_it(bucket):
    """With the credentials of the server's root: every call that destroys."""
    bucket.sink.write(LOG_ID, [segment("a")])
    before, key = bucket.head(SEGMENT), f"{LOG_ID}/{SEGMENT}"
    version, at = before["VersionId"], {"Bucket": bucket.records, "Key": f"{LOG_ID}/{SEGMENT}"}
    soon = datetime.now(UTC) + timedelta(seconds=5)
    client = bucket.client
    attempts = [
        lambda: client.delete_object(**at, VersionId=version),
        lambda: client.delete_object(**at, VersionId=version, BypassGovernanceRetention=True),
        lambda: client.delete_objects(
            Bucket=bucket.records,
            Delete={"Objects": [{"Key": key, "VersionId": version}]},
            BypassGovernanceRetention=True,
        ),
        lambda: client.put_object_retention(
            **at, VersionId=version, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": soon}
        ),
        lambda: client.put_object_retention(
            **at,
            VersionId=version,
            Retention={"Mode": "GOVERNANCE", "RetainUntilDate": soon},
            BypassGovernanceRetention=True,
        ),
        lambda: client.put_bucket_versioning(
            Bucket=bucket.records, VersioningConfiguration={"Status": "Suspended"}
        ),
        lambda: client.delete_bucket(Bucket=bucket.records),
        lambda: client.put_object(**at, Body=b"other"),  # lays another version over it
        lambda: client.delete_object(**at),  # and a marker
    ]
    for attempt in attempts:
        with contextlib.suppress(ClientError):
            attempt()
        after = client.head_object(**at, VersionId=version)
        assert after["ObjectLockMode"] == "COMPLIANCE"
        assert after["ObjectLockRetainUntilDate"] == before["ObjectLockRetainUntilDate"]
        assert client.get_object(**at, VersionId=version)["Body"].read() == segment("a").data


@pytest.mark.parametrize("off", [timedelta(hours=2), timedelta(hours=-2)])
def test_a_clock_that_is_off_locks_nothing(bucket, off):
    sink = bucket.another(now=lambda: datetime.now(UTC) + off)
    with pytest.raises(LogError, match="clock") as refused:
        sink.write(LOG_ID, [segment("a")])
    assert refused.value.code == "log.not_locked"
    assert bucket.versions() == {}


def test_a_rehearsal_locks_in_governance_and_says_it_enforces_nothing(bucket):
    sink = bucket.another(retention=Retention(days=1, max_days=2, mode=Mode.GOVERNANCE))
    sink.write(LOG_ID, [segment("a")])
    assert bucket.head(SEGMENT)["ObjectLockMode"] == "GOVERNANCE"
    assert not sink.enforcing
    with pytest.raises(LogError, match=r"mode is GOVERNANCE"):
        bucket.sink.write(LOG_ID, [segment("a")])


def test_buckets_that_cannot_hold_evidence_are_refused_at_the_start(server, bucket):
    bucket.sink.check()
    for records, tiles, why in (
        (bucket.tiles, bucket.records, "404|Object Lock"),
        ("not-there", bucket.tiles, "404"),
        (bucket.records, bucket.records, "is both"),
    ):
        sink = S3Sink(
            server.shared(),
            records_bucket=records,
            tiles_bucket=tiles,
            retention=Retention(days=1, max_days=2),
        )
        with pytest.raises(ConfigurationError, match=why) as refused:
            sink.check()
        assert refused.value.code == "s3.bucket_invalid"


def test_a_wrong_key_says_so_without_the_key(server, bucket):
    place = Place(endpoint=server.endpoint, region="us-east-1")
    client = make_client(place, credentials=Credentials(key_id="nobody", secret="hunter2hunter2"))
    sink = S3Sink(
        client,
        records_bucket=bucket.records,
        tiles_bucket=bucket.tiles,
        retention=Retention(days=1, max_days=2),
    )
    with pytest.raises(ConfigurationError, match="403") as refused:
        sink.check()
    assert "hunter2" not in str(refused.value)
    with pytest.raises(LogError, match="403"):
        sink.write(LOG_ID, [segment("a")])


# --- bad days -------------------------------------------------------------------------


@pytest.fixture
def proxy(server):
    with Proxy(server.endpoint).running() as started:
        yield started


@pytest.mark.parametrize("fault", SHORT)
def test_one_fault_at_any_request_costs_nothing(server, proxy, fault):
    """The same write, with the fault at its first request, its second, and so on."""
    for nth in itertools.count():
        bucket = Bucket(server, proxy.endpoint)
        numbers = itertools.count()
        proxy.choose = lambda _m, _p, n=nth, c=numbers: fault if next(c) == n else Fault.NONE
        files = [
            segment("a"),
            File(name="tile/0/000.p/1", data=b"t" * 32, keep=Keep.REBUILDABLE),
            File(name="checkpoints/" + "1".zfill(20), data=b"c", keep=Keep.LOCKED),
            File(name="checkpoint", data=b"c", keep=Keep.POINTER),
        ]
        bucket.sink.write(LOG_ID, files)
        assert [bucket.sink.read(LOG_ID, file.name) for file in files] == [
            file.data for file in files
        ]
        assert set(bucket.versions().values()) == {1}
        if next(numbers) <= nth:
            assert nth > 6  # it was tried everywhere
            break


@pytest.mark.parametrize("seed", range(5))
async def test_on_a_bad_day_nothing_is_lost_and_nothing_is_there_twice(
    server, proxy, tmp_path, seed
):
    chance = random.Random(seed)

    def choose(_method, _path):
        return chance.choice(SHORT) if chance.random() < 0.3 else Fault.NONE

    source = MemorySource()
    bucket = Bucket(server, proxy.endpoint)
    proxy.choose = choose
    writer = publisher(source, None, sink=bucket.another(proxy.endpoint, patience_s=0.05))
    while True:
        with contextlib.suppress(LogError):
            await writer.start()
            break
    for _ in range(15):
        source.add(chance.randint(1, 20))
        await asyncio.wait_for(writer.published(TENANT, len(source.rows) - 1), 60)
    proxy.choose = lambda _m, _p: Fault.NONE
    await writer.close()
    assert set(bucket.versions().values()) == {1}
    result = verify(bucket.copied(tmp_path), VKEY)
    assert result.ok, result.findings
    assert result.size == len(source.rows)


async def test_a_process_that_died_anywhere_is_picked_up_by_the_next(server, tmp_path):
    class Died(BaseException):  # as kill -9 is: nothing of ours catches it
        pass

    for point in ("log.segment_written", "log.checkpoint_written", "log.marked"):
        bucket, source = Bucket(server), MemorySource(10)

        def reached(name, stop=point):
            if name == stop:
                raise Died

        writer = publisher(source, None, sink=bucket.sink, reached=reached)
        await writer.start()
        with contextlib.suppress(Died):
            await writer._task
        source.add(7)
        await publish(source, bucket.another())
        assert set(bucket.versions().values()) == {1}
        result = verify(bucket.copied(tmp_path / point), VKEY)
        assert result.ok, result.findings
        assert result.size == 17


async def test_two_processes_on_one_log_are_noticed(bucket):
    """Each with a store of its own: what one wrote first stands, the other stops."""
    first, second = MemorySource(3), MemorySource(3, note="other")
    await publish(first, bucket.sink)
    writer = publisher(second, None, sink=bucket.another(), settings=PROMPT)
    with pytest.raises(LogError) as refused:
        await writer.start()
    assert refused.value.code == "log.rolled_back"
    assert set(bucket.versions().values()) == {1}
