"""The last accepted version of a remote source, kept on disk to start with.

A service that starts while its source is away, or while what is there is not
trusted, decides by what it decided by before, and says so in the origin. What is
kept is judged again, by today's keys and signers, as though it came now; nobody is
asked for it. It is bound to its address, and in a file or directory that others
could have written to, or that is damaged, it is refused and not served. Of what
nobody had to sign, the hash finds damage, and not whoever is already this user.
Blocking.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import datetime as dt
import hashlib
import json
import logging
import os
import stat
import tempfile
from pathlib import Path
from typing import Any, Final, Protocol

from countersign.errors import ConfigurationError
from countersign.policy.snapshot import Snapshot, Source
from countersign.policy.sources.cache import make_private, require_private

_SCHEMA: Final = "countersign/policy-kept/v1"
_NAME: Final = "accepted.json"
_KEPT: Final = "kept/"
_log: Final = logging.getLogger(__name__)


class Remote(Source, Protocol):
    """A source whose versions can be judged again without it."""

    def again(self, version: str, evidence: bytes) -> Snapshot:
        """What it gave as this version with this evidence, if it would be good today.

        Raises `ConfigurationError`.
        """

    def recall(self, version: str, evidence: bytes) -> None:
        """Judge later versions against this one, which was accepted before this process."""


class LastGood:
    """A `Source` around a remote one."""

    def __init__(self, source: Remote, directory: Path) -> None:
        self._source = source
        self._directory = directory
        self._begun = False
        self._gave = False
        """Whether anything was given since the start; from then on, a fault is told as one."""

    @property
    def origin(self) -> str:
        return self._source.origin

    def fetch(self, known: str) -> Snapshot | None:
        """See `Source`."""
        self._begin()
        try:
            snapshot = self._source.fetch("" if known.startswith(_KEPT) else known)
        except ConfigurationError as error:
            if self._gave:
                raise
            snapshot = self._kept_instead(error)
        self._gave = True
        return snapshot

    def accept(self, snapshot: Snapshot) -> None:
        """See `Source`."""
        if snapshot.version.startswith(_KEPT):
            return
        self._source.accept(snapshot)
        said = {
            "schema": _SCHEMA,
            "origin": self.origin,
            "accepted": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            "version": snapshot.version,
            "evidence": base64.b64encode(snapshot.evidence).decode("ascii"),
        }
        try:
            self._write(_sealed(said))
        except OSError as error:
            raise self._refused(
                f"cannot be written: {error.strerror}",
                "Make room, or name another directory as policy.cache.",
            ) from error

    def kept(self) -> Snapshot | None:
        """See `Source`."""
        said = self._said()
        if said is None:
            return None
        try:
            snapshot = self._source.again(*_judged(said))
        except ConfigurationError as error:
            raise self._refused(f"would not be accepted now: {error.message}") from error
        return dataclasses.replace(
            snapshot,
            version=_KEPT + snapshot.version,
            origin=f"{self.origin}, last accepted on disk at {said['accepted']}",
        )

    def _begin(self) -> None:
        """Tell the source once what it had accepted before this process."""
        if self._begun:
            return
        self._begun = True
        with contextlib.suppress(ConfigurationError):  # said where it is needed
            said = self._said()
            if said is not None:
                self._source.recall(*_judged(said))

    def _kept_instead(self, error: ConfigurationError) -> Snapshot:
        """What was kept, or the error of the source with what is wrong with that too."""
        try:
            snapshot = self.kept()
        except ConfigurationError as worse:
            raise ConfigurationError(
                error.code, f"{error.message}; and {worse.message}", advice=error.advice
            ) from error
        if snapshot is None:
            raise error
        _log.error("policy starts with the version that was last accepted: %s", error)
        return snapshot

    def _said(self) -> dict[str, Any] | None:
        """What was written of this source's last accepted version, if there is one."""
        try:
            said = self._opened(self._read())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._refused(f"cannot be read: {error.strerror}") from error
        return said if said["origin"] == self.origin else None

    def _write(self, data: bytes) -> None:
        """Whole or not at all, for nobody else."""
        make_private(self._directory)
        descriptor, name = tempfile.mkstemp(prefix=f".{_NAME}.", dir=self._directory)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self._directory / _NAME)
        except OSError:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
        folder = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _read(self) -> bytes:
        require_private(self._directory)
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(self._directory / _NAME, flags)
        with os.fdopen(descriptor, "rb") as file:
            seen = os.fstat(descriptor)
            if not stat.S_ISREG(seen.st_mode) or seen.st_uid != os.geteuid():
                raise self._refused("is not a file of this user")
            if stat.S_IMODE(seen.st_mode) & 0o077:
                raise self._refused("can be used by others than its owner")
            return file.read()

    def _opened(self, sealed: bytes) -> dict[str, Any]:
        digest, _, body = sealed.partition(b"\n")
        if digest.decode("latin-1") != hashlib.sha256(body).hexdigest():
            raise self._refused("is damaged: it does not have its own hash")
        said: dict[str, Any] = json.loads(body) if body else {}
        if said.get("schema") != _SCHEMA:
            raise self._refused("is of another version of Countersign")
        return said

    def _refused(self, problem: str, advice: str = "") -> ConfigurationError:
        return ConfigurationError(
            "policy.cache_invalid",
            f"what was accepted last, {self._directory / _NAME}, {problem}",
            advice=advice or "Remove it, and start when the source can be reached.",
        )


def _sealed(said: dict[str, Any]) -> bytes:
    """The hash of what follows, and what follows."""
    body = json.dumps(said, ensure_ascii=True, sort_keys=True).encode("ascii")
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def _judged(said: dict[str, Any]) -> tuple[str, bytes]:
    return said["version"], base64.b64decode(said["evidence"])
