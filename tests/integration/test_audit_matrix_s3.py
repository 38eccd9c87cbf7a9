"""The matrix of docs/auditing.md on a live bucket, by somebody with its root credentials.

What is locked cannot be removed, only hidden or laid over; what is not is held against
what is; and the bucket's own clock bounds when anything can have been written.
"""

import asyncio
import time
from urllib.parse import urlencode

import pytest

from audit_attacks import BUNDLES, OBJECTS, SIZES, TILES, rows, said, short, signed
from audit_world import LOG_ID, VKEY, MemorySource, publisher
from countersign.audit.s3.retention import Mode, Retention
from countersign.audit.s3.sink import S3Sink
from s3_server import running
from typed import types

SPANS = ("0-9", "10-309", "310-314")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("s3")) as started:
        yield started


@pytest.fixture(scope="module")
def trust(tmp_path_factory):
    path = tmp_path_factory.mktemp("trust") / "acme.trust"
    assert types("audit", "trust", "--key", VKEY, "--out", path).code == 0
    return path


class Bucket:
    """A published log under Object Lock, and somebody who may do whatever root may."""

    def __init__(self, server, monkeypatch, trust, *, start_us=None):
        self.records, self.tiles = server.buckets()
        self.s3 = server.shared()
        self.trust = trust
        query = urlencode({"tiles": self.tiles, "endpoint": server.endpoint})
        self.address = f"s3://{self.records}/{LOG_ID}?{query}"
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        retention = Retention(days=1, max_days=2, mode=Mode.COMPLIANCE)
        sink = S3Sink(
            self.s3, records_bucket=self.records, tiles_bucket=self.tiles, retention=retention
        )
        now_us = int(time.time() * 1e6) - 400_000_000
        publish_to(sink, rows(start_us=now_us if start_us is None else start_us))

    def verify(self, *more):
        words = ("audit", "verify", "--log", self.address, "--trust", self.trust, "--json")
        return types(*words, *more)

    def key(self, prefix, number):
        """The key of the first, second, … object of a kind."""
        listed = self.s3.list_objects_v2(Bucket=self.records, Prefix=f"{LOG_ID}/{prefix}")[
            "Contents"
        ]
        keys = sorted((each["Key"] for each in listed), key=lambda key: key.rpartition("/")[2])
        return keys[number]


def publish_to(sink, records):
    source = MemorySource()
    source.kept = dict(OBJECTS)

    async def once():
        writer = publisher(source, None, sink=sink)
        await writer.start()
        await writer.close()

    for size in SIZES:
        source.rows = records[:size]
        asyncio.run(once())


@pytest.fixture
def live(server, monkeypatch, trust):
    return Bucket(server, monkeypatch, trust)


PLACES = [(kind, at) for kind in ("records/", "checkpoints/", "objects/") for at in range(3)]


def test_a_live_log_is_whole_and_says_how_late_its_bucket_got_it(live):
    done = live.verify()
    assert (said(done), done.code) == (set(), 0), done.out
    assert 0 <= done.json()["delay_s"] < 3600
    assert "locks" not in " ".join(done.json()["not_checked"])


@pytest.mark.parametrize(("kind", "at"), PLACES)
def test_a_shadow_and_a_delete_marker_are_named_and_not_believed(live, kind, at):
    """At the first, a middle and the last object of each kind."""
    key = live.key(kind, at)
    name = short(key.removeprefix(f"{LOG_ID}/"))
    seq = int(name.partition("-")[0]) if kind == "records/" else None
    live.s3.put_object(Bucket=live.records, Key=key, Body=b"another history")
    done = live.verify()
    assert (said(done), done.code) == ({("object.shadowed", seq, name)}, 1)
    live.s3.delete_object(Bucket=live.records, Key=key)
    done = live.verify()
    both = {("object.shadowed", seq, name), ("object.hidden", seq, name)}
    assert (said(done), done.code) == (both, 1)
    assert done.json()["size"] == 315, "the record itself is still read"


@pytest.mark.parametrize("at", [0, 1, 2])
def test_root_cannot_remove_what_is_locked_and_the_log_stays_whole(live, at):
    key = live.key("records/", at)
    version = live.s3.head_object(Bucket=live.records, Key=key)["VersionId"]
    with pytest.raises(live.s3.exceptions.ClientError):
        live.s3.delete_object(
            Bucket=live.records, Key=key, VersionId=version, BypassGovernanceRetention=True
        )
    assert live.verify().code == 0


@pytest.mark.parametrize(("at", "size"), [*enumerate(SIZES)])
def test_a_second_head_of_one_size_laid_over_the_first_is_a_fork(live, at, size):
    """The key's holder shows somebody another history: the bucket keeps both."""
    live.s3.put_object(
        Bucket=live.records, Key=live.key("checkpoints/", at), Body=signed(size, bytes(32))
    )
    done = live.verify()
    name = f"checkpoints/{size}"
    assert said(done) == {
        ("object.shadowed", None, name),
        ("log.forked", size, f"{name} (a later version)"),
        ("checkpoint.inconsistent", size, f"{name} (a later version)"),
    }
    assert done.code == 1


@pytest.mark.parametrize("name", [*TILES, *BUNDLES, "checkpoint"])
def test_what_is_not_locked_is_held_against_what_is(live, name):
    key = f"{LOG_ID}/{name}"
    data = live.s3.get_object(Bucket=live.tiles, Key=key)["Body"].read()
    live.s3.put_object(Bucket=live.tiles, Key=key, Body=bytes([data[0] ^ 1]) + data[1:])
    done = live.verify()
    assert {file for _, _, file in said(done)} == {name}
    assert done.code == 1
    live.s3.delete_object(Bucket=live.tiles, Key=key)
    done = live.verify()
    assert {file for _, _, file in said(done)} == {name}
    assert done.code == 3


def test_a_pointer_rolled_back_where_heads_are_locked_hides_nothing(live):
    old = live.s3.get_object(Bucket=live.records, Key=live.key("checkpoints/", 0))["Body"].read()
    live.s3.put_object(Bucket=live.tiles, Key=f"{LOG_ID}/checkpoint", Body=old)
    done = live.verify()
    assert (said(done), done.code) == ({("checkpoint.stale", 10, "checkpoint")}, 3)
    assert done.json()["size"] == 315


def test_records_dated_back_contradict_the_clock_of_the_bucket(server, monkeypatch, trust):
    """A history made today, of last month: only the bucket's own time shows it."""
    month_ago_us = int((time.time() - 30 * 86_400) * 1e6)
    live = Bucket(server, monkeypatch, trust, start_us=month_ago_us)
    done = live.verify()
    late = {("segment.late", int(span.partition("-")[0]), span) for span in SPANS}
    assert (said(done), done.code) == (late, 1)
    assert live.verify("--max-delay-s", 40 * 86_400).code == 0


def test_records_dated_ahead_contradict_the_clock_of_the_bucket(server, monkeypatch, trust):
    live = Bucket(server, monkeypatch, trust, start_us=int((time.time() + 86_400) * 1e6))
    done = live.verify()
    ahead = {("record.postdated", int(span.partition("-")[2]), span) for span in SPANS}
    assert (said(done), done.code) == (ahead, 1)
