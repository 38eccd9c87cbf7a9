"""How long a locked object is kept, and whether a server really keeps it. Pure.

The server's clock is the one that counts: a date is made from what the server
said it was, never from ours alone. A date too far ahead cannot be taken back, so
there is a cap; one too near does not protect. Used by `sink`.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

MAX_CLOCK_OFF: Final = timedelta(hours=1)
"""Between the server's clock and ours; more is somebody's mistake, and irrevocable."""
_ROUNDING: Final = timedelta(seconds=1)
"""S3 keeps whole seconds."""


class Mode(enum.Enum):
    """S3's modes of Object Lock."""

    COMPLIANCE = "COMPLIANCE"
    """Nobody can delete it or shorten its time, the account's root included."""
    GOVERNANCE = "GOVERNANCE"
    """Whoever has the permission can: for rehearsals."""


class Doubt(Exception):  # noqa: N818 - it says why a lock is not believed
    """A lock that is not as it must be. Says what is wrong."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long records are locked."""

    days: int
    max_days: int
    """Never further ahead than this."""
    mode: Mode = Mode.COMPLIANCE

    def until(self, server_now: datetime, now: datetime) -> datetime:
        """The date to ask for. Raises `Doubt` when the clocks disagree."""
        if abs(server_now - now) > MAX_CLOCK_OFF:
            raise Doubt(
                f"the server's clock says {_told(server_now)}, ours {_told(now)}: "
                "a lock by either could be irrevocably wrong"
            )
        return (server_now + timedelta(days=self.days)).replace(microsecond=0)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """What a server says of one version of an object."""

    version: str
    mode: str
    until: datetime | None
    sha256: str
    """Base64 as S3 says it; empty when it does not."""
    size: int
    server_now: datetime

    @classmethod
    def of(cls, head: Mapping[str, Any]) -> Lock:
        """From the answer to HeadObject."""
        until = head.get("ObjectLockRetainUntilDate")
        return cls(
            version=str(head.get("VersionId", "")),
            mode=str(head.get("ObjectLockMode", "")),
            until=until.astimezone(UTC) if isinstance(until, datetime) else None,
            sha256=str(head.get("ChecksumSHA256", "")),
            size=int(head.get("ContentLength", -1)),
            server_now=server_time(head),
        )

    def to_json(self, name: str) -> dict[str, str]:
        """As it is kept beside the log."""
        return {
            "name": name,
            "version_id": self.version,
            "mode": self.mode,
            "retain_until": _told(self.until) if self.until else "",
            "sha256": self.sha256,
            "seen_at": _told(self.server_now),
        }


def server_time(answer: Mapping[str, Any]) -> datetime:
    """The `Date` of an answer. Raises `Doubt` when it has none that can be read."""
    text = str(answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", ""))
    try:
        return datetime.strptime(text, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
    except ValueError:
        raise Doubt("the server does not say what time it is") from None


def confirm(lock: Lock, retention: Retention, at_least: datetime) -> None:
    """Believe a lock, or raise `Doubt`: a 200 says nothing about it."""
    if not lock.version or lock.version == "null":
        raise Doubt("it has no version: versioning is off, so it can be overwritten")
    if not lock.mode or lock.until is None:
        raise Doubt(
            "the server does not say that it is locked: it is not, or s3:GetObjectRetention "
            "is not granted"
        )
    if lock.mode not in {Mode.COMPLIANCE.value, retention.mode.value}:
        raise Doubt(f"its mode is {lock.mode}, it must be {retention.mode.value}")
    if lock.until < at_least - _ROUNDING:
        raise Doubt(f"it is locked until {_told(lock.until)}, not until {_told(at_least)}")
    if lock.until > lock.server_now + timedelta(days=retention.max_days) + MAX_CLOCK_OFF:
        raise Doubt(
            f"it is locked until {_told(lock.until)}, beyond the cap of {retention.max_days} days"
        )


def _told(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
