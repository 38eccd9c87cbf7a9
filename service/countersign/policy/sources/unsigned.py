"""A directory as a source whose versions can be judged again, where nobody signs them.

What it gave is all the evidence there is. Used where a version has to be there at the
next start whatever the directory says by then: because people approved that one. Blocking.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from pathlib import PurePosixPath
from typing import Any

from countersign.policy.snapshot import Snapshot, Source


class Unsigned:
    """A `Remote` around a source of this machine."""

    def __init__(self, source: Source) -> None:
        self._source = source

    @property
    def origin(self) -> str:
        return self._source.origin

    def fetch(self, known: str) -> Snapshot | None:
        """See `Source`."""
        snapshot = self._source.fetch(known)
        return snapshot and dataclasses.replace(snapshot, evidence=_packed(snapshot))

    def accept(self, snapshot: Snapshot) -> None:
        """See `Source`."""
        self._source.accept(snapshot)

    def kept(self) -> Snapshot | None:
        """See `Source`."""
        return self._source.kept()

    def again(self, version: str, evidence: bytes) -> Snapshot:
        """See `Remote`: it is what it says."""
        said: dict[str, Any] = json.loads(evidence)
        return Snapshot(
            files={
                PurePosixPath(path): base64.b64decode(content)
                for path, content in said["files"].items()
            },
            revision=said["revision"],
            version=version,
            origin=self.origin,
            evidence=evidence,
        )

    def recall(self, version: str, evidence: bytes) -> None:
        """See `Remote`: no version is judged against another."""


def _packed(snapshot: Snapshot) -> bytes:
    files = {
        str(path): base64.b64encode(content).decode("ascii")
        for path, content in snapshot.files.items()
    }
    return json.dumps({"revision": snapshot.revision, "files": files}).encode("ascii")
