"""Which locks are believed: a 200 says nothing, and a server may lie or not know the time."""

import dataclasses
import io
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError, NoCredentialsError, ReadTimeoutError

from countersign.audit.plan import File, Keep
from countersign.audit.s3.calls import Calls
from countersign.audit.s3.retention import Doubt, Lock, Mode, Retention, confirm, server_time
from countersign.audit.s3.sink import S3Sink
from countersign.audit.s3.source import S3Source
from countersign.errors import LogError

NOW = datetime.now(UTC).replace(microsecond=0)
DAYS = Retention(days=10, max_days=20)
UNTIL = NOW + timedelta(days=10)
GOOD = Lock(version="v1", mode="COMPLIANCE", until=UNTIL, sha256="", size=1, server_now=NOW)
SEGMENT = "records/dt=2026-11-22/hour=10/" + "0" * 20 + "-" + "0" * 20 + ".jsonl.gz"


def test_a_lock_as_it_was_asked_for_is_believed():
    confirm(GOOD, DAYS, UNTIL)
    confirm(dataclasses.replace(GOOD, until=UNTIL + timedelta(days=1)), DAYS, UNTIL)
    rehearsal = dataclasses.replace(DAYS, mode=Mode.GOVERNANCE)
    confirm(dataclasses.replace(GOOD, mode="GOVERNANCE"), rehearsal, UNTIL)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"version": ""}, "no version"),
        ({"version": "null"}, "no version"),
        ({"mode": ""}, "does not say that it is locked"),
        ({"until": None}, "does not say that it is locked"),
        ({"mode": "GOVERNANCE"}, "its mode is GOVERNANCE"),
        ({"until": UNTIL - timedelta(seconds=2)}, "not until"),
        ({"until": NOW + timedelta(days=21)}, "beyond the cap"),
    ],
)
def test_any_other_is_not(changed, why):
    with pytest.raises(Doubt, match=why):
        confirm(dataclasses.replace(GOOD, **changed), DAYS, UNTIL)


@pytest.mark.parametrize("headers", [{}, {"date": ""}, {"date": "yesterday"}])
def test_a_server_without_a_clock_locks_nothing(headers):
    with pytest.raises(Doubt, match="what time it is"):
        server_time({"ResponseMetadata": {"HTTPHeaders": headers}})


class Server:
    """What a client of a server sees that answers as it is told to."""

    def __init__(self, **told):
        self.told = told
        self.bodies = {}

    def _answer(self, **more):
        date = NOW.strftime("%a, %d %b %Y %H:%M:%S GMT")
        return {"ResponseMetadata": {"HTTPHeaders": {"date": date}}, **more}

    def head_bucket(self, **_):
        return self._answer()

    def put_object(self, *, Bucket, Key, Body, **_):  # noqa: N803 - boto3's names
        if Bucket in self.told.get("gone", ()):
            raise ClientError({"ResponseMetadata": {"HTTPStatusCode": 404}}, "PutObject")
        if error := self.told.get("error"):
            raise error
        self.bodies[Key] = Body
        return self._answer(VersionId="v1")

    def head_object(self, *, Key, **_):  # noqa: N803
        told = {
            "VersionId": "v1",
            "ContentLength": len(self.bodies[Key]),
            "ObjectLockMode": "COMPLIANCE",
            "ObjectLockRetainUntilDate": UNTIL,
            **self.told.get("head", {}),
        }
        return self._answer(**{name: value for name, value in told.items() if value is not None})

    def get_object(self, *, Key, **_):  # noqa: N803
        return {"Body": io.BytesIO(self.bodies[Key]), "ContentLength": len(self.bodies[Key])}


def sink(server):
    return S3Sink(
        server,
        records_bucket="records",
        tiles_bucket="tiles",
        retention=DAYS,
        calls=Calls(patience_s=0, pause=lambda _s: None),
    )


LOCKED = File(name="checkpoints/" + "1".zfill(20), data=b"c", keep=Keep.LOCKED)
POINTER = File(name="checkpoint", data=b"c", keep=Keep.POINTER)


@pytest.mark.parametrize(
    "head",
    [
        {"ObjectLockMode": None, "ObjectLockRetainUntilDate": None},
        {"ObjectLockMode": "GOVERNANCE"},
        {"ObjectLockRetainUntilDate": NOW + timedelta(days=1)},
        {"ObjectLockRetainUntilDate": NOW + timedelta(days=4000)},
    ],
)
def test_a_server_that_takes_it_and_does_not_lock_it_freezes_the_log(head):
    with pytest.raises(LogError) as refused:
        sink(Server(head=head)).write("log", [LOCKED])
    assert refused.value.code == "log.not_locked"


def test_another_version_over_the_one_just_written_freezes_it_too():
    with pytest.raises(LogError) as refused:
        sink(Server(head={"VersionId": "v2"})).write("log", [LOCKED])
    assert refused.value.code == "log.conflict"


@pytest.mark.parametrize("file", [LOCKED, POINTER])
@pytest.mark.parametrize(
    "told",
    [
        {"gone": ("records", "tiles")},
        {"error": NoCredentialsError()},
        {"error": ReadTimeoutError(endpoint_url="x")},
    ],
    ids=["bucket gone", "no credentials", "no answer"],
)
def test_what_was_not_written_is_tried_again_and_never_taken_for_written(file, told):
    server = Server(**told)
    server.bodies[f"log/{file.name}"] = b"other"
    server.head_object = lambda **_: (_ for _ in ()).throw(
        ClientError({"ResponseMetadata": {"HTTPStatusCode": 404}}, "HeadObject")
    )
    with pytest.raises(LogError) as refused:
        sink(server).write("log", [file])
    assert refused.value.code == "log.sink_unavailable"


def test_of_two_versions_in_one_second_the_first_is_read():
    """A bucket lists the newest first and tells whole seconds."""
    read = []

    class Listing:
        def get_paginator(self, _name):
            return self

        def paginate(self, **_):
            key = {"Key": f"log/{SEGMENT}", "LastModified": NOW}
            return [{"Versions": [{**key, "VersionId": "late"}, {**key, "VersionId": "first"}]}]

        def get_object(self, *, VersionId, **_):  # noqa: N803
            read.append(VersionId)
            return {"Body": io.BytesIO(b"x"), "ContentLength": 1}

    source = S3Source(Listing(), records_bucket="r", tiles_bucket="t", root="log")
    assert source.read(SEGMENT) == b"x"
    assert read == ["first"]
