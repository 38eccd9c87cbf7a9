"""A directory of Rego and data.

The revision is the git commit that holds the directory exactly as it is, if
there is one, else a hash of what is compiled. Blocking.
"""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import NoReturn

from countersign.errors import ConfigurationError
from countersign.policy.binary import CommandError, run_program
from countersign.policy.snapshot import Snapshot, belongs, content_revision

_TEST_FILES = ("_test.rego", "_cases.yaml")


class DirectorySource:
    """A `Source` over a directory of this machine."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @property
    def origin(self) -> str:
        return f"directory {self._directory}"

    def fetch(self, known: str) -> Snapshot | None:
        """See `Source`. Raises `ConfigurationError` when it cannot be read or has no Rego."""
        commit = _clean_commit(self._directory)
        files = read(self._directory)
        if commit is not None and _clean_commit(self._directory) != commit:
            commit = None  # it changed while it was read
        version = f"{commit or ''}/{content_revision(files)}"
        if version == known:
            return None
        compiled = {path: content for path, content in files.items() if belongs(path.name)}
        return Snapshot(
            files=files,
            revision=commit or content_revision(compiled),
            version=version,
            origin=self.origin,
        )


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
            if belongs(name) or (name.endswith(_TEST_FILES) and not name.startswith(".")):
                path = Path(folder, name)
                try:
                    files[PurePosixPath(path.relative_to(directory))] = path.read_bytes()
                except OSError as error:
                    refuse(error)
    if not any(path.suffix == ".rego" and belongs(path.name) for path in files):
        raise ConfigurationError(
            "policy.empty",
            f"the policy directory {directory} has no Rego file",
            advice="Add a rule for data.countersign.decision.",
        )
    return files


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
