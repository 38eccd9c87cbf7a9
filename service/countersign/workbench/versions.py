"""A policy as it is at a commit, branch or tag of the repository it lies in. Blocking."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path, PurePosixPath
from typing import Final

from countersign.errors import ConfigurationError
from countersign.policy.snapshot import Snapshot, belongs

_TIMEOUT_S: Final = 60
_PATH: Final = f"/usr/local/bin:{os.defpath}"
_TESTS: Final = ("_test.rego", "_cases.yaml")


def at(directory: Path, ref: str) -> Snapshot:
    """The policy in a directory as it is at a ref. Raises `ConfigurationError`."""
    if ref.startswith("-"):
        raise _no_ref(ref, "is an option")
    commit = _git(directory, ref, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
    revision = commit.decode("ascii", "replace").strip()
    archive = _git(directory, ref, "archive", "--format=tar", revision, "--", ".")
    files: dict[PurePosixPath, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            path = PurePosixPath(member.name)
            wanted = belongs(path.name) or path.name.endswith(_TESTS)
            hidden = any(part.startswith(".") for part in path.parts)
            content = tar.extractfile(member) if member.isfile() and wanted and not hidden else None
            if content is not None:
                files[path] = content.read()
    if not files:
        raise _no_ref(ref, f"has no policy in {directory}")
    return Snapshot(files=files, revision=revision, version=revision, origin=f"{directory}@{ref}")


def _git(directory: Path, ref: str, *arguments: str) -> bytes:
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program; no shell
            ["git", *arguments],  # noqa: S607 - the author's own git
            cwd=directory,
            env={"PATH": _PATH, "GIT_OPTIONAL_LOCKS": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _no_ref(ref, f"git cannot be run ({type(error).__name__})") from None
    if done.returncode != 0:
        raise _no_ref(ref, "no such commit, branch or tag, or the directory is not under git")
    return done.stdout


def _no_ref(ref: str, problem: str) -> ConfigurationError:
    return ConfigurationError(
        "policy.no_ref", f"--ref {ref}: {problem}", advice="Name a commit, branch or tag."
    )
