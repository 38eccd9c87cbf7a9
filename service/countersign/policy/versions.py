"""Versions of policy as the keeper knows them: what answered, what was tried, what is told.

Values only, and the list of what can be gone back to. Made by `activation`; read by
the edge, the metrics and the records.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import Self

from countersign.errors import ConfigurationError
from countersign.policy.bundle import Bundle
from countersign.policy.snapshot import Snapshot

_MAX_WORDS = 2000


class Result(enum.StrEnum):
    """How an attempt to have the desired version answer ended."""

    ACTIVATED = "activated"
    ROLLED_BACK = "rolled_back"
    UNCHANGED = "unchanged"
    """The desired version answers already."""
    PROPOSED = "proposed"
    """It waits for people to approve it."""
    REFUSED = "refused"
    """The version itself is at fault: not tried again until it changes."""
    FAILED = "failed"
    """The machine or the source is at fault: tried again by itself."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A version that answers requests, or did."""

    bundle: Bundle
    snapshot: Snapshot = dataclasses.field(repr=False)
    at_s: float
    """When it was last activated: seconds since 1970."""
    by: str
    """Who asked for it; empty when the source was seen to have changed."""

    @property
    def revision(self) -> str:
        return self.bundle.revision

    @property
    def name(self) -> str:
        """The source's own name for it."""
        return self.snapshot.version


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt and what came of it."""

    result: Result
    at_s: float
    by: str = ""
    revision: str = ""
    """Empty where it is not known what the source has."""
    name: str = ""
    origin: str = ""
    signed_by: str = ""
    code: str = ""
    message: str = ""
    advice: str = ""
    retry_at_s: float = 0.0
    """When it is tried again by itself; 0: not before the version changes."""
    review: str = ""
    """The review in which people decide on it."""

    def of(self, snapshot: Snapshot | None) -> Self:
        """The same about a version, if it is known which."""
        if snapshot is None:
            return self
        return dataclasses.replace(
            self,
            revision=snapshot.revision,
            name=snapshot.version,
            origin=snapshot.origin,
            signed_by=snapshot.signed_by,
        )

    def because(self, error: ConfigurationError) -> Self:
        """The same with what was wrong."""
        return dataclasses.replace(
            self, code=error.code, message=error.message[:_MAX_WORDS], advice=error.advice
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something about policy that belongs on record."""

    attempt: Attempt
    active: Version | None
    """What answers from here on; None before the first."""
    before: Version | None
    """What answered until now."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """All that is told of policy."""

    source: str
    active: Version | None
    attempt: Attempt | None
    held: bool
    """Somebody chose another version than the source's; polling leaves it be."""
    kept: tuple[Version, ...]
    """What can be gone back to, the oldest first, the active one among them."""


class Kept:
    """The versions that can be gone back to, in the order in which they came."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.all: tuple[Version, ...] = ()

    def find(self, revision: str) -> Version:
        """By revision or by the bundle's hash. Raises `LookupError`."""
        for version in reversed(self.all):
            if revision in (version.revision, version.bundle.sha256):
                return version
        raise LookupError(revision)

    def before(self, active: Version | None) -> Version:
        """The one before the active one. Raises `LookupError`."""
        place = self._place(active)
        if place <= 0:
            raise LookupError("nothing")
        return self.all[place - 1]

    def gone_back_to(self, version: Version) -> None:
        """It answers again, where it stands: once more goes further back."""
        place = self._place(version)
        self.all = (*self.all[:place], version, *self.all[place + 1 :])

    def went_on_to(self, version: Version, active: Version | None) -> None:
        """It answers from here on, after the one that did until now."""
        gone = {each.bundle.sha256 for each in (version, active) if each}
        rest = [each for each in self.all if each.bundle.sha256 not in gone]
        last = [active] if active and active.bundle.sha256 != version.bundle.sha256 else []
        self.all = tuple([*rest, *last, version][-self._most :])

    def _place(self, version: Version | None) -> int:
        digests = [each.bundle.sha256 for each in self.all]
        return digests.index(version.bundle.sha256) if version else -1
