"""Reading a log where it is locked, and judging the locks themselves.

A bucket can lie in ways a copy cannot: a new version shadows a record, a delete
marker hides it, a lock was never set. So versions are listed, the first one of
each name is what is read (whoever comes later is an incident, not the truth), and
every lock is asked for by the version it is on. Nothing here writes. The `Source`
of a bucket; called by the command line.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from countersign.audit.findings import Finding, safe_name
from countersign.audit.locks import Locks
from countersign.audit.note import MAX_NOTE_BYTES
from countersign.audit.plan import CHECKPOINTS, OBJECTS, RECORDS, WITNESSED, SegmentName
from countersign.audit.s3.calls import Calls, code_of, status_of
from countersign.audit.s3.retention import Lock, Mode
from countersign.audit.source import MAX_FILE_BYTES, Inventory, UnsafeFileError, inventory_of
from countersign.errors import ConfigurationError, LogError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_AT_ONCE: Final = 8
_MAX_LAID_OVER: Final = 16
_LOCKED: Final = (RECORDS, CHECKPOINTS, OBJECTS, WITNESSED)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of a name, or a delete marker over it."""

    id: str
    marker: bool
    at: datetime


class S3Source:
    """One log in its two buckets, read only."""

    def __init__(
        self,
        client: S3Client,
        *,
        records_bucket: str,
        tiles_bucket: str,
        root: str,
        calls: Calls | None = None,
    ) -> None:
        self._client = client
        self._records = records_bucket
        self._tiles = tiles_bucket
        self._root = root.rstrip("/") + "/"
        self._calls = calls or Calls()
        self._versions: dict[str, list[Version]] | None = None

    # --- as every source ---

    def read(self, name: str, max_bytes: int = MAX_FILE_BYTES) -> bytes | None:
        """The bytes of the first version of a file; raises `UnsafeFileError` beyond the bound."""
        if not name.startswith(_LOCKED):
            return self._get(self._tiles, name, max_bytes)
        first = self._first(name)
        return None if first is None else self._read_version(name, first, max_bytes)

    def _read_version(self, name: str, version: Version, max_bytes: int) -> bytes | None:
        return self._get(self._records, name, max_bytes, VersionId=version.id)

    def _get(self, bucket: str, name: str, max_bytes: int, **more: Any) -> bytes | None:
        def whole() -> bytes:
            answer = self._client.get_object(Bucket=bucket, Key=self._root + name, **more)
            if answer["ContentLength"] > max_bytes:
                raise UnsafeFileError(name)
            return bytes(answer["Body"].read(max_bytes))

        found = self._calls.run(name, whole)
        return None if found is None else bytes(found)

    def inventory(self) -> Inventory:
        """Every name in both buckets, hidden ones too."""
        names = [(name, True) for name in self.versions() if self._first(name)]
        names += [(name, True) for name in self._names(self._tiles)]
        return inventory_of(names)

    def stored_at(self, name: str) -> datetime | None:
        """When the bucket got the first version, by its own clock; its owner cannot set it."""
        first = self._first(name) if name.startswith(_LOCKED) else None
        return None if first is None else first.at

    def laid_over(self, name: str) -> Iterator[bytes]:
        """The later versions of a file, up to a bound in number and size."""
        written = [each for each in self.versions().get(name, ()) if not each.marker]
        for version in written[1 : 1 + _MAX_LAID_OVER]:
            with contextlib.suppress(UnsafeFileError):
                data = self._read_version(name, version, MAX_NOTE_BYTES)
                yield data or b""

    # --- as only a bucket ---

    def versions(self) -> dict[str, list[Version]]:
        """All versions of all names in the records bucket, the oldest first. Asked once."""
        if self._versions is None:
            found: dict[str, list[Version]] = {}
            for name, version in self._listed():
                found.setdefault(name, []).append(version)
            for versions in found.values():
                versions.reverse()  # they come newest first, and times are whole seconds
                versions.sort(key=lambda version: version.at)
            self._versions = found
        return self._versions

    def locks(self) -> Locks:
        """Ask for the lock of every first version, and name what lies over them."""
        names = list(self.versions())
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            seen = dict(zip(names, pool.map(self._lock, names), strict=True))
        findings = [found for name in names for found in self._incidents(name, seen[name])]
        told = [lock for lock in seen.values() if lock is not None and lock.until is not None]
        held = [lock for lock in told if lock.until and lock.until > lock.server_now]
        return Locks(
            findings=tuple(findings),
            locked=sum(lock.mode == Mode.COMPLIANCE.value for lock in held),
            over=len(told) - len(held),
            unknown=sum(lock is None for lock in seen.values()),
            until=min((lock.until for lock in held if lock.until), default=None),
        )

    def _first(self, name: str) -> Version | None:
        return next((each for each in self.versions().get(name, ()) if not each.marker), None)

    def _lock(self, name: str) -> Lock | None:
        """None when the bucket does not tell; it leaves the fields out then."""
        first = self._first(name)
        if first is None:
            return None
        head = self._calls.run(
            name,
            lambda: self._client.head_object(
                Bucket=self._records, Key=self._root + name, VersionId=first.id
            ),
        )
        lock = Lock.of(head) if head is not None else None
        return lock if lock is None or lock.mode or self._may_ask(name, first) else None

    def _may_ask(self, name: str, version: Version) -> bool:
        """Whether a lock that is not told of is missing, and not merely kept from us."""
        try:
            self._client.get_object_retention(
                Bucket=self._records, Key=self._root + name, VersionId=version.id
            )
        except ClientError as error:
            return status_of(error) not in {401, 403}
        return True

    def _incidents(self, name: str, lock: Lock | None) -> Iterator[Finding]:
        versions = self.versions()[name]
        if any(version.marker for version in versions):
            yield _incident(
                "object.hidden",
                f"a delete marker of {versions[-1].at:%Y-%m-%dT%H:%M:%SZ} hides it: "
                "somebody deleted",
                name,
            )
        if sum(not version.marker for version in versions) > 1:
            yield _incident(
                "object.shadowed",
                "another version lies over it: somebody wrote where nobody may write",
                name,
            )
        if lock is not None and not lock.mode:
            yield _incident("lock.missing", "it is not locked", name)
        elif lock is not None and lock.mode != Mode.COMPLIANCE.value:
            yield _incident(
                "lock.weak",
                f"its mode is {lock.mode}: whoever has the permission can delete it",
                name,
            )

    # --- listing ---

    def _listed(self) -> Iterator[tuple[str, Version]]:
        pages = self._client.get_paginator("list_object_versions").paginate(
            Bucket=self._records, Prefix=self._root
        )
        with _told(self._records):
            for page in pages:
                for each in page.get("Versions", ()):
                    yield self._name(each["Key"]), _version(each, marker=False)
                for marker in page.get("DeleteMarkers", ()):
                    yield self._name(marker["Key"]), _version(marker, marker=True)

    def _names(self, bucket: str) -> Sequence[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=bucket, Prefix=self._root
        )
        with _told(bucket):
            return [self._name(each["Key"]) for page in pages for each in page.get("Contents", ())]

    def _name(self, key: str) -> str:
        return key.removeprefix(self._root)


def _incident(code: str, message: str, file: str) -> Finding:
    segment = SegmentName.parse(file)
    seq = None if segment is None else segment.first
    return Finding(code=code, message=message, seq=seq, file=safe_name(file))


def _version(each: Any, *, marker: bool) -> Version:
    return Version(id=str(each["VersionId"]), marker=marker, at=each["LastModified"])


class _told:  # noqa: N801 - reads as a word where it is used
    """An error of the bucket's, in our words."""

    def __init__(self, bucket: str) -> None:
        self._bucket = bucket

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, ClientError):
            raise ConfigurationError(
                "s3.bucket_invalid",
                f"bucket {self._bucket}: {status_of(error)} {code_of(error)}",
                advice="An auditor needs s3:ListBucketVersions, s3:GetObjectVersion and "
                "s3:GetObjectRetention there, and s3:ListBucket and s3:GetObject for the tiles.",
            ) from None
        if isinstance(error, BotoCoreError):
            raise LogError(
                "log.sink_unavailable",
                f"bucket {self._bucket}: {type(error).__name__}",
                advice="Check that the bucket answers, and try again.",
            ) from None
