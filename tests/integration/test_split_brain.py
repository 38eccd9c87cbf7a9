"""Two writers of one log, each with its own copy of the store: one of them goes on.

A machine that was cloned, a backup restored while the old server still runs: both
have the same key and the same buckets, and both are sure that they are the one.
"""

import asyncio
import copy

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit_world import TENANT, VKEY, MemorySource, publisher
from countersign.audit.local import LocalSink
from countersign.audit.note import Signer
from countersign.audit.s3.calls import Calls
from countersign.audit.s3.retention import Retention
from countersign.audit.s3.sink import S3Sink
from countersign.audit.s3.source import S3Source
from countersign.audit.verify import verify
from countersign.errors import LogError
from s3_server import running

LOG_ID = "log.example/acme"


class Died(BaseException):
    """As `kill -9` is: nothing of ours catches it."""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("s3")) as started:
        yield started


class Directory:
    """Both writers publish to one directory."""

    def __init__(self, root):
        self.root = root

    def sink(self):
        return LocalSink(self.root)

    def lines(self):
        """The whole published log, found good."""
        result = verify(self.root / LOG_ID, VKEY)
        assert result.ok, result.findings
        return result.size


class Buckets:
    """Both writers publish to the same two buckets."""

    def __init__(self, server):
        self.server = server
        self.records, self.tiles = server.buckets()

    def sink(self):
        return S3Sink(
            self.server.shared(),
            records_bucket=self.records,
            tiles_bucket=self.tiles,
            retention=Retention(days=1, max_days=2),
            calls=Calls(pause=lambda _s: None),
        )

    def lines(self):
        source = S3Source(
            self.server.shared(), records_bucket=self.records, tiles_bucket=self.tiles, root=LOG_ID
        )
        result = verify(source, VKEY)
        # These records say they are days old; the bucket got them just now.
        assert {found.code for found in result.findings} <= {"segment.late"}, result.findings
        assert not source.locks().findings
        assert {len(versions) for versions in source.versions().values()} == {1}
        return result.size


@pytest.fixture(params=["local", "s3"])
def place(request, tmp_path):
    if request.param == "local":
        return Directory(tmp_path)
    return Buckets(request.getfixturevalue("server"))


async def twins(place, count=10):
    """A store and its copy, both of a log that was published so far."""
    first = MemorySource(count)
    writer = publisher(first, None, sink=place.sink())
    await writer.start()
    await writer.close()
    return first, copy.deepcopy(first)


@pytest.mark.parametrize(("mine", "theirs"), [(5, 3), (3, 5), (4, 4)])
async def test_whoever_is_second_is_stopped_before_it_writes_anything(place, mine, theirs):
    """Segments of different lengths have different names: only the fence collides."""
    one, other = await twins(place)
    winner = publisher(one, None, sink=place.sink())
    loser = publisher(other, None, sink=place.sink())
    await winner.start()
    await loser.start()
    one.add(mine, reason="one")
    await winner.published(TENANT, 10 + mine - 1)
    other.add(theirs, reason="other")
    with pytest.raises(LogError, match="another writer") as refused:
        await loser.published(TENANT, 10)
    assert refused.value.code == "log.fenced"
    assert "stop this one" in refused.value.advice
    assert loser.stopped[TENANT].code == "log.fenced"
    assert not loser.has_room(TENANT, essential=False)
    assert loser.has_room(TENANT, essential=True)
    one.add(2, reason="one")
    await winner.published(TENANT, 10 + mine + 1)
    await winner.close()
    await loser.close()
    assert other.published == 10
    assert place.lines() == 10 + mine + 2 == one.published


async def test_of_two_that_race_exactly_one_goes_on(place):
    one, other = await twins(place)
    writers = [publisher(each, None, sink=place.sink()) for each in (one, other)]
    for writer in writers:
        await writer.start()
    one.add(3, reason="one")
    other.add(4, reason="other")
    ended = await asyncio.gather(
        *(writer.published(TENANT, 12) for writer in writers), return_exceptions=True
    )
    (lost,) = [error for error in ended if error is not None]
    assert isinstance(lost, LogError)
    assert lost.code == "log.fenced"
    winner = one if ended[0] is None else other
    winner.add(5, reason="more")
    await writers[ended.index(None)].published(TENANT, len(winner.rows) - 1)
    for writer in writers:
        await writer.close()
    assert place.lines() == len(winner.rows)


async def test_who_was_fenced_does_not_start_again(place):
    one, other = await twins(place)
    one.add(3, reason="one")
    other.add(4, reason="other")
    writer = publisher(one, None, sink=place.sink())
    await writer.start()
    await writer.close()
    with pytest.raises(LogError) as refused:
        await publisher(other, None, sink=place.sink()).start()
    assert refused.value.code == "log.rolled_back"
    assert place.lines() == 13


async def test_a_fence_without_its_segment_still_keeps_others_out(place):
    """Its owner died between the two, and a copy is started meanwhile."""
    one, other = await twins(place)
    one.add(4, reason="one")

    def dies(point):
        if point == "log.fenced":
            raise Died

    writer = publisher(one, None, sink=place.sink(), reached=dies)
    await writer.start()
    with pytest.raises(Died):
        await writer.close()
    with pytest.raises(LogError) as refused:
        await publisher(other, None, sink=place.sink()).start()
    assert refused.value.code == "log.rolled_back"
    other.add(6, reason="other")
    second = publisher(other, None, sink=place.sink())
    await second.start()
    with pytest.raises(LogError) as refused:
        await second.published(TENANT, 15)
    assert refused.value.code == "log.fenced"
    await second.close()
    one.add(3, reason="one")
    writer = publisher(one, None, sink=place.sink())
    await writer.start()
    await writer.close()
    assert place.lines() == one.published == 17


async def test_a_change_of_keys_in_between_finds_its_own_fence(place):
    one = MemorySource(4)

    def dies(point):
        if point == "log.fenced":
            raise Died

    writer = publisher(one, None, sink=place.sink(), reached=dies)
    await writer.start()
    with pytest.raises(Died):
        await writer.close()
    new = Signer(name=LOG_ID, key=Ed25519PrivateKey.generate())
    one.add(3)
    writer = publisher(one, None, sink=place.sink(), signer=new)
    await writer.start()
    await writer.close()
    assert not writer.failures
    assert one.published == 7
