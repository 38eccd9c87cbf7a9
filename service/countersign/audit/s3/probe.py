"""What a probe of a store is: what it bears on, what it saw, what it means.

Values only. The probes attack scratch objects (`probe_deletes` and its
siblings), `probe_judge` decides by the effect, `probe_run` runs them all.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import Final


class Guarantee(enum.Enum):
    """Something a store may promise about a locked record."""

    UNDELETABLE = "a locked version cannot be deleted"
    UNSHORTENABLE = "its retention cannot be shortened or taken away"
    MODE_FIXED = "its mode cannot be weakened or bypassed"
    HISTORY = "writes and markers leave the locked version as it was"
    EXCLUSIVE = "If-None-Match: * lets exactly one writer create"
    CHECKSUM = "bytes that are not those of the checksum are refused"
    VISIBLE = "mode, date, version and checksum are told as they were set"
    BUCKET = "Object Lock cannot be switched off or got round by the bucket's settings"
    CREDENTIALS = "a wrong credential, or none, can do nothing"

    DEFAULT = "the bucket's default retention is stamped on new objects"
    EVERY_WAY = "multipart uploads and copies keep the lock they were given"
    EXACT = "a lock is kept exactly as asked for, or refused"
    DEMANDED = "a locked upload without a checksum is refused"
    HOLD = "a legal hold protects by itself"
    LIFECYCLE = "lifecycle rules spare locked versions"

    @property
    def relied_on(self) -> bool:
        """Whether Countersign's own promises need it."""
        return self in RELIED_ON


RELIED_ON: Final = frozenset(
    {
        Guarantee.UNDELETABLE,
        Guarantee.UNSHORTENABLE,
        Guarantee.MODE_FIXED,
        Guarantee.HISTORY,
        Guarantee.EXCLUSIVE,
        Guarantee.CHECKSUM,
        Guarantee.VISIBLE,
        Guarantee.BUCKET,
        Guarantee.CREDENTIALS,
    }
)
"""The others are good to have: the sink sends a checksum and a date with every
upload, uploads whole objects only, and reads every lock back."""


class Verdict(enum.Enum):
    """What a probe, or all probes of a guarantee, came to."""

    HELD = "held"
    BROKEN = "broken"
    NOT_APPLICABLE = "not applicable"
    UNKNOWN = "unknown"


class Power(enum.Enum):
    """What the credential must be able to do, or its failure proves nothing."""

    LOCK = "upload with a lock"
    DELETE = "delete a version that nothing protects"
    RETAIN = "change a retention"
    BYPASS = "bypass GOVERNANCE"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How the store answered one request."""

    status: int
    """0: it did not."""
    code: str = ""
    """The error's code, or the fault's name."""

    @property
    def done(self) -> bool:
        """Whether it said yes."""
        return 200 <= self.status < 300

    @property
    def refused(self) -> bool:
        """Whether it said no, rather than that it could not, or not now."""
        return (400 <= self.status < 500 and self.status not in {408, 429}) or self.status == 501

    def __str__(self) -> str:
        if not self.status:
            return f"no answer ({self.code})"
        return f"{'answered' if self.done else 'refused with'} {self.status} {self.code}".rstrip()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a store showed of one version at one moment."""

    there: bool | None
    """None: it could not be looked at."""
    sha256: str = ""
    mode: str = ""
    until: int = 0
    """Seconds since 1970; 0 without retention."""
    hold: bool = False
    hidden: bool = False
    """Whether the credential may not see the lock."""
    at: int = 0
    """When it was looked at, by the store's clock."""

    @property
    def locked(self) -> bool:
        """Whether a lock was shown."""
        return bool(self.mode and self.until) or self.hold


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A verdict, and one sentence that says why."""

    verdict: Verdict
    why: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one probe."""

    name: str
    tries: str
    guarantee: Guarantee
    verdict: Verdict
    why: str
    needs: tuple[Power, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """A scratch version that could not be removed yet."""

    key: str
    version: str
    until: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One run of the kit."""

    target: str
    server: str
    """As it names itself."""
    date: str
    mode: str
    powers: dict[Power, Judgement]
    results: tuple[Result, ...]
    leftovers: tuple[Leftover, ...] = ()
