"""The files of one version of a policy, wherever they came from.

Invariant 4: the revision names exactly these bytes. A source gives a snapshot,
`bundle` compiles it; in between nothing is read again. Pure. Called by
`sources`, `bundle` and the author's tools.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Final, Protocol

DATA_FILES: Final = ("data.json", "data.yaml", "data.yml")
_TEST_FILES: Final = ("_test.rego", "_cases.yaml")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What a source had at one moment: Rego and data, tests included."""

    files: Mapping[PurePosixPath, bytes] = dataclasses.field(repr=False)
    """By path relative to the policy's root."""
    revision: str
    """A git commit, a bundle's own revision, or `content_revision`."""
    version: str
    """What the source compares by (ETag, commit, content hash); opaque to others."""
    origin: str
    """Where it came from, for people and records: never a credential."""
    signed_by: str = ""
    """Whose signature on it was verified; empty when none was asked for."""
    evidence: bytes = dataclasses.field(default=b"", repr=False)
    """What its source judges it by again, such as the archive as it came."""

    def compiled(self) -> dict[PurePosixPath, bytes]:
        """The files that belong into a bundle: no tests, nothing hidden."""
        return {path: content for path, content in self.files.items() if belongs(path.name)}


class Source(Protocol):
    """Where policy comes from. Blocking: called from a thread, by one caller at a time."""

    @property
    def origin(self) -> str:
        """What it is, for people: `directory policy`. Never a credential."""

    def fetch(self, known: str) -> Snapshot | None:
        """The version there now, verified; None when it is still `known`.

        Raises `ConfigurationError` when what is there cannot be had or trusted; a remote
        source that has given nothing yet then gives what `kept` does, if it keeps anything.
        """

    def accept(self, snapshot: Snapshot) -> None:
        """Remember this one, which decides from now on.

        What a remote source can start with when it reaches nobody, and what a later
        version is judged against (its history, its name). Raises `ConfigurationError`
        when that cannot be written.
        """

    def kept(self) -> Snapshot | None:
        """What was accepted last, where a source keeps that: when what is there does not pass.

        Its `origin` says that it is from here and its `version` is no version of the
        source, so that the next `fetch` gives what is there. Raises `ConfigurationError`
        when it is not whole, or not what these settings would accept.
        """


def belongs(name: str) -> bool:
    """Whether a file of this name is compiled."""
    if name.startswith("."):
        return False
    return name in DATA_FILES or (name.endswith(".rego") and not name.endswith("_test.rego"))


def is_policy(path: PurePosixPath) -> bool:
    """Whether a file is part of a snapshot: compiled, or a test of what is; nothing hidden."""
    if any(part.startswith(".") for part in path.parts):
        return False
    return belongs(path.name) or path.name.endswith(_TEST_FILES)


def content_revision(files: Mapping[PurePosixPath, bytes]) -> str:
    """`sha256:` and 16 hex digits over names and contents in sorted order."""
    digest = hashlib.sha256()
    for name in sorted(files):
        for part in (os.fsencode(name), files[name]):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
    return f"sha256:{digest.hexdigest()[:16]}"
