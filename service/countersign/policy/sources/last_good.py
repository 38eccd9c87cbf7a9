"""The last accepted version of a remote source, kept on disk to start with.

A service that starts while its source is away, or while what is there is not
trusted, decides by what it decided by before, and says so in the origin. What is
kept is bound to the settings that made it good (address, key, signers): under
others it is not used, so that a key that was replaced vouches for nothing any more.
A file that is not whole, or that others could have written, is refused and not
served. Its hash finds damage; against an attacker who can write here nothing
helps, and nobody but the owner can. Blocking.
"""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import hashlib
import json
import logging
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, Final

from countersign.errors import ConfigurationError
from countersign.policy.snapshot import Snapshot, Source
from countersign.policy.sources.cache import make_private, require_private

_SCHEMA: Final = "countersign/policy-kept/v1"
_NAME: Final = "accepted.json"
_MAX_BYTES: Final = 1 << 30
_MAX_JUDGED: Final = 32
_KEPT: Final = "kept/"
_log: Final = logging.getLogger(__name__)


class LastGood:
    """A `Source` around a remote one. `trust` is a digest of what makes a version good."""

    def __init__(self, source: Source, directory: Path, *, trust: Callable[[], str]) -> None:
        self._source = source
        self._directory = directory
        self._trust = trust
        self._judged: dict[str, str] = {}
        """Versions that were fetched lately, and what made each good then."""
        self._begun = False

    @property
    def origin(self) -> str:
        return self._source.origin

    def fetch(self, known: str) -> Snapshot | None:
        """See `Source`."""
        self._begin()
        try:
            trust = self._trust()
            snapshot = self._source.fetch("" if known.startswith(_KEPT) else known)
        except ConfigurationError as error:
            if known:
                raise
            return self._kept_instead(error)
        if snapshot is not None:
            self._judged[snapshot.version] = trust
            for version in list(self._judged)[:-_MAX_JUDGED]:
                del self._judged[version]
        return snapshot

    def accept(self, snapshot: Snapshot) -> None:
        """See `Source`."""
        if snapshot.version.startswith(_KEPT):
            return
        self._source.accept(snapshot)
        trust = self._judged.get(snapshot.version)
        if trust is None:
            return  # nobody knows any more what made it good
        said = {
            "schema": _SCHEMA,
            "trust": trust,
            "accepted": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            "revision": snapshot.revision,
            "version": snapshot.version,
            "signed_by": snapshot.signed_by,
            "files": {
                str(path): base64.b64encode(content).decode()
                for path, content in snapshot.files.items()
            },
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
        try:
            sealed = self._read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._refused(f"cannot be read: {error.strerror}") from error
        said = self._opened(sealed)
        if said["trust"] != self._trust():
            return None
        return Snapshot(
            files={
                PurePosixPath(path): base64.b64decode(content)
                for path, content in said["files"].items()
            },
            revision=said["revision"],
            version=_KEPT + said["version"],
            origin=f"{self.origin}, last accepted on disk at {said['accepted']}",
            signed_by=said["signed_by"],
        )

    def _begin(self) -> None:
        """Tell the source once what it had accepted before this process."""
        if self._begun:
            return
        self._begun = True
        with contextlib.suppress(ConfigurationError):  # said where it is needed
            snapshot = self.kept()
            if snapshot is not None:
                self._source.accept(snapshot)

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
            return file.read(_MAX_BYTES)

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
