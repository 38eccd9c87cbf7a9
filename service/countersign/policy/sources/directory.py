"""A directory of Rego and data, watched.

The revision is the git commit that holds the directory exactly as it is, if
there is one, else a hash of what is compiled. While the stamps of its files say
that nothing changed, nothing is read. Blocking.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final, NoReturn

from countersign.errors import ConfigurationError
from countersign.policy.binary import CommandError, run_program
from countersign.policy.snapshot import Snapshot, belongs, content_revision, is_policy
from countersign.policy.sources.stamps import Stamp, stamp, trusted

_WRITING_S: Final = 0.05
"""What is still being written is not the same for so long."""
# What git changes whenever it commits, checks out or stages.
_GIT_FILES: Final = ("HEAD", "index", "logs/HEAD")


class DirectorySource:
    """A `Source` over a directory of this machine."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._seen: tuple[str, str] = ("", "")
        """The version read last, and the stamp it had; empty while that proves nothing."""
        self._git_files: list[Path] = []

    @property
    def origin(self) -> str:
        return f"directory {self._directory}"

    def fetch(self, known: str) -> Snapshot | None:
        """See `Source`. Raises `ConfigurationError` when it cannot be read or has no Rego."""
        if known and (known, self._stamp()) == self._seen:
            return None
        self._git_files = _git_files(self._directory)
        now = self._stamp()  # first: what changes meanwhile differs later
        snapshot = self._read()
        if snapshot.version == known:
            self._seen = (known, now) if now else ("", "")
            return None
        if known and not self._settled(snapshot):
            return None
        self._seen = (snapshot.version, now) if now else ("", "")
        return snapshot

    def accept(self, snapshot: Snapshot) -> None:
        """See `Source`: nothing to remember."""

    def kept(self) -> Snapshot | None:
        """See `Source`: the directory is all there is."""
        return None

    def _settled(self, snapshot: Snapshot) -> bool:
        """Whether a change nobody announced is whole.

        An editor that writes in place empties a file before it fills it again, and a
        policy without its last rules may compile.
        """
        time.sleep(_WRITING_S)
        return read(self._directory) == snapshot.files

    def _read(self) -> Snapshot:
        commit = _clean_commit(self._directory)
        files = read(self._directory)
        if commit is not None and _clean_commit(self._directory) != commit:
            commit = None  # it changed while it was read
        compiled = {path: content for path, content in files.items() if belongs(path.name)}
        return Snapshot(
            files=files,
            revision=commit or content_revision(compiled),
            version=f"{commit or ''}/{content_revision(files)}",
            origin=self.origin,
        )

    def _stamp(self) -> str:
        """One word for all files as they are; empty while it proves nothing."""
        names, stamps = [], []
        for path, found in _stamps(self._directory, self._git_files):
            names.append(path)
            stamps.append(found)
        return trusted(stamps, *names)


def snapshot(directory: Path) -> Snapshot:
    """What a directory holds now. Raises `ConfigurationError`."""
    found = DirectorySource(directory).fetch("")
    assert found is not None  # noqa: S101 - no version is the empty one
    return found


def read(directory: Path) -> dict[PurePosixPath, bytes]:
    """Every file that a policy consists of, tests included, nothing hidden."""
    files: dict[PurePosixPath, bytes] = {}

    def refuse(error: OSError) -> NoReturn:
        raise ConfigurationError(
            "policy.unreadable",
            f"the policy directory {directory} cannot be read: {error.strerror}",
            advice="Name a directory of Rego files that this process may read.",
        ) from error

    for folder, subfolders, names in os.walk(directory, onerror=refuse):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        for name in names:
            path = Path(folder, name)
            at = PurePosixPath(path.relative_to(directory))
            if is_policy(at):
                try:
                    files[at] = path.read_bytes()
                except OSError as error:
                    refuse(error)
    if not any(path.suffix == ".rego" and belongs(path.name) for path in files):
        raise ConfigurationError(
            "policy.empty",
            f"the policy directory {directory} has no Rego file",
            advice="Add a rule for data.countersign.decision.",
        )
    return files


def _stamps(directory: Path, more: list[Path]) -> Iterator[tuple[str, Stamp]]:
    """Of every folder and file that is not hidden, and of these besides."""
    paths = list(more)
    for folder, subfolders, names in os.walk(directory):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        paths.append(Path(folder))
        paths += [Path(folder, name) for name in sorted(names) if not name.startswith(".")]
    for path in paths:
        try:
            yield str(path), stamp(path.stat())
        except OSError:
            yield str(path), (0, 0, 0, 0)


def _git_files(directory: Path) -> list[Path]:
    """The files of git that tell of another commit; none where there is no git."""
    asked = [part for name in _GIT_FILES for part in ("--git-path", name)]
    try:
        return [directory / line for line in _git(directory, "rev-parse", *asked).splitlines()]
    except CommandError:
        return []


def _clean_commit(directory: Path) -> str | None:
    """The commit that holds the directory exactly as it is, if there is one."""
    try:
        state = _git(directory, "status", "--porcelain", "--ignored", "--", ".")
        tracked = _git(directory, "ls-tree", "--name-only", "HEAD", "--", ".")
        commit = _git(directory, "rev-parse", "--verify", "HEAD")
    except CommandError:
        return None  # no git, or not under it: the content is its own name
    return commit.strip() if tracked.strip() and not state.strip() else None


def _git(directory: Path, *arguments: str) -> str:
    # An environment of our own: a hook's GIT_DIR would answer for another tree.
    environment = {"PATH": f"/usr/local/bin:{os.defpath}", "LC_ALL": "C"}
    command = ["git", "--no-optional-locks", *arguments]
    return run_program(command, cwd=directory, environment=environment)
