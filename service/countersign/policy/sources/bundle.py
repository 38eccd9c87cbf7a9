"""A ready-made bundle: fetched, verified, taken apart; compiled again by `policy.bundle`.

Its `.manifest` gives its revision and goes no further, so that what is compiled
from it owns every path and has our capabilities. A revision names one content
(invariant 4): a bundle that calls itself like the one accepted before it, and is
not that one, is refused. Blocking.
"""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Final, Protocol

from countersign.errors import ConfigurationError
from countersign.policy.signatures import BundleKey
from countersign.policy.snapshot import Snapshot, belongs, content_revision, is_policy
from countersign.policy.sources.archive import MANIFEST, own_revision, unpack

_UNSEEN: Final = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """A bundle as it was at its place."""

    archive: bytes = dataclasses.field(repr=False)
    tag: str
    """What the place compares by (an ETag, a file's stamp); empty: nothing."""
    version_id: str = ""
    """What the place calls this version, for people."""


class Place(Protocol):
    """Where a bundle is. Blocking."""

    @property
    def origin(self) -> str:
        """What it is, for people. Never a credential."""

    @property
    def max_bytes(self) -> int:
        """The largest archive that it delivers."""

    def get(self, tag: str) -> Delivered | None:
        """What is there; None when it still is what had this tag.

        Raises `ConfigurationError`.
        """


class BundleSource:
    """A `Source` over any place. With a key, only what it signed is accepted."""

    def __init__(self, place: Place, key: BundleKey | None) -> None:
        self._place = place
        self._key = key
        self._seen = _UNSEEN
        """The version that the tag below belongs to."""
        self._tag = ""
        self._accepted: tuple[str, str] | None = None
        """The revision and content of what decides."""

    @property
    def origin(self) -> str:
        return f"bundle {self._place.origin}"

    def fetch(self, known: str) -> Snapshot | None:
        """See `Source`."""
        delivered = self._place.get(self._tag if known and known == self._seen else "")
        if delivered is None:
            return None
        version = _version(delivered.archive)
        if version != known:
            snapshot = self._opened(delivered, version)
            self._seen, self._tag = version, delivered.tag
            return snapshot
        self._seen, self._tag = version, delivered.tag
        return None

    def accept(self, snapshot: Snapshot) -> None:
        """See `Source`."""
        self._accepted = snapshot.revision, content_revision(snapshot.compiled())

    def kept(self) -> Snapshot | None:
        """See `Source`: nothing; whoever keeps it stands around this one."""
        return None

    def again(self, version: str, evidence: bytes) -> Snapshot:
        """See `Remote`."""
        if _version(evidence) != version:
            raise ConfigurationError(
                "policy.bundle_invalid",
                f"this is not what the {self.origin} was",
                advice="Fetch it again.",
            )
        return self._opened(Delivered(archive=evidence, tag=""), version)

    def recall(self, version: str, evidence: bytes) -> None:
        """See `Remote`."""
        self.accept(self.again(version, evidence))

    def _opened(self, delivered: Delivered, version: str) -> Snapshot:
        unpacked = unpack(delivered.archive, max_bytes=self._place.max_bytes)
        signed_by = self._key.verify(unpacked) if self._key else ""
        files = {path: content for path, content in unpacked.items() if is_policy(path)}
        compiled = {path: content for path, content in files.items() if belongs(path.name)}
        if not any(path.suffix == ".rego" for path in compiled):
            raise ConfigurationError(
                "policy.empty",
                f"the {self.origin} has no Rego file",
                advice="Add a rule for data.countersign.decision.",
            )
        content = content_revision(compiled)
        stated = own_revision(unpacked[MANIFEST]) if MANIFEST in unpacked else ""
        self._require_new_name(stated, content)
        return Snapshot(
            files=files,
            revision=stated or content,
            version=version,
            origin=self.origin + (f" ({delivered.version_id})" if delivered.version_id else ""),
            signed_by=signed_by,
            evidence=delivered.archive,
        )

    def _require_new_name(self, revision: str, content: str) -> None:
        if self._accepted is None or not revision:
            return
        if revision == self._accepted[0] and content != self._accepted[1]:
            raise ConfigurationError(
                "policy.revision_reused",
                f"the {self.origin} has changed, but its revision has not: {revision}",
                advice="Build it with a revision of its own, such as the commit: "
                "`opa build --revision $(git rev-parse HEAD)`.",
            )


def _version(archive: bytes) -> str:
    return f"sha256:{hashlib.sha256(archive).hexdigest()}"
