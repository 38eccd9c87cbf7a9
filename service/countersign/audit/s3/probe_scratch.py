"""A corner of a bucket to attack: scratch objects, their locks, and looking at them.

Every lock is as short as the kit can work with, and is dated by the store's
own clock. Only GOVERNANCE, which can be bypassed afterwards, is ever set for
longer than `Limits.lock_s`.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import email.utils
import hashlib
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from countersign.audit.s3.asking import FAULTS, Call, ask
from countersign.audit.s3.client import Credentials, Place, make_client
from countersign.audit.s3.probe import Answer, Guarantee, Judgement, Leftover, Power, Seen
from countersign.audit.s3.probe_judge import COMPLIANCE

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

GOVERNANCE: Final = "GOVERNANCE"
DAY_S: Final = 86_400


class SetUpError(Exception):
    """A probe cannot be tried here; the message says why."""


class NotHereError(SetUpError):
    """A probe is not meant to be tried here; the message says why."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long things take."""

    lock_s: int = 60
    """How long a scratch object is locked: longer than any probe takes."""
    soon_s: int = 4
    """A lock that is meant to end while the kit still runs."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Which bucket, and how far the kit may go there."""

    place: Place
    bucket: str
    prefix: str = ""
    mode: str = COMPLIANCE
    """GOVERNANCE for rehearsals."""
    own: bool = False
    """Whether the kit made the bucket, so that its settings may be attacked too."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version that the kit wrote, as it was before an attack."""

    key: str
    id: str
    asked: int
    """The retain-until date that was asked for; 0 without."""
    before: Seen

    @property
    def named(self) -> dict[str, Any]:
        """How a request names it, without the bucket."""
        return {"Key": self.key, "VersionId": self.id}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One attack, and what it bears on."""

    name: str
    tries: str
    guarantee: Guarantee
    run: Callable[[Scratch], Judgement]
    needs: tuple[Power, ...]


class Scratch:
    """Keys of this run below one prefix, in one bucket."""

    def __init__(self, s3: S3Client, target: Target, limits: Limits) -> None:
        self.s3 = s3
        self.target = target
        self.limits = limits
        self.mode = target.mode
        self.bypass_works = False
        self.folder = "/".join(
            filter(None, (target.prefix.strip("/"), f"probe-{secrets.token_hex(6)}"))
        )
        self.server = ""
        self._ahead_s = 0.0
        self._keys = 0

    # --- the clock ------------------------------------------------------------------

    def now(self) -> int:
        """The store's time: its clock decides when a lock ends."""
        return int(time.time() + self._ahead_s)

    def wait_until(self, moment: int) -> None:
        """Return once the store's clock is past that second."""
        while (left := moment + 1 - (time.time() + self._ahead_s)) > 0:
            time.sleep(left)

    # --- requests -------------------------------------------------------------------

    def ask(self, call: Call, s3: S3Client | None = None) -> tuple[Answer, dict[str, Any]]:
        """One request: how it was answered, and with what."""
        answer, reply = ask(call, s3 or self.s3)
        self._learn(reply)
        return answer, reply

    def attempt(self, call: Call, s3: S3Client | None = None) -> Answer:
        """One request of an attack."""
        return self.ask(call, s3)[0]

    def _learn(self, reply: Mapping[str, Any]) -> None:
        """The store's name and clock, from the headers of an answer."""
        headers = reply.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        self.server = headers.get("server", self.server)
        with contextlib.suppress(KeyError, TypeError, ValueError):
            told = email.utils.parsedate_to_datetime(headers["date"]).timestamp()
            # The header has no fraction: half a second is the best guess.
            self._ahead_s = told + 0.5 - time.time()

    def stranger(self, credentials: Credentials | None) -> contextlib.closing[S3Client]:
        """A client with these credentials, or with none."""
        place = self.target.place
        client = make_client(place, credentials=credentials, anonymous=credentials is None)
        return contextlib.closing(client)

    # --- scratch objects ------------------------------------------------------------

    def key(self) -> str:
        """A new key; it sorts by when it was made."""
        self._keys += 1
        return f"{self.folder}/{self._keys:04}"

    def lock(self, until: int, mode: str = "") -> dict[str, Any]:
        """The parameters that lock an upload."""
        return {
            "ObjectLockMode": mode or self.mode,
            "ObjectLockRetainUntilDate": datetime.fromtimestamp(until, UTC),
        }

    def put(self, key: str = "", **more: Any) -> tuple[Answer, Version]:
        """Upload new bytes with their checksum, and look at what became of them."""
        key, body = key or self.key(), secrets.token_bytes(24)
        given = {"Body": body, **sent_checksum(body), **more}
        given = {name: value for name, value in given.items() if value is not None}
        answer, reply = self.ask(lambda s3: s3.put_object(Bucket=self.bucket, Key=key, **given))
        return answer, self.version(key, reply.get("VersionId", ""), given)

    def version(self, key: str, version: str, given: Mapping[str, Any]) -> Version:
        """A version, as it is shown now."""
        date = given.get("ObjectLockRetainUntilDate")
        asked = int(date.timestamp()) if date else 0
        new = Version(key=key, id=version, asked=asked, before=Seen(there=None))
        return dataclasses.replace(new, before=self.look(new))

    def locked(self, *, seconds: int = 0, mode: str = "", key: str = "", **more: Any) -> Version:
        """A locked object; without its lock, where the bucket takes only such."""
        until = self.now() + (seconds or self.limits.lock_s)
        answer, version = self.put(key, **self.lock(until, mode), **more)
        if not answer.done and answer.refused and answer.status != 403:
            refusal = answer
            answer, version = self.put(key, **more)
            if not answer.done:
                raise SetUpError(f"no locked object can be made ({refusal})")
        if not answer.done:
            raise SetUpError(f"no locked object can be made ({answer})")
        if not version.before.there:
            raise SetUpError("an object that was just written cannot be read")
        return version

    def look(self, version: Version) -> Seen:
        """What the store shows of that very version now."""
        given = {"Bucket": self.bucket, "Key": version.key}
        given |= {"VersionId": version.id} if version.id else {}
        try:
            reply: Mapping[str, Any] = self.s3.get_object(**given)  # type: ignore[arg-type]
            body = reply["Body"].read()
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            # 405 is how a delete marker answers.
            return Seen(there=False if status in {404, 405} else None, at=self.now())
        except BotoCoreError:
            return Seen(there=None, at=self.now())
        seen = self.shown(reply, given)
        return dataclasses.replace(seen, sha256=hashlib.sha256(body).hexdigest())

    def shown(self, reply: Mapping[str, Any], given: Mapping[str, Any]) -> Seen:
        """The lock as an answer to GET or HEAD tells it."""
        until = reply.get("ObjectLockRetainUntilDate")
        mode = reply.get("ObjectLockMode", "")
        return Seen(
            there=True,
            mode=mode,
            until=int(until.timestamp()) if until else 0,
            hold=reply.get("ObjectLockLegalHoldStatus") == "ON",
            hidden=not mode and self._hidden(given),
            at=self.now(),
        )

    def _hidden(self, given: Mapping[str, Any]) -> bool:
        """Whether a lock may be there that this credential may not see."""
        return self.attempt(lambda s3: s3.get_object_retention(**given)).status == 403

    def versions(self, key: str) -> list[str] | None:
        """The ids of all versions of a key, without markers; None if they cannot be listed."""
        try:
            return [version for name, version, marker in self.listed(key) if not marker]
        except FAULTS:
            return None

    def listed(self, prefix: str) -> Iterator[tuple[str, str, bool]]:
        """`(key, version id, is a marker)` of everything below a prefix."""
        pages = self.s3.get_paginator("list_object_versions")
        for page in pages.paginate(Bucket=self.bucket, Prefix=prefix):
            for found in page.get("Versions", ()):
                yield found["Key"], found["VersionId"], False
            for marker in page.get("DeleteMarkers", ()):
                yield marker["Key"], marker["VersionId"], True

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        return self.target.bucket

    # --- afterwards -----------------------------------------------------------------

    def remove(self, *, wait: bool) -> tuple[Leftover, ...]:
        """Remove what can be removed; return what stays, and until when."""
        left = self._remove_once()
        ends = [each.until for each in left if each.until <= self.now() + 2 * self.limits.lock_s]
        if wait and ends:
            self.wait_until(max(ends))
            left = self._remove_once()
        return left

    def _remove_once(self) -> tuple[Leftover, ...]:
        try:
            found = list(self.listed(f"{self.folder}/"))
        except FAULTS:
            return (Leftover(key=f"{self.folder}/", version="", until=0),)
        return tuple(filter(None, (self._remove(*each) for each in found)))

    def _remove(self, key: str, version: str, marker: bool) -> Leftover | None:  # noqa: FBT001
        given = {"Bucket": self.bucket, "Key": key, "VersionId": version}
        ways: tuple[dict[str, Any], ...] = ({}, {"BypassGovernanceRetention": True})
        for more in ways:
            if self.attempt(lambda s3, more=more: s3.delete_object(**given, **more)).done:  # type: ignore[misc]
                return None
        seen = self.look(Version(key=key, id=version, asked=0, before=Seen(there=None)))
        if seen.there is False and not marker:
            return None
        return Leftover(key=key, version=version, until=seen.until)


def sent_checksum(body: bytes) -> dict[str, Any]:
    """The parameters that have an upload checked; some stores want the algorithm named too."""
    return {"ChecksumAlgorithm": "SHA256", "ChecksumSHA256": checksum(body)}


def checksum(body: bytes) -> str:
    """SHA-256 as S3 wants it."""
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


def probe(guarantee: Guarantee, *needs: Power) -> Callable[[Callable[[Scratch], Judgement]], Probe]:
    """Make a probe of a function: its name and its docstring say what it tries."""

    def made(function: Callable[[Scratch], Judgement]) -> Probe:
        return Probe(
            name=function.__name__.replace("_", "-"),
            tries=(function.__doc__ or "").strip().rstrip("."),
            guarantee=guarantee,
            run=function,
            needs=needs,
        )

    return made
