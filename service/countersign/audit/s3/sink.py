"""A sink in S3: evidence under Object Lock in one bucket, the rest in another.

Records, checkpoints (the cosigned ones too) and objects are locked; tiles, the
pointer and what was seen of each lock can be made again, and stand in a bucket where
the writer may replace and delete.

Invariants: an object is created once (`If-None-Match: *`), with our own SHA-256 for
the server to check; `write` returns when the server itself has said which version is
locked in which mode until when; a name that is taken by other bytes freezes the log.
A reply that was lost is not a second object: the next attempt finds the first. See
`audit.sink`.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from countersign.audit.plan import (
    CHECKPOINTS,
    OBJECTS,
    RECORDS,
    TILES,
    WITNESSED,
    File,
    Keep,
    decompress,
)
from countersign.audit.s3.calls import Calls, ExistsError, RefusedError, code_of, status_of
from countersign.audit.s3.retention import Doubt, Lock, Mode, Retention, confirm, server_time
from countersign.errors import ConfigurationError, LogError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

LOCKS: Final = "locks/"
"""Below the log, in the bucket of tiles: what the server said of each lock."""
_LOCKED_NAMES: Final = (RECORDS, CHECKPOINTS, OBJECTS, WITNESSED)
_MAX_SEGMENT_BYTES: Final = 256 * 1024 * 1024
_DELETED_AT_ONCE: Final = 1_000
_CLOCK_GOOD_S: Final = 300.0
"""How long the server's word on the time is good for."""


def _now() -> datetime:
    return datetime.now(UTC)


def _nothing(_: str) -> None:
    """No fault is injected."""


class S3Sink:
    """Logs in two buckets, each below `<prefix><log id>/`."""

    def __init__(
        self,
        client: S3Client,
        *,
        records_bucket: str,
        tiles_bucket: str,
        retention: Retention,
        prefix: str = "",
        calls: Calls | None = None,
        now: Callable[[], datetime] = _now,
        reached: Callable[[str], None] = _nothing,
    ) -> None:
        """`reached` is told of each request that has changed a bucket: a crash must do no harm."""
        self._client = client
        self._records = records_bucket
        self._tiles = tiles_bucket
        self._retention = retention
        self._prefix = prefix
        self._calls = calls or Calls()
        self._now = now
        self._reached = reached
        self._seen: dict[str, list[dict[str, str]]] = {}
        """Locks confirmed since the last checkpoint, by log."""
        self._clock = (datetime.min.replace(tzinfo=UTC), -_CLOCK_GOOD_S - 1.0)

    @property
    def enforcing(self) -> bool:
        """Whether not even the account's root can delete a record before its time."""
        return self._retention.mode is Mode.COMPLIANCE

    def check(self) -> None:
        """Look whether the buckets are what evidence needs. Raises `ConfigurationError`."""
        with _told(self._records):
            lock = self._client.get_object_lock_configuration(Bucket=self._records)
            if lock["ObjectLockConfiguration"].get("ObjectLockEnabled") != "Enabled":
                raise _bucket_invalid(self._records, "Object Lock is off")
            versioning = self._client.get_bucket_versioning(Bucket=self._records)
            if versioning.get("Status") != "Enabled":
                raise _bucket_invalid(self._records, "versioning is not enabled")
        with _told(self._tiles):
            self._client.head_bucket(Bucket=self._tiles)
        if self._tiles == self._records:
            raise _bucket_invalid(self._tiles, "is both: tiles are replaced and must not be locked")

    # --- writing ---

    def write(self, log_id: str, files: Sequence[File]) -> None:
        """Write the files in that order; a locked one is confirmed before the next."""
        for file in files:
            if file.keep is Keep.LOCKED:
                lock = self._lock(log_id, file)
                self._seen.setdefault(log_id, []).append(lock)
                if file.name.startswith(CHECKPOINTS):
                    self._keep_seen(log_id, file.name.removeprefix(CHECKPOINTS))
            elif file.keep is Keep.REBUILDABLE:
                self._create(log_id, file)
            else:
                self._replace(log_id, file)

    def _lock(self, log_id: str, file: File) -> dict[str, str]:
        key, sha256 = self._key(log_id, file.name), _sha256(file.data)
        with _doubted(file.name):
            until = self._retention.until(self._server_now(), self._now())
            put: dict[str, Any] | None = None
            with contextlib.suppress(ExistsError):
                put = self._calls.run(
                    file.name,
                    lambda: self._client.put_object(
                        Bucket=self._records,
                        Key=key,
                        Body=file.data,
                        IfNoneMatch="*",
                        ChecksumSHA256=sha256,
                        ObjectLockMode=self._retention.mode.value,
                        ObjectLockRetainUntilDate=until,
                    ),
                )
            self._reached("s3.put")
            lock = self._head(key, file.name)
            if put is not None and lock.version != put.get("VersionId"):
                raise _conflict(file.name, "another version lies over the one just written")
            self._same(key, file, lock, sha256)
            if put is None:  # an earlier attempt's, of which we may not have heard
                lock = self._made_good(key, file.name, lock, until)
            else:
                confirm(lock, self._retention, until)
        self._reached("s3.confirmed")
        return lock.to_json(file.name)

    def _made_good(self, key: str, name: str, lock: Lock, until: datetime) -> Lock:
        """An object found there is locked like a new one before it counts."""
        shortest = until.replace(hour=0, minute=0, second=0)  # some hours have passed since
        try:
            confirm(lock, self._retention, shortest)
        except Doubt as doubt:
            try:
                self._extend(key, name, lock.version, until)
            except RefusedError as refused:
                raise Doubt(f"{doubt}, and it cannot be locked now: {refused.message}") from None
            lock = self._head(key, name)
            confirm(lock, self._retention, until)
        return lock

    def _extend(self, key: str, name: str, version: str, until: datetime) -> None:
        self._calls.run(
            name,
            lambda: self._client.put_object_retention(
                Bucket=self._records,
                Key=key,
                VersionId=version,
                Retention={"Mode": self._retention.mode.value, "RetainUntilDate": until},
            ),
        )

    def _head(self, key: str, name: str) -> Lock:
        head = self._calls.run(
            name,
            lambda: self._client.head_object(Bucket=self._records, Key=key, ChecksumMode="ENABLED"),
        )
        if head is None:
            raise LogError(
                "log.sink_unavailable",
                f"{name}: written, and not there",
                advice="Something deletes in the records bucket, or two servers answer for it. "
                "Publishing tries again.",
            )
        return Lock.of(head)

    def _same(self, key: str, file: File, lock: Lock, sha256: str) -> None:
        """What is there are these bytes, or the same lines compressed by another zlib."""
        if lock.sha256 == sha256 and lock.size == len(file.data):
            return
        found = self._get(self._records, key, file.name) or b""
        if found == file.data:
            return
        if file.name.startswith(RECORDS):
            lines = decompress(file.data, _MAX_SEGMENT_BYTES)
            with contextlib.suppress(LogError):
                if decompress(found, len(lines) + 1) == lines:
                    return
        raise _conflict(file.name, "already published with other content")

    def _create(self, log_id: str, file: File) -> None:
        key = self._key(log_id, file.name)
        try:
            self._put(key, file, IfNoneMatch="*")
        except ExistsError:
            if self._get(self._tiles, key, file.name) != file.data:
                raise _conflict(file.name, "already published with other content") from None
        self._reached("s3.created")

    def _replace(self, log_id: str, file: File) -> None:
        self._put(self._key(log_id, file.name), file)
        self._reached("s3.replaced")

    def _put(self, key: str, file: File, **more: Any) -> None:
        done = self._calls.run(
            file.name,
            lambda: self._client.put_object(
                Bucket=self._tiles,
                Key=key,
                Body=file.data,
                ChecksumSHA256=_sha256(file.data),
                **more,
            ),
        )
        if done is None:
            raise _gone("the tiles bucket")

    def _keep_seen(self, log_id: str, size: str) -> None:
        """What was seen is kept where it can be lost: the locks themselves are the evidence."""
        seen = self._seen.pop(log_id, [])
        data = json.dumps({"locks": seen}, sort_keys=True, indent=1).encode()
        self._replace(log_id, File(name=f"{LOCKS}{size}.json", data=data, keep=Keep.POINTER))

    def _server_now(self) -> datetime:
        """What the server's clock says: its last word, and what has passed since."""
        said, at = self._clock
        passed_s = time.monotonic() - at
        if passed_s > _CLOCK_GOOD_S:
            self._ask_the_time()
            return self._clock[0]
        return said + timedelta(seconds=passed_s)

    def _ask_the_time(self) -> None:
        answer = self._calls.run(
            "the records bucket", lambda: self._client.head_bucket(Bucket=self._records)
        )
        if answer is None:
            raise _gone("the records bucket")
        self._clock = (server_time(answer), time.monotonic())

    # --- reading ---

    def read(self, log_id: str, name: str) -> bytes | None:
        """The bytes of the newest version of a file, or None."""
        return self._get(self._bucket(name), self._key(log_id, name), name)

    def names(self, log_id: str, prefix: str, *, after: str = "") -> Sequence[str]:
        """All names that start with `prefix` and sort after `after`, sorted."""
        root = self._key(log_id, "")
        start = root + max(after, prefix) if after else ""
        found = self._listed(self._bucket(prefix), root + prefix, start)
        return sorted(name for key in found if (name := key.removeprefix(root)) > after)

    def prune(self, log_id: str, directories: Sequence[str]) -> None:
        """Remove partial tiles that are full now."""
        for name in directories:
            if not (name.startswith(TILES) and name.endswith(".p")):
                raise ValueError("only directories of partial tiles can be pruned")
            keys = list(self._listed(self._tiles, self._key(log_id, name) + "/", ""))
            for first in range(0, len(keys), _DELETED_AT_ONCE):
                some = keys[first : first + _DELETED_AT_ONCE]
                self._delete(name, some)

    def _delete(self, name: str, keys: Sequence[str]) -> None:
        self._calls.run(
            name,
            lambda: self._client.delete_objects(
                Bucket=self._tiles,
                Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True},
            ),
        )
        self._reached("s3.deleted")

    def _listed(self, bucket: str, prefix: str, start: str) -> Iterator[str]:
        token = ""
        while True:
            more: dict[str, Any] = {"ContinuationToken": token} if token else {}
            if start and not token:
                more["StartAfter"] = start
            answer = self._list(bucket, prefix, more)
            for each in answer.get("Contents", ()):
                yield str(each["Key"])
            token = answer.get("NextContinuationToken", "")
            if not token:
                return

    def _list(self, bucket: str, prefix: str, more: dict[str, Any]) -> dict[str, Any]:
        return (
            self._calls.run(
                prefix,
                lambda: self._client.list_objects_v2(Bucket=bucket, Prefix=prefix, **more),
            )
            or {}
        )

    def _get(self, bucket: str, key: str, name: str) -> bytes | None:
        def whole() -> bytes:
            return bytes(self._client.get_object(Bucket=bucket, Key=key)["Body"].read())

        found = self._calls.run(name, whole)
        return None if found is None else bytes(found)

    def _bucket(self, name: str) -> str:
        return self._records if name.startswith(_LOCKED_NAMES) else self._tiles

    def _key(self, log_id: str, name: str) -> str:
        return f"{self._prefix}{log_id}/{name}"


@contextlib.contextmanager
def _told(bucket: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        raise _bucket_invalid(bucket, f"{status_of(error)} {code_of(error)}") from None
    except BotoCoreError as error:
        raise _bucket_invalid(bucket, f"cannot be asked: {type(error).__name__}") from None


def _bucket_invalid(bucket: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        "s3.bucket_invalid",
        f"bucket {bucket}: {why}",
        advice="`countersign audit init-bucket` makes and checks both buckets; credentials "
        "come from the environment or a profile, as for any AWS client.",
    )


@contextlib.contextmanager
def _doubted(name: str) -> Iterator[None]:
    try:
        yield
    except Doubt as doubt:
        raise LogError(
            "log.not_locked",
            f"{name}: {doubt}",
            advice="Nothing more is published until this is right: check the bucket with "
            "`countersign audit init-bucket`, then start the service anew.",
        ) from None


def _gone(bucket: str) -> LogError:
    return LogError(
        "log.sink_unavailable",
        f"{bucket} is not there",
        advice="Make it with `countersign audit init-bucket`; publishing goes on by itself then.",
    )


def _conflict(name: str, why: str) -> LogError:
    return LogError(
        "log.conflict",
        f"{name}: {why}",
        advice="Two writers share this log, or it was tampered with. Keep both copies, run "
        "`verify` on the log, and find out which store is right.",
    )


def _sha256(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()
